"""What the learner's loop says, in both languages: where you are, hints, solutions, milestones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from grader.catalogue import Exercise, Language, Text
from grader.standing import Row, Rung, State, Step

SAID = {
    # where you are
    "next": Text("Next", "下一步"),
    "begin": Text(
        "Not begun. Open {file}, fill in what raises NotImplementedError, then:",
        "还没开始。打开 {file}，补全抛出 NotImplementedError 的地方，然后：",
    ),
    "grade": Text("Begun, and not graded as it stands now:", "已经动笔，现在的内容还没有评测："),
    "mend": Text(
        "Not right yet, after {n}. Mend {file}, then:", "{n}后仍未通过。修改 {file}，然后："
    ),
    "try": Text("one try", "尝试一次"),
    "tries": Text("{n} tries", "尝试 {n} 次"),
    "again": Text("It passed, and was changed since:", "已经通过，但文件后来改过，请再评测："),
    "milestone": Text(
        "All solved. Now your own model, on your files alone:",
        "全部完成。现在只用你自己的文件，让模型跑起来：",
    ),
    "done": Text(
        "All done: every exercise solved, every milestone reached.",
        "全部完成：每道练习都已通过，每个里程碑都已到达。",
    ),
    "stuck": Text("Stuck? {command}", "卡住了？{command}"),
    "of": Text("{n} of {of}", "{n}/{of}"),
    "points": Text("{n} of {of} points", "{n}/{of} 分"),
    "with_help": Text("{n} with help", "{n} 道有提示"),
    "outdated": Text(
        "Your stubs are those of {was}, this is {now}: happyllm-grade update",
        "题目文件来自 {was} 版，当前是 {now} 版：happyllm-grade update",
    ),
    "forgetful": Text(
        "Nothing is remembered in this folder; `happyllm-grade init .` changes that.",
        "这个文件夹不记录进度；运行 `happyllm-grade init .` 即可开启。",
    ),
    "welcome": Text(
        "Happy-LLM: read a section, fill in a stub, and learn which mistake it is.",
        "Happy-LLM：读一节，补全一个题目，马上知道错在哪里。",
    ),
    "see": Text("see what it does", "先看看效果"),
    "make": Text(
        "make a folder of your own, then: cd my-llm", "建一个自己的文件夹，然后 cd my-llm"
    ),
    "rest": Text("all the rest", "其余命令"),
    # a list
    "exercise": Text("exercise", "练习"),
    "section": Text("section", "章节"),
    "title": Text("title", "标题"),
    "begun": Text("begun", "已动笔"),
    "changed": Text("changed since", "之后改过"),
    "hint_used": Text("1 hint", "提示 1 条"),
    "hints_used": Text("{n} hints", "提示 {n} 条"),
    "gave_up": Text("solution read", "看过解答"),
    "waits": Text("waits on {names}", "等待 {names}"),
    "and": Text(", ", "、"),
    "waiting": Text(
        "{id} is right in isolation, waiting on {names}.",
        "{id} 单独来看是对的，还在等 {names}。",
    ),
    "none": Text("Nothing here.", "这里没有。"),
    # hints
    "hint": Text("hint {n} of {of}", "提示 {n}/{of}"),
    "fits": Text("It fits what your last grading found.", "针对你上次评测出现的问题。"),
    "plainer": Text("Plainer still:", "再具体一些："),
    "last_hint": Text(
        "That was the last one. The solution, if you give up:", "提示到此为止。若想放弃并看解答："
    ),
    "after_pass": Text("The solution, to compare with yours:", "看看参考解答，与你的比较："),
    # the solution
    "yours": Text("yours", "你的"),
    "solution": Text("the solution", "参考解答"),
    "why": Text("Why it matters", "为什么重要"),
    "locked": Text("{id} is not solved yet. A hint first:", "{id} 还没有通过。先看一条提示："),
    "anyway": Text("To see it all the same, which is remembered:", "仍要看解答（会被记住）："),
    "same": Text("Yours is the same, line for line.", "你的写法与它逐行相同。"),
    "unreadable": Text(
        "Python cannot read your file, so the solution stands alone.",
        "Python 无法读取你的文件，所以只显示解答。",
    ),
    # beginning anew, upgrading
    "made": Text(
        "{n} exercises written, {kept} files of yours kept.",
        "写入 {n} 个题目文件，保留已有的 {kept} 个。",
    ),
    "reset_ask": Text("Begin {id} anew? What you wrote is kept.", "重做 {id}？原来写的会保留。"),
    "reset_kept": Text("What you wrote is kept as {file}", "原来写的保存在 {file}"),
    "reset_done": Text("{id} is a stub again.", "{id} 已恢复为题目。"),
    "reset_idle": Text("{id} is a stub already.", "{id} 本来就是题目，不用恢复。"),
    "reset_refused": Text(
        "nobody is there to be asked; --yes says yes", "没有人可以回答；加上 --yes 表示同意"
    ),
    "added": Text("new: {id}", "新题目：{id}"),
    "renewed": Text(
        "renewed, as nothing was written in it: {id}", "已换成新题目（你还没动笔）：{id}"
    ),
    "changed_stub": Text(
        "{id}: the task has changed in {parts}; yours is as it was, the new stub is {put}",
        "{id}：{parts} 的要求有变；你的文件没有动，新题目放在 {put}",
    ),
    "up_to_date": Text(
        "Up to date: {n} exercises of version {version}.", "已是最新：{version} 版，{n} 道练习。"
    ),
    # a milestone
    "no_milestone": Text("{chapter} has no milestone yet.", "{chapter} 还没有里程碑。"),
    "in_the_way": Text(
        "The milestone runs on your own files. What stands in the way:",
        "里程碑只用你自己的文件运行。还差：",
    ),
    "training": Text(
        "Your Transformer learns {n} characters: step {step}, loss {loss}",
        "你的 Transformer 正在学习 {n} 个字符：第 {step} 步，损失 {loss}",
    ),
    "loss": Text("loss", "损失"),
    "steps": Text("steps", "步"),
    "given": Text("given", "给出"),
    "written": Text("written by your model", "由你的模型续写"),
    "reached": Text(
        "Milestone reached: all of it is your own code, {parameters} parameters.",
        "到达里程碑：全部是你自己的代码，{parameters} 个参数。",
    ),
    "seed": Text("seed {seed}", "种子 {seed}"),
    "missed": Text("Not reached.", "没有到达。"),
}


def say(key: str, language: Language, **values: object) -> str:
    """One of the fixed phrases, filled in."""
    return SAID[key].in_(language).format(**values)


# ---- sentences that every form shares


def said(step: Step, language: Language) -> str:
    """What there is to do, in a sentence."""
    if step.row is None:
        return say(step.why, language)
    tries = step.row.state.attempts
    n = say("try", language) if tries == 1 else say("tries", language, n=tries)
    return say(step.why, language, file=step.row.exercise.file, n=n)


def subject(step: Step, language: Language) -> str:
    """What there is to do it with: its name, its title, its section."""
    if step.row is not None:
        exercise = step.row.exercise
        return f"{exercise.id} · {exercise.title.in_(language)} · {exercise.section}"
    assert step.milestone is not None
    return f"{step.milestone.title.in_(language)} · {step.milestone.section}"


def remarks(row: Row, language: Language) -> Iterator[str]:
    """What there is to say of an exercise's state, beside its mark."""
    state = row.state
    if state.changed:
        yield say("begun" if state.name == "untouched" else "changed", language)
    yield from _help(state, language)
    if row.waits_on:
        home = f"{row.exercise.chapter}/"
        names = (name.removeprefix(home) for name in row.waits_on)
        yield say("waits", language, names=say("and", language).join(names))


def _help(state: State, language: Language) -> Iterator[str]:
    if state.hints_used:
        key = "hint_used" if state.hints_used == 1 else "hints_used"
        yield say(key, language, n=state.hints_used)
    if state.gave_up:
        yield say("gave_up", language)


def ways_to_begin(language: Language) -> tuple[tuple[str, str], ...]:
    """Commands for who has no workspace, and what each does."""
    return (
        ("happyllm-grade demo", say("see", language)),
        ("happyllm-grade init my-llm", say("make", language)),
        ("happyllm-grade --help", say("rest", language)),
    )


def waiting(waits: Mapping[str, Iterable[str]], language: Language) -> list[str]:
    """A line for each exercise that passed before what it builds on."""
    return [
        say("waiting", language, id=one, names=say("and", language).join(names))
        for one, names in waits.items()
    ]


def after_hints(
    exercise: Exercise, rungs: tuple[Rung, ...], language: Language, *, solved: bool
) -> tuple[str, str]:
    """What can be asked for next, and how."""
    if rungs and rungs[-1].number < rungs[-1].of:
        return say("plainer", language), f"happyllm-grade hint {exercise.id}"
    if solved:
        return say("after_pass", language), f"happyllm-grade solution {exercise.id}"
    return say("last_hint", language), f"happyllm-grade solution {exercise.id} --give-up"
