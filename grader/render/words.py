"""What the renderers say, in both languages, and how a learner's text is made safe to show."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence

from grader.catalogue import Language, Text
from grader.report import Failure, Graded, Heat, Mistake, Origin, Outcome, Printed, Test

OUTCOME: dict[Outcome, Text] = {
    "passed": Text("passed", "通过"),
    "failed": Text("failed", "未通过"),
    "error": Text("error", "出错"),
    "timeout": Text("timeout", "超时"),
    "memory": Text("memory", "内存超限"),
    "blocked": Text("blocked", "被拦截"),
    "untouched": Text("untouched", "未开始"),
    "fault": Text("our fault", "评测器出错"),
}

MARK: dict[Outcome, str] = {
    "passed": "✔",
    "failed": "✘",
    "error": "✘",
    "timeout": "✘",
    "memory": "✘",
    "blocked": "✘",
    "untouched": "·",
    "fault": "!",
}

PLAIN_MARK: dict[Outcome, str] = {
    "passed": "ok",
    "failed": "FAIL",
    "error": "FAIL",
    "timeout": "FAIL",
    "memory": "FAIL",
    "blocked": "FAIL",
    "untouched": "-",
    "fault": "FAULT",
}

SAID = {
    "expected": Text("expected", "应为"),
    "got": Text("got", "得到"),
    "input": Text("argument", "参数"),
    "worst": Text(
        "largest difference {difference} at {index}", "最大误差 {difference}，在 {index}"
    ),
    "allowed": Text("rounding explains {tolerance}", "舍入误差至多 {tolerance}"),
    "printed": Text("your code printed:", "你的代码打印了："),
    "printed_here": Text("in this test your code printed:", "在这个测试里，你的代码打印了："),
    "dropped": Text("… and {n} bytes more, not kept", "……另有 {n} 字节未保留"),
    "reread": Text("reread section {section}", "重读 {section} 节"),
    "mistake": Text("The mistake: {said}", "错误所在：{said}"),
    "most_like": Text(
        "This looks most like (it explains {share} of the tests that fail): {said}",
        "看起来最像（能解释 {share} 的未通过测试）：{said}",
    ),
    "like_others": Text(
        "This looks most like (another known mistake explains as much): {said}",
        "看起来最像（另有已知错误同样说得通）：{said}",
    ),
    "tests_passed": Text("{n} of {of} tests passed", "{of} 个测试中 {n} 个通过"),
    "also_failed": Text(
        "{n} of {of} tests passed; what did not hold besides:",
        "{of} 个测试中 {n} 个通过；此外未成立的还有：",
    ),
    "first": Text("The first to look at: {claim}", "先看这一条：{claim}"),
    "more": Text("… and {n} more", "……以及另外 {n} 条"),
    "origin": Text(
        "The first {value} comes from `{operation}` at {place}.",
        "第一个 {value} 出自 {place} 的 `{operation}`。",
    ),
    "origin_of_inf": Text(
        "The first {value} comes from `{operation}` at {place}, which was given an inf; that comes "
        "from `{other}` at {other_place}.",
        "第一个 {value} 出自 {place} 的 `{operation}`，它的输入里已有 inf；"
        "inf 出自 {other_place} 的 `{other}`。",
    ),
    "origin_of_inf_there": Text(
        "The first {value} comes from `{operation}` at {place}, which was given an inf by "
        "`{other}` there.",
        "第一个 {value} 出自 {place} 的 `{operation}`，它的输入里已有 inf，"
        "来自同一行的 `{other}`。",
    ),
    "origin_backward": Text(
        "The first {value} comes from the backward pass of `{operation}`.",
        "第一个 {value} 出自 `{operation}` 的反向传播。",
    ),
    "in": Text("in {function}", "在 {function} 中"),
    "heat": Text("where it is off, at {at}", "误差分布，{at}"),
    "heat_whole": Text("where it is off", "误差分布"),
    "heat_right": Text("right", "正确"),
    "heat_off": Text("off", "有误"),
    "heat_most": Text("off by {difference}", "相差 {difference}"),
    "heat_tile": Text(
        "each cell is the worst of a patch: {shape} values on {cells} cells",
        "每格取一片中的最大误差：{shape} 个值，{cells} 格",
    ),
    "points": Text("{n} of {of} points", "{of} 分中得 {n} 分"),
    "solved": Text("{n} of {of} exercises passed", "{of} 道练习中 {n} 道通过"),
    "next": Text("Next: {command}", "下一步：{command}"),
    "stuck": Text("Stuck? {command}", "卡住了？{command}"),
    "all_done": Text("All passed.", "全部通过。"),
    "seed": Text("seed {seed}", "种子 {seed}"),
    "untouched": Text(
        "not written yet: open {file} and fill in what raises NotImplementedError",
        "还没有写：打开 {file}，补全抛出 NotImplementedError 的地方",
    ),
    "no_isolation": Text(
        "This code ran without isolation (--debug).", "这段代码在没有隔离的情况下运行（--debug）。"
    ),
    "stands_on": Text(
        "graded on the solutions of {names}, so that nothing else is to blame",
        "其所依赖的 {names} 用的是参考实现，因此问题只在这个文件里",
    ),
}


def say(key: str, language: Language, **values: object) -> str:
    """One of the fixed phrases, filled in."""
    return SAID[key].in_(language).format(**values)


# What a CI service obeys in what a step prints. GitHub takes `::` for a command where a line begins
# with it, blanks aside, and `##[` anywhere; Azure takes `##vso[` and TeamCity `##teamcity[`. A word
# of over twenty characters may be broken by a renderer, and its `::` come to begin a line.
_COMMAND = re.compile(r"(?:(?<!\S)|(?<=\S{20}))::|##(?=\w*\[)")


_UNUSUAL = re.compile(r"[^\n -~]+")  # what has to be looked at; the rest is plain


def clean(text: str) -> str:
    """A learner's text with nothing in it that a terminal or a CI service would obey.

    Control characters, those that turn the direction of writing, and what begins a command of a
    CI service are shown as escapes; line breaks stay.
    """
    shown = escaped(text.replace("\t", "    "), _visible)
    return _COMMAND.sub(lambda found: f"\\x{ord(found[0][0]):02x}{found[0][1:]}", shown)


def escaped(text: str, escape: Callable[[str], str]) -> str:
    """A text in which each character that would be obeyed is written in another way."""

    def of_run(found: re.Match[str]) -> str:
        if found[0].isprintable():  # then none of them would
            return found[0]
        return "".join(escape(one) if is_obeyed(one) else one for one in found[0])

    return _UNUSUAL.sub(of_run, text)


def _visible(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def is_obeyed(character: str) -> bool:
    """Whether a terminal may act on a character, or an editor hide it, in place of showing it."""
    return unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp", "Co")


def mistake(named: Mistake, language: Language) -> str:
    """The mistake in its own words, after the doubt that there is."""
    said = named.message.in_(language)
    if named.certain:
        return said
    if named.explains == 1:
        return say("like_others", language, said=said)
    return say("most_like", language, share=f"{named.explains:.0%}", said=said)


def call(failure: Failure, language: Language) -> str | None:
    """The call that was made, or what was done."""
    said = failure.call_zh if language == "zh" else None
    return said or failure.call


def origin(found: Origin, language: Language) -> str:
    """Where the first number that is not finite came from."""
    value = {"nan": "NaN"}.get(found.value, found.value)
    if found.frame is None:
        return clean(say("origin_backward", language, value=value, operation=found.operation))
    place = f"{found.frame.file}:{found.frame.line}"
    given = {"value": value, "operation": found.operation, "place": place}
    source = found.source
    if source is None or source.frame is None:
        return clean(say("origin", language, **given))
    other = {"other": source.operation, "other_place": f"{source.frame.file}:{source.frame.line}"}
    key = "origin_of_inf_there" if other["other_place"] == place else "origin_of_inf"
    return clean(say(key, language, **given, **other))


def wrote(graded: Graded) -> tuple[str, Printed | None]:
    """What to show of what the code printed: in the test that is explained, or else in all."""
    test = graded.first_failure
    if test is not None and test.printed is not None and test.printed.text.strip():
        return "printed_here", test.printed
    if graded.printed is not None and graded.printed.text.strip():
        return "printed", graded.printed
    return "printed", None


def claims(tests: Sequence[Test], language: Language) -> dict[str, Outcome]:
    """What the tests claim that did not pass, and how they ended.

    The cases of one claim are one, which names the cases where others of it passed.
    """
    said: dict[str, Outcome] = {}
    for test in tests:
        if test.outcome == "passed" or claimed(test, tests, language) in said:
            continue
        said[claimed(test, tests, language)] = test.outcome
    return said


def claimed(test: Test, tests: Sequence[Test], language: Language) -> str:
    """What a test claims, with its case where the claim holds in another."""
    claim = test.claim.in_(language)
    cases = [one for one in tests if one.claim == test.claim]
    failing = [one for one in cases if one.outcome != "passed"]
    if test.case is None or len(failing) == len(cases):
        return claim
    some = "; ".join(clean(one.case) for one in failing[:3] if one.case is not None)
    more = "; …" if len(failing) > 3 else ""
    return f"{claim} [{some}{more}]"


# The shades of a heat map, from what is right to the worst; for a terminal without them as well.
SHADES, ASCII_SHADES = "·░▒▓█", ".:+*#"


def shades(heat: Heat, marks: str) -> list[str]:
    """The rows of a heat map, a character for each cell."""
    return ["".join(marks[level(cell)] for cell in row) for row in heat.cells]


def heat_title(heat: Heat, language: Language) -> str:
    """What a heat map shows, and of which part of a tensor."""
    if re.search(r"\d", heat.at) is None:
        return say("heat_whole", language)
    return say("heat", language, at=clean(heat.at))


def level(cell: float) -> int:
    """0 for what is right, 1 to 4 for how far it is off."""
    return 0 if cell <= 0 else min(4, 1 + int(4 * cell))


def tells(heat: Heat) -> bool:
    """Whether a heat map shows what the values do not: some cells are right, and there are many."""
    cells = [cell for row in heat.cells for cell in row]
    return 0 in cells and any(cells) and (len(heat.cells) > 1 or len(cells) > 6)


def one_line(graded: Graded, language: Language) -> str:
    """Why an exercise did not pass, in one line."""
    if graded.outcome in ("passed", "untouched"):
        return ""
    if graded.mistake is not None:
        return mistake(graded.mistake, language)
    if graded.failure is not None:
        return " ".join(clean(graded.failure.message.in_(language)).split())
    return OUTCOME[graded.outcome].in_(language)
