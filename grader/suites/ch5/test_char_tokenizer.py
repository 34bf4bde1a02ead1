"""Hidden suite of ch5/char_tokenizer."""

import random
import unicodedata

import pytest

from grader.judge import check
from grader.judge.marks import also_right, equivalent_mutant, known_wrong
from happyllm.tokenizer.char import UNK, ByteTokenizer, CharTokenizer

TEXTS = [
    "hello world",
    "你好，世界！",
    "naïve café, Ångström",
    "ﬁne ½ Ａ ² ℌ ㎏",  # NFKC would write these in other characters
    "e\u0301 and é",  # two ways to write one letter
    "👩‍👩‍👧 🇨🇳 😀",
    "\ttabs\r\n and\u3000spaces \n",
]
TEXT_IDS = ["ASCII", "Chinese", "accents", "compatibility", "combining", "emoji", "white space"]


def test_unk_is_first_and_the_characters_follow_by_code_point(student):
    """Id 0 is `<unk>`; then come the characters of the corpus in the order of their code points.

    编号 0 是 `<unk>`；之后是语料中的字符，按码点排序。
    """
    got = student.CharTokenizer.train(["banana!", "吃 b"])
    check.equal(got.tokens, [UNK, " ", "!", "a", "b", "n", "吃"])
    check.equal(got.vocab, {UNK: 0, " ": 1, "!": 2, "a": 3, "b": 4, "n": 5, "吃": 6})


def test_the_tokenizer_has_a_list_of_its_own(student):
    """Tokens may be given as any sequence, and what the caller does to it later changes nothing.

    token 可以用任何序列给出；调用者之后再改它，不会影响分词器。
    """

    def changed_later(m):
        """tokens = ["<unk>", "a"]; tokenizer = CharTokenizer(tokens); tokens.append("b")"""
        tokens = ["<unk>", "a"]
        tokenizer = m.CharTokenizer(tokens)
        tokens.append("b")
        return tokenizer.tokens, m.CharTokenizer(("<unk>", "b")).tokens

    check.equal(student.run(changed_later), ([UNK, "a"], [UNK, "b"]))


def test_all_texts_of_the_corpus_count(student):
    """Every character of every text has an id; texts may come one at a time, from a generator.

    每条文本的每个字符都有编号；文本可以由生成器逐条给出。
    """

    def from_a_generator(m, texts):
        """CharTokenizer.train(text for text in texts).tokens"""
        return m.CharTokenizer.train(text for text in texts).tokens

    check.equal(student.run(from_a_generator, TEXTS), CharTokenizer.train(TEXTS).tokens)


@pytest.mark.parametrize("text", TEXTS, ids=TEXT_IDS)
def test_each_character_has_one_id(student, text):
    """A text of n code points has n ids, whatever it is written in.

    n 个码点的文本有 n 个编号，无论用什么文字书写。
    """
    got = student.CharTokenizer.train(TEXTS).encode(text)
    check.equal(got, CharTokenizer.train(TEXTS).encode(text))


@pytest.mark.parametrize("text", TEXTS, ids=TEXT_IDS)
def test_what_training_has_seen_comes_back_unchanged(student, text):
    """Encoding and decoding give back the very text: nothing is normalized, lowered or stripped.

    编码再解码得到原文：不规范化、不变小写、不去空白。
    """
    tokenizer = student.CharTokenizer.train(TEXTS)
    check.equal(tokenizer.decode(tokenizer.encode(text)), text)


def test_an_unknown_character_becomes_unk(student):
    """Each character that training has not seen gives id 0, and is read back as `<unk>`.

    训练中没见过的字符都给出编号 0，解码时写成 `<unk>`。
    """
    tokenizer = student.CharTokenizer(["<unk>", "a", "b"])
    check.equal(tokenizer.encode("aXb😀A"), [1, 0, 2, 0, 0])
    check.equal(tokenizer.decode([1, 0, 2]), "a<unk>b")
    check.equal(tokenizer.encode(""), [])
    check.equal(tokenizer.decode([]), "")


@pytest.mark.parametrize("wrong", [3, 50, -1])
def test_an_id_that_is_not_in_the_vocabulary_is_refused(student, wrong):
    """An id too large is a ValueError, and so is a negative one, which a list would take.

    编号太大要抛出 ValueError；负的也一样，虽然列表会接受负下标。
    """
    tokenizer = student.CharTokenizer(["<unk>", "a", "b"])
    check.raises(ValueError, lambda: tokenizer.decode([1, wrong]), match=str(wrong))


@pytest.mark.parametrize("text", TEXTS, ids=TEXT_IDS)
def test_bytes_are_those_of_utf_8(student, text):
    """A character has one to four bytes, and each byte is its own id, 0 to 255.

    一个字符有一到四个字节，每个字节的值就是它的编号，0 到 255。
    """
    check.equal(student.ByteTokenizer().encode(text), list(text.encode()))


@pytest.mark.parametrize("text", TEXTS, ids=TEXT_IDS)
def test_bytes_give_every_text_back(student, text):
    """No text is unknown: encoding and decoding give back the very text.

    没有任何文本是未知的：编码再解码得到原文。
    """
    check.equal(student.ByteTokenizer().decode(list(text.encode())), text)


def test_any_characters_at_all_survive_as_bytes(student):
    """Code points from all of Unicode, drawn at random, come back as they were.

    从整个 Unicode 随机抽取的码点都原样返回。
    """
    points = [random.randrange(0x110000) for _ in range(300)]
    text = "".join(chr(point) for point in points if not 0xD800 <= point < 0xE000)
    tokenizer = student.ByteTokenizer()
    check.equal(tokenizer.encode(text), list(text.encode()))
    check.equal(tokenizer.decode(list(text.encode())), text)


@pytest.mark.parametrize(
    "ids",
    [[104, 195], [0xE4, 0xB8], [0xA9, 104], [0xFF, 0xFE], [0xF0, 0x9F, 0x98, 104], [0xC0, 0x80]],
    ids=["cut", "cut in Chinese", "begun inside", "never UTF-8", "cut emoji", "overlong"],
)
def test_broken_bytes_become_replacement_characters(student, ids):
    """A model may write any bytes: what is no UTF-8 becomes U+FFFD, and the rest stays.

    模型可能写出任何字节：不是 UTF-8 的部分变成 U+FFFD，其余保留。
    """
    check.equal(student.ByteTokenizer().decode(ids), ByteTokenizer().decode(ids))


def test_ids_may_come_one_at_a_time(student):
    """Both tokenizers decode an iterator, as generation gives it.

    两个分词器都能解码迭代器，因为生成时编号是逐个到来的。
    """

    def from_an_iterator(m):
        """CharTokenizer(["<unk>", "a"]).decode(iter([1, 0, 1])), ByteTokenizer().decode(iter(…))"""
        chars = m.CharTokenizer(["<unk>", "a"]).decode(iter([1, 0, 1]))
        return chars, m.ByteTokenizer().decode(iter([104, 195, 169]))

    check.equal(student.run(from_an_iterator), ("a<unk>a", "hé"))


def test_every_byte_is_taken(student):
    """All ids from 0 to 255 are in order, the ends too.

    从 0 到 255 的编号都可以，两端也一样。
    """
    check.equal(student.ByteTokenizer().decode([0, 104, 0]), "\0h\0")
    check.equal(student.ByteTokenizer().decode([104, 255]), "h\ufffd")


@pytest.mark.parametrize("wrong", [256, 1000, -1])
def test_what_is_no_byte_is_refused(student, wrong):
    """An id outside 0 to 255 raises ValueError and is named.

    0 到 255 以外的编号要抛出写明该编号的 ValueError。
    """
    check.raises(ValueError, lambda: student.ByteTokenizer().decode([104, wrong]), match=str(wrong))


# ---- other right ways


@also_right("CharTokenizer.train", en="a sorted set of the joined texts")
@classmethod
def joined(cls, texts):
    return cls(["<unk>", *sorted(set("".join(texts)))])


@also_right("CharTokenizer.encode", en="a loop")
def one_by_one(self, text):
    ids = []
    for character in text:
        known = character in self.vocab
        ids.append(self.vocab[character] if known else self.vocab["<unk>"])
    return ids


@also_right("ByteTokenizer.decode", en="bytes() refuses, and is asked which id it was")
def asked_later(self, ids):
    ids = list(ids)
    try:
        return bytes(ids).decode("utf-8", "replace")
    except ValueError:
        wrong = next(i for i in ids if i not in range(256))
        raise ValueError(f"{wrong} is no byte") from None


EQUIVALENT = tuple(
    equivalent_mutant(
        "ByteTokenizer.decode",
        "if not 0 <= i < 256:",
        becomes,
        because="bytes([256]) is refused by Python itself, with a ValueError that names 256",
    )
    for becomes in ("if not 0 <= i <= 256:", "if not 0 <= i < 257:")
)


# ---- mistakes that people make


@known_wrong(
    "CharTokenizer.train",
    en="The ids follow the order in which characters were met; sort them by code point.",
    zh="编号按字符出现的先后排列了；应按码点排序。",
)
@classmethod
def as_met(cls, texts):
    return cls([UNK, *dict.fromkeys("".join(texts))])


@known_wrong(
    "CharTokenizer.train",
    en="You leave white space out: then all words of a text run together.",
    zh="你漏掉了空白字符：这样文本里的词都会连在一起。",
)
@classmethod
def without_white_space(cls, texts):
    return cls([UNK, *sorted({c for text in texts for c in text if not c.isspace()})])


@known_wrong(
    "CharTokenizer.train",
    en="`<unk>` comes last; it has id 0, whatever the corpus.",
    zh="`<unk>` 排在了最后；无论什么语料，它的编号都应是 0。",
)
@classmethod
def unk_last(cls, texts):
    return cls([*sorted(set("".join(texts))), UNK])


@known_wrong(
    "CharTokenizer.train",
    en="Only the first text was read.",
    zh="只读了第一条文本。",
)
@classmethod
def first_text(cls, texts):
    return cls([UNK, *sorted(set(next(iter(texts))))])


@known_wrong(
    "CharTokenizer.encode",
    en="You normalize with NFKC: `ﬁ` becomes `fi` and `½` becomes `1⁄2`, and the text never comes "
    "back. A lossless tokenizer takes it as it is.",
    zh="你用 NFKC 规范化了：`ﬁ` 变成 `fi`，`½` 变成 `1⁄2`，原文再也回不来。"
    "无损的分词器应原样接受文本。",
)
def normalized(self, text):
    return [self.vocab.get(c, 0) for c in unicodedata.normalize("NFKC", text)]


@known_wrong(
    "CharTokenizer.encode",
    en="You make capitals small: the text does not come back.",
    zh="你把大写变成了小写：原文回不来。",
)
def made_small(self, text):
    return [self.vocab.get(c, 0) for c in text.lower()]


@known_wrong(
    "CharTokenizer.encode",
    en="Unknown characters vanish; each must give id 0.",
    zh="未知字符消失了；每个都应给出编号 0。",
)
def unknown_dropped(self, text):
    return [self.vocab[c] for c in text if c in self.vocab]


@known_wrong(
    "CharTokenizer.encode",
    en="An unknown character raises KeyError; it must give id 0.",
    zh="遇到未知字符抛出了 KeyError；应给出编号 0。",
)
def unknown_raises(self, text):
    return [self.vocab[c] for c in text]


@known_wrong(
    "CharTokenizer.encode",
    en="White space at the ends is stripped; it belongs to the text.",
    zh="首尾的空白被去掉了；它也是文本的一部分。",
)
def stripped(self, text):
    return [self.vocab.get(c, 0) for c in text.strip()]


@known_wrong(
    "CharTokenizer.decode",
    en="A negative id counts from the end of the list: -1 gives the last character. Refuse it.",
    zh="负的编号会从列表末尾数起：-1 给出最后一个字符。应拒绝它。",
)
def from_the_end(self, ids):
    characters = []
    for i in ids:
        if i >= len(self.tokens):
            raise ValueError(f"id {i}")
        characters.append(self.tokens[i])
    return "".join(characters)


@known_wrong(
    "CharTokenizer.decode",
    en="An id that is too large raises IndexError: raise ValueError and name the id.",
    zh="编号太大时抛出的是 IndexError：应抛出写明编号的 ValueError。",
)
def index_error(self, ids):
    return "".join(self.tokens[i] for i in ids)


@known_wrong(
    "CharTokenizer.decode",
    en="You join with spaces; characters stand side by side, and a space has an id of its own.",
    zh="你用空格连接了；字符之间没有间隔，空格有自己的编号。",
)
def spaced(self, ids):
    ids = list(ids)
    for i in ids:
        if not 0 <= i < len(self.tokens):
            raise ValueError(f"id {i}")
    return " ".join(self.tokens[i] for i in ids)


@known_wrong(
    "ByteTokenizer.encode",
    en="You give code points (ord): that of U+4F60 is 20320, which is no byte. Encode to UTF-8 "
    "first.",
    zh="你给出的是码点（ord）：“你”是 20320，不是字节。应先编码成 UTF-8。",
)
def code_points(self, text):
    return [ord(c) for c in text]


@known_wrong(
    "ByteTokenizer.encode",
    en="You encode to UTF-16, which spends two bytes on every ASCII letter. Use UTF-8.",
    zh="你编码成了 UTF-16，每个 ASCII 字母都占两个字节。应使用 UTF-8。",
)
def utf_16(self, text):
    return list(text.encode("utf-16-le"))


@known_wrong(
    "ByteTokenizer.encode",
    en="You normalize with NFKC: `ﬁ` becomes `fi`, and the text never comes back.",
    zh="你用 NFKC 规范化了：`ﬁ` 变成 `fi`，原文再也回不来。",
)
def normalized_bytes(self, text):
    return list(unicodedata.normalize("NFKC", text).encode())


@known_wrong(
    "ByteTokenizer.encode",
    en="You normalize with NFC: `e` with an accent behind it becomes one character, and the text "
    "never comes back.",
    zh="你用 NFC 规范化了：`e` 加组合重音被合成一个字符，原文再也回不来。",
)
def composed(self, text):
    return list(unicodedata.normalize("NFC", text).encode())


def _bytes(ids):
    ids = list(ids)
    for i in ids:
        if not 0 <= i < 256:
            raise ValueError(f"id {i}")
    return bytes(ids)


@known_wrong(
    "ByteTokenizer.decode",
    en="You turn each byte into a character of its own: é is two bytes, and comes out as Ã©. "
    "Decode all bytes together.",
    zh="你把每个字节各自变成了一个字符：é 有两个字节，成了 Ã©。应把所有字节一起解码。",
)
def byte_by_byte(self, ids):
    return "".join(chr(i) for i in _bytes(ids))


@known_wrong(
    "ByteTokenizer.decode",
    en="Each byte is decoded alone, so every character beyond ASCII is broken. Decode all bytes "
    "together.",
    zh="每个字节单独解码，ASCII 以外的字符全都坏了。应把所有字节一起解码。",
)
def decoded_alone(self, ids):
    return "".join(bytes([i]).decode("utf-8", "replace") for i in _bytes(ids))


@known_wrong(
    "ByteTokenizer.decode",
    en='Broken bytes raise UnicodeDecodeError; a model may write them: use errors="replace".',
    zh='残缺的字节抛出了 UnicodeDecodeError；模型可能写出它们：用 errors="replace"。',
)
def strict(self, ids):
    return _bytes(ids).decode("utf-8")


@known_wrong(
    "ByteTokenizer.decode",
    en='Broken bytes vanish without a trace (errors="ignore"); U+FFFD must stand in their place.',
    zh='残缺的字节无声地消失了（errors="ignore"）；应由 U+FFFD 代替。',
)
def ignored(self, ids):
    return _bytes(ids).decode("utf-8", "ignore")


@known_wrong(
    "ByteTokenizer.decode",
    en="An id over 255 wraps round and becomes another byte (i % 256); refuse it.",
    zh="大于 255 的编号绕了回来，变成别的字节（i % 256）；应拒绝它。",
)
def wrapped(self, ids):
    return bytes(i % 256 for i in ids).decode("utf-8", "replace")
