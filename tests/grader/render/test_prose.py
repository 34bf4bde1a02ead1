"""Prose: lines are filled in either language, and no mark of Chinese begins one."""

from __future__ import annotations

import pytest
from rich.cells import cell_len

from grader.render.prose import broken

EN = "In grouped-query attention a few key/value heads serve many query heads at once."
ZH = (
    "生成时，每出一个新 token 都要把之前所有 token 的键和值再读一遍，"
    "限制速度的正是这块内存。（见5.1）"
)


@pytest.mark.parametrize("width", [12, 20, 33, 78])
@pytest.mark.parametrize("text", [EN, ZH])
def test_no_line_is_wider_and_nothing_is_lost(text: str, width: int) -> None:
    lines = broken(text, width)
    assert max(map(cell_len, lines)) <= width
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")


@pytest.mark.parametrize("width", [12, 20, 33])
def test_chinese_fills_its_lines(width: int) -> None:
    lines = broken(ZH, width)
    assert all(cell_len(line) >= width - 8 for line in lines[:-1])


@pytest.mark.parametrize("width", range(8, 40))
def test_no_line_begins_with_what_closes_or_ends_with_what_opens(width: int) -> None:
    lines = broken(ZH, width)
    assert not any(line[0] in "，。）" for line in lines)
    assert not any(line[-1] in "（" for line in lines)


def test_english_breaks_between_words_only() -> None:
    assert [word for line in broken(EN, 20) for word in line.split()] == EN.split()


def test_a_word_longer_than_a_line_is_cut_and_kept() -> None:
    assert broken("a happyllm-grade-and-more b", 8) == ["a", "happyllm", "-grade-a", "nd-more", "b"]


def test_nothing_is_no_line() -> None:
    assert broken("", 10) == []
