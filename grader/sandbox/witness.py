"""What can be seen of a learner's code while it runs: what the names in a line stand for, and which
operation made the first NaN.

This runs beside the learner's code, on the untrusted side. What it says is a hint, shown as text.
"""

from __future__ import annotations

import contextlib
import keyword
import math
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from types import FrameType
from typing import Any

MAX_VARIABLES = 8
MAX_VARIABLE = 80

_NAME = re.compile(r"(?<![\w.\"'])[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)?")
_PLAIN = (bool, int, float, str, type(None))
_STORES = ("_parameters", "_buffers", "_modules")  # of a torch.nn.Module

# What these hold is no finding: whatever was in memory, and what was there before.
_BLANK = ("empty", "new_empty", "resize", "__get__", "__set__", "grad", "backward", "random_")
_SIGNS = {"add": "+", "sub": "-", "mul": "*", "div": "/", "true_divide": "/", "matmul": "@"}


# ---- names


def variables(frame: FrameType, line: str) -> list[list[str]]:
    """The names in a line of a frame that stand for tensors, numbers or shapes, with what they are.

    Nothing of the learner's own is called for it: attributes are looked up where they are stored.
    """
    found: dict[str, str] = {}
    try:
        local = dict(frame.f_locals)
        for name in _NAME.findall(_without_text(line)):
            if name in found or keyword.iskeyword(name.partition(".")[0]):
                continue
            told = _told(*_looked_up(name, local))
            if told is not None:
                found[name] = told
            elif "." in name and (told := _told(*_looked_up(name.partition(".")[0], local))):
                found[name.partition(".")[0]] = told  # x of x.shape
            if len(found) >= MAX_VARIABLES:
                break
    except Exception:  # the learner's own objects are odd: then there is less to show
        pass
    return [[name[:MAX_VARIABLE], text[:MAX_VARIABLE]] for name, text in found.items()]


def _without_text(line: str) -> str:
    return re.sub(r"(\"[^\"]*\"|'[^']*')|#.*", lambda part: '""' if part[1] else "", line)


def _looked_up(name: str, local: Mapping[str, Any]) -> tuple[bool, Any]:
    first, _, second = name.partition(".")
    if first not in local:
        return False, None
    if not second:
        return True, local[first]
    stored = getattr(local[first], "__dict__", None)
    if type(stored) is not dict:
        return False, None
    for table in (stored, *(stored.get(store) for store in _STORES)):
        if isinstance(table, dict) and second in table:
            return True, table[second]
    return False, None


def _told(known: bool, value: Any) -> str | None:
    if not known:
        return None
    kind = type(value)
    if kind in _PLAIN:
        return repr(value if kind is not str else value[:MAX_VARIABLE])
    torch = sys.modules.get("torch")
    if torch is None:
        return None
    if issubclass(kind, torch.Tensor):
        return f"{str(value.dtype).removeprefix('torch.')}{list(value.shape)}"
    if kind in (torch.Size, tuple, list) and len(value) <= 8:
        if all(type(item) is int for item in value):
            return str(list(value) if kind is list else tuple(value))
        tensors = [_told(True, item) for item in value if issubclass(type(item), torch.Tensor)]
        if tensors and len(tensors) == len(value):
            return f"({', '.join(map(str, tensors))})"
    if kind in (torch.nn.Linear, torch.nn.Embedding):
        return f"{kind.__name__}({value.extra_repr()})"
    if kind is torch.dtype:
        return str(value)
    return None


# ---- the first number that is not finite


def origin(run: Callable[[], Any], files: Mapping[str, str], wanted: str) -> dict[str, Any] | None:
    """Run something again, and find the first operation that makes a NaN, or an infinity.

    Args:
        run: what to run; what it answers or raises is no matter.
        files: the learner's, by the path that frames name.
        wanted: `nan` or `inf`.

    Returns:
        The `value` that it made, the `operation`, the `frame` of the learner's that called for it,
        or none, and the `source` of the infinity that it made a NaN of, or none.
    """
    from torch.overrides import TorchFunctionMode

    first: dict[str, dict[str, Any]] = {}

    class Watch(TorchFunctionMode):
        def __torch_function__(
            self, function: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            kwargs = kwargs or {}
            name = getattr(function, "__name__", "")
            if wanted in first or name.startswith(_BLANK):
                return function(*args, **kwargs)
            given = [value for value in ("nan", "inf") if _holds((args, kwargs), value)]
            answer = function(*args, **kwargs)
            for value in ("nan", "inf"):
                if value in first or value in given or not _holds(answer, value):
                    continue
                source = first.get("inf") if "inf" in given else None
                first[value] = {
                    "value": value,
                    "operation": _operation(function, name),
                    "frame": _frame(sys._getframe(1), files),
                    "source": source,
                }
            return answer

    with contextlib.suppress(Exception), Watch():
        run()
    if wanted in first:
        return first[wanted]
    backward = _in_the_backward_pass(run)
    if not backward:
        return None
    return {"value": "nan", "operation": backward, "frame": None, "source": None}


def _in_the_backward_pass(run: Callable[[], Any]) -> str:
    """The operation whose gradient is the first NaN."""
    import torch

    try:
        with warnings.catch_warnings(), torch.autograd.set_detect_anomaly(True):
            warnings.simplefilter("ignore")
            run()
    except RuntimeError as error:
        found = re.match(r"Function '(\w+?)Backward\d*' returned nan", str(error))
        return f"torch.{found[1].lower()}" if found else ""
    except Exception:
        pass
    return ""


def _holds(value: Any, wanted: str) -> bool:
    """Whether a NaN is among some numbers, or an infinity."""
    import torch

    for one in _leaves(value):
        if isinstance(one, float):
            if math.isnan(one) if wanted == "nan" else math.isinf(one):
                return True
        elif isinstance(one, torch.Tensor) and (one.is_floating_point() or one.is_complex()):
            odd = one.isnan() if wanted == "nan" else one.isinf()
            if bool(odd.any()):
                return True
    return False


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, list | tuple):
        for one in value:
            yield from _leaves(one)
    elif isinstance(value, dict):
        yield from _leaves(list(value.values()))
    else:
        yield value


def _operation(function: Any, name: str) -> str:
    """An operation as one writes it: `/`, `torch.rsqrt`, `F.softmax`, `.mean()`."""
    sign = _SIGNS.get(re.sub(r"^__[ir]?|_*$", "", name))
    if sign and hasattr(function, "__objclass__"):
        return sign
    if getattr(function, "__module__", "") == "torch.nn.functional":
        return f"F.{name}"
    if hasattr(function, "__objclass__"):
        return f".{name}()"
    return f"torch.{name}"


def _frame(frame: FrameType | None, files: Mapping[str, str]) -> list[Any] | None:
    import linecache

    while frame is not None:
        path = frame.f_code.co_filename
        if path in files:
            line = linecache.getline(path, frame.f_lineno).strip()
            return [path, frame.f_lineno, frame.f_code.co_name, line]
        frame = frame.f_back
    return None
