"""A chapter's milestone: reached by files that work together, and by no luck."""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter
from pathlib import Path

import pytest

from grader import catalogue, engine, shelf
from grader.achievement import Achievement, Progressed
from grader.engine import Policy
from grader.judge.goal import _script
from grader.sandbox.jail import Limits
from grader.sandbox.nursery import Nursery

KNOWN = catalogue.load()
MILESTONE = KNOWN.chapters[0].milestone
SOLUTIONS = {exercise.file: shelf.solution(exercise) for exercise in KNOWN}


def attempt(
    warm: Nursery,
    files: dict[str, str] | None = None,
    language: catalogue.Language = "zh",
    told: list[Progressed] | None = None,
    **policy: object,
) -> Achievement:
    assert MILESTONE is not None
    return engine.attempt(
        MILESTONE,
        SOLUTIONS | (files or {}),
        language,
        Policy(**({"seed": 5} | policy)),  # type: ignore[arg-type]
        nursery=warm,
        on_progressed=None if told is None else told.append,
    )


def changed(file: str, was: str, becomes: str) -> dict[str, str]:
    assert was in SOLUTIONS[file]
    return {file: SOLUTIONS[file].replace(was, becomes)}


def holding(achieved: Achievement) -> list[bool]:
    return [claim.holds for claim in achieved.claims]


def test_the_solutions_reach_it(warm: Nursery) -> None:
    told: list[Progressed] = []
    achieved = attempt(warm, told=told)
    assert achieved.failure is None
    assert holding(achieved) == [True] * 5
    assert achieved.reached
    assert achieved.written == achieved.expected
    assert achieved.losses[-1] < 0.1 < 3 < achieved.losses[0]
    assert [one.step for one in told] == list(range(10, len(achieved.losses) + 1, 10))
    assert achieved.parameters > 100_000


def test_in_english_it_is_an_english_paragraph(warm: Nursery) -> None:
    achieved = attempt(warm, language="en")
    assert achieved.reached
    assert (achieved.given + achieved.written).startswith("A language model reads")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_who_only_knows_the_pairs_of_letters_cannot_reach_it(language: str) -> None:
    assert MILESTONE is not None
    script = _script(MILESTONE.suite)
    text = script.PARAGRAPH[language]
    pairs, firsts = Counter(itertools.pairwise(text)), Counter(text[:-1])
    best = -sum(n * math.log(n / firsts[a]) for (a, _), n in pairs.items()) / (len(text) - 1)
    assert best > 2 * script.AT_LAST


def test_a_model_whose_tokens_never_meet_does_not_learn_it(warm: Nursery) -> None:
    silent = changed(
        "ch5/decoder_layer.py",
        "h = x + self.attention(",
        "h = x + 0 * self.attention(",
    )
    achieved = attempt(warm, silent)
    assert not achieved.reached
    assert not achieved.claims[1].holds
    assert not achieved.claims[3].holds


def test_a_model_that_looks_ahead_is_found_out(warm: Nursery) -> None:
    text = SOLUTIONS["ch5/attention.py"]
    peeking = text.replace("is_causal=", "is_causal=False and ")
    assert peeking != text
    achieved = attempt(warm, {"ch5/attention.py": peeking})
    assert not achieved.reached
    assert not achieved.claims[2].holds


def test_a_cache_that_forgets_is_found_out(warm: Nursery) -> None:
    forgetful = changed(
        "ch5/kv_cache.py",
        "return self.k[:, : self.length], self.v[:, : self.length]",
        "return self.k[:, : self.length], self.v[:, : self.length] * 0.9",
    )
    achieved = attempt(warm, forgetful)
    assert not achieved.reached
    assert not achieved.claims[4].holds


def test_a_generator_that_knows_the_text_by_itself_is_not_enough(warm: Nursery) -> None:
    """The loss is worked out from the scores by the judge, not taken from what is said of it."""
    lying = changed(
        "ch5/model.py",
        "return logits, total / (targets != -100).sum().clamp(min=1)",
        "return logits, total * 0 + 0.001",
    )
    achieved = attempt(warm, lying)
    assert achieved.losses[-1] == pytest.approx(0.001)
    assert not achieved.reached
    assert not achieved.claims[1].holds


def test_an_exception_is_told_by_its_line(warm: Nursery) -> None:
    broken = changed("ch5/mlp.py", "return self.dropout(", "return self.dorpout(")
    achieved = attempt(warm, broken)
    assert achieved.failure is not None
    assert (achieved.reached, achieved.exit_code) == (False, 1)
    assert achieved.failure.frames[-1].file == "ch5/mlp.py"
    assert "dorpout" in achieved.failure.message.en


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("def generate(\n", "exception"),
        ("import sys\nsys.exit(0)\n", "exception"),
        ("import os\nos._exit(0)\n", "exit"),
        ("while True:\n    pass\n", "timeout"),
        ("x = [bytearray(1 << 28) for _ in range(1000)]\n", "memory"),
        ("def generate(*_, **__):\n    return 'A language model'\n", "type"),
        ("", "exception"),
    ],
)
def test_whatever_a_file_does_an_answer_comes_back(warm: Nursery, text: str, kind: str) -> None:
    seconds = 3.0 if kind == "timeout" else None
    achieved = attempt(warm, {"ch5/generate.py": text}, timeout_s=seconds)
    assert achieved.failure is not None
    assert (achieved.failure.kind, achieved.exit_code) == (kind, 1)
    assert achieved.failure.message.zh


def test_the_code_cannot_read_the_suites(warm: Nursery) -> None:
    line = f"import os\nos.listdir({str(catalogue.SUITES)!r})\n"
    achieved = attempt(warm, {"ch5/generate.py": line})
    if achieved.isolation == "process":
        pytest.skip("there is no jail here")
    assert achieved.failure is not None
    assert re.search("PermissionError|FileNotFoundError", achieved.failure.message.en)


def test_a_jail_that_is_not_to_be_had_is_a_fault(warm: Nursery, tmp_path: Path) -> None:
    offers = engine.examine()
    refused = next((offer.isolation for offer in offers if offer.refused), None)
    if refused is None:
        pytest.skip("this machine gives every isolation")
    achieved = attempt(warm, limits=Limits(isolation=refused))
    assert achieved.exit_code == 3
