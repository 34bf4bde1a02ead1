"""How often a mistake is named rightly, over all exercises.

    python benchmarks/diagnosis.py [TARGET]… [--seed 1] [--pairs 60] [--jobs 2]

Each known mistake is put into the solution and graded: it should be named, and for certain. Then
two mistakes at a time: the nearest should be one of the two, and said with its doubt. Last the
other right ways, which should never be called a mistake. Prints a table of shares; exits 1 when a
single mistake is not named or a right answer is.
"""

from __future__ import annotations

import argparse
import itertools
import random
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from grader import catalogue
from grader.authoring.proof import Tasks, gather
from grader.authoring.provers import ProverFault, Provers, at_work
from grader.catalogue import Catalogue, Exercise

ROOT = Path(__file__).resolve().parents[1]
COLUMNS = ("single", "certain", "pairs", "one of two", "certain", "no name", "right ways", "named")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="*")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pairs", type=int, default=60, help="at most so many an exercise")
    parser.add_argument("--jobs", type=int, default=2)
    given = parser.parse_args()
    known = catalogue.load()
    chosen = [e for target in given.targets for e in known.find(target)] or list(known)
    total: Counter[str] = Counter()
    wrong: list[str] = []
    print(f"{'exercise':18}" + "".join(f"{name:>12}" for name in COLUMNS))
    with at_work(given.jobs) as provers:
        for exercise in chosen:
            counts = measure(exercise, known, provers, given.seed, given.pairs, wrong)
            total += counts
            print(row(exercise.id, counts), flush=True)
    print(row("all", total))
    for said in wrong:
        print(said)
    return int(total["named"] < total["singles"] or total["right named"] > 0)


def measure(
    exercise: Exercise,
    known: Catalogue,
    provers: Provers,
    seed: int,
    most: int,
    wrong: list[str],
) -> Counter[str]:
    """Grade every variant, and pairs of them."""
    tasks = Tasks(gather(exercise, known, ROOT, catalogue.SUITES))
    says = provers.ask(tasks.marks())
    singles = [(one["id"],) for one in says["wrongs"]]
    pairs = list(combined(says["wrongs"]))
    random.Random(seed).shuffle(pairs)
    rights = [(one["id"],) for one in says["rights"]]
    groups = [*singles, *pairs[:most], *rights]
    answers = provers.ask_all(tasks.variants(seed, *names, diagnose=True) for names in groups)
    counts: Counter[str] = Counter()
    for names, answer in zip(groups, answers, strict=True):
        if isinstance(answer, ProverFault):  # two variants that cannot stand together
            counts["impossible"] += 1
            continue
        count(counts, names, answer, names in rights, wrong, exercise)
    return counts


def combined(wrongs: list[dict[str, str]]) -> Iterator[tuple[str, str]]:
    """Pairs of mistakes in different places, a whole class before one of its methods."""
    for one, other in itertools.combinations(wrongs, 2):
        if one["target"] == other["target"]:
            continue
        first, second = sorted((one, other), key=lambda wrong: wrong["target"].count("."))
        yield first["id"], second["id"]


def count(
    counts: Counter[str],
    names: tuple[str, ...],
    answer: dict[str, Any],
    is_right: bool,
    wrong: list[str],
    exercise: Exercise,
) -> None:
    named, certain = answer["mistake"], answer["certain"]
    if is_right:
        counts["rights"] += 1
        counts["right named"] += bool(named)
    elif len(names) == 1:
        counts["singles"] += 1
        counts["named"] += named == names[0]
        counts["certain"] += named == names[0] and certain
        if named != names[0]:
            wrong.append(f"{exercise.id}: {names[0]} is named {named or 'not at all'}")
    elif answer["outcome"] != "passed":
        counts["pairs"] += 1
        counts["one of two"] += named in names
        counts["pair certain"] += bool(named) and certain
        counts["no name"] += not named
        if named and named not in names:
            wrong.append(f"{exercise.id}: {' and '.join(names)} are named {named}")


def row(name: str, counts: Counter[str]) -> str:
    def share(part: str, whole: str) -> str:
        return f"{counts[part] / counts[whole]:.1%}" if counts[whole] else "-"

    cells = (
        *(str(counts["singles"]), share("certain", "singles"), str(counts["pairs"])),
        *(share("one of two", "pairs"), share("pair certain", "pairs")),
        *(share("no name", "pairs"), str(counts["rights"]), share("right named", "rights")),
    )
    return f"{name:18}" + "".join(f"{cell:>12}" for cell in cells)


if __name__ == "__main__":
    sys.exit(main())
