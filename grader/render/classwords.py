"""What the pages and files of a class say, in both languages."""

from __future__ import annotations

from grader.catalogue import Language, Text
from grader.gradebook import Status

STATUS: dict[Status, Text] = {
    "graded": Text("graded", "已评分"),
    "unreadable": Text("cannot be read", "无法读取"),
    "missing": Text("nothing handed in", "未提交"),
    "ungraded": Text("not graded yet", "尚未评分"),
}

SAID = {
    "student": Text("student", "学生"),
    "name": Text("name", "姓名"),
    "email": Text("email", "邮箱"),
    "section": Text("section", "班级"),
    "status": Text("status", "状态"),
    "attempt": Text("attempt", "第几次提交"),
    "attempts": Text("attempts", "提交次数"),
    "attempt_of": Text("attempt {n} of {of}: {name}", "第 {n} 次提交（共 {of} 次）：{name}"),
    "handed_in": Text("handed in", "提交时间"),
    "due": Text("due", "截止时间"),
    "late": Text("late", "迟交"),
    "late_by": Text(
        "{days:.1f} days late: minus {share:.0%}", "迟交 {days:.1f} 天：扣 {share:.0%}"
    ),
    "penalty": Text("penalty", "扣分比例"),
    "points": Text("points", "分数"),
    "possible": Text("points possible", "满分"),
    "outcome": Text("outcome", "结果"),
    "mistake": Text("mistake", "错误"),
    "exercise": Text("exercise", "练习"),
    "isolation": Text("isolation", "隔离"),
    "seal": Text("seal", "校验"),
    "no_points_yet": Text(
        "The grader itself failed on this; it is no grade, and will be graded again.",
        "评测器在此出错；这不是成绩，将重新评分。",
    ),
    "nothing": Text("Nothing was handed in under this name.", "没有收到这位学生的作业。"),
    "not_yet": Text("This has not been graded yet.", "这份作业尚未评分。"),
    "passed": Text("All of its tests passed.", "所有测试均已通过。"),
    "untouched": Text("Not written yet.", "还没有写。"),
    "did_not_hold": Text("what did not hold", "未成立的有"),
    "hint": Text("hint", "提示"),
    "reread": Text("Reread section {section}.", "重读 {section} 节。"),
    "your_line": Text("your code", "你的代码"),
    "pattern": Text("in common", "共同点"),
    "left_out": Text("left out of what you handed in", "作业中被忽略的部分"),
    "feedback": Text("Feedback", "反馈"),
    "report": Text("How the class did", "班级情况"),
    "of_class": Text(
        "{graded} of {of} students graded · {mean} of {possible} points on average · half have "
        "{median} or more",
        "{of} 名学生中 {graded} 名已评分 · 平均 {mean}/{possible} 分 · 中位数 {median}",
    ),
    "distribution": Text("How the points are spread", "分数分布"),
    "distribution_axis": Text("share of the points, in percent", "得分率（%）"),
    "students": Text("students", "学生数"),
    "hardest": Text("The hardest exercises", "最难的练习"),
    "hardest_tests": Text("The hardest tests", "最难的测试"),
    "mistakes": Text(
        "The commonest mistakes: what to teach tomorrow", "最常见的错误：明天该讲什么"
    ),
    "passed_by": Text("passed by {n} of {of}", "{of} 人中 {n} 人通过"),
    "failed_by": Text("not passed by {n} of {of}", "{of} 人中 {n} 人未通过"),
    "made_by": Text("made by {n}", "{n} 人"),
    "look_at": Text("To look at", "需要处理"),
    "strangers": Text("belongs to nobody on the roster", "不属于名单上的任何人"),
    "faults": Text("the grader itself failed; grade again", "评测器出错；请重新评分"),
    "none": Text("nothing", "无"),
    "foot": Text(
        "graded by happyllm {version} · seed {seed} · {when}",
        "happyllm {version} · 种子 {seed} · {when}",
    ),
}


def say(key: str, language: Language, **values: object) -> str:
    """One of the phrases, filled in."""
    return SAID[key].in_(language).format(**values)
