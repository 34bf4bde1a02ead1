"""The student edition: stubs, public tests with recorded answers, and what runs them.

It holds no hidden test, no solution and no line of the reference; it needs nothing of this project.
The same release is the same bytes.
"""

from __future__ import annotations

import ast
import hashlib
import io
import re
import shutil
import sys
import tempfile
import zipfile
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from grader import catalogue, shelf
from grader.catalogue import Catalogue, Chapter, Exercise, Language, Text
from grader.files import write_whole
from grader.sandbox import wire
from grader.sandbox.backends import Backend, open_nursery
from grader.sandbox.nursery import NurseryError
from happyllm import __version__

from . import policy
from .problems import ClassroomError

TEMPLATES: Final = Path(__file__).parent / "edition"
ENTRY: Final = "grader.judge.recording:main"
SEED: Final = 1  # of the inputs that are shown; a class is graded on others
EPOCH: Final = (1980, 1, 1, 0, 0, 0)  # the first moment that a zip can tell
SYSTEMS_FILES: Final = {".git", ".DS_Store", "desktop.ini", "Thumbs.db"}


class ReleaseError(ClassroomError):
    """A student edition cannot be made, or not be written where it should."""


@dataclass(frozen=True)
class Edition:
    """A student edition.

    Attributes:
        files: every file's bytes, by its path.
        tests: how many public tests each exercise has.
    """

    chapter: str
    files: Mapping[str, bytes]
    tests: Mapping[str, int]

    @property
    def bare(self) -> tuple[str, ...]:
        """The exercises that no public test looks at."""
        return tuple(name for name, count in self.tests.items() if not count)


def edition(
    chapter: str,
    known: Catalogue,
    language: Language = "en",
    *,
    book: str = "",
    pages: Mapping[str, bytes] | None = None,
    backend: Backend | None = None,
) -> Edition:
    """Make the student edition of a chapter.

    Args:
        chapter: which, `ch5`.
        known: the exercises there are.
        language: of the page to begin with, the tests' claims and what they say.
        book: address of the book in this language; sections are links to it then.
        pages: the chapter's pages as Markdown and their figures, by path, to be read beside the
            exercises; sections are links to them where there is no address.
        backend: how the process that records is made.

    Raises:
        ReleaseError: there is no such chapter, or a public test cannot be recorded.
        ShelfError: a stub or a solution cannot be read.
    """
    found = chapter_of(chapter, known)
    needed = {one.id: one for exercise in found.exercises for one in known.requirements(exercise)}
    elsewhere = [one for one in needed.values() if one.chapter != chapter]
    stubs = [*elsewhere, *found.exercises]
    files = {one.file: _stub(one, tested=one.chapter == chapter) for one in stubs}
    recorded = _record(found.exercises, language, backend)
    for exercise in found.exercises:
        public = recorded[exercise.id]
        if public["tests"]:
            files[f"tests/test_{exercise.name}.py"] = public["module"]
        if public["data"]:
            files[f"tests/{exercise.name}.json"] = public["data"]
    said = f'LANGUAGE = "{language}"'
    for name in ("comparing.py", "conftest.py", "report.py"):
        files[f"tests/{name}"] = template(f"tests/{name}").replace('LANGUAGE = "en"', said)
    files |= {
        "README.md": _readme(found, stubs, language, book, pages or {}),
        "LICENSE": _license(),
        "requirements.txt": _requirements(files.values()),
        "pyproject.toml": _PYPROJECT,
        ".gitignore": template("gitignore"),
        ".gitattributes": "* text=auto eol=lf\n",
        ".github/workflows/public-tests.yml": template("workflow.yml"),
        ".github/actions/public-tests/action.yml": template("action.yml"),
        ".gitlab-ci.yml": template("gitlab-ci.yml"),
    }
    return Edition(
        chapter=chapter,
        files=dict(sorted({**{n: t.encode() for n, t in files.items()}, **(pages or {})}.items())),
        tests={one.id: len(recorded[one.id]["tests"]) for one in found.exercises},
    )


def chapter_of(name: str, known: Catalogue) -> Chapter:
    """The chapter of this name.

    Raises:
        ReleaseError: there is none.
    """
    for chapter in known.chapters:
        if chapter.id == name:
            return chapter
    names = ", ".join(one.id for one in known.chapters)
    raise ReleaseError(
        Text(
            f"there is no chapter '{name}'; there are {names}.",
            f"没有“{name}”这一章；可选的有 {names}。",
        )
    )


def vacant(out: Path) -> None:
    """Require a folder that is new, or empty but for git's own.

    Raises:
        ReleaseError: there is something in it, or it cannot be read.
    """
    try:
        if out.is_dir():
            there = sorted({one.name for one in out.iterdir()} - SYSTEMS_FILES)
        else:
            there = [out.name] if out.exists() or out.is_symlink() else []
    except OSError as error:
        raise _unwritable(out, error) from error
    if there:
        shown = ", ".join(there[:3])
        raise ReleaseError(
            Text(
                f"{out}: is not empty (it holds {shown}); name a new folder, so that nothing of "
                "yours is lost and nothing old is released.",
                f"{out}：不是空文件夹（里面有 {shown}）；请换一个新文件夹，以免覆盖你的文件，"
                "也避免把旧内容发布出去。",
            )
        )


def write(files: Mapping[str, bytes], out: Path) -> None:
    """Write files into a vacant folder, all or none.

    Raises:
        ReleaseError: there is something in it, or it cannot be written.
    """
    vacant(out)
    try:
        new = not out.exists()
        out.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}."))
        try:
            for name, data in files.items():
                path = draft / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
            draft.chmod(0o755)
            if new:
                draft.rename(out)
            else:
                for one in sorted(draft.iterdir()):
                    one.rename(out / one.name)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    except OSError as error:
        raise _unwritable(out, error) from error


def save(path: Path, data: bytes) -> None:
    """Write a file whole or not at all.

    Raises:
        ReleaseError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, data)
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> ReleaseError:
    why = error.strerror or str(error)
    return ReleaseError(
        Text(
            f"{path}: cannot be written: {why}; make room there, or name another place.",
            f"{path}：无法写入：{why}；请腾出空间，或换一个位置。",
        )
    )


def grading(chapter: str, known: Catalogue, rules: Path | None = None) -> dict[str, bytes]:
    """The instructor's own repository: what collects and grades the students' repositories there.

    Raises:
        ClassroomError: there is no such chapter, or the policy cannot be.
    """
    chapter_of(chapter, known)
    text = policy.load(rules, known).text if rules is not None else _POLICY
    return {
        ".github/workflows/grade.yml": template("grade.yml").replace("{chapter}", chapter).encode(),
        "policy.toml": text.encode(),
        "repositories.txt": b"# s1 https://github.com/course/s1.git\n",
        ".gitignore": b"grades/\nhand-ins/\n",
    }


_POLICY: Final = """\
[assignment]
attempt = "last"
# [due]
# at = 2026-11-01T23:59:00+08:00
[feedback]
level = "full"
"""


# ---- the wheel


def wheel(made: Edition) -> tuple[str, bytes]:
    """The edition as a wheel, whose command places it in a folder: its file name and its bytes."""
    package = f"happyllm_{made.chapter}"
    name = package.replace("_", "-")
    files = {f"{package}/edition/{path}": data for path, data in made.files.items()}
    files[f"{package}/__init__.py"] = b""
    files[f"{package}/__main__.py"] = template("place.py").replace("{package}", package).encode()
    about = [
        "Metadata-Version: 2.4",
        f"Name: {name}",
        f"Version: {__version__}",
        f"Summary: Exercises of Happy-LLM, {made.chapter}, with public tests",
        "License-Expression: MIT",
        "Requires-Python: >=3.10",
        *(
            f"Requires-Dist: {line}"
            for line in made.files["requirements.txt"].decode().splitlines()
            if line and not line.startswith(("#", "-"))
        ),
        "",
        f"`python -m {package} DIR` places the exercises in a folder.",
        "",
    ]
    entry = f"[console_scripts]\n{name} = {package}.__main__:main\n"
    return zipped_wheel(package, files, "\n".join(about), entry)


def zipped_wheel(
    package: str, files: Mapping[str, bytes], about: str, entry: str
) -> tuple[str, bytes]:
    """A pure wheel of some files: its file name and its bytes, the same for the same files."""
    info = f"{package}-{__version__}.dist-info"
    tag = "Wheel-Version: 1.0\nGenerator: happyllm\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    whole = {
        **files,
        f"{info}/METADATA": about.encode(),
        f"{info}/WHEEL": tag.encode(),
        f"{info}/entry_points.txt": entry.encode(),
    }
    lines = [f"{path},sha256={_hash(data)},{len(data)}" for path, data in sorted(whole.items())]
    whole[f"{info}/RECORD"] = "\n".join([*lines, f"{info}/RECORD,,", ""]).encode()
    return f"{package}-{__version__}-py3-none-any.whl", zipped(whole)


def zipped(files: Mapping[str, bytes], executable: Iterable[str] = ()) -> bytes:
    """Files as a zip, in the order of their names and all of one date."""
    out = io.BytesIO()
    run = set(executable)
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in sorted(files.items()):
            entry = zipfile.ZipInfo(path, EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3
            entry.external_attr = (0o100755 if path in run else 0o100644) << 16
            archive.writestr(entry, data)
    return out.getvalue()


def _hash(data: bytes) -> str:
    return urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


# ---- the parts


def template(name: str) -> str:
    """The text of a file that releases are made from."""
    return (TEMPLATES / name).read_text(encoding="utf-8")


def _stub(exercise: Exercise, *, tested: bool) -> str:
    """The stub, which tells of pytest where the original tells of the grader."""
    lines = shelf.stub(exercise).split("\n")
    kept = [line for line in lines if not line.startswith("Generated by `happyllm-grade build`")]
    text = "\n".join(kept).replace('\n\n\n"""\n', '\n"""\n').replace('\n\n"""\n', '\n"""\n', 1)
    run = f"`python -m pytest tests/test_{exercise.name}.py`" if tested else "it"
    return text.replace(f"`happyllm-grade {exercise.id}`", run)


def _record(
    exercises: Iterable[Exercise], language: Language, backend: Backend | None
) -> dict[str, dict[str, Any]]:
    """Have the public tests of each exercise written down, in a process of their own."""
    exercises = tuple(exercises)
    found: dict[str, dict[str, Any]] = {}
    problems: list[str] = []
    preload = dict.fromkeys(name for exercise in exercises for name in exercise.preload)
    try:
        with open_nursery(tuple(preload), backend) as nursery:
            connection = nursery.fork_judge(ENTRY)
            try:
                for exercise in exercises:
                    order = {
                        "suites": str(catalogue.SUITES),
                        "exercise": exercise.id,
                        "tests": list(exercise.public),
                        "seed": SEED,
                        "language": language,
                    }
                    connection.sendall(wire.frame(wire.encode(order)))
                    body = wire.receive(connection)
                    if body is None:
                        problems.append(f"{exercise.id}: {nursery.last_words()}")
                        break
                    reply = wire.decode(body)
                    if "fault" in reply:
                        problems.append(f"{exercise.id}: {reply['fault']}")
                        continue
                    for name, why in reply["refused"].items():
                        problems.append(f"{exercise.id}::{name}: {why}")
                    found[exercise.id] = reply
            finally:
                connection.close()
    except NurseryError as error:
        problems.append(str(error))
    if problems:
        told = "\n".join(problems)
        raise ReleaseError(
            Text(
                f"these public tests cannot be written down for students; take them out of "
                f"`public` in chapter.toml:\n{told}",
                f"以下公开测试无法写成学生版；请把它们从 chapter.toml 的 public 中去掉：\n{told}",
            )
        )
    return found


def _readme(
    chapter: Chapter,
    stubs: Iterable[Exercise],
    language: Language,
    book: str,
    pages: Mapping[str, bytes],
) -> str:
    texts = {path: data.decode() for path, data in pages.items() if path.endswith(".md")}
    rows = []
    for one in stubs:
        section = one.section
        anchor = f"s{section.replace('.', '-')}"
        page = next((path for path, text in texts.items() if f'<a id="{anchor}">' in text), None)
        if book:
            number, part, *_ = section.split(".")
            page = f"{book.rstrip('/')}/ch{number}/{number}-{part}.html"
        if page is not None:
            section = f"[{section}]({page}#{anchor})"
        needs = ", ".join(f"`{name.split('/')[1]}`" for name in one.requires)
        title = one.title.in_(language)
        rows.append(f"| `{one.file}` | {title} | {section} | {one.points} | {needs} |")
    folders = "`, `".join(dict.fromkeys(f"{one.chapter}/" for one in stubs))
    titles = (re.search(r"^# (.+)$", text, re.MULTILINE) for text in texts.values())
    read = [f"[{found[1]}]({path})" for path, found in zip(texts, titles, strict=True) if found]
    return (
        template(f"README.{language}.md")
        .replace("{title}", f"{chapter.id} · {chapter.title.in_(language)}")
        .replace("{chapter}", chapter.id.removeprefix("ch") if language == "en" else chapter.id)
        .replace("{folders}", folders)
        .replace("{first}", chapter.exercises[0].name)
        .replace("{rows}", "\n".join(rows))
        .replace("{pages}\n", _READ.in_(language).format(", ".join(read)) if read else "")
    )


_READ: Final = Text("To read: {}.\n\n", "阅读：{}。\n\n")
_PYPROJECT = """\
[tool.pytest.ini_options]
testpaths = ["tests"]
pythonpath = [".", "tests"]
addopts = "--tb=short"
"""


def _requirements(texts: Iterable[str]) -> str:
    """What the stubs and the tests import that is not Python's own, in the versions we need."""
    roots: set[str] = set()
    for text in texts:
        if text.lstrip().startswith("{"):
            continue  # recorded values
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Import):
                roots |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                roots.add(node.module.split(".")[0])
    foreign = {
        root
        for root in roots - sys.stdlib_module_names - {"comparing"}
        if not re.fullmatch(r"ch\d+", root)
    }
    wanted = {"pytest", "torch"} | foreign
    lines = sorted(_requirement(name) for name in wanted)
    return "\n".join(["--extra-index-url https://download.pytorch.org/whl/cpu", *lines, ""])


def _requirement(name: str) -> str:
    try:
        listed = metadata.requires("happyllm") or []
    except metadata.PackageNotFoundError:
        listed = []
    for line in listed:
        if re.match(rf"{re.escape(name)}\b", line) and ";" not in line:
            return line
    return name


def _license() -> str:
    """The licence of the code, without that of the book."""
    root = shelf.checkout()
    if root is not None:
        text = (root / "LICENSE").read_text(encoding="utf-8")
    else:
        files = [one for one in metadata.files("happyllm") or [] if one.name == "LICENSE"]
        text = files[0].read_text(encoding="utf-8") if files else ""
    found = re.search(r"^MIT License\n.*?^SOFTWARE\.$", text, flags=re.DOTALL | re.MULTILINE)
    if found is None:
        raise ReleaseError(
            Text(
                "the licence of the code cannot be found; install happyllm again.",
                "找不到代码的许可证；请重新安装 happyllm。",
            )
        )
    return f"{found[0]}\n"
