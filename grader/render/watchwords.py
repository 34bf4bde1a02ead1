"""What `watch` says, in both languages."""

from __future__ import annotations

from grader.catalogue import Text

SAID = {
    "watching": Text("watching {n} of your files", "正在监视 {n} 个文件"),
    "warming": Text("warming up torch …", "正在预热 torch ……"),
    "grading": Text("grading {id} …", "正在评测 {id} ……"),
    "naming": Text("{id}: looking for the mistake …", "{id}：正在找错在哪里……"),
    "waiting": Text(
        "{at} · {took:.2f} s · save {file} to grade it", "{at} · {took:.2f} 秒 · 保存 {file} 即评测"
    ),
    "idle": Text("save a file to grade it", "保存文件即评测"),
    "no_keys": Text(
        "The standard input is no terminal: no keys. Ctrl-C ends the watch.",
        "标准输入不是终端：没有按键可用。按 Ctrl-C 结束。",
    ),
    "more": Text("… {n} more lines: m shows all", "……还有 {n} 行：按 m 全部显示"),
    "passed": Text("{n} of {of} passed", "{of} 道中 {n} 道通过"),
    "solved": Text("All {n} passed.", "{n} 道全部通过。"),
    "open": Text("open {file}, fill it in, and save", "打开 {file}，补全后保存"),
    "read": Text(
        "section {section} explains it: o opens the page; h gives a hint",
        "{section} 节讲这一题：按 o 打开书页，按 h 看提示",
    ),
    "hint": Text("Hint {n} of {of}", "提示 {n}/{of}"),
    "fits": Text("It fits what was found.", "针对刚才发现的问题。"),
    "no_hint": Text("There is no hint to this one.", "这一题没有提示。"),
    "last_hint": Text("That was the last hint.", "这是最后一条提示。"),
    "next_hint": Text("h: the next hint", "h：下一条提示"),
    "list": Text("What is watched", "监视中的练习"),
    "help": Text("Keys", "按键"),
    "trouble": Text("This cannot be graded", "无法评测"),
    "page": Text("The book", "书"),
    "stopped": Text(
        "{n} of {of} passed. happyllm-grade watch goes on from here.",
        "{of} 道中 {n} 道通过。下次运行 happyllm-grade watch 可接着做。",
    ),
    "not_graded": Text("not graded yet", "尚未评测"),
}

KEYS: tuple[tuple[str, Text, Text], ...] = (
    (
        "h",
        Text("hint", "提示"),
        Text("the next hint to the exercise in focus", "当前练习的下一条提示"),
    ),
    (
        "n",
        Text("next", "下一题"),
        Text("go on to the next exercise that has not passed", "转到下一道未通过的练习"),
    ),
    (
        "l",
        Text("list", "列表"),
        Text("list what is watched, and where you are", "列出监视中的练习和当前位置"),
    ),
    ("a", Text("all", "全部"), Text("run them all", "评测全部")),
    ("o", Text("page", "书页"), Text("open the page of the book", "打开书中对应的一页")),
    (
        "r",
        Text("again", "重测"),
        Text("run this one again, on new inputs", "用新的输入重测当前练习"),
    ),
    ("m", Text("more", "更多"), Text("show the whole report, however long", "完整显示报告")),
    ("?", Text("help", "帮助"), Text("this list", "显示本列表")),
    ("q", Text("quit", "退出"), Text("end the watch", "结束")),
)
