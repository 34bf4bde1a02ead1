"""Comparisons for suites: the right kind, shape, dtype, finite, and then, the right values?

The first difference found is the one told, in this order, because a wrong shape makes any talk of
values idle; in an answer of several parts too. Tolerances follow from the arithmetic: `terms`
roundings in the precision of the dtype, on the scale of the expected values. The source text of an
answer is never looked at.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NoReturn

import torch

from grader.catalogue import Text
from grader.report import Failure

from . import show
from .student import Raised, Remote

TERMS = 16
SAFETY = 4.0
FIRST_TOLD = ("type", "shape", "dtype", "finite", "values", "gradient")

Tolerance = Callable[[torch.Tensor], float]
"""The largest difference from some right values that rounding explains."""


@dataclass(frozen=True)
class Compared:
    """Two tensors that are not the same, and the difference that rounding would explain."""

    got: torch.Tensor
    expected: torch.Tensor
    allowed: float

    def made_up(self) -> Literal["nan", "inf"] | None:
        """What came that is not finite, where what is expected is."""
        if self.got.shape != self.expected.shape:
            return None
        odd = self.got[self.expected.isfinite() & ~self.got.isfinite()]
        if odd.numel() == 0:
            return None
        return "nan" if bool(odd.isnan().any()) else "inf"


class CheckFailed(AssertionError):
    """An answer is wrong.

    Attributes:
        failure: what to report.
        got: the answer, or the part of it, that the failure is about.
        compared: the tensors, where it is about two of them.
    """

    def __init__(self, failure: Failure, got: Any = None, compared: Compared | None = None):
        super().__init__(failure.message.en)
        self.failure = failure
        self.got = got
        self.compared = compared


@dataclass(frozen=True)
class _Subject:
    """What a difference is told of: the answer, a part of it, a gradient.

    Attributes:
        kind: the kind of every failure of it, in place of the difference's own.
    """

    en: str = "the answer"
    zh: str = "答案"
    path: str = ""
    kind: str | None = None

    def part(self, place: str) -> _Subject:
        path = f"{self.path}{place}"
        return _Subject(f"part {path} of the answer", f"答案的 {path} 部分", path, self.kind)


def equal(got: Any, expected: Any) -> None:
    """Require the same values, exactly: for what only moves, counts or compares."""
    _compare(got, expected, lambda _: 0.0, _Subject())


def close(
    got: Any,
    expected: Any,
    *,
    terms: int = TERMS,
    scale: float | None = None,
    dtype: torch.dtype | None = None,
) -> None:
    """Require the same values up to rounding.

    Args:
        got: what the learner's code answered.
        expected: what the reference answers.
        terms: how many rounded operations, one after another, lead to a value: the length of a dot
            product, say. Their errors add up like a random walk: the tolerance grows with the root.
        scale: the size of the numbers that were rounded on the way, where the result is smaller
            than they are; the largest expected value when not given.
        dtype: the precision of the arithmetic, where it is coarser than the result's dtype.
    """
    _compare(got, expected, _rounding(terms, scale, dtype), _Subject())


def gradients(
    got: Any,
    expected: Any,
    *,
    names: Sequence[str] = (),
    terms: int = TERMS,
    scale: float | None = None,
) -> None:
    """Require the same gradients up to rounding; a failure says of what the gradient is wrong.

    Args:
        got: the gradients that came: one, a list of them, or a table by name; None where the code
            left none.
        expected: the reference's.
        names: what the gradients of a list belong to, `("x", "weight")`; a table has names.
        terms: as in `close`.
        scale: as in `close`.
    """
    pairs = list(_pairs(got, expected, names))
    for name, one, other in pairs:
        if one is None and other is not None:
            _no_gradient(name, other)
    tolerance = _rounding(terms, scale, None)
    _first(
        lambda n=name, g=one, e=other: _compare(g, e, tolerance, _gradient(n))  # type: ignore[misc]
        for name, one, other in pairs
    )


def _rounding(terms: int, scale: float | None, dtype: torch.dtype | None) -> Tolerance:
    def tolerance(values: torch.Tensor) -> float:
        kind = dtype or values.dtype
        kind = kind if kind.is_floating_point or kind.is_complex else torch.float32
        finite = values[values.isfinite()].abs()
        size = scale if scale is not None else float(finite.max()) if finite.numel() else 1.0
        return SAFETY * torch.finfo(kind).eps * math.sqrt(terms) * max(size, 1e-30)

    return tolerance


def shape(got: Any, expected: Sequence[int]) -> None:
    """Require a tensor of this shape."""
    if not isinstance(got, torch.Tensor):
        _wrong_type(got, "Tensor", _Subject(), None)
    if tuple(got.shape) != tuple(expected):
        _wrong_shape(got, tuple(expected), _Subject(), None)


def raises(error: type[BaseException], action: Callable[[], Any], *, match: str = "") -> None:
    """Require that an action raises an error of this type, whose message holds `match`."""
    try:
        got = action()
    except Raised as raised:
        if not raised.is_a(error.__name__):
            raise
        if match.lower() not in raised.message.lower():
            _fail(
                "raises",
                f"{error.__name__} was raised, but its message does not name '{match}': "
                f"'{raised.message}'.",
                f"抛出了 {error.__name__}，但消息里没有提到“{match}”：“{raised.message}”。",
            )
        return
    _fail(
        "raises",
        f"{_a(error.__name__, 'A')} was expected here{f' that names {match}' if match else ''}; "
        "none was raised.",
        f"这里应当抛出{f'提到 {match} 的' if match else ''} {error.__name__}，但没有抛出。",
        got=got,
    )


def that(claim: bool, en: str, zh: str, *, got: Any = None, expected: Any = None) -> None:
    """Require a property, told in words when it does not hold."""
    if not claim:
        _fail("claim", en, zh, got=got, expected=expected)


# ---- gradients


def _gradient(name: str) -> _Subject:
    return _Subject(f"the gradient for {name}", f"{name} 的梯度", kind="gradient")


def _pairs(
    got: Any, expected: Any, names: Sequence[str], own: str = ""
) -> Iterator[tuple[str, Any, Any]]:
    """Each gradient that came, and the one that should have, under the name it is told by."""
    if isinstance(expected, list | tuple):
        if not isinstance(got, list | tuple) or len(got) != len(expected):
            equal(got, expected)
        for place, (one, other) in enumerate(zip(got, expected, strict=True)):
            name = names[place] if place < len(names) else f"{own}[{place}]"
            yield from _pairs(one, other, (), name)
    elif isinstance(expected, dict):
        if not isinstance(got, dict) or got.keys() != expected.keys():
            equal(got, expected)
        for key, other in expected.items():
            yield from _pairs(got[key], other, (), str(key))
    else:
        yield own or (names[0] if names else "x"), got, expected


def _no_gradient(name: str, expected: Any) -> NoReturn:
    _fail(
        "gradient",
        f"no gradient reaches {name}. Is it used on the way to the answer? What passes detach(), "
        ".data, .item() or no_grad() is cut off.",
        f"没有梯度传到 {name}。计算答案时用到它了吗？经过 detach()、.data、.item() 或 no_grad() "
        "的值会与计算图断开。",
        expected=expected,
    )


# ---- how two values are compared


def _first(comparisons: Iterable[Callable[[], None]]) -> None:
    """Make comparisons; of those that fail, tell the one whose kind is told first."""
    failed: list[CheckFailed] = []
    for compare in comparisons:
        try:
            compare()
        except CheckFailed as error:
            failed.append(error)
    if failed:
        ranks = {kind: rank for rank, kind in enumerate(FIRST_TOLD)}
        raise min(failed, key=lambda error: ranks.get(error.failure.kind, len(ranks)))


def _compare(got: Any, expected: Any, tolerance: Tolerance, of: _Subject) -> None:
    if isinstance(expected, torch.Tensor):
        _compare_tensors(got, expected, tolerance, of)
    elif isinstance(expected, list | tuple):
        if not isinstance(got, list | tuple):
            _wrong_type(got, type(expected).__name__, of, expected)
        if len(got) != len(expected):
            parts = "1 part" if len(got) == 1 else f"{len(got)} parts"
            wanted = "1 is" if len(expected) == 1 else f"{len(expected)} are"
            _fail(
                "shape",
                f"{of.en} has {parts}; {wanted} expected.",
                f"{of.zh}有 {len(got)} 个部分，应有 {len(expected)} 个。",
                got=got,
                expected=expected,
                of=of,
            )
        _first(
            lambda i=index, g=one, e=other: _compare(g, e, tolerance, of.part(f"[{i}]"))  # type: ignore[misc]
            for index, (one, other) in enumerate(zip(got, expected, strict=True))
        )
    elif isinstance(expected, dict):
        if not isinstance(got, dict):
            _wrong_type(got, "dict", of, expected)
        if got.keys() != expected.keys():
            lacks = ", ".join(sorted(repr(key) for key in expected.keys() - got.keys()))
            extra = ", ".join(sorted(repr(key) for key in got.keys() - expected.keys()))
            said = [f"lacks {lacks}"] * bool(lacks) + [f"has {extra} too many"] * bool(extra)
            said_zh = [f"缺少 {lacks}"] * bool(lacks) + [f"多出 {extra}"] * bool(extra)
            _fail(
                "shape",
                f"{of.en} {' and '.join(said)}.",
                f"{of.zh}{'，'.join(said_zh)}。",
                got=list(got),
                expected=list(expected),
                of=of,
            )
        _first(
            lambda k=key: _compare(got[k], expected[k], tolerance, of.part(f"[{k!r}]"))  # type: ignore[misc]
            for key in expected
        )
    elif isinstance(expected, float) and not isinstance(got, bool):
        if isinstance(got, torch.Tensor) and got.numel() == 1:
            got = got.item()
        if not isinstance(got, int | float):
            _wrong_type(got, "float", of, expected)
        one, other = (torch.tensor(float(x), dtype=torch.float64) for x in (got, expected))
        single = tolerance(torch.tensor(expected, dtype=torch.float32))
        _compare_tensors(one, other, lambda _: single, of)
    elif type(got) is not type(expected):
        _wrong_type(got, type(expected).__name__, of, expected)
    elif got != expected:
        theirs, ours = show.value(got).text, show.value(expected).text
        _fail(
            "values",
            f"{of.en} is {theirs}; {ours} is expected.",
            f"{of.zh}是 {theirs}，应为 {ours}。",
            got=got,
            expected=expected,
            of=of,
        )


def _compare_tensors(got: Any, expected: torch.Tensor, tolerance: Tolerance, of: _Subject) -> None:
    if not isinstance(got, torch.Tensor):
        _wrong_type(got, "Tensor", of, expected)
    if got.shape != expected.shape:
        compared = Compared(got, expected, tolerance(expected))
        _wrong_shape(got, tuple(expected.shape), of, expected, compared)
    if got.dtype != expected.dtype:
        ours, theirs = (str(x.dtype).removeprefix("torch.") for x in (expected, got))
        _fail(
            "dtype",
            f"{of.en} is {theirs}; {ours} is expected.",
            f"{of.zh}的 dtype 是 {theirs}，应为 {ours}。",
            got=got,
            expected=expected,
            of=of,
            compared=Compared(got, expected, tolerance(expected)),
        )
    if expected.numel() == 0:
        return
    if not (expected.dtype.is_floating_point or expected.dtype.is_complex):
        wrong = got != expected
        if wrong.any():
            _wrong_values(got, expected, wrong.to(torch.float32), 0.0, of)
        return
    odd = ~got.isfinite() & (got != expected) & ~(got.isnan() & expected.isnan())
    if (odd & expected.isfinite()).any():
        worst = _index((odd & expected.isfinite()).to(torch.float32))
        came = str(got[worst].item())
        _fail(
            "finite",
            f"{of.en} holds {came}, first at {list(worst)}, where a finite number is expected.",
            f"{of.zh}在 {list(worst)} 处出现 {came}，这里应是有限的数。",
            got=got,
            expected=expected,
            worst=worst,
            of=of,
            compared=Compared(got, expected, tolerance(expected)),
        )
    allowed = tolerance(expected)
    wide = torch.complex128 if expected.dtype.is_complex else torch.float64
    difference = (got.to(wide) - expected.to(wide)).abs()
    same = (got == expected) | (got.isnan() & expected.isnan())
    difference = difference.masked_fill(same, 0.0).nan_to_num(nan=math.inf, posinf=math.inf)
    if (difference > allowed).any():
        _wrong_values(got, expected, difference, allowed, of)


# ---- how a difference is told


def _fail(
    kind: str,
    en: str,
    zh: str,
    *,
    got: Any = None,
    expected: Any = None,
    worst: tuple[int, ...] | None = None,
    of: _Subject | None = None,
    compared: Compared | None = None,
    **more: Any,
) -> NoReturn:
    failure = Failure(
        kind=of.kind if of is not None and of.kind is not None else kind,
        message=Text(en=_sentence(en), zh=zh),
        got=None if got is None else show.value(got, worst),
        expected=None if expected is None else show.value(expected, worst),
        worst=worst,
        **more,
    )
    raise CheckFailed(failure, got, compared)


def _sentence(en: str) -> str:
    """With a capital first letter, where the first word is one of English and no name in code."""
    return en[:1].upper() + en[1:] if re.match(r"[a-z]+ ", en) else en


def _a(name: str, article: str = "a") -> str:
    """The name of a type after its article: a Tensor, an int."""
    vowel = name[:1].lower() in ("a", "e", "i", "o", "u") and not name.lower().startswith("uni")
    return f"{article}{'n' * vowel} {name}"


def _wrong_type(got: Any, wanted: str, of: _Subject, expected: Any) -> NoReturn:
    if got is None:
        _fail(
            "type",
            f"{of.en} is None; {_a(wanted)} is expected. Is a `return` missing?",
            f"{of.zh}是 None，应为 {wanted}。是不是少了 return？",
            expected=expected,
            of=of,
        )
    came = got._handle.type if isinstance(got, Remote) else type(got).__name__
    _fail(
        "type",
        f"{of.en} is of type {came}; {wanted} is expected.",
        f"{of.zh}的类型是 {came}，应为 {wanted}。",
        got=got,
        expected=expected,
        of=of,
    )


def _wrong_shape(
    got: torch.Tensor,
    wanted: tuple[int, ...],
    of: _Subject,
    expected: Any,
    compared: Compared | None = None,
) -> NoReturn:
    _fail(
        "shape",
        f"{of.en} has shape {list(got.shape)}; {list(wanted)} is expected.",
        f"{of.zh}的形状是 {list(got.shape)}，应为 {list(wanted)}。",
        got=got,
        expected=expected,
        of=of,
        compared=compared,
    )


def _wrong_values(
    got: torch.Tensor,
    expected: torch.Tensor,
    difference: torch.Tensor,
    allowed: float,
    of: _Subject,
) -> NoReturn:
    worst = _index(difference)
    largest = float(difference[worst])
    wrong, count = int((difference > allowed).sum()), difference.numel()
    ours, theirs = show.told_apart(expected[worst].item(), got[worst].item())
    place = f" at {list(worst)}" if worst else ""
    place_zh = f"在 {list(worst)} 处" if worst else ""
    off, off_zh = (f"{wrong} of {count} values are off", f"{count} 个值，{wrong} 个有误")
    if wrong == count:
        off, off_zh = f"all {count} values are off", f"{count} 个值，全部有误"
    elif wrong == 1:
        off = f"it is the only one of {count} values that is off"
    share, share_zh = (f"; {off}", f"；共 {off_zh}") if count > 1 else ("", "")
    _fail(
        "values",
        f"{of.en} is {theirs}{place}, where {ours} is expected{share}.",
        f"{of.zh}{place_zh}是 {theirs}，应为 {ours}{share_zh}。",
        got=got,
        expected=expected,
        worst=worst,
        difference=largest if math.isfinite(largest) and got.dtype != torch.bool else None,
        tolerance=allowed,
        of=of,
        compared=Compared(got, expected, allowed),
    )


def _index(values: torch.Tensor) -> tuple[int, ...]:
    """Where the largest value stands; `torch.unravel_index` would import sympy for it (0.5 s)."""
    left, index = int(values.argmax()), []
    for size in reversed(values.shape):
        left, place = divmod(left, size)
        index.append(place)
    return tuple(reversed(index))
