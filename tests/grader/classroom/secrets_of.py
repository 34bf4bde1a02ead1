"""What a student edition must not hold: hidden tests, solutions, and the reference's own lines."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from grader import shelf
from grader.catalogue import Exercise

TELLING = 16  # a shorter line, `return x`, tells nothing
# Lines that anybody writes; they stand in public tests, or in what runs them, as well.
COMMON = frozenset(
    {
        "counted = targets != -100",
        "except (OSError, ValueError):",
        "except OSError as error:",
        "except ValueError as error:",
        "for grad in grads:",
        "for p in model.parameters():",
        "if isinstance(error, SyntaxError) and error.filename:",
        "if target.exists():",
        "return torch.tensor(",
        'return json.loads(path.read_text(encoding="utf-8"))',
    }
)

# Lines that the book's pages show, and what is hidden has too: single ones, that give nothing away.
IN_THE_BOOK = frozenset(
    {
        "counted = labels != -100",
        'decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")',
        "except UnicodeDecodeError as error:",
        "except UnicodeEncodeError as error:",
        "for field in fields(self):",
        "for question in story.questions:",
        "for weight in model.parameters():",
        "heapq.heapify(heap)",
        "if weight.dim() > 1:",
        "number = {byte: i for i, byte in enumerate(BYTE_ORDER)}",
        "numbers.append(number)",
        "optimizer.zero_grad()",
        "render_chatml(messages)",
        r'return re.findall(r"\w+|[^\w\s]", text)',
        "value = getattr(self, field.name)",
        "with torch.inference_mode():",
        "with torch.no_grad():",
    }
)


def hidden_tests(exercise: Exercise) -> set[str]:
    """The names of the tests that are not public."""
    names = {one.name for one in _functions(exercise.suite) if one.name.startswith("test_")}
    return names - set(exercise.public)


def hidden_lines(exercise: Exercise) -> set[str]:
    """Lines of hidden tests, of known mistakes and of other right ways, and of nothing public."""
    text = exercise.suite.read_text(encoding="utf-8")
    tree = ast.parse(text)
    hidden = hidden_tests(exercise)
    secret: set[str] = set()
    shown: set[str] = set()
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef | ast.ClassDef):
            continue
        lines = set(_lines(node, text))
        secret_one = node.name in hidden or bool(
            node.decorator_list and not node.name.startswith("test_")
        )
        (secret if secret_one else shown).update(lines)
    return secret - shown - _shown(exercise)


def solution_lines(exercise: Exercise) -> set[str]:
    """Lines of the solution that the stub does not have."""
    text = shelf.solution(exercise)
    lines = {line for node in ast.parse(text).body for line in _lines(node, text)}
    return lines - _shown(exercise)


def reference_lines(folder: Path) -> set[str]:
    """Lines of function bodies of the library."""
    found: set[str] = set()
    for file in sorted(folder.rglob("*.py")):
        text = file.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                found.update(_lines(node, text))
    return found


def _functions(file: Path) -> list[ast.FunctionDef]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return [node for node in tree.body if isinstance(node, ast.FunctionDef)]


def _shown(exercise: Exercise) -> set[str]:
    return {line.strip() for line in shelf.stub(exercise).splitlines()}


def _lines(node: ast.stmt, text: str) -> Iterator[str]:
    """The telling lines of a statement's body, without docstrings, imports and decorators."""
    if isinstance(node, ast.Import | ast.ImportFrom | ast.Expr):
        return
    left_out: set[int] = set()
    for one in ast.walk(node):
        plain = isinstance(one, ast.Import | ast.ImportFrom)
        said = isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant)
        if plain or said:
            assert isinstance(one, ast.stmt)
            left_out |= set(range(one.lineno, (one.end_lineno or one.lineno) + 1))
    lines = text.splitlines()
    for number in range(node.lineno + 1, (node.end_lineno or node.lineno) + 1):
        line = lines[number - 1].strip()
        if number not in left_out and len(line) >= TELLING and not line.startswith("#"):
            yield line
