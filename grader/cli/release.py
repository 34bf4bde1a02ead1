"""`happyllm-grade release`, for instructors."""

from __future__ import annotations

from pathlib import Path

import click

from grader import catalogue
from grader.catalogue import Language, Text
from grader.sandbox.backends import Backend

from .classroom import backend_option, in_words
from .command import language_option

SAID = {
    "made": Text(
        "{out}: {exercises} exercises, {tests} public tests, {files} files.",
        "{out}：{exercises} 道练习，{tests} 个公开测试，{files} 个文件。",
    ),
    "bare": Text(
        "No public test looks at {names}; name some as `public` in chapter.toml.",
        "{names} 没有公开测试；可在 chapter.toml 中用 public 指定。",
    ),
    "wheel": Text(
        "{path}: the same as a wheel; `happyllm-{chapter} DIR` places it.",
        "{path}：同样内容的 wheel；`happyllm-{chapter} 文件夹` 即可展开。",
    ),
    "gradescope": Text(
        "{path}: for Gradescope. It holds the hidden tests and the solutions; give it to nobody.",
        "{path}：用于 Gradescope。内含隐藏测试和参考答案，请勿外传。",
    ),
    "grading": Text(
        "{path}: your own repository. List the students' in repositories.txt; keep it private.",
        "{path}：教师自己的仓库。请在 repositories.txt 中列出学生的仓库，并保持私有。",
    ),
    "next": Text(
        "Next: try it (python -m pytest there fails on every stub), then push it to a repository "
        "that students copy.",
        "接下来：试一试（在其中运行 python -m pytest，每道空题都应不通过），"
        "再推送到供学生复制的仓库。",
    ),
}


@click.command()
@click.argument("out", type=click.Path(path_type=Path), required=False)
@click.option("--chapter", metavar="CHAPTER", required=True, help="What to release, such as ch5.")
@click.option("--wheel", is_flag=True, help="Write a wheel that places the folder, beside it.")
@click.option("--book", metavar="ADDRESS", default="", help="Where the book is, to link to it.")
@click.option(
    "--gradescope",
    "archive",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write an autograder for Gradescope, a zip.",
)
@click.option(
    "--grading",
    type=click.Path(path_type=Path),
    help="Make a repository of your own that collects and grades, for GitHub, in this folder.",
)
@click.option(
    "--policy",
    "policy_file",
    type=click.Path(path_type=Path),
    help="The rules that --gradescope and --grading go by.",
)
@click.option(
    "--wheels",
    type=click.Path(path_type=Path),
    help="Wheels for the autograder to take along, so that it sets up without a network.",
)
@backend_option
@language_option
def release(
    out: Path | None,
    chapter: str,
    wheel: bool,
    book: str,
    archive: Path | None,
    grading: Path | None,
    policy_file: Path | None,
    wheels: Path | None,
    backend: Backend | None,
    lang: Language,
) -> None:
    """Make the student edition of a chapter in OUT: stubs, public tests, pages and CI.

    It needs nothing of this project, and holds no hidden test, no solution and no reference; the
    answers of the public tests are recorded. With --gradescope the autograder is made as well, with
    --grading a workflow that grades; both alone where no OUT is named.
    """
    from grader.book import leaves
    from grader.classroom import gradescope
    from grader.classroom import release as releases

    if out is None and archive is None and grading is None:
        raise click.UsageError("name a folder OUT for the student edition, or --gradescope ZIP")
    if out is None and (wheel or book):
        raise click.UsageError("--wheel and --book belong to a student edition; name a folder OUT")
    if archive is None and grading is None and policy_file:
        raise click.UsageError("--policy belongs to --gradescope or --grading; name one of them")
    if archive is None and wheels:
        raise click.UsageError("--wheels belongs to --gradescope; name a zip by it")
    known = catalogue.load()

    def say(key: str, **values: object) -> None:
        click.echo(SAID[key].in_(lang).format(**values))

    with in_words(lang):
        if out is not None:
            releases.vacant(out)
            pages = leaves.leaves(releases.chapter_of(chapter, known), known, lang, book)
            made = releases.edition(chapter, known, lang, book=book, pages=pages, backend=backend)
            releases.write(made.files, out)
            tests = sum(made.tests.values())
            say("made", out=out, exercises=len(made.tests), tests=tests, files=len(made.files))
            if made.bare:
                say("bare", names=", ".join(made.bare))
            if wheel:
                name, data = releases.wheel(made)
                path = out.parent / name
                releases.save(path, data)
                say("wheel", path=path, chapter=chapter)
        if archive is not None:
            data = gradescope.autograder(chapter, known, lang, rules=policy_file, wheels=wheels)
            releases.save(archive, data)
            say("gradescope", path=archive)
        if grading is not None:
            releases.write(releases.grading(chapter, known, policy_file), grading)
            say("grading", path=grading)
        if out is not None:
            say("next")
