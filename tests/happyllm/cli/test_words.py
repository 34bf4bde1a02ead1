"""What the command says is said in Chinese too: every message, and nothing that is no message."""

import ast
import re
import string
from pathlib import Path

import pytest

import happyllm as package
from happyllm.cli import words
from happyllm.language import readers_language

from .conftest import SMALL, done, happyllm

CODE = Path(package.__file__).parent
PARTS = ("cli", "pipeline", "train", "tokenizer", "data")
ERRORS = re.compile(r"(Config|Checkpoint|Folder|Parts|Launch|TokenizerFile)Error|TrainingDiverged")
SAYING = {"tell", "translated", "note", "notify", "say", "_say"}
# What is nothing but numbers, names and what others say.
WORDLESS = {
    "happyllm: {0}",
    "corpus: {0}",
    "corpus: {0} (corpus.people, corpus.most_events)",
    "model: {0}",
    "model.{0}",
}
CHINESE = re.compile(r"[\u4e00-\u9fff]")


def template(node: ast.expr) -> str | None:
    """A text with `{0}`, `{1}`, … where something is put in; none where it is no text."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        count, out = 0, ""
        for part in node.values:
            if isinstance(part, ast.Constant):
                out += part.value
            else:
                out += f"{{{count}}}"
                count += 1
        return out
    return None


def messages() -> dict[str, str]:
    """Every message that the code says or raises, and where."""
    found = {}
    for part in PARTS:
        for file in sorted((CODE / part).rglob("*.py")):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if not isinstance(node, ast.Call) or not node.args:
                    continue
                called = getattr(node.func, "attr", getattr(node.func, "id", ""))
                if called == "tell" and not isinstance(node.func, ast.Name):
                    continue  # a trainer's listeners are told of a step
                if not (called in SAYING or ERRORS.fullmatch(called)):
                    continue
                texts = [node.args[0]]
                if isinstance(texts[0], ast.IfExp):
                    texts = [texts[0].body, texts[0].orelse]
                for one in texts:
                    if (said := template(one)) is not None and re.search("[a-z]", said):
                        found[said] = f"{file.relative_to(CODE)}:{node.lineno}"
    return {said: where for said, where in found.items() if said not in WORDLESS}


MESSAGES = messages()


def test_there_are_messages_to_look_at():
    assert len(MESSAGES) > 100


def filled(said: str) -> str:
    """A message with something put in."""
    values = [f"X{i}" for i in range(said.count("{"))]
    return said.format(*values) if values else said


# Where a word that is put in decides which message it is.
CHOICES = {
    "step {0}/{1}: loss {2}, {3} {4}/s, {5} left": ["step 1/2: loss 3, 4 tokens/s, 7 s left"],
    "{0} {1}/s": ["7 tokens/s", "7 pairs/s"],
    "{0}: {1} in it; name a file or folder with text": [
        "X0: there is nothing in it; name a file or folder with text",
        "X0: all 3 records are bad in it; name a file or folder with text",
    ],
}


@pytest.mark.parametrize("said", MESSAGES, ids=MESSAGES.values())
def test_every_message_is_there_in_chinese(said):
    for text in CHOICES.get(said, [filled(said)]):
        told = words.in_chinese(text)
        assert CHINESE.search(told), text
        for value in re.findall(r"X\d", text):
            assert value in told


def test_both_languages_put_in_the_same():
    def places(text: str) -> list[str]:
        return sorted({name for _, name, *_ in string.Formatter().parse(text) if name is not None})

    for pattern, chinese in words._catalogue():
        assert places(chinese) == [str(i) for i in range(pattern.groups)], pattern.pattern


def test_what_is_no_message_stays_as_it_is():
    for text in ("", "Tom went home.", "tinytales-en/pretrain:", "---", "a\nb"):
        assert words.in_chinese(text) == text


def test_messages_inside_of_messages_are_translated():
    told = words.in_chinese("happyllm: t: there is no run of sft in it; train one by happyllm sft")
    assert told == "happyllm：t：里面没有 sft 的训练结果；用 happyllm sft 训练"


@pytest.mark.parametrize(
    ("environment", "language"),
    [
        ({"HAPPYLLM_LANG": "zh"}, "zh"),
        ({"HAPPYLLM_LANG": "en", "LANG": "zh_CN.UTF-8"}, "en"),
        ({"LC_ALL": "zh_TW.UTF-8", "LANG": "en_US.UTF-8"}, "zh"),
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "de_DE.UTF-8"}, "en"),
    ],
)
def test_the_language_is_what_was_asked_for_or_that_of_the_locale(
    monkeypatch, environment, language
):
    for name in ("HAPPYLLM_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert readers_language() == language


def test_a_run_speaks_chinese_from_the_beginning_to_the_end(monkeypatch, tmp_path):
    monkeypatch.setenv("HAPPYLLM_LANG", "zh")
    root = tmp_path / "tales"
    said = done(happyllm("pretrain", *SMALL, "--plain", "--out", root)).out.splitlines()
    latin = [line for line in said if line and not line.startswith("  ")]  # samples are indented
    assert latin != []
    assert [line for line in latin if not CHINESE.search(line)] == []
    ran = happyllm("pretrain", *SMALL, "--out", root)
    assert ran.code == 2
    assert "已有一次训练，共 12 次更新" in ran.err
    ran = happyllm("chat", root, text="/reset\n")
    assert "已忘记。" in ran.err
    assert "还没有学会回答" in ran.err


def test_a_typing_error_in_the_settings_is_told_in_chinese(monkeypatch, tmp_path):
    monkeypatch.setenv("HAPPYLLM_LANG", "zh")
    ran = happyllm("pretrain", "--set", "run.se=1", "--out", tmp_path / "x")
    assert ran.code == 2
    assert "没有字段 'se'；是不是想写 'seed'？" in ran.err
