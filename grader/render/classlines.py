"""What the commands for a class say while they run, and when they end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from grader.catalogue import Language, Text
from grader.report import Graded, Outcome

from .feedback import one_line
from .words import OUTCOME

SAID = {
    "reading": Text("reading", "读取中"),
    "grading": Text("grading", "评测中"),
    "unreadable": Text("cannot be read", "无法读取"),
    "warming": Text("warming up", "预热中"),
    "planned": Text(
        "{of} hand-ins, {left} to grade · {isolation} · seed {seed}",
        "{of} 份作业，{left} 份待评 · {isolation} · 种子 {seed}",
    ),
    "nothing_to_do": Text("{of} hand-ins, all graded already", "{of} 份作业，都已评过"),
    "outdated": Text(
        "{n} grades rest on an earlier suite, version or rule and stay as they are; "
        "`happyllm-grade regrade {record}` shows what would change.",
        "有 {n} 个成绩基于较早的测试、版本或规则，保持不变；"
        "`happyllm-grade regrade {record}` 可查看会有哪些变化。",
    ),
    "strangers": Text("belongs to nobody on the roster: {name}", "不属于名单上的任何人：{name}"),
    "stopped": Text(
        "Stopped. What was graded is kept; the same command goes on from here.",
        "已停止。评过的都已保存；再次运行同一命令即可继续。",
    ),
    "summary": Text(
        "{graded} of {of} students graded, {unreadable} unreadable, {missing} without a hand-in, "
        "{faults} with a fault of the grader",
        "{of} 名学生：{graded} 名已评分，{unreadable} 名作业无法读取，{missing} 名未提交，"
        "{faults} 名遇到评测器出错",
    ),
    "written": Text("written: {path}", "已写入：{path}"),
    "no_change": Text(
        "{n} verdicts found again; no grade would change.", "重新得到 {n} 个结果；成绩没有变化。"
    ),
    "changes": Text(
        "{n} grades of {students} students would change.", "{students} 名学生的 {n} 个成绩会改变。"
    ),
    "accept": Text("Accept them? The old ones are kept.", "是否接受？旧成绩会保留。"),
    "accepted": Text("{n} verdicts accepted.", "已接受 {n} 个结果。"),
    "not_accepted": Text(
        "Nothing was accepted; --accept accepts without asking.",
        "没有接受任何变化；使用 --accept 可直接接受。",
    ),
    "nothing_recorded": Text("no grade yet", "尚无成绩"),
    "verified": Text(
        "{n} verdicts graded again: {same} the same, {differ} not.",
        "重新评测了 {n} 个结果：{same} 个一致，{differ} 个不一致。",
    ),
    "differs": Text(
        "{student}: {exercise}: {was} in the record, {now} today",
        "{student}：{exercise}：记录为{was}，现为{now}",
    ),
    "points": Text("{n} of {of} points", "{of} 分中得 {n} 分"),
}


MANY = 3  # from so many on, exercises are counted and not named


def say(key: str, language: Language, **values: object) -> str:
    """One of the phrases, filled in; what names others bring is made safe to show."""
    safe = {k: one_line(v) if isinstance(v, str) else v for k, v in values.items()}
    return SAID[key].in_(language).format(**safe)


def tally(found: Sequence[Graded], worth: Mapping[str, float]) -> float:
    """The points of some exercises, as the class counts them."""
    return sum(worth[g.id] * g.points / (g.points_possible or 1) for g in found)


def reasons(found: Sequence[Graded], language: Language) -> str:
    """What did not pass, in a few words: `repeat_kv failed, 6 untouched`."""
    by_outcome: dict[Outcome, list[str]] = {}
    for graded in found:
        if graded.outcome != "passed":
            by_outcome.setdefault(graded.outcome, []).append(graded.id.partition("/")[2])
    return ", ".join(
        f"{' '.join(names) if len(names) < MANY else len(names)} {OUTCOME[outcome].in_(language)}"
        for outcome, names in by_outcome.items()
    )


def outcome(name: str, language: Language) -> str:
    """The word for an outcome; nothing for none."""
    found = next((said for key, said in OUTCOME.items() if key == name), None)
    return found.in_(language) if found is not None else "—"


def bar(found: Sequence[Graded]) -> list[tuple[str, Outcome]]:
    """One cell for each exercise, and the outcome that gives it its colour."""
    return [("█" if g.outcome == "passed" else "░", g.outcome) for g in found]
