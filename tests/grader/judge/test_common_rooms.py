"""The exercises of a hand-in share a room, and none is the worse or the better for it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from grader import catalogue, shelf
from grader.judge import desk
from grader.judge.session import Stage, on_stage
from grader.report import Graded
from grader.sandbox.jail import Limits
from grader.sandbox.nursery import Lease, Nursery

NAMES = ("config", "rms_norm", "repeat_kv", "rotary", "attention", "mlp")
PLAIN = {"seed": 1, "own": False, "timeout_s": None, "output_bytes": 2000}


class Counting(Lease):
    """A lease that counts the rooms that it opens."""

    rooms = 0

    def fork_worker(self, *given: Any) -> int:
        self.rooms += 1
        return super().fork_worker(*given)


Graders = Callable[..., tuple[dict[str, Graded], int]]


@pytest.fixture
def class_of(warm: Nursery) -> Graders:
    """Grade files on a stage, as a class is graded; how many rooms it took comes too."""

    def grade(
        changed: dict[str, str] | None = None, names: Sequence[str] = NAMES, **order: Any
    ) -> tuple[dict[str, Graded], int]:
        known = catalogue.load()
        exercises = [known[f"ch5/{name}"] for name in names]
        files = {one.file: shelf.solution(one) for one in exercises}
        files |= {f"ch5/{name}.py": text for name, text in (changed or {}).items()}
        order = PLAIN | order
        order |= {"suites": str(catalogue.SUITES), "files": files}
        order |= {"limits": dataclasses.asdict(Limits()), "exercises": [e.id for e in exercises]}
        found = []

        def then(stage: Stage) -> None:
            jobs = [*desk.jobs(order | {"files": {}})]
            for job in jobs:
                stage.rehearse(job)
            stage.share_rooms(jobs)
            lease = Counting(warm._connection)
            graded = {
                one.id.removeprefix("ch5/"): one for one in desk.grade(order, lease, None, stage)
            }
            found.append((graded, lease.rooms))

        on_stage([Path(one.suite) for one in exercises], then)
        return found[0]

    return grade


def solution(name: str) -> str:
    return shelf.solution(catalogue.load()[f"ch5/{name}"])


def outcomes(graded: dict[str, Graded]) -> dict[str, str]:
    return {name: one.outcome for name, one in graded.items()}


ALL_PASS = dict.fromkeys(NAMES, "passed")


def test_what_is_right_shares_one_room(class_of: Graders) -> None:
    graded, rooms = class_of()
    assert outcomes(graded) == ALL_PASS
    assert rooms == 1
    assert all(test.outcome == "passed" for one in graded.values() for test in one.tests)
    assert all(one.isolation != "none" for one in graded.values())


def test_what_is_right_in_other_bits_needs_no_room_of_its_own(class_of: Graders) -> None:
    other = """
import torch
from torch import nn

class RMSNorm(nn.Module):
    def __init__(self, dim, eps=1e-5):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(dim)), eps

    def forward(self, x):
        y = x.float()
        y = y / (y.pow(2).sum(-1, keepdim=True) / y.shape[-1] + self.eps) ** 0.5
        return y.to(x.dtype) * self.weight
"""
    graded, rooms = class_of({"rms_norm": other})
    assert outcomes(graded) == ALL_PASS
    assert rooms == 1


def test_what_is_wrong_is_graded_as_if_it_were_alone(class_of: Graders) -> None:
    wrong = {"repeat_kv": "def repeat_kv(x, n_rep):\n    return x.repeat(1, 1, n_rep, 1)\n"}
    graded, rooms = class_of(wrong)
    assert outcomes(graded) == ALL_PASS | {"repeat_kv": "failed"}
    assert rooms == 2
    alone, _ = class_of(wrong, names=["repeat_kv"])
    assert essence(graded["repeat_kv"]) == essence(alone["repeat_kv"])
    assert graded["repeat_kv"].mistake is not None


def essence(graded: Graded) -> Any:
    tests = [dataclasses.replace(test, duration_s=0.0) for test in graded.tests]
    return dataclasses.replace(graded, duration_s=0.0, tests=tuple(tests))


def test_a_stub_needs_no_room_of_its_own_and_leaves_the_others_theirs(class_of: Graders) -> None:
    stubs = {name: shelf.stub(catalogue.load()[f"ch5/{name}"]) for name in ("config", "rotary")}
    graded, rooms = class_of(stubs)
    assert outcomes(graded) == ALL_PASS | dict.fromkeys(stubs, "untouched")
    assert rooms == 1


def test_what_cannot_be_read_takes_one_room_for_itself(class_of: Graders) -> None:
    graded, rooms = class_of({"config": "def (", "rotary": "import nothing_of_that_name\n"})
    assert outcomes(graded) == ALL_PASS | {"config": "error", "rotary": "error"}
    assert rooms == 3


@pytest.mark.parametrize(
    "spoils",
    [
        "import torch\ntorch.set_default_dtype(torch.float64)\n",
        "import torch\ntorch.set_grad_enabled(False)\n",
        "import torch\ntorch.nn.Linear = None\n",
        "import builtins\nbuiltins.range = None\n",
        "import sys\nsys.modules['torch'] = None\n",
        "import threading, os, time\n"
        "threading.Thread(target=lambda: (time.sleep(0.02), os._exit(3)), daemon=True).start()\n",
        "import gc, types\n"
        "for one in gc.get_objects():\n"
        "    if isinstance(one, types.FunctionType) and one.__name__ == 'serve':\n"
        "        one.__code__ = (lambda connection: None).__code__\n",
        "import gc\n"
        "for one in gc.get_objects():\n"
        "    if type(one).__name__ == 'type' and one.__name__ == 'Room':\n"
        "        one.answer = lambda self, body: b'nonsense'\n",
    ],
    ids=["dtype", "grad", "Linear", "range", "torch", "thread", "serve", "answer"],
)
def test_an_exercise_that_spoils_its_room_spoils_no_other(class_of: Graders, spoils: str) -> None:
    graded, _ = class_of({"config": solution("config") + "\n" + spoils})
    assert outcomes({n: one for n, one in graded.items() if n != "config"}) == {
        name: "passed" for name in NAMES if name != "config"
    }


@pytest.mark.parametrize("ends", ["import os\nos._exit(0)", "while True:\n    pass", "1 / 0"])
def test_an_exercise_that_ends_or_never_ends_takes_no_other_along(
    class_of: Graders, ends: str
) -> None:
    body = ends.replace("\n", "\n    ")
    code = f"def repeat_kv(x, n_rep):\n    {body}\n"
    graded, _ = class_of({"repeat_kv": code}, timeout_s=2.0)
    told = "timeout" if "while" in ends else "error"
    assert outcomes(graded) == ALL_PASS | {"repeat_kv": told}


def test_an_exercise_has_the_time_that_is_its_own(class_of: Graders) -> None:
    """What takes longer than a common room waits has its whole time in another."""
    slow = "import time\ntime.sleep(1.5)\n" + solution("repeat_kv").replace(
        "from __future__ import annotations", ""
    )
    graded, rooms = class_of({"repeat_kv": slow}, timeout_s=10.0)
    assert outcomes(graded) == ALL_PASS
    assert rooms == 3  # the common one, its own, and the next common one


def test_a_solution_that_stood_in_cannot_be_kept_for_later(class_of: Graders) -> None:
    """attention.py keeps the solution of repeat_kv, which it was given, for repeat_kv.py."""
    keeps = solution("attention") + "\nimport torch\ntorch.kept = repeat_kv\n"
    takes = "import torch\n\ndef repeat_kv(x, n_rep):\n    return torch.kept(x, n_rep)\n"
    for names in (["attention", "repeat_kv"], ["repeat_kv", "attention"]):
        graded, _ = class_of({"attention": keeps, "repeat_kv": takes}, names=[*names, "config"])
        assert outcomes(graded)["repeat_kv"] == "error"
        assert outcomes(graded)["attention"] == "passed"


def test_a_forbidden_function_cannot_be_fetched_by_another_exercise(class_of: Graders) -> None:
    fetches = solution("config") + "\nimport torch\ntorch.kept = torch.nn.RMSNorm\n"
    takes = """
import torch

class RMSNorm(torch.nn.Module):
    def __init__(self, dim, eps=1e-5):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(dim))
        self.normed = torch.kept(dim, eps=eps, elementwise_affine=False)

    def forward(self, x):
        return self.weight * self.normed(x.float()).to(x.dtype)
"""
    graded, _ = class_of({"config": fetches, "rms_norm": takes})
    assert outcomes(graded)["rms_norm"] == "error"  # in its own room nobody has kept anything
    assert graded["rms_norm"].points == 0


def test_an_exercise_may_use_what_another_forbids(class_of: Graders) -> None:
    uses = solution("mlp").replace(
        "        self.dropout = nn.Dropout(dropout)\n",
        "        self.dropout = nn.Dropout(dropout)\n        nn.RMSNorm(dim)\n",
    )
    graded, rooms = class_of({"mlp": uses})
    assert outcomes(graded) == ALL_PASS
    assert rooms == 2


def test_what_needs_a_forbidden_function_has_a_room_that_holds_it(class_of: Graders) -> None:
    """5.3.5 forbids the cross entropy, which the model of 5.1.6 is built on."""
    names = ["config", "masked_loss", "model", "kv_cache"]
    graded, rooms = class_of(names=names)
    assert outcomes(graded) == dict.fromkeys(names, "passed")
    assert rooms == 2


def test_code_that_counts_is_found_out_in_a_common_room(class_of: Graders) -> None:
    def after(calls: int) -> str:
        return (
            "CALLS = []\n\n\ndef repeat_kv(x, n_rep):\n    CALLS.append(1)\n"
            f"    return x.repeat_interleave(n_rep, 2) * (1 if len(CALLS) <= {calls} else 2)\n"
        )

    found = {n: outcomes(class_of({"repeat_kv": after(n)})[0])["repeat_kv"] for n in (3, 10_000)}
    assert found[3] == "failed"
    assert found[10_000] == "passed"


def test_what_is_printed_is_told_of_its_own_exercise(class_of: Graders) -> None:
    graded, _ = class_of(
        {name: solution(name) + f"\nprint('this is {name}')\n" for name in ("repeat_kv", "mlp")}
    )
    said = {name: one.printed.text for name, one in graded.items() if one.printed is not None}
    assert said == {"repeat_kv": "this is repeat_kv\n", "mlp": "this is mlp\n"}


def test_own_requirements_share_a_room_too(class_of: Graders) -> None:
    graded, rooms = class_of(own=True)
    assert outcomes(graded) == ALL_PASS
    assert rooms == 1


@pytest.fixture(autouse=True)
def torch_as_it_was() -> Iterator[None]:
    import torch

    before = torch.nn.RMSNorm
    yield
    assert torch.nn.RMSNorm is before
