"""What a new workspace holds beside the stubs: for git, for editors, and a page to begin with."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from grader.catalogue import Exercise, Language

from .workspace import HOME

_IGNORED = f"""\
__pycache__/
*.py[cod]
.venv/
{HOME}/backups/
{HOME}/new/
"""

# Progress made on two machines is put together line by line.
_ATTRIBUTES = f"{HOME}/progress.jsonl merge=union\n"

_README = {
    "en": """\
# My LLM, by hand

Exercises of the book Happy-LLM. Each file here is one of them: read its docstring, fill in what
raises `NotImplementedError`, and let it be graded.

    happyllm-grade                where am I, and what is next?
    happyllm-grade {first}     grade one exercise
    happyllm-grade watch          grade whatever I save
    happyllm-grade hint           I am stuck: a hint, and with each call a plainer one
    happyllm-grade milestone {chapter}  when all is solved: my own model learns to write

Begin with `{file}`.

The files import each other as `from {chapter}.config import ModelConfig`. To run one by itself,
stay in this folder: `python -m {module}`. `happyllm-grade reset NAME` begins an exercise anew and
keeps what you had; `happyllm-grade update` brings new stubs after an upgrade and keeps what you
wrote.

What you have done is remembered in `{home}/progress.jsonl`. Keep it all in git, if you like:

    git init && git add . && git commit -m "Begin"
""",
    "zh": """\
# 亲手搭建我的大模型

《Happy-LLM》一书的练习。这里每个文件就是一道题：先读文档字符串，把抛出
`NotImplementedError` 的地方补全，然后评测。

    happyllm-grade                我做到哪里了，下一步做什么？
    happyllm-grade {first}     评测一道练习
    happyllm-grade watch          保存后自动评测
    happyllm-grade hint           卡住了：要一条提示，每要一次就更具体一些
    happyllm-grade milestone {chapter}  全部完成之后：让我自己的模型学会写字

从 `{file}` 开始。

这些文件之间这样导入：`from {chapter}.config import ModelConfig`。想单独运行某个文件，
请留在本文件夹：`python -m {module}`。`happyllm-grade reset 题名` 重做一道题，原来写的会备份；
升级之后，`happyllm-grade update` 会带来新的题目文件，你写的内容不会动。

进度记在 `{home}/progress.jsonl`。愿意的话，把整个文件夹交给 git：

    git init && git add . && git commit -m "开始"
""",
}


def furniture(exercises: Sequence[Exercise], language: Language) -> Mapping[str, str]:
    """The files of a new workspace that are no exercises: text by path."""
    first = exercises[0]
    chapters = list(dict.fromkeys(exercise.chapter for exercise in exercises))
    readme = _README[language].format(
        first=first.id, file=first.file, chapter=first.chapter, module=first.module, home=HOME
    )
    folder = "${workspaceFolder}"
    systems = ("linux", "osx", "windows")
    settings = {
        "python.analysis.extraPaths": ["."],
        "python.terminal.executeInFileDir": False,
        **{f"terminal.integrated.env.{name}": {"PYTHONPATH": folder} for name in systems},
        "files.exclude": {"**/__pycache__": True},
        "search.exclude": {HOME: True},
    }
    task = {
        "label": "happyllm-grade",
        "type": "shell",
        "command": "happyllm-grade ${relativeFile}",
        "group": {"kind": "build", "isDefault": True},
        "presentation": {"clear": True},
        "problemMatcher": [],
    }
    pyright = {"include": chapters, "exclude": [HOME], "extraPaths": ["."]}
    return {
        "README.md": readme,
        ".gitignore": _IGNORED,
        ".gitattributes": _ATTRIBUTES,
        ".vscode/settings.json": _json(settings),
        ".vscode/extensions.json": _json({"recommendations": ["ms-python.python"]}),
        ".vscode/tasks.json": _json({"version": "2.0.0", "tasks": [task]}),
        "pyrightconfig.json": _json(pyright),
    }


def _json(value: object) -> str:
    return json.dumps(value, indent=2) + "\n"
