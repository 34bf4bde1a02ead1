"""Fixed reports to render: none is a grading's, so that no screen depends on torch or on chance."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from grader.catalogue import Text
from grader.report import (
    Argument,
    Failure,
    Frame,
    Graded,
    Heat,
    Mistake,
    Origin,
    Outcome,
    Printed,
    Report,
    Test,
    Value,
    Variable,
)

SCREENS = Path(__file__).parent / "screens"

HOSTILE = (
    "\x1b[31mred\x1b[0m \x1b]8;;http://evil.example\x1b\\link\x1b]8;;\x1b\\ \x1b[2J\x1b[H "
    "\x9b31m \u202etxet\u202c \u2066x\u2069 first\rsecond \x00 \x07 \b \x7f \ud800 \u2028 \u200b "
    "[red]markup[/red] [link=http://evil.example]x[/link] :smile: tab\there"
)


def exercise(name: str, section: str, title: Text, outcome: Outcome, points: int) -> Graded:
    return Graded(
        id=f"ch5/{name}",
        section=section,
        title=title,
        file=f"ch5/{name}.py",
        outcome=outcome,
        points=points if outcome == "passed" else 0,
        points_possible=points,
        duration_s=0.1,
        isolation="namespaces+landlock" if outcome != "untouched" else "none",
    )


def report(*exercises: Graded) -> Report:
    following = next((one.id for one in exercises if one.outcome != "passed"), None)
    return Report(
        1, "0.1.0", "3.11.7", "2.6.0", 7, "namespaces+landlock", 1.5, exercises, following
    )


NORM = exercise("rms_norm", "5.1.2", Text("RMSNorm", "均方根归一化"), "passed", 5)
MLP = exercise("mlp", "5.1.4", Text("The SwiGLU MLP", "门控前馈网络"), "untouched", 5)
MODEL = exercise("model", "5.1.6", Text("The LLaMA2 model", "完整模型"), "timeout", 25)
HEADS = exercise(
    "repeat_kv", "5.1.3.1", Text("repeat_kv: sharing key/value heads", "共享键值头"), "failed", 5
)

TILED = Failure(
    kind="values",
    message=Text(
        "The answer is 0.1895 at [0, 1, 1, 0], where 0.0212 is expected; 16 of 32 values are off.",
        "答案在 [0, 1, 1, 0] 处是 0.1895，应为 0.0212；共 32 个值，16 个有误。",
    ),
    call="repeat_kv(float32[1, 2, 2, 4], 2)",
    arguments=(
        Argument(
            "x",
            Value(
                "0.0212  0.5000  -1.0000\n0.1895  0.2500   3.0000",
                "Tensor",
                (1, 2, 2, 4),
                "float32",
                "[0, 1, 0:2, 0:3]",
            ),
        ),
    ),
    expected=Value(
        "0.0212  0.5000  -1.0000  2.0000\n0.0212  0.5000  -1.0000  2.0000",
        "Tensor",
        (1, 2, 4, 4),
        "float32",
        "[0, 1, 0:2, 0:4]",
    ),
    got=Value(
        "0.0212  0.5000  -1.0000  2.0000\n0.1895  0.2500   3.0000  2.0000",
        "Tensor",
        (1, 2, 4, 4),
        "float32",
        "[0, 1, 0:2, 0:4]",
    ),
    worst=(0, 1, 1, 0),
    difference=0.1683,
    tolerance=1e-6,
    pattern=Text(
        "The right slices come in the wrong order along dimension 2: 0, 2, 1, 3 of those expected.",
        "沿第 2 维看，各片都对，但顺序错了：依次是应有的第 0, 2, 1, 3 片（从 0 数起）。",
    ),
    heat=Heat(
        ((0.0,) * 4, (1.0, 0.6, 0.3, 0.01), (0.2, 0.99, 0.5, 0.0), (0.0,) * 4),
        (4, 4),
        "[0, 1, :, :]",
    ),
)

MISTAKE = report(
    NORM,
    replace(
        HEADS,
        tests=(
            Test(
                "test_in_place[2-3]",
                Text(
                    "Each key/value head stands n_rep times in a row, before the next one begins.",
                    "每个键值头连续出现多次，然后才轮到下一个头；分组查询注意力中共用同一个键头的"
                    "查询头总是彼此相邻，它们的结果不应受其他组的影响。",
                ),
                "failed",
                0.01,
                TILED,
                "n_kv_heads=2, n_rep=3",
            ),
            Test(
                "test_once", Text("With one, nothing changes.", "只有一份时不变。"), "passed", 0.01
            ),
            *(
                Test(
                    f"test_copies[{n_rep}]",
                    Text("Every copy sends its gradient back.", "每个副本都把梯度传回。"),
                    "failed" if n_rep > 1 else "passed",
                    0.01,
                    replace(TILED, kind="gradient") if n_rep > 1 else None,
                    f"n_rep={n_rep}",
                )
                for n_rep in (1, 3)
            ),
        ),
        failure=TILED,
        mistake=Mistake(
            "tiled",
            Text(
                "You tiled the heads [K1, K2, K1, K2]; each head must repeat in place.",
                "你把整组头平铺成了 [K1, K2, K1, K2]；应让每个头原地重复。",
            ),
        ),
        stands_on=("ch5/config", "ch5/rotary"),
    ),
    MLP,
    replace(
        MODEL,
        failure=Failure(
            "timeout",
            Text(
                "ch5/model.py was still running after 20 s. Does a loop never end?",
                "ch5/model.py 运行 20 秒后仍未结束。是否有死循环？",
            ),
        ),
    ),
)

RAISED = report(
    replace(
        HEADS,
        outcome="error",
        failure=Failure(
            kind="exception",
            message=Text(
                f"ch5/repeat_kv.py raised ValueError: {HOSTILE} (line 3).",
                f"ch5/repeat_kv.py 抛出了 ValueError: {HOSTILE}（第 3 行）。",
            ),
            call=f"repeat_kv({HOSTILE!r})",
            got=Value(f"{HOSTILE}\n{HOSTILE}", "str"),
            frames=(
                Frame(HOSTILE, 3, HOSTILE, "f(x)", (0, 4), (Variable("x", "int"),)),
                *(Frame("ch5/repeat_kv.py", 7, "again", "again()", None),) * 9,
                Frame(
                    "ch5/repeat_kv.py",
                    3,
                    "repeat_kv",
                    f'raise ValueError("{HOSTILE}")',
                    (6, 16),
                    (Variable(HOSTILE, HOSTILE), Variable("x", "float32[2, 5, 2, 8]")),
                ),
            ),
            origin=Origin("nan", HOSTILE, Frame(HOSTILE, 1, HOSTILE, HOSTILE)),
        ),
        printed=Printed(f"{HOSTILE}\nline 2\n" + "x" * 5000 + "\n" + "more\n" * 50, 1234567),
    )
)

ZERO = Value("0  0  0  0\n0  0  0  0", "Tensor", (2, 4), "float32")
NAN = Failure(
    kind="finite",
    message=Text(
        "The answer holds nan, first at [0, 0], where a finite number is expected.",
        "答案在 [0, 0] 处出现 nan，这里应是有限的数。",
    ),
    call="x, after RMSNorm(dim)(x)",
    call_zh="执行 RMSNorm(dim)(x) 之后的 x",
    arguments=(Argument("dim", Value("4", "int")), Argument("x", ZERO)),
    expected=ZERO,
    got=replace(ZERO, text="nan  nan  nan  nan\n  0    0    0    0"),
    worst=(0, 0),
    pattern=Text("Wrong only at row 0; all else is right.", "只有下标 0 的行有误，其余都对。"),
    heat=Heat(((1.0,) * 4, (0.0,) * 4), (2, 4), "[:, :]"),
    origin=Origin(
        "nan",
        "*",
        Frame("ch5/rms_norm.py", 54, "forward", "return x * scale", (7, 16)),
        Origin("inf", "torch.rsqrt", Frame("ch5/rms_norm.py", 53, "forward", "")),
    ),
)
SHAPES = Failure(
    kind="exception",
    message=Text(
        "ch5/mlp.py raised RuntimeError: mat1 and mat2 shapes cannot be multiplied (line 9).",
        "ch5/mlp.py 抛出了 RuntimeError: mat1 and mat2 shapes cannot be multiplied（第 9 行）。",
    ),
    frames=(
        Frame(
            "ch5/mlp.py",
            9,
            "forward",
            "return self.w2(gate * (x @ self.w3))",
            (23, 34),
            (Variable("x", "float32[2, 5, 16]"), Variable("self.w3", "float32[48, 16]")),
        ),
    ),
    call="MLP(…)(float32[2, 5, 16])",
    arguments=(Argument("x", Value("1  2", "Tensor", (2, 5, 16), "float32", "[0, 0:1, 0:2]")),),
)
NANS = report(
    replace(
        NORM,
        outcome="failed",
        points=0,
        failure=NAN,
        tests=(
            Test(
                "test_zero",
                Text("Zero stays zero.", "零仍为零。"),
                "failed",
                0.01,
                NAN,
                None,
                Printed("7\n"),
            ),
        ),
    ),
    replace(MLP, outcome="error", failure=SHAPES),
)
MULTIPLIED = report(replace(MLP, outcome="error", failure=SHAPES))

DONE = report(NORM, replace(HEADS, outcome="passed", points=5))

REPORTS = {
    "mistake": MISTAKE,
    "raised": RAISED,
    "nan": NANS,
    "multiplied": MULTIPLIED,
    "done": DONE,
}


@pytest.fixture(params=REPORTS)
def named(request: pytest.FixtureRequest) -> tuple[str, Report]:
    """A name and its report: a mistake among others, a hostile exception, all passed."""
    return request.param, REPORTS[request.param]


@pytest.fixture
def raised() -> Report:
    """A report that is full of a learner's own text, none of it harmless."""
    return RAISED


@pytest.fixture
def mistake() -> Report:
    return MISTAKE


@pytest.fixture
def nan() -> Report:
    return NANS


@pytest.fixture
def multiplied() -> Report:
    return MULTIPLIED


@pytest.fixture
def done() -> Report:
    return DONE


@pytest.fixture(params=["en", "zh"])
def language(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def same_screen() -> Callable[[str, str], None]:
    """Compare a screen with the one that is kept; HAPPYLLM_SCREENS=write keeps what comes."""

    def compare(name: str, text: str) -> None:
        path = SCREENS / name
        if os.environ.get("HAPPYLLM_SCREENS") == "write":
            path.write_text(text, encoding="utf-8")
        kept = path.read_text(encoding="utf-8")
        difference = difflib.unified_diff(
            kept.splitlines(), text.splitlines(), f"screens/{name}", "now", lineterm=""
        )
        told = "\n".join(difference)
        assert text == kept, f"HAPPYLLM_SCREENS=write keeps the new screen, if it is right:\n{told}"

    return compare
