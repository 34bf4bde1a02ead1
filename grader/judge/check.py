"""Comparisons for suites: the right kind, shape, dtype, finite, and then, the right values?

The first difference found is the one told, in this order, because a wrong shape makes any talk of
values idle. Tolerances follow from the arithmetic: `terms` roundings in the precision of the dtype,
on the scale of the expected values. The source text of an answer is never looked at.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import torch

from grader.catalogue import Text
from grader.report import Failure

from . import show
from .student import Raised, Remote

TERMS = 16
SAFETY = 4.0


class CheckFailed(AssertionError):
    """An answer is wrong. It carries the failure to report and the answer that it is about."""

    def __init__(self, failure: Failure, got: Any = None):
        super().__init__(failure.message.en)
        self.failure = failure
        self.got = got


def equal(got: Any, expected: Any) -> None:
    """Require the same values, exactly: for what only moves, counts or compares."""
    _compare(got, expected, lambda _: 0.0, "")


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

    def tolerance(values: torch.Tensor) -> float:
        kind = dtype or values.dtype
        kind = kind if kind.is_floating_point or kind.is_complex else torch.float32
        finite = values[values.isfinite()].abs()
        size = scale if scale is not None else float(finite.max()) if finite.numel() else 1.0
        return SAFETY * torch.finfo(kind).eps * math.sqrt(terms) * max(size, 1e-30)

    _compare(got, expected, tolerance, "")


def shape(got: Any, expected: Sequence[int]) -> None:
    """Require a tensor of this shape."""
    if not isinstance(got, torch.Tensor):
        _wrong_type(got, "Tensor", "", None)
    if tuple(got.shape) != tuple(expected):
        _wrong_shape(got, tuple(expected), "", None)


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
        f"a {error.__name__} was expected here{f' that names {match}' if match else ''}; "
        "none was raised.",
        f"这里应当抛出{f'提到 {match} 的' if match else ''} {error.__name__}，但没有抛出。",
        got=got,
    )


def that(claim: bool, en: str, zh: str, *, got: Any = None, expected: Any = None) -> None:
    """Require a property, told in words when it does not hold."""
    if not claim:
        _fail("claim", en, zh, got=got, expected=expected)


# ---- how two values are compared


def _compare(
    got: Any, expected: Any, tolerance: Callable[[torch.Tensor], float], where: str
) -> None:
    if isinstance(expected, torch.Tensor):
        _compare_tensors(got, expected, tolerance, where)
    elif isinstance(expected, list | tuple):
        if not isinstance(got, list | tuple):
            _wrong_type(got, type(expected).__name__, where, expected)
        if len(got) != len(expected):
            _fail(
                "shape",
                f"{_subject(where)} has {len(got)} parts; {len(expected)} are expected.",
                f"{_subject_zh(where)}有 {len(got)} 个部分，应有 {len(expected)} 个。",
                got=got,
                expected=expected,
            )
        for index, (one, other) in enumerate(zip(got, expected, strict=True)):
            _compare(one, other, tolerance, f"{where}[{index}]")
    elif isinstance(expected, dict):
        if not isinstance(got, dict):
            _wrong_type(got, "dict", where, expected)
        if got.keys() != expected.keys():
            lacks = sorted(map(str, expected.keys() - got.keys()))
            extra = sorted(map(str, got.keys() - expected.keys()))
            _fail(
                "shape",
                f"{_subject(where)} lacks the keys {lacks} and has {extra} too many.",
                f"{_subject_zh(where)}缺少键 {lacks}，多出键 {extra}。",
                got=list(got),
                expected=list(expected),
            )
        for key in expected:
            _compare(got[key], expected[key], tolerance, f"{where}[{key!r}]")
    elif isinstance(expected, float) and not isinstance(got, bool):
        if isinstance(got, torch.Tensor) and got.numel() == 1:
            got = got.item()
        if not isinstance(got, int | float):
            _wrong_type(got, "float", where, expected)
        one, other = (torch.tensor(float(x), dtype=torch.float64) for x in (got, expected))
        single = tolerance(torch.tensor(expected, dtype=torch.float32))
        _compare_tensors(one, other, lambda _: single, where)
    elif type(got) is not type(expected):
        _wrong_type(got, type(expected).__name__, where, expected)
    elif got != expected:
        theirs, ours = show.value(got).text, show.value(expected).text
        _fail(
            "values",
            f"{_subject(where)} is {theirs}; {ours} is expected.",
            f"{_subject_zh(where)}是 {theirs}，应为 {ours}。",
            got=got,
            expected=expected,
        )


def _compare_tensors(
    got: Any, expected: torch.Tensor, tolerance: Callable[[torch.Tensor], float], where: str
) -> None:
    if not isinstance(got, torch.Tensor):
        _wrong_type(got, "Tensor", where, expected)
    if got.shape != expected.shape:
        _wrong_shape(got, tuple(expected.shape), where, expected)
    if got.dtype != expected.dtype:
        ours, theirs = (str(x.dtype).removeprefix("torch.") for x in (expected, got))
        _fail(
            "dtype",
            f"{_subject(where)} is {theirs}; {ours} is expected.",
            f"{_subject_zh(where)}的 dtype 是 {theirs}，应为 {ours}。",
            got=got,
            expected=expected,
        )
    if expected.numel() == 0:
        return
    if not (expected.dtype.is_floating_point or expected.dtype.is_complex):
        wrong = got != expected
        if wrong.any():
            _wrong_values(got, expected, wrong.to(torch.float32), 0.0, where)
        return
    odd = ~got.isfinite() & (got != expected) & ~(got.isnan() & expected.isnan())
    if (odd & expected.isfinite()).any():
        worst = _index((odd & expected.isfinite()).to(torch.float32))
        came = str(got[worst].item())
        _fail(
            "finite",
            f"{_subject(where)} holds {came}, first at {list(worst)}, "
            "where a finite number is expected.",
            f"{_subject_zh(where)}在 {list(worst)} 处出现 {came}，这里应是有限的数。",
            got=got,
            expected=expected,
            worst=worst,
        )
    allowed = tolerance(expected)
    wide = torch.complex128 if expected.dtype.is_complex else torch.float64
    difference = (got.to(wide) - expected.to(wide)).abs()
    same = (got == expected) | (got.isnan() & expected.isnan())
    difference = difference.masked_fill(same, 0.0).nan_to_num(nan=math.inf, posinf=math.inf)
    if (difference > allowed).any():
        _wrong_values(got, expected, difference, allowed, where)


# ---- how a difference is told


def _fail(
    kind: str,
    en: str,
    zh: str,
    *,
    got: Any = None,
    expected: Any = None,
    worst: tuple[int, ...] | None = None,
    **more: Any,
) -> NoReturn:
    failure = Failure(
        kind=kind,
        message=Text(en=en[:1].upper() + en[1:], zh=zh),
        got=None if got is None else show.value(got, worst),
        expected=None if expected is None else show.value(expected, worst),
        worst=worst,
        **more,
    )
    raise CheckFailed(failure, got)


def _subject(where: str) -> str:
    return f"part {where} of the answer" if where else "the answer"


def _subject_zh(where: str) -> str:
    return f"答案的 {where} 部分" if where else "答案"


def _wrong_type(got: Any, wanted: str, where: str, expected: Any) -> NoReturn:
    if got is None:
        _fail(
            "type",
            f"{_subject(where)} is None; a {wanted} is expected. Is a `return` missing?",
            f"{_subject_zh(where)}是 None，应为 {wanted}。是不是少了 return？",
            expected=expected,
        )
    came = got._handle.type if isinstance(got, Remote) else type(got).__name__
    _fail(
        "type",
        f"{_subject(where)} is of type {came}; {wanted} is expected.",
        f"{_subject_zh(where)}的类型是 {came}，应为 {wanted}。",
        got=got,
        expected=expected,
    )


def _wrong_shape(got: torch.Tensor, wanted: tuple[int, ...], where: str, expected: Any) -> NoReturn:
    _fail(
        "shape",
        f"{_subject(where)} has shape {list(got.shape)}; {list(wanted)} is expected.",
        f"{_subject_zh(where)}的形状是 {list(got.shape)}，应为 {list(wanted)}。",
        got=got,
        expected=expected,
    )


def _wrong_values(
    got: torch.Tensor, expected: torch.Tensor, difference: torch.Tensor, allowed: float, where: str
) -> NoReturn:
    worst = _index(difference)
    largest = float(difference[worst])
    wrong, count = int((difference > allowed).sum()), difference.numel()
    ours, theirs = show.told_apart(expected[worst].item(), got[worst].item())
    place = f" at {list(worst)}" if worst else ""
    place_zh = f"在 {list(worst)} 处" if worst else ""
    share = f"; {wrong} of {count} values are off" if count > 1 else ""
    share_zh = f"；共 {count} 个值，{wrong} 个有误" if count > 1 else ""
    _fail(
        "values",
        f"{_subject(where)} is {theirs}{place}, where {ours} is expected{share}.",
        f"{_subject_zh(where)}{place_zh}是 {theirs}，应为 {ours}{share_zh}。",
        got=got,
        expected=expected,
        worst=worst,
        difference=largest if math.isfinite(largest) else None,
        tolerance=allowed,
    )


def _index(values: torch.Tensor) -> tuple[int, ...]:
    """Where the largest value stands; `torch.unravel_index` would import sympy for it (0.5 s)."""
    left, index = int(values.argmax()), []
    for size in reversed(values.shape):
        left, place = divmod(left, size)
        index.append(place)
    return tuple(reversed(index))
