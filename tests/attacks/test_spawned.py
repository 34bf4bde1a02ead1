"""Attacks on workers that were spawned: what needs no jail to be stopped is stopped there too."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from grader import catalogue, engine, shelf
from grader.sandbox.bench import SpawnedBench
from grader.sandbox.spawned import Spawner

from .hand_ins import HandIn, all_of_them

KNOWN = catalogue.load()
HONEST = KNOWN["ch5/repeat_kv"]
TRIED = (
    "cheating/imports_the_reference",
    "cheating/knows_the_seed",
    "exhausting/daemon",
    "exhausting/never_returns",
    "exhausting/output",
    "forging/endless_frames",
    "forging/os_exit_zero",
    "forging/prints_passed",
    "patching/torch_equal",
    "reading/environment_secrets",
)


@pytest.fixture(scope="module")
def bench() -> Iterator[SpawnedBench]:
    with Spawner() as spawner:
        yield SpawnedBench(spawner)


@pytest.mark.parametrize(
    "hand_in", [one for one in all_of_them() if one.name in TRIED], ids=lambda one: one.name
)
def test_an_attack_on_a_spawned_worker_gets_what_it_deserves(
    hand_in: HandIn, bench: SpawnedBench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLASS_TOKEN", "a-secret-of-the-class")
    assert hand_in.is_stopped_by("process")
    facts = {"repo": "/", "marker": tmp_path, "judge": os.getpid(), "server": os.getpid()}
    hand_in.lay(tmp_path / "mallory", facts)
    exercise = KNOWN[hand_in.exercise]
    text = (tmp_path / "mallory" / exercise.file).read_text(encoding="utf-8")
    policy = engine.Policy(timeout_s=2.0 if "timeout" in hand_in.deserved else 8.0)
    report = engine.grade([exercise], {exercise.file: text}, policy, nursery=bench)
    assert report.exercises[0].outcome in hand_in.deserved, report.to_json()[:3000]
    assert "a-secret-of-the-class" not in report.to_json()
    judge = bench._nursery._judges[-1].pid
    workers = psutil.Process(judge).children(recursive=True)
    assert len(workers) <= 1, f"left behind: {workers}"  # one may stand in reserve


def test_after_all_of_them_an_honest_answer_passes(bench: SpawnedBench) -> None:
    report = engine.grade([HONEST], {HONEST.file: shelf.solution(HONEST)}, nursery=bench)
    assert (report.exercises[0].outcome, report.isolation) == ("passed", "process")
