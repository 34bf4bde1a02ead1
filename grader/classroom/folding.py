"""A Python text as it is compared with others: its tokens, without what can be changed for nothing.

Comments, docstrings, annotations, imports and the layout are dropped. Names that an author chooses
become their number within their statement, so that `a * b + a` and `x * y + x` are the same, and
`x * y + y` is another; literals become one sign for each kind. What a library gave its name keeps
it. Nothing is parsed further than into tokens, and nothing is ever run: a text may be hostile.
"""

from __future__ import annotations

import builtins
import io
import keyword
import tokenize
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from grader.catalogue import Text

MOST_TOKENS: Final = 10_000  # a long exercise has one thousand
_DEEPEST: Final = 100
_LAYOUT: Final = frozenset({tokenize.COMMENT, tokenize.NL, tokenize.ENCODING, tokenize.ENDMARKER})
_OPENING, _CLOSING = frozenset("([{"), frozenset(")]}")
_ASSIGNING: Final = frozenset(
    ("=", "+=", "-=", "*=", "/=", "//=", "%=", "@=", "&=", "|=", "^=", ">>=", "<<=", "**=")
)
_BUILTINS: Final = frozenset(dir(builtins))
_EMPTY: Final = (["pass"], ["..."], ["raise", "NotImplementedError"])
# Python 3.12 tells the parts of an f-string apart; before, it is one string.
_F_STRING: Final = (getattr(tokenize, "FSTRING_START", -1), getattr(tokenize, "FSTRING_END", -1))


class FoldingError(Exception):
    """A text cannot be compared; `text` says why in both languages."""

    def __init__(self, en: str, zh: str):
        self.text = Text(en=en, zh=zh)
        super().__init__(en)


@dataclass(frozen=True)
class Folded:
    """The tokens of a text: a number for each, the same for the same token in every text.

    Attributes:
        codes: the tokens.
        lines: the line that each begins in, counted from 1.
    """

    codes: tuple[int, ...]
    lines: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.codes)


@dataclass(frozen=True)
class _Token:
    kind: int
    text: str
    line: int


@dataclass
class _Names:
    """What the names in a text are: where they come from, and which of them are the author's."""

    imported: dict[str, str] = field(default_factory=dict)
    attributes: set[str] = field(default_factory=set)
    parameters: set[str] = field(default_factory=set)


def fold(text: str) -> Folded:
    """Fold a text.

    Raises:
        FoldingError: it is no Python as far as tokens go, or is too long or too deep.
    """
    statements = list(_statements(_tokens(text)))
    names = _Names()
    kept: list[list[_Token]] = []
    for statement in statements:
        words = [token.text for token in statement]
        if words[0] in ("import", "from"):
            _note_import(words, names)
        elif words not in _EMPTY and any(token.kind != tokenize.STRING for token in statement):
            _note_names(statement, names)
            kept.append(statement)
    codes: list[int] = []
    lines: list[int] = []
    for statement in kept:
        for token, said in _folded(_bare(statement), names):
            codes.append(zlib.crc32(said.encode("utf-8", "surrogatepass")))
            lines.append(token.line)
    return Folded(tuple(codes), tuple(lines))


# ---- reading


def _tokens(text: str) -> Iterator[_Token]:
    """The tokens of a text, an f-string as one."""
    depth = count = f_strings = 0
    try:
        for found in tokenize.generate_tokens(io.StringIO(text).readline):
            if found.type in _LAYOUT:
                continue
            count += 1
            if count > MOST_TOKENS:
                raise FoldingError(
                    f"has more than {MOST_TOKENS:,} tokens; that is no exercise",
                    f"超过 {MOST_TOKENS:,} 个词法单元；这不是练习文件",
                )
            line = found.start[0]
            if found.type == tokenize.ERRORTOKEN and not found.string.isspace():
                raise _unreadable(line)
            if f_strings or found.type == _F_STRING[0]:
                f_strings += (found.type == _F_STRING[0]) - (found.type == _F_STRING[1])
                if not f_strings:
                    yield _Token(tokenize.STRING, found.string, line)
                continue
            depth += (found.string in _OPENING) - (found.string in _CLOSING)
            depth += (found.type == tokenize.INDENT) - (found.type == tokenize.DEDENT)
            if depth > _DEEPEST:
                raise FoldingError(
                    f"line {line}: is nested deeper than {_DEEPEST} levels",
                    f"第 {line} 行：嵌套超过 {_DEEPEST} 层",
                )
            yield _Token(found.type, found.string, line)
    except (tokenize.TokenError, SyntaxError, ValueError) as error:
        raise _unreadable(_line_of(error)) from error


def _line_of(error: Exception) -> int:
    if isinstance(error, SyntaxError):
        return error.lineno or 1
    place = error.args[1] if len(error.args) > 1 else (1, 0)
    return int(place[0]) if isinstance(place, tuple) else 1


def _unreadable(line: int) -> FoldingError:
    return FoldingError(
        f"line {line}: cannot be read as Python", f"第 {line} 行：无法作为 Python 读取"
    )


def _statements(tokens: Iterator[_Token]) -> Iterator[list[_Token]]:
    """Statements, or the heads of compound ones: what ends at a line's end or a semicolon."""
    statement: list[_Token] = []
    for token in tokens:
        if token.kind == tokenize.NEWLINE or token.text == ";":
            if statement:
                yield statement
            statement = []
        elif token.kind not in (tokenize.INDENT, tokenize.DEDENT, tokenize.ERRORTOKEN):
            statement.append(token)
    if statement:
        yield statement


# ---- names


def _note_import(words: Sequence[str], names: _Names) -> None:
    """Note what `import a.b as c` and `from a import b as c` call by which name."""
    source, _, listed = " ".join(words).partition(" import ")
    origin = ""
    if words[0] == "from":
        origin = source.removeprefix("from").replace(" ", "") + "."
    else:
        listed = " ".join(words[1:])
    for part in listed.strip("( )").split(","):
        name, _, alias = part.strip().partition(" as ")
        name = name.replace(" ", "")
        if not name:
            continue
        if alias or origin:
            names.imported[alias.strip() or name] = origin + name
        else:
            names.imported[name.partition(".")[0]] = name.partition(".")[0]


def _note_names(statement: Sequence[_Token], names: _Names) -> None:
    """Note which attributes a statement binds, and which parameters a function has."""
    words = [token.text for token in statement]
    if "def" in words[:2]:
        names.attributes.update(words[1:3])
        names.parameters.update(_parameters(statement))
        return
    if words[0] == "class":
        names.attributes.update(words[1:2])
        return
    assigned = [place for place, _ in _at_depth(words, 0) if words[place] in _ASSIGNING]
    for place in range(1, assigned[-1] if assigned else 0):
        if words[place - 1] == "." and words[place + 1] not in (".", "(", "["):
            names.attributes.add(words[place])


def _at_depth(words: Sequence[str], wanted: int) -> Iterator[tuple[int, str]]:
    """The words that stand within so many brackets, and where."""
    depth = 0
    for place, word in enumerate(words):
        depth -= word in _CLOSING
        if depth == wanted:
            yield place, word
        depth += word in _OPENING


def _parameters(head: Sequence[_Token]) -> list[str]:
    """The parameters in the head of a function."""
    words = [token.text for token in head]
    first, found = True, []
    for place, word in _at_depth(words, 1):
        if first and head[place].kind == tokenize.NAME:
            found.append(word)
            first = False
        elif word == ",":
            first = True
    return found


# ---- what is left


def _bare(statement: Sequence[_Token]) -> list[_Token]:
    """A statement without annotations, and without commas that only a formatter sees."""
    words = [token.text for token in statement]
    if "def" in words[:2]:
        at = words.index("def")
        named = set(_parameters(statement))
        kept = [*statement[at : at + 2]]
        kept += [token for token in statement[at + 2 :] if token.text in named]
        return list({token.text: token for token in kept}.values())
    is_name = statement[0].kind == tokenize.NAME and not keyword.iskeyword(words[0])
    if is_name and words[1:2] == [":"]:
        value = next((place for place, word in _at_depth(words, 0) if word == "="), len(words))
        statement = [statement[0], *statement[value:]]
    following = [token.text for token in statement[1:]] + [""]
    return [
        token
        for token, after in zip(statement, following, strict=True)
        if not (token.text == "," and after in _CLOSING)
    ]


def _folded(statement: Sequence[_Token], names: _Names) -> Iterator[tuple[_Token, str]]:
    """Each token, and what it is compared as."""
    numbers: dict[str, str] = {}
    depth, before = 0, ""
    for place, token in enumerate(statement):
        word = token.text
        after = statement[place + 1].text if place + 1 < len(statement) else ""
        depth += (word in _OPENING) - (word in _CLOSING)
        if token.kind == tokenize.STRING:
            if before != "'":
                yield token, "'"
            before = "'"
            continue
        if token.kind == tokenize.NUMBER:
            said = "0"
        elif token.kind != tokenize.NAME or keyword.iskeyword(word):
            said = word
        elif before == ".":
            said = "attribute" if word in names.attributes else word
        elif depth and after == "=" and word not in names.parameters:
            said = word
        elif word in names.imported:
            said = names.imported[word]
        elif word in _BUILTINS:
            said = word
        else:
            said = numbers.setdefault(word, f"name {len(numbers)}")
        yield token, said
        before = word
