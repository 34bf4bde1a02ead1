"""What is said of hand-ins that are alike, in both languages: it is never more than evidence."""

from __future__ import annotations

from collections.abc import Iterator

from grader.catalogue import Language, Text
from grader.resemblance import Match, Pair, Resemblance, Span

from .feedback import one_line

SAID = {
    "title": Text("Hand-ins that are alike", "相似的作业"),
    "evidence": Text(
        "Evidence to look at, not a verdict: people who talk, use one source or think alike write "
        "alike. Read both texts, and ask, before you conclude anything.",
        "这里列出的只是供查看的线索，并非结论：讨论过、参考同一资料、思路相近的人都会写出相似的代码。"
        "下结论之前，请阅读双方代码并当面询问。",
    ),
    "found": Text(
        "{hand_ins} hand-ins compared; pairs at {threshold} or more: {pairs}",
        "比较了 {hand_ins} 份作业；相似度达到 {threshold} 的有 {pairs} 对",
    ),
    "pair": Text("{left} and {right}", "{left} 与 {right}"),
    "match": Text(
        "{exercise}: {left} of {left_name}'s own code is {right_name}'s, {right} the other way; "
        "{tokens} tokens",
        "{exercise}：{left_name} 自己写的代码中 {left} 与 {right_name} 相同，反之为 {right}；"
        "共 {tokens} 个词法单元",
    ),
    "as_solution": Text(
        "{share} of it is as in the grader's own solution, which either may have read",
        "其中 {share} 与系统自带的参考答案相同，双方都可能看过它",
    ),
    "too_short": Text(
        "Not compared, for a solution is too short to tell two authors by (fewer than {least} "
        "tokens of one's own): {names}",
        "以下练习的答案本来就短（自己写的不足 {least} 个词法单元），无法区分作者，"
        "不作比较：{names}",
    ),
    "shared": Text(
        "{exercise}: most of {n} hand-ins is what much of the class has, and was left out; look "
        "where it comes from",
        "{exercise}：{n} 份作业的大部分内容为班上许多人所共有，已略去；请查明其来源",
    ),
    "not_compared": Text(
        "not compared: {student}: {file}: {why}", "未比较：{student}：{file}：{why}"
    ),
    "exercise": Text("exercise", "练习"),
    "alike": Text("alike", "相似度"),
    "tokens": Text("tokens", "词法单元"),
    "lines": Text("lines", "行"),
    "left_out": Text("What was not compared", "未比较的部分"),
    "none": Text("Nothing stands out.", "没有明显相似的作业。"),
    "foot": Text("compared by happyllm {version}", "由 happyllm {version} 比较"),
}


def say(key: str, language: Language, **values: object) -> str:
    """One of the phrases, filled in; what names others bring is made safe to show."""
    safe = {k: one_line(v) if isinstance(v, str) else v for k, v in values.items()}
    return SAID[key].in_(language).format(**safe)


def found(what: Resemblance, language: Language) -> str:
    """How many were compared, and how many pairs are listed."""
    return say(
        "found",
        language,
        hand_ins=what.hand_ins,
        pairs=len(what.pairs),
        threshold=percent(what.threshold),
    )


def matched(pair: Pair, match: Match, language: Language) -> str:
    """What two hand-ins have in common in one exercise, as a sentence."""
    return say(
        "match",
        language,
        exercise=match.exercise,
        left=percent(match.left_share),
        right=percent(match.right_share),
        left_name=pair.left,
        right_name=pair.right,
        tokens=match.tokens,
    )


def left_out(what: Resemblance, language: Language, least: int) -> Iterator[str]:
    """What was not compared, and why."""
    short = ", ".join(one.exercise for one in what.exercises if one.too_short)
    if short:
        yield say("too_short", language, least=least, names=short)
    for compared in what.exercises:
        if compared.shared:
            yield say("shared", language, exercise=compared.exercise, n=compared.shared)
    for one in what.not_compared:
        why = one.why.in_(language)
        yield say("not_compared", language, student=one.student, file=one.file, why=why)


def places(span: Span) -> str:
    """The lines of a span on both sides: `12–18 = 20–26`."""
    left, right = _range(span.left_first, span.left_last), _range(span.right_first, span.right_last)
    return f"{left} = {right}"


def percent(share: float) -> str:
    return f"{share:.0%}"


def _range(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}–{last}"
