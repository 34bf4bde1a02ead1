"""Values made ready to be read: small, rounded, and cut around the place that matters."""

from __future__ import annotations

import ast
import inspect
import itertools
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from grader.catalogue import Text
from grader.report import Argument, Heat, Value

from .student import Asked, Remote

ROWS, COLUMNS = 6, 6
ARGUMENT_ROWS = 3
MAX_TEXT = 400
MAX_ARGUMENT = 160
HEAT_ROWS, HEAT_COLUMNS = 12, 24


def value(what: Any, focus: Sequence[int] | None = None) -> Value:
    """Describe any value that a suite may see.

    Args:
        what: a tensor, plain data, or an object of the room.
        focus: an index into the tensor; the part that is shown holds it.
    """
    if isinstance(what, torch.Tensor):
        return tensor(what, focus)
    kind = what._handle.type if isinstance(what, Remote) else type(what).__name__
    return Value(text=_short(_plain(what)), type=kind)


def tensor(what: torch.Tensor, focus: Sequence[int] | None = None, rows: int = ROWS) -> Value:
    dtype = str(what.dtype).removeprefix("torch.")
    shape = tuple(what.shape)
    if what.ndim == 0 or what.numel() == 0:
        text = _number(what.item()) if what.numel() == 1 else "(empty)"
        return Value(text=text, type="Tensor", shape=shape, dtype=dtype)
    at = list(focus) if focus is not None and len(focus) == what.ndim else [0] * what.ndim
    lead = at[:-2] if what.ndim > 2 else []
    part = what[tuple(lead)] if lead else what
    spans = [
        _window(at[axis - part.ndim], size, most)
        for axis, (size, most) in enumerate(
            zip(part.shape, (rows, COLUMNS)[-part.ndim :], strict=True)
        )
    ]
    cut = part[tuple(slice(*span) for span in spans)]
    lines = cut.tolist() if cut.ndim == 2 else [cut.tolist()]
    whole = not lead and all(
        (start, stop) == (0, size) for (start, stop), size in zip(spans, part.shape, strict=True)
    )
    corner = None
    if not whole:
        corner = f"[{', '.join([*map(str, lead), *(f'{a}:{b}' for a, b in spans)])}]"
    return Value(text=_grid(lines), type="Tensor", shape=shape, dtype=dtype, corner=corner)


def heat(
    got: torch.Tensor, expected: torch.Tensor, worst: Sequence[int], allowed: float
) -> Heat | None:
    """Where the last two dimensions are off, at the worst of the others.

    Args:
        got: what came.
        expected: what should have come, of the same shape.
        worst: the index of the largest difference.
        allowed: the largest difference that rounding explains.
    """
    if got.ndim == 0 or got.numel() < 4:
        return None
    lead = tuple(worst[:-2])
    one, other = (x[lead] if lead else x for x in (got, expected))
    wide = torch.complex128 if one.dtype.is_complex else torch.float64
    off = (one.to(wide) - other.to(wide)).abs()
    off = off.masked_fill((one == other) | (one.isnan() & other.isnan()), 0.0)
    off = off.nan_to_num(nan=math.inf, posinf=math.inf)
    off = off.masked_fill(off <= allowed, 0.0)
    matrix = off.reshape(-1, off.shape[-1])
    rows, columns = matrix.shape
    high, broad = math.ceil(rows / HEAT_ROWS), math.ceil(columns / HEAT_COLUMNS)
    tiles = [[tile.max() for tile in band.split(broad, dim=1)] for band in matrix.split(high)]
    cells = torch.stack([torch.stack(row) for row in tiles])
    finite = cells[cells.isfinite()]
    most = float(finite.max()) if finite.numel() and not cells.isinf().any() else 0.0
    levels = (cells / most if most else cells.isinf().double()).tolist()
    if not most:  # beside a number that is not finite, all others are little
        levels = (cells.isinf().double() + 0.3 * (cells.isfinite() & (cells > 0)).double()).tolist()
    shown = tuple(
        tuple(min(1.0, max(0.01, round(x, 2))) if x else 0.0 for x in row) for row in levels
    )
    at = f"[{', '.join([*map(str, lead), *(':' * min(2, got.ndim))])}]"
    return Heat(cells=shown, shape=tuple(off.shape), at=at)


def call(asked: Asked) -> Text:
    """A call as one would write it, `repeat_kv(float32[2, 5, 2, 8], 3)`, or what a probe does."""
    if asked.op == "call":
        parts = [_brief(argument) for argument in asked.args]
        parts += [f"{name}={_brief(what)}" for name, what in asked.kwargs.items()]
        written = f"{asked.title}({', '.join(parts)})"
        return Text(written, written)
    return spoken(asked.title) or Text(asked.title, asked.title)


def arguments(
    asked: Asked,
    signatures: Mapping[str, Sequence[str]],
    worst: Sequence[int] | None = None,
    shape: Sequence[int] | None = None,
) -> tuple[Argument, ...]:
    """The arguments worth a look of their own: all of a probe's, and tensors, which a call names by
    shape only.

    Args:
        asked: the call.
        signatures: names of parameters, by the title that a call has.
        worst: the index that matters in the answer; of a tensor that part is shown which lies
            there, as far as its sizes are the answer's.
        shape: the shape of the answer.
    """

    def focus(what: torch.Tensor) -> list[int]:
        sizes = list(zip(worst or (), shape or (), strict=False))[: what.ndim]
        at = [i if what.shape[d] == size else 0 for d, (i, size) in enumerate(sizes)]
        return at + [0] * (what.ndim - len(at))

    return tuple(
        Argument(name, tensor(what, focus(what), rows=ARGUMENT_ROWS))
        if isinstance(what, torch.Tensor)
        else Argument(name, Value(_short(_plain(what), MAX_ARGUMENT), type(what).__name__))
        for name, what in given(asked, signatures).items()
        if isinstance(what, torch.Tensor) or asked.op == "probe"
    )


def given(asked: Asked, signatures: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """What a call was given, by the names of its parameters."""
    names = asked.parameters or signatures.get(asked.title, ())
    return {
        names[place] if place < len(names) else str(place + 1): argument
        for place, argument in enumerate(asked.args)
    } | asked.kwargs


def case(parameters: Mapping[str, Any]) -> str:
    """The parameters of one case of a test: `n_kv_heads=2, n_rep=3`."""
    return _short(", ".join(f"{name}={_brief(what)}" for name, what in parameters.items()), 100)


def spoken(doc: str) -> Text | None:
    """A docstring in both languages, English first and Chinese after; none where it is empty."""
    lines = [line.strip() for line in inspect.cleandoc(doc).splitlines()]
    is_zh = [bool(re.search(r"[\u4e00-\u9fff]", line)) for line in lines]
    start = is_zh.index(True) if True in is_zh else len(lines)
    en = " ".join(itertools.chain(filter(None, lines[:start])))
    zh = "".join(filter(None, lines[start:]))
    return Text(en or zh, zh or en) if en or zh else None


def signatures(solution: str) -> dict[str, list[str]]:
    """The names of the parameters of what a solution defines, by the title of a call of it."""
    found = {}
    for node in ast.parse(solution).body:
        if isinstance(node, ast.FunctionDef):
            found[node.name] = [one.arg for one in node.args.args]
        elif isinstance(node, ast.ClassDef):
            methods = {f.name: f for f in node.body if isinstance(f, ast.FunctionDef)}
            for name, method in methods.items():
                made = f"{node.name}(…)"
                title = {"__init__": node.name, "forward": made}.get(name, f"{made}.{name}")
                found[title] = [one.arg for one in method.args.args[1:]]
    return found


def told_apart(one: Any, other: Any) -> tuple[str, str]:
    """Two different numbers with as many digits as it takes to see the difference."""
    texts = _number(one), _number(other)
    digits = 5
    while texts[0] == texts[1] and isinstance(one, float) and digits < 18:
        texts = f"{one:.{digits}g}", f"{other:.{digits}g}"
        digits += 1
    return texts


def _brief(what: Any) -> str:
    if isinstance(what, torch.Tensor):
        return f"{str(what.dtype).removeprefix('torch.')}{list(what.shape)}"
    return _short(_plain(what), 60)


def _plain(what: Any) -> str:
    if isinstance(what, Remote):
        return f"<{what._handle.type}>"
    if isinstance(what, float):
        return _number(what)
    if isinstance(what, torch.Tensor):
        return _brief(what)
    if isinstance(what, list | tuple):
        inner = ", ".join(_plain(item) for item in what[:12]) + (", …" if len(what) > 12 else "")
        return f"[{inner}]" if isinstance(what, list) else f"({inner})"
    if isinstance(what, set | frozenset):
        return f"{{{_plain(list(what))[1:-1]}}}" if what else f"{type(what).__name__}()"
    if isinstance(what, dict):
        inner = ", ".join(f"{_plain(k)}: {_plain(v)}" for k, v in list(what.items())[:12])
        return f"{{{inner}{', …' if len(what) > 12 else ''}}}"
    if isinstance(what, slice):
        return f"slice({', '.join(_plain(end) for end in (what.start, what.stop, what.step))})"
    if isinstance(what, int) and abs(what) > 10**60:
        return "an integer of over 60 digits"
    return repr(what[:MAX_TEXT] if isinstance(what, str | bytes) else what)


def _short(text: str, most: int = MAX_TEXT) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _window(at: int, size: int, most: int) -> tuple[int, int]:
    start = min(max(0, at - most // 2), max(0, size - most))
    return start, min(size, start + most)


def _grid(rows: list[list[Any]]) -> str:
    write = _writer([x for row in rows for x in row])
    cells = [[write(x) for x in row] for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    return "\n".join(
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        for row in cells
    )


def _writer(numbers: Sequence[Any]) -> Callable[[Any], str]:
    """One way to write all the numbers of a tensor, so that they can be compared by eye."""
    sizes = [abs(x) for x in numbers if isinstance(x, float) and math.isfinite(x) and x]
    if not sizes or len(sizes) < sum(isinstance(x, float) for x in numbers) / 4:
        return _number
    largest = max(sizes)
    if all(x.is_integer() for x in sizes) and largest < 1e6:
        return _number
    if not 1e-3 <= largest < 1e5:
        return lambda x: f"{x:.1e}" if isinstance(x, float) else str(x)
    decimals = max(1, 3 - math.floor(math.log10(largest)))
    return lambda x: f"{x:.{decimals}f}" if isinstance(x, float) else _number(x)


def _number(x: Any) -> str:
    if isinstance(x, float) and math.isfinite(x):
        if x == 0 or 1e-3 <= abs(x) < 1e5:
            return f"{x:.4f}".rstrip("0").rstrip(".") or "0"
        return f"{x:.2e}"
    if isinstance(x, complex):
        return f"{_number(x.real)}{'+' if x.imag >= 0 else '-'}{_number(abs(x.imag))}j"
    return str(x)
