"""The hand-ins under submissions/, and what each says of itself in its first lines.

    # outcome: failed, error     the outcomes that it deserves
    # needs: landlock            under what is weaker than this, nothing stops it
    # exercise: ch5/rms_norm     what it is handed in for; ch5/repeat_kv if it does not say
    # never: TRACED              a word that it says in its report only when it succeeds
    # ceiling: 700               megabytes that it, and what it starts, may take at a time
    # processes: 64              how many processes there may be at a time
    # patience: 6                seconds until its verdict; 12 if it does not say
    # beside: conftest.py        a file with the text of its PLANTED, beside the exercise
    # many: 70                   so many large files beside the exercise
    # link: a -> b               a symbolic link in the submission
    # pipe: a                    a named pipe in the submission
    # hole: why                  it succeeds today; the test says when it stops

In its text, {{repo}} and the like stand for what an attacker knows or guesses of the machine.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from grader.sandbox.jail import STRENGTHS

FOLDER = Path(__file__).parent / "submissions"
KINDS = ("reading", "forging", "patching", "planting", "exhausting", "reaching", "cheating")
NEEDS = {"namespaces": "namespaces+landlock", "uid": "landlock+uid", "landlock": "landlock"}


@dataclass(frozen=True)
class HandIn:
    name: str
    text: str
    said: Mapping[str, tuple[str, ...]]

    @property
    def deserved(self) -> set[str]:
        return set(self.said["outcome"][0].split(", "))

    @property
    def exercise(self) -> str:
        return self.one("exercise", "ch5/repeat_kv")

    def one(self, key: str, default: str = "") -> str:
        return self.said.get(key, (default,))[0]

    def is_stopped_by(self, isolation: str) -> bool:
        """Whether this isolation, or a weaker one, is said to be enough."""
        needed = self.one("needs")
        if not needed:
            return True
        strengths = list(STRENGTHS)
        return strengths.index(isolation) <= strengths.index(NEEDS[needed])

    def lay(self, root: Path, facts: Mapping[str, object]) -> None:
        """Put the hand-in, with all that it has beside it, into a folder."""
        text = filled(self.text, facts)
        chapter = root / "ch5"
        chapter.mkdir(parents=True)
        (root / f"{self.exercise}.py").write_text(text)
        planted = _constant(text, "PLANTED")
        for name in self.said.get("beside", ()):
            for one in name.split(", "):
                file = root / one
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(planted)
        for number in range(int(self.one("many", "0"))):
            (chapter / f"part_{number}.py").write_text(f"X = '{'x' * (1_000_000 - 10)}'\n")
        for link in self.said.get("link", ()):
            place, _, target = filled(link, facts).partition(" -> ")
            if (root / place).is_dir():
                shutil.rmtree(root / place)
            (root / place).unlink(missing_ok=True)
            (root / place).symlink_to(target)
        for name in self.said.get("pipe", ()):
            os.mkfifo(root / name)


def filled(text: str, facts: Mapping[str, object]) -> str:
    return re.sub(r"\{\{(\w+)\}\}", lambda match: str(facts[match[1]]), text)


def _constant(text: str, name: str) -> str:
    for node in ast.parse(text).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            return str(ast.literal_eval(node.value))
    return ""


def _read(path: Path) -> HandIn:
    text = path.read_text(encoding="utf-8")
    said: dict[str, list[str]] = {}
    for line in text.splitlines():
        match = re.fullmatch(r"# (\w+): (.+)", line)
        if match is None:
            break
        said.setdefault(match[1], []).append(match[2])
    name = str(path.relative_to(FOLDER).with_suffix(""))
    return HandIn(name, text, {key: tuple(values) for key, values in said.items()})


def all_of_them() -> list[HandIn]:
    return [_read(path) for path in sorted(FOLDER.glob("*/*.py"))]
