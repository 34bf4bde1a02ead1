"""What the public tests compare with: `check.close(got, expected)` says what is wrong, and where.

First the type, then the shape, the dtype, numbers that are not finite, and then the values.
"""

import importlib
import json
import math
import random

import torch

LANGUAGE = "en"


class Wrong(AssertionError):
    """An answer is wrong; the message says how."""


def say(en, zh):
    return zh if LANGUAGE == "zh" else en


def equal(got, expected):
    """Require the same values, exactly; of float32 and float64, but for the last digits.

    The values were recorded on another machine, whose sines may end in another digit.
    """
    _compare(got, expected, _last_digits, "")


def close(got, expected, *, terms=16, scale=None, dtype=None):
    """Require the same values, up to the rounding of `terms` operations one after another."""
    _compare(got, expected, _rounding(terms, scale, dtype), "")


def gradients(got, expected, *, names=(), terms=16, scale=None):
    """Require the same gradients; a list of them belongs to `names`."""
    tolerance = _rounding(terms, scale, None)
    if isinstance(expected, (list, tuple)) and names:
        if not isinstance(got, (list, tuple)) or len(got) != len(expected):
            _compare(got, expected, tolerance, "")
        for place, (one, other) in enumerate(zip(got, expected, strict=True)):
            name = names[place] if place < len(names) else str(place)
            _gradient(one, other, tolerance, name)
    else:
        _gradient(got, expected, tolerance, names[0] if names else "x")


def _gradient(got, expected, tolerance, name):
    if got is None and expected is not None:
        raise Wrong(
            say(
                f"no gradient reaches {name}: is it used, or cut off by detach(), .data, .item() "
                "or no_grad()?",
                f"没有梯度传到 {name}：用到它了吗？还是被 detach()、.data、.item() 或 no_grad() "
                "截断了？",
            )
        )
    _compare(got, expected, tolerance, say(f"the gradient for {name}", f"{name} 的梯度"))


def shape(got, expected):
    """Require a tensor of this shape."""
    if not isinstance(got, torch.Tensor):
        _wrong_type(got, "Tensor", "")
    if tuple(got.shape) != tuple(expected):
        _wrong_shape(got, expected, "")


class raises:
    """Require that what stands in the block raises an error that names something."""

    def __init__(self, error, match=""):
        self.error, self.match = error, match

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if kind is None:
            named = say(f" that names {self.match}", f"提到 {self.match} 的 ") if self.match else ""
            wanted = self.error.__name__
            raise Wrong(
                say(
                    f"a {wanted}{named} was expected here; none was raised",
                    f"这里应当抛出{named}{wanted}，但没有抛出",
                )
            )
        if not issubclass(kind, self.error):
            return False
        if self.match.lower() not in str(error).lower():
            raise Wrong(
                say(
                    f"{kind.__name__} was raised, but its message does not name '{self.match}': "
                    f"'{error}'",
                    f"抛出了 {kind.__name__}，但消息里没有提到“{self.match}”：“{error}”",
                )
            )
        return True


def seed(number):
    """Start every source of chance at the same place."""
    random.seed(number)
    torch.manual_seed(number)


def load(exercise):
    """The learner's module."""
    return importlib.import_module(exercise.replace("/", "."))


# ---- how two values are compared


def _last_digits(values):
    if values.dtype not in (torch.float32, torch.float64):
        return 0.0
    finite = values[values.isfinite()].abs()
    return 4.0 * torch.finfo(values.dtype).eps * (float(finite.max()) if finite.numel() else 0.0)


def _rounding(terms, scale, dtype):
    def tolerance(values):
        kind = dtype or values.dtype
        kind = kind if kind.is_floating_point or kind.is_complex else torch.float32
        finite = values[values.isfinite()].abs()
        size = scale if scale is not None else float(finite.max()) if finite.numel() else 1.0
        return 4.0 * torch.finfo(kind).eps * math.sqrt(terms) * max(size, 1e-30)

    return tolerance


def _compare(got, expected, tolerance, of):
    if isinstance(expected, torch.Tensor):
        _compare_tensors(got, expected, tolerance, of)
    elif isinstance(expected, (list, tuple)):
        if not isinstance(got, (list, tuple)):
            _wrong_type(got, type(expected).__name__, of)
        if len(got) != len(expected):
            parts = len(got), len(expected)
            _wrong(
                of, "has {} parts, not {}".format(*parts), "有 {} 个部分，应有 {} 个".format(*parts)
            )
        for place, (one, other) in enumerate(zip(got, expected, strict=True)):
            _compare(one, other, tolerance, _part(of, f"[{place}]"))
    elif isinstance(expected, dict):
        if not isinstance(got, dict):
            _wrong_type(got, "dict", of)
        if got.keys() != expected.keys():
            keys = sorted(got, key=repr), sorted(expected, key=repr)
            _wrong(of, "has the keys {}, not {}".format(*keys), "的键是 {}，应为 {}".format(*keys))
        for key, other in expected.items():
            _compare(got[key], other, tolerance, _part(of, f"[{key!r}]"))
    elif isinstance(expected, float) and not isinstance(got, bool):
        if isinstance(got, torch.Tensor) and got.numel() == 1:
            got = got.item()
        if not isinstance(got, (int, float)):
            _wrong_type(got, "float", of)
        allowed = tolerance(torch.tensor(expected, dtype=torch.float32))
        same = got == expected or (math.isnan(got) and math.isnan(expected))
        if not same and not abs(got - expected) <= allowed:
            _wrong(of, f"is {got!r}, not {expected!r}", f"是 {got!r}，应为 {expected!r}")
    elif type(got) is not type(expected):
        _wrong_type(got, type(expected).__name__, of)
    elif got != expected:
        _wrong(of, f"is {got!r}, not {expected!r}", f"是 {got!r}，应为 {expected!r}")


def _compare_tensors(got, expected, tolerance, of):
    if not isinstance(got, torch.Tensor):
        _wrong_type(got, "Tensor", of)
    got = got.detach()
    if got.shape != expected.shape:
        _wrong_shape(got, expected.shape, of)
    if got.dtype != expected.dtype:
        kinds = got.dtype, expected.dtype
        _wrong(of, "is {}, not {}".format(*kinds), "的 dtype 是 {}，应为 {}".format(*kinds))
    if expected.numel() == 0:
        return
    if not (expected.dtype.is_floating_point or expected.dtype.is_complex):
        off, allowed = (got != expected).double(), 0.0
    else:
        wide = torch.complex128 if expected.dtype.is_complex else torch.float64
        off, allowed = (got.to(wide) - expected.to(wide)).abs(), tolerance(expected)
        same = (got == expected) | (got.isnan() & expected.isnan())
        off = off.masked_fill(same, 0.0).nan_to_num(nan=math.inf, posinf=math.inf)
    wrong = int((off > allowed).sum())
    if not wrong:
        return
    left, index = int(off.argmax()), []
    for size in reversed(off.shape):
        left, place = divmod(left, size)
        index.insert(0, place)
    came, wanted = got[tuple(index)].item(), expected[tuple(index)].item()
    _wrong(
        of,
        f"is {came!r} at {index}, not {wanted!r}; {wrong} of {off.numel()} values are off",
        f"在 {index} 处是 {came!r}，应为 {wanted!r}；{off.numel()} 个值中有 {wrong} 个有误",
    )


def _part(of, place):
    return say(f"part {place} of {of or 'the answer'}", f"{of or '答案'}的 {place} 部分")


def _wrong(of, en, zh):
    raise Wrong(say(f"{of or 'the answer'} {en}", f"{of or '答案'}{zh}"))


def _wrong_type(got, wanted, of):
    came = type(got).__name__
    if got is None:
        hint, hint_zh = ": is a `return` missing?", "：是不是少了 return？"
        _wrong(of, f"is None, not a {wanted}{hint}", f"是 None，应为 {wanted}{hint_zh}")
    _wrong(of, f"is a {came}, not a {wanted}", f"的类型是 {came}，应为 {wanted}")


def _wrong_shape(got, wanted, of):
    came, wanted = list(got.shape), list(wanted)
    _wrong(of, f"has the shape {came}, not {wanted}", f"的形状是 {came}，应为 {wanted}")


# ---- recorded values


def read(path):
    """The recorded values of a test file, by test and name."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def unpack(packed):
    """A recorded value as Python's own."""
    if isinstance(packed, list):
        return [unpack(one) for one in packed]
    if not isinstance(packed, dict):
        return packed
    if "tensor" in packed:
        kind = getattr(torch, packed["tensor"])
        if kind.is_floating_point or kind.is_complex:
            numbers = [float(one) for one in packed["values"]]
            if kind.is_complex:
                real = torch.float64 if kind == torch.complex128 else torch.float32
                return torch.view_as_complex(
                    torch.tensor(numbers, dtype=real).reshape(*packed["shape"], 2)
                )
            return torch.tensor(numbers, dtype=kind).reshape(packed["shape"])
        return torch.tensor(packed["values"], dtype=kind).reshape(packed["shape"])
    if "tuple" in packed:
        return tuple(unpack(one) for one in packed["tuple"])
    if "dict" in packed:
        return {unpack(key): unpack(one) for key, one in packed["dict"]}
    if "set" in packed:
        return {unpack(one) for one in packed["set"]}
    if "bytes" in packed:
        return bytes.fromhex(packed["bytes"])
    if "dtype" in packed:
        return getattr(torch, packed["dtype"])
    return float(packed["float"])
