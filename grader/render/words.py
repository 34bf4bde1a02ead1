"""What the renderers say, in both languages, and how a learner's text is made safe to show."""

from __future__ import annotations

import re
import unicodedata

from grader.catalogue import Language, Text
from grader.report import Graded, Mistake, Outcome

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


def clean(text: str) -> str:
    """A learner's text with nothing in it that a terminal or a CI service would obey.

    Control characters, those that turn the direction of writing, and what begins a command of a
    CI service are shown as escapes; line breaks stay.
    """
    shown = "".join(_visible(character) for character in text.replace("\t", "    "))
    return _COMMAND.sub(lambda found: f"\\x{ord(found[0][0]):02x}{found[0][1:]}", shown)


def _visible(character: str) -> str:
    if character == "\n" or not is_obeyed(character):
        return character
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


def one_line(graded: Graded, language: Language) -> str:
    """Why an exercise did not pass, in one line."""
    if graded.outcome in ("passed", "untouched"):
        return ""
    if graded.mistake is not None:
        return mistake(graded.mistake, language)
    if graded.failure is not None:
        return " ".join(clean(graded.failure.message.in_(language)).split())
    return OUTCOME[graded.outcome].in_(language)
