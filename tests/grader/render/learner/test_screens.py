"""The screens of the learner's loop, kept as text; they fit their width in both languages."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len

from grader.achievement import Achievement, Claim
from grader.catalogue import Chapter, Exercise, Hint, Language, Milestone, Text
from grader.cli.options import console
from grader.render.learner import plain, terminal
from grader.report import Failure, Frame
from grader.standing import ChapterStanding, Row, Rung, Standing, State, Step


def exercise(name: str, section: str, en: str, zh: str) -> Exercise:
    return Exercise(
        id=f"ch5/{name}",
        section=section,
        title=Text(en, zh),
        objects=(f"happyllm.llama.x:{name}",),
        blanks=(name,),
        points=10,
        requires=(),
        time_limit_s=10,
        preload=("torch",),
        hints=(
            Hint(
                "Few key/value heads serve many query heads, so each has to stand n_rep times.",
                "少数键值头服务多个查询头，所以每个键头要连续出现 n_rep 次。",
            ),
            Hint(
                "[B, T, K, d] -> [B, T, K, n_rep, d] -> [B, T, K * n_rep, d].",
                "[B, T, K, d] -> [B, T, K, n_rep, d] -> [B, T, K * n_rep, d]。",
                ("tiled",),
            ),
        ),
        why=Text(
            "In the wrong order the shapes still fit, so nothing fails but the model.",
            "顺序错了形状照样对得上，不会报错，坏掉的只有模型。",
        ),
    )


NORM = exercise("rms_norm", "5.1.2", "RMSNorm", "均方根归一化")
HEADS = exercise("repeat_kv", "5.1.3.1", "repeat_kv: sharing key/value heads", "共享键值头")
ROTARY = exercise("rotary", "5.1.3.2", "Rotary embedding", "旋转位置嵌入")
ATTENTION = exercise("attention", "5.1.3.3", "LLaMA2 attention", "注意力")
MLP = exercise("mlp", "5.1.4", "The SwiGLU MLP", "门控前馈网络")
GOAL = Milestone("ch5", Text("Your own model", "你自己的模型"), "5.1.6", ("ch5/mlp",), 60)

ROWS = (
    Row(NORM, State("solved", "passed", "passed", 1)),
    Row(HEADS, State("failing", "failed", "failed", 3, hints_used=1)),
    Row(ROTARY, State("untouched", changed=True)),
    Row(
        ATTENTION,
        State("solved_with_help", "passed", "passed", 2, hints_used=2, gave_up=True),
        ("ch5/repeat_kv", "ch5/rotary"),
    ),
    Row(MLP, State("untouched")),
)
CHAPTER = Chapter(
    "ch5",
    Text("Building an LLM by Hand", "动手搭建大模型"),
    (NORM, HEADS, ROTARY, ATTENTION, MLP),
    GOAL,
)
ROOT = Path("/somewhere/my-llm")

MINE = '''def repeat_kv(x, n_rep):
    """My own words."""
    return x.repeat(1, 1, n_rep, 1)
'''
WORKED = '''def repeat_kv(x: torch.Tensor, n_rep: int) -> torch.Tensor:
    """The task."""
    B, T, K, d = x.shape  # batch, sequence, key/value heads, head size
    # Step 1: add an axis of n_rep after the heads, then merge it into them.
    return x[:, :, :, None, :].expand(B, T, K, n_rep, d).reshape(B, T, K * n_rep, d)
'''

CLAIMS = (
    Claim(
        Text(
            "It has learned the paragraph: little surprises it any more.",
            "它学会了这段话：几乎不再感到意外。",
        ),
        True,
        "0.003 < 0.1",
    ),
    Claim(
        Text(
            "With the KV cache and without it, it writes the same and scores the same.",
            "用不用 KV 缓存，写出的字和打分都一样。",
        ),
        False,
        "4e-01",
    ),
)
REACHED = Achievement(
    milestone="ch5/milestone",
    losses=tuple(4 * math.exp(-step / 15) for step in range(100)),
    given="A language model r",
    written="eads one token after another.",
    expected="eads one token after another.",
    claims=CLAIMS[:1],
    parameters=206304,
    seed=7,
    isolation="namespaces+landlock",
    duration_s=4.2,
)
MISSED = replace(REACHED, written="eads one tokkkkk", claims=CLAIMS)
RAISED = replace(
    REACHED,
    losses=(),
    given="",
    written="",
    expected="",
    claims=(),
    failure=Failure(
        "exception",
        Text(
            "ch5/mlp.py:9 raised ValueError: \x1b[31mno\x1b[0m",
            "ch5/mlp.py:9 抛出了 ValueError: \x1b[31mno\x1b[0m",
        ),
        frames=(Frame("ch5/mlp.py", 9, "forward", "raise ValueError('\u202eno')"),),
    ),
)


def standing(why: Any = "mend", row: Row | None = ROWS[1], **more: Any) -> Standing:
    step = Step(why, row, GOAL if why == "milestone" else None)
    chapters = (ChapterStanding(CHAPTER, ROWS, reached=False),)
    return Standing(ROOT, chapters, step, **({"made_with": "", "note": None} | more))


NOTE = Text("progress.jsonl: cannot be read.", "progress.jsonl：无法读取。")
RUNGS = (Rung(HEADS.hints[1], 1, 1, 2, True), Rung(HEADS.hints[0], 0, 2, 2, False))
SCREENS: dict[str, Callable[[Language, int], Any]] = {
    "welcome": lambda lang, _: terminal.welcome(lang),
    "overview": lambda lang, _: terminal.overview(standing(), lang),
    "overview-milestone": lambda lang, _: terminal.overview(
        standing("milestone", None, made_with="0.0.1", note=NOTE), lang
    ),
    "overview-done": lambda lang, _: terminal.overview(standing("done", None), lang),
    "list": lambda lang, _: terminal.table(ROWS, lang, in_workspace=True),
    "list-elsewhere": lambda lang, _: terminal.table(ROWS, lang, in_workspace=False),
    "hint": lambda lang, _: terminal.hints(HEADS, RUNGS[:1], lang, solved=False),
    "hints": lambda lang, _: terminal.hints(HEADS, RUNGS, lang, solved=False),
    "solution": lambda lang, width: terminal.solution(HEADS, MINE, WORKED, lang, width),
    "solution-alone": lambda lang, width: terminal.solution(HEADS, "", WORKED, lang, width),
    "milestone-reached": lambda lang, width: terminal.milestone(REACHED, "M", lang, width),
    "milestone-missed": lambda lang, width: terminal.milestone(MISSED, "M", lang, width),
    "milestone-raised": lambda lang, width: terminal.milestone(RAISED, "M", lang, width),
}


def shown(name: str, language: Language, width: int, **more: Any) -> str:
    text = StringIO()
    console(file=text, width=width, **more).print(SCREENS[name](language, width))
    return "".join(f"{line.rstrip()}\n" for line in text.getvalue().splitlines())


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("name", SCREENS)
def test_the_screen_is_the_one_that_is_kept(
    name: str, language: Language, width: int, same_screen: Callable[[str, str], None]
) -> None:
    same_screen(f"learner/{name}-{language}-{width}.txt", shown(name, language, width))


@pytest.mark.parametrize("width", [40, 80, 120])
@pytest.mark.parametrize("name", SCREENS)
def test_nothing_is_wider_than_the_terminal(name: str, language: Language, width: int) -> None:
    assert max(map(cell_len, shown(name, language, width).splitlines())) <= width


@pytest.mark.parametrize("name", SCREENS)
def test_nothing_that_a_learner_wrote_is_obeyed(name: str, language: Language) -> None:
    assert not set(shown(name, language, 80)) & {"\x1b", "\u202e"}


def test_colour_tells_solved_from_failing(language: Language) -> None:
    text = shown("overview", language, 80, force_terminal=True, color_system="standard")
    assert "\x1b[32m█\x1b[0m" in text
    assert "\x1b[31m▒\x1b[0m" in text


def test_plain_lines_say_the_same(language: Language) -> None:
    pages = {
        "overview": plain.overview(standing(), language),
        "list": plain.table(ROWS, language, in_workspace=True),
        "hints": plain.hints(HEADS, RUNGS, language, solved=False),
        "solution": plain.solution(HEADS, MINE, WORKED, language),
        "milestone-missed": plain.milestone(MISSED, "M", language),
        "milestone-raised": plain.milestone(RAISED, "M", language),
    }
    for page in pages.values():
        assert not set(page) & {"\x1b", "\u202e", "│", "●"}
    assert "happyllm-grade ch5/repeat_kv" in pages["overview"]
    assert "ch5/attention" in pages["overview"]  # which waits for others
    assert HEADS.hints[0].in_(language) in pages["hints"]
    assert HEADS.why.in_(language) in pages["solution"]
    assert "FAIL" in pages["milestone-missed"]
    assert "ch5/mlp.py:9" in pages["milestone-raised"]


def test_a_solution_that_is_the_learners_own_says_so() -> None:
    text = StringIO()
    to = console(file=text, width=80)
    to.print(terminal.solution(HEADS, WORKED, WORKED, "en", 80))
    assert "Yours is the same, line for line." in text.getvalue()


def test_a_long_chapter_has_a_bar_that_fits() -> None:
    rows = ROWS * 20
    bar = terminal.bar(ChapterStanding(CHAPTER, rows, reached=False))
    assert len(bar.plain) == terminal.LONGEST_BAR
