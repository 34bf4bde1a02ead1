"""A small source tree with one exercise in it, sound until a test spoils it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from grader.authoring import proof, soundness, views
from grader.authoring.proof import Cache
from grader.authoring.provers import Provers, at_work
from grader.authoring.soundness import Tree
from grader.catalogue import load
from grader.findings import Checked, Findings

FILES = {
    "happyllm/__init__.py": "",
    "happyllm/sums/__init__.py": "",
    "happyllm/sums/doubling.py": '''
        """Doubling."""

        import torch


        def double(x: torch.Tensor) -> torch.Tensor:
            """Give twice a tensor."""
            # Step 1: add it to itself.
            return x + x
        ''',
    "suites/ch9/chapter.toml": """
        [chapter]
        id = "ch9"
        title = { en = "Sums", zh = "求和" }

        [[exercise]]
        id = "double"
        section = "9.1.1"
        title = { en = "Doubling", zh = "加倍" }
        objects = ["happyllm.sums.doubling:double"]
        blanks = ["double"]
        points = 5
        why = { en = "Sums are made of it.", zh = "加法由它组成。" }
        hints = [{ en = "Add it to itself.", zh = "与自身相加。" }]
        """,
    "suites/ch9/test_double.py": '''
        """Hidden suite of ch9/double."""

        import torch

        from grader.judge import check
        from grader.judge.marks import also_right, known_wrong


        def test_it_is_twice_the_input(student):
            """Each number is doubled.

            每个数都加倍。
            """
            x = torch.randn(3)
            check.close(student.double(x), 2 * x)


        def test_a_gradient_is_doubled_too(student):
            """The gradient is two everywhere.

            梯度处处为 2。
            """

            def gradient(m, x):
                """The gradient of double(x).sum()"""
                x = x.clone().requires_grad_()
                m.double(x).sum().backward()
                return x.grad

            check.equal(student.run(gradient, torch.ones(3)), torch.full((3,), 2.0))


        @also_right("double", en="by a product")
        def multiplied(x):
            return x * 2


        @known_wrong("double", en="You squared it.", zh="你算了平方。")
        def squared(x):
            return x * x


        @known_wrong("double", en="You gave it back.", zh="你原样返回了。")
        def unchanged(x):
            return x


        @known_wrong("double", en="You halved it.", zh="你减半了。")
        def halved(x):
            return x / 2
        ''',
    "docs/en/sums.md": "# Sums { #s9-1 }\n\n## Doubling { #s9-1-1 }\n",
    "docs/zh/sums.md": "# 求和 { #s9-1 }\n\n## 翻倍 { #s9-1-1 }\n",
    "docs/outline.toml": """
        [[chapter]]
        id = "ch9"
        en = "Sums"
        zh = "求和"
        sections = [
          { number = "9.1", en = "Sums", zh = "求和" },
          { number = "9.1.1", en = "Doubling", zh = "加倍" },
        ]
        """,
    "tests/oracles/sums/test_double.py": "# torch.add agrees\n",
}


@dataclass
class Small:
    """The small tree, and what check says of it. Proofs are kept for all tests of a run."""

    root: Path
    cache: Cache
    provers: Provers

    @property
    def tree(self) -> Tree:
        return Tree(self.root, self.root / "suites")

    def path(self, name: str) -> Path:
        return self.root / name

    def change(self, name: str, old: str, new: str) -> None:
        """Change a file; `old` must be there."""
        text = self.path(name).read_text(encoding="utf-8")
        assert old in text
        self.path(name).write_text(text.replace(old, new), encoding="utf-8")

    def build(self) -> None:
        views.write(load(self.tree.suites), self.root)

    def check(self, *, keep: bool = True, anew: bool = False) -> Findings:
        known, problems = soundness.check_tree(self.tree)
        if known is None:
            return Findings((), problems)
        cache = self.cache if keep else None
        how: dict[str, Any] = {"cache": cache, "anew": anew, "provers": self.provers}
        return soundness.check(list(known), known, self.tree, **how)

    def checked(self, **how: bool) -> Checked:
        return self.check(**how).exercises[0]

    def broken(self) -> set[str]:
        """The names of the rules that it breaks."""
        return {problem.rule for problem in self.check().all_problems}


@pytest.fixture(scope="session")
def proofs(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return Cache(tmp_path_factory.mktemp("proofs"))


@pytest.fixture(scope="session")
def provers() -> Iterator[Provers]:
    with at_work(2) as judges:
        yield judges


@pytest.fixture
def small(
    tmp_path: Path, proofs: Cache, provers: Provers, monkeypatch: pytest.MonkeyPatch
) -> Small:
    monkeypatch.setattr(proof, "SEEDS", (1, 2, 3))  # enough to see what a rule says
    monkeypatch.setattr(proof, "MISTAKE_SEEDS", (1,))
    for name, text in FILES.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(dedent(text).lstrip("\n"), encoding="utf-8")
    small = Small(tmp_path, proofs, provers)
    small.build()
    return small
