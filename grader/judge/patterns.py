"""What all the differences between an answer and the right one have in common, where it is plain.

Upper triangle wrong: a mask. Every second column: interleaved pairs. Twice as large everywhere: a
factor. A pattern is only told when it explains every element up to rounding, those that are right
among them; no claim is made that two or three values could bear out by chance.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence

import torch

from grader.catalogue import Text

MAX_VALUES = 1 << 16
MAX_SLICES = 64  # more along one dimension are not tried in another order
MAX_SHIFTS = 256
FEW = 3  # as many different values must bear a claim out
FILLED = 0.6  # the share of a region that must be wrong, for it to be the region that is wrong


def of_values(got: torch.Tensor, expected: torch.Tensor, allowed: float) -> Text | None:
    """Say how an answer differs from the right one of the same shape and dtype.

    Args:
        got: the answer.
        expected: the right one.
        allowed: the largest difference that rounding explains.
    """
    if got.shape != expected.shape or not 1 < got.numel() <= MAX_VALUES:
        return None
    if got.dtype.is_complex:
        return None
    if got.dtype == torch.bool and bool((got != expected).all()) and _both(expected):
        return Text(
            "Every value is the opposite of what is expected: True and False are swapped.",
            "每个值都与应有的相反：True 和 False 对调了。",
        )
    a, b = got.double(), expected.double()
    off = _off(a, b, allowed)
    if not bool(off.any()):
        return None
    finite = bool((a.isfinite() & b.isfinite()).all())
    slack = _slack(expected, allowed)
    if finite and got.dtype != torch.bool:
        told = _relation(a, b, slack, expected.dtype)
        if told is not None:
            return Text(f"Every value is {told.en}.", f"每个值都{told.zh}。")
    if finite:
        order = _order(a, b, slack)
        if order is not None:
            return order
    where = _region(off)
    if where is None:
        return None
    told = None
    if finite and got.dtype != torch.bool:
        told = _relation(a[off], b[off], slack, expected.dtype)
    if told is None:
        return Text(f"Wrong only {where.en}; all else is right.", f"只有{where.zh}有误，其余都对。")
    return Text(
        f"Wrong only {where.en}, where every value is {told.en}; all else is right.",
        f"只有{where.zh}有误，那里的每个值都{told.zh}；其余都对。",
    )


def of_shapes(got: torch.Tensor, expected: torch.Tensor, allowed: float) -> Text | None:
    """Say what is right about an answer of the wrong shape."""
    if got.dtype == expected.dtype and 1 < got.numel() == expected.numel() <= MAX_VALUES:
        a, b, slack = got.double(), expected.double(), _slack(expected, allowed)
        if a.ndim == b.ndim <= 5 and _telling(b):
            for order in itertools.permutations(range(a.ndim)):
                if a.permute(order).shape == b.shape and _equal(a.permute(order), b, slack):
                    return _permuted(order)
        if _telling(b) and _equal(a.flatten(), b.flatten(), slack):
            return Text(
                "The values are right and in the right order: only the shape is not.",
                "值都对，顺序也对，只是形状不对。",
            )
    if got.ndim == expected.ndim:
        differ = [d for d in range(got.ndim) if got.shape[d] != expected.shape[d]]
        if len(differ) == 1 and got.ndim > 1:
            (d,) = differ
            came, wanted = got.shape[d], expected.shape[d]
            return Text(
                f"Only dimension {d} differs: its size is {came} in place of {wanted}.",
                f"只有第 {d} 维不同：大小是 {came}，应为 {wanted}。",
            )
    return None


def of_dtypes(got: torch.Tensor, expected: torch.Tensor, allowed: float) -> Text | None:
    """Say whether an answer of the wrong dtype is right otherwise."""
    if got.numel() == 0 or got.numel() > MAX_VALUES or got.dtype.is_complex:
        return None
    if expected.dtype.is_complex or not _equal(got.double(), expected.double(), allowed):
        return None
    return Text("The values are right; only the dtype is not.", "值都对，只是 dtype 不对。")


def of_arguments(got: torch.Tensor, arguments: Mapping[str, torch.Tensor]) -> Text | None:
    """Say whether an answer is one of the arguments, as it came."""
    for name, given in arguments.items():
        same = given.shape == got.shape and given.dtype == got.dtype and not got.dtype.is_complex
        if same and got.numel() > 1 and _equal(got.double(), given.double(), 0.0):
            if not _telling(got.double()):
                continue
            return Text(f"The answer is {name} itself, unchanged.", f"答案就是 {name}，原样未变。")
    return None


# ---- how an answer follows from the right one, value by value


def _relation(a: torch.Tensor, b: torch.Tensor, slack: float, dtype: torch.dtype) -> Text | None:
    """What every value is, in relation to the right one; in words that go on from "is"."""
    if not _telling(b):
        return None
    if not bool(a.any()):
        return Text("zero", "是零")
    if bool((a == a.flatten()[0]).all()):
        return Text(f"the same, {_written(float(a.flatten()[0]))}", "是同一个数")
    place = int(b.abs().argmax())
    factor = float(a.flatten()[place] / b.flatten()[place])
    near = slack * (1 + abs(factor))
    if factor and _equal(a, factor * b, near) and bool((factor * b - b).abs().max() > near):
        if _equal(a, -b, 2 * slack):
            return Text("the negative of what is expected", "是应有值的相反数：符号反了")
        size = float(b.abs().max())
        named = _named(abs(factor), slack / size if size else 0.0)
        said = f"{factor:.3f}" if 0.01 <= abs(factor) < 1000 else f"{factor:.3g}"
        en, zh = (f" ({named})", f"（即 {named}）") if named else ("", "")
        return Text(f"{said} times{en} what is expected", f"是应有值的 {said} 倍{zh}")
    offset = float((a - b).flatten()[place])
    if _equal(a, b + offset, 2 * slack) and abs(offset) > 2 * slack:
        said = _written(abs(offset))
        if offset > 0:
            return Text(f"{said} more than expected", f"比应有值大 {said}")
        return Text(f"{said} less than expected", f"比应有值小 {said}")
    return None


def _named(factor: float, precision: float) -> str:
    """A factor that is a root or a fraction of a whole number, as one would write it."""
    near = max(1e-7, 2 * precision) * factor
    if near > 1e-4 * factor:
        return ""
    for n in range(2, 1025):
        root = math.sqrt(n)
        names = {f"1/{n}": 1 / n, f"√{n}": root, f"1/√{n}": 1 / root}
        for name, number in names.items():
            if abs(factor - number) <= near and not (name[0] == "√" and root.is_integer()):
                return name
    return ""


# ---- the right values in another place


def _order(a: torch.Tensor, b: torch.Tensor, slack: float) -> Text | None:
    few = not _telling(b)
    if few and (b.numel() < 9 or a.ndim != 2):
        return None
    for one, other in itertools.combinations(range(a.ndim), 2):
        if a.shape[one] == a.shape[other] and _equal(a.transpose(one, other), b, slack):
            if a.ndim == 2:
                return Text(
                    "The matrix is transposed: rows and columns are swapped.",
                    "矩阵转置了：行和列对调。",
                )
            order = list(range(a.ndim))
            order[one], order[other] = other, one
            return _permuted(order)
    if few:  # of truth values a transposed matrix is told, and nothing that chance would do
        return None
    for d in range(a.ndim):
        told = _order_along(a, b, d, slack)
        if told is not None:
            return told
    if _equal(a.flatten().sort().values, b.flatten().sort().values, slack):
        return Text(
            "Every expected value is there, but not in its place.",
            "应有的值一个不少，但位置不对。",
        )
    return None


def _order_along(a: torch.Tensor, b: torch.Tensor, d: int, slack: float) -> Text | None:
    """Whether the slices along one dimension are the right ones in another order."""
    n = a.shape[d]
    if n < 2:
        return None
    along = Text(f"along dimension {d}", f"沿第 {d} 维")
    if a.ndim == 1:
        along = Text("along the vector", "沿这个向量")
    elif a.ndim == 2:
        along = (Text("row by row", "按行"), Text("column by column", "按列"))[d]
    if n > 2 and _equal(a.flip(d), b, slack):
        return Text(
            f"The expected values, {along.en}, come in reverse order.",
            f"{along.zh}看，值都对，但顺序颠倒了。",
        )
    for k in range(1, n) if n <= MAX_SHIFTS and n > 2 else ():
        if _equal(a.roll(k, d), b, slack):
            back, on = (k, n - k) if k <= n // 2 else (k - n, n - k)
            shift, way = (back, ("back", "前")) if k <= n // 2 else (on, ("on", "后"))
            return Text(
                f"The expected values, {along.en}, are shifted {way[0]} by {shift}, "
                "those at the end coming round.",
                f"{along.zh}看，值都对，但循环地向{way[1]}移了 {shift} 位。",
            )
    if n > MAX_SLICES:
        return None
    ours, theirs = b.movedim(d, 0).reshape(n, -1), a.movedim(d, 0).reshape(n, -1)
    same = torch.stack([((one - ours).abs() <= slack).all(1) for one in theirs])  # got x expected
    order: list[int] = []
    for row in same.tolist():
        free = [index for index, fits in enumerate(row) if fits and index not in order]
        if not free:
            return None
        order.append(free[0])
    if order == sorted(order):
        return None
    most = 12
    listed = ", ".join(map(str, order[:most])) + (", …" if n > most else "")
    return Text(
        f"The right slices come in the wrong order {along.en}: {listed} of those expected.",
        f"{along.zh}看，各片都对，但顺序错了：依次是应有的第 {listed} 片（从 0 数起）。",
    )


def _permuted(order: Sequence[int]) -> Text:
    moved = [d for d, other in enumerate(order) if d != other]
    if len(moved) == 2:
        one, other = moved
        return Text(
            f"The values are right, but dimensions {one} and {other} are swapped.",
            f"值都对，但第 {one} 维和第 {other} 维对调了。",
        )
    said = ", ".join(map(str, order))
    return Text(
        f"The values are right, but the dimensions are in another order: permute({said}) mends it.",
        f"值都对，但各维的次序不对：permute({said}) 就对了。",
    )


# ---- where the wrong values are


def _region(off: torch.Tensor) -> Text | None:
    """The plain region that all wrong values lie in and nearly fill."""
    wrong = int(off.sum())
    if wrong < 2 or wrong == off.numel() or off.numel() < 8:
        return None
    fits = [
        (wrong / size, -rank, said)
        for rank, (size, said) in enumerate(_regions(off))
        if wrong >= FILLED * size
    ]
    return max(fits, key=lambda fit: fit[:2])[2] if fits else None


def _regions(off: torch.Tensor) -> Iterator[tuple[int, Text]]:
    """Regions that hold every wrong value, each with its size."""
    parts: list[Text] = []
    size = off.numel()
    for d, n in enumerate(off.shape):
        hit = off.movedim(d, 0).reshape(n, -1).any(1).nonzero().flatten().tolist()
        if len(hit) < n:
            said = _indices(hit, n, d, off.ndim)
            if said is None:
                parts = []
                break
            parts.append(said)
            size = size // n * len(hit)
    if parts:
        yield (
            size,
            Text(" and ".join(part.en for part in parts), "、".join(part.zh for part in parts)),
        )
    if off.ndim >= 2 and min(off.shape[-2:]) >= 2:
        yield from _triangles(off)


def _triangles(off: torch.Tensor) -> Iterator[tuple[int, Text]]:
    """Diagonals, and what lies on one side of them, in the last two dimensions."""
    rows, columns = off.shape[-2:]
    steps = torch.arange(columns)[None, :] - torch.arange(rows)[:, None]
    hit = steps[off.reshape(-1, rows, columns).any(0)]
    low, high = int(hit.min()), int(hit.max())
    many = off.numel() // (rows * columns)
    if low == high:
        size = many * int((steps == low).sum())
        if low == 0:
            yield size, Text("on the diagonal", "主对角线上的值")
        elif abs(low) == 1:
            side = ("above", "上方") if low > 0 else ("below", "下方")
            yield (
                size,
                Text(
                    f"on the diagonal just {side[0]} the main one",
                    f"紧挨主对角线{side[1]}的那条对角线",
                ),
            )
        else:
            yield (
                size,
                Text(f"where column = row {low:+d}", f"列 = 行 {low:+d} 的对角线"),
            )
        return
    if low >= 0 and low > int(steps.min()):
        size = many * int((steps >= low).sum())
        yield size, _side(low, "above", "上方", ">= row +")
    if high <= 0 and high < int(steps.max()):
        size = many * int((steps <= high).sum())
        yield size, _side(-high, "below", "下方", "<= row -")


def _side(gap: int, en: str, zh: str, beyond: str) -> Text:
    if gap == 0:
        return Text(f"on and {en} the diagonal", f"对角线及其{zh}的值")
    if gap == 1:
        return Text(f"{en} the diagonal", f"对角线{zh}的值")
    return Text(f"where column {beyond} {gap}", f"满足 列 {beyond.replace('row', '行')} {gap} 的值")


def _indices(hit: list[int], n: int, d: int, ndim: int) -> Text | None:
    """Some of the indices of one dimension, in words that go on from "only"."""
    one, many = ("index", "indices") if ndim != 2 else (("row", "rows"), ("column", "columns"))[d]
    of = f" of dimension {d}" if ndim > 2 else ""

    def told(en: str, zh: str) -> Text:
        place = f"第 {d} 维下标{zh}处" if ndim > 2 else f"下标{zh}处"
        if ndim == 2:
            place = f"下标{zh}的{'行列'[d]}"
        return Text(f"at {en}{of}", place)

    first, last = hit[0], hit[-1]
    if len(hit) == 1:
        return told(f"{one} {first}", f" {first} ")
    if hit == list(range(first, last + 1)):
        if last == n - 1:
            return told(f"{many} {first} and up", f" ≥ {first} ")
        if first == 0:
            return told(f"{many} 0 to {last}", f" ≤ {last} ")
        return told(f"{many} {first} to {last}", f" {first} 到 {last} ")
    step = hit[1] - hit[0]
    if hit == list(range(first, n, step)) and first < step:
        if step == 2:
            odd, odd_zh = (("even", "为偶数"), ("odd", "为奇数"))[first]
            return told(f"the {odd} {many}", odd_zh)
        listed = ", ".join(map(str, hit[:4])) + (", …" if len(hit) > 4 else "")
        return told(f"{many} {listed}", f"为 {listed} ")
    if len(hit) == n - 1:
        (right,) = set(range(n)) - set(hit)
        return told(f"all {many} but {right}", f"除 {right} 以外")
    if len(hit) <= 4:
        listed = ", ".join(map(str, hit))
        return told(f"{many} {listed}", f"为 {listed} ")
    return None


# ---- small parts


def _off(a: torch.Tensor, b: torch.Tensor, allowed: float) -> torch.Tensor:
    same = (a == b) | (a.isnan() & b.isnan())
    return ~same & ~((a - b).abs() <= allowed)


def _equal(a: torch.Tensor, b: torch.Tensor, allowed: float) -> bool:
    return bool(((a - b).abs() <= allowed).all())


def _slack(expected: torch.Tensor, allowed: float) -> float:
    """What rounding explains where a value was computed, though it should only have been moved."""
    if not expected.dtype.is_floating_point:
        return allowed
    finite = expected[expected.isfinite()].double().abs()
    size = float(finite.max()) if finite.numel() else 0.0
    return max(allowed, torch.finfo(expected.dtype).eps * size)


def _telling(b: torch.Tensor) -> bool:
    """Whether there are enough different values for a claim about all of them to mean something."""
    return len(b.unique()) >= FEW


def _both(b: torch.Tensor) -> bool:
    return bool(b.any()) and not bool(b.all())


def _written(number: float) -> str:
    return f"{number:.4g}"
