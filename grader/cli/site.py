"""`happyllm-grade docs`: the book on this machine, beside the learner's editor."""

from __future__ import annotations

import sys
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from grader import catalogue
from grader.catalogue import Catalogue, Language, Text, UnknownTarget
from grader.learning import workspace
from grader.learning.workspace import Workspace, WorkspaceError

from .command import language_option

if TYPE_CHECKING:
    from grader.book.live import Live
    from grader.book.server import Server

# The same port each time, since a browser keeps a reader's notes by address and port.
PORT: Final = 8471

SAID: Final = {
    "building": Text("Building the book …", "正在生成本书……"),
    "serving": Text("The book is at {} (Ctrl-C ends it)", "本书在 {}（按 Ctrl-C 结束）"),
    "live": Text(
        "Cards show how {} stands, and grade what you save.",
        "练习卡片会显示 {} 的进度，保存文件即自动评测。",
    ),
    "alone": Text(
        "No workspace here, so that cards show no progress; `happyllm-grade init DIR` makes one.",
        "这里没有工作区，练习卡片不显示进度；可用 `happyllm-grade init DIR` 建立一个。",
    ),
    "taken": Text("Port {} is taken; this is another.", "端口 {} 已被占用，改用另一个。"),
    "printed": Text("{} written.", "已写入 {}。"),
}


@click.command("docs")
@click.argument("target", required=False, metavar="[TARGET]")
@click.option(
    "--workspace",
    "folder",
    type=click.Path(path_type=Path),
    help="Where your files lie.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=PORT,
    show_default=str(PORT),
    help="The port to serve it on; 0 takes any that is free.",
)
@click.option("--no-open", is_flag=True, help="Open no browser.")
@click.option("--rebuild", is_flag=True, help="Build the book anew, even if nothing has changed.")
@click.option(
    "--pdf",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Print the whole book to this file by Chromium, and serve nothing.",
)
@language_option
def docs(
    target: str | None,
    folder: Path | None,
    port: int,
    no_open: bool,
    rebuild: bool,
    pdf: Path | None,
    lang: Language,
) -> None:
    """Read the book here: served to your own machine, at the page of TARGET.

    TARGET is an exercise (ch5/repeat_kv), a section (5.1.3.1), a chapter or a file, as for grading.
    In a workspace each exercise's card shows whether you have solved it, and changes when you save.
    """
    from grader.book import build

    known = catalogue.load()
    place = build.root()
    page = _page(target, known, folder, place / "docs" / lang)
    if rebuild or not build.is_cached():
        click.echo(SAID["building"].in_(lang), err=True)
    site = build.cached(anew=rebuild)
    if pdf is not None:
        from grader.book import printing

        printing.pdf(site, place, lang, pdf)
        click.echo(SAID["printed"].in_(lang).format(pdf))
        return
    _serve(site, page if lang == "en" else f"zh/{page}", known, folder, port, not no_open, lang)


def _page(target: str | None, known: Catalogue, folder: Path | None, docs: Path) -> str:
    """The address of a target on the site."""
    from grader.book import cards, pages

    if target is None:
        return "index.html"
    anchors = pages.anchored(pages.read(docs))
    section = pages.anchor(target)
    if section in anchors:
        return f"{anchors[section].url}#{section}"
    try:
        exercises = known.find(target)
    except UnknownTarget:
        if not Path(target).exists():
            raise
        _, exercises = workspace.aim([target], known, folder)
    if any(target == chapter.id for chapter in known.chapters):
        return f"exercises.html#exercises-{target}"
    return cards.address(exercises[0], docs)


def _serve(
    site: Path,
    page: str,
    known: Catalogue,
    folder: Path | None,
    port: int,
    open_it: bool,
    lang: Language,
) -> None:
    from grader.book.live import Live

    place = _workspace(folder, known)
    live = Live(place, known, _complain) if place else None
    server = _server(site, port, live, lang)
    address = f"{server.address}/{page}"
    try:
        click.echo(SAID["serving"].in_(lang).format(address))
        click.echo(SAID["live" if place else "alone"].in_(lang).format(place and place.root))
        sys.stdout.flush()
        if open_it:
            webbrowser.open(address)
        server.serve_forever()
    except KeyboardInterrupt:  # the way to end it
        click.echo()
    finally:
        server.server_close()
        if live is not None:
            live.close()


def _complain(said: str) -> None:
    click.echo(f"happyllm-grade: {said}", err=True)


def _workspace(folder: Path | None, known: Catalogue) -> Workspace | None:
    if folder is not None:
        return workspace.find(folder, known)
    try:
        return workspace.find(Path(), known)
    except WorkspaceError:
        return None


def _server(site: Path, port: int, live: Live | None, lang: Language) -> Server:
    from grader.book.server import Server

    try:
        return Server(site, port, live)
    except OSError:
        click.echo(SAID["taken"].in_(lang).format(port), err=True)
        return Server(site, 0, live)
