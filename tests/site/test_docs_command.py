"""`happyllm-grade docs`: it serves the book, shows the learner's state, and prints the book."""

from __future__ import annotations

import json
import os
import re
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pexpect
import pytest
from click.testing import CliRunner

from grader import catalogue
from grader.book import build, cards, printing
from grader.book.live import Live
from grader.book.server import EVENTS, Server
from grader.cli.command import command
from grader.learning import stubs, workspace
from grader.learning.progress import Progress

from .conftest import DOCS, ROOT

TILED = "def repeat_kv(x, n_rep):\n    return x.repeat(1, 1, n_rep, 1)\n"
RIGHT = "def repeat_kv(x, n_rep):\n    return x.repeat_interleave(n_rep, 2)\n"


@pytest.fixture(scope="module")
def known():
    return catalogue.load()


@pytest.fixture
def folder(tmp_path, known):
    stubs.create(tmp_path / "my-llm", known)
    return tmp_path / "my-llm"


@pytest.fixture
def served(site, folder, known):
    """A server on a workspace, and what it complained of."""
    import threading

    complaints = []
    live = Live(workspace.find(folder, known), known, complaints.append)
    server = Server(site, 0, live)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    live.close()
    server.shutdown()
    server.server_close()
    thread.join()
    assert not complaints


def states(server, seen=-1, until=lambda states: True):
    while True:
        seen, found = server.live.wait(seen, 60)
        if found and until(found):
            return found


def test_a_card_follows_what_is_saved(served, folder, chromium):
    page = chromium.new_page()
    page.goto(f"{served.address}/exercises.html")
    badge = page.locator('.hl-badge[data-exercise="ch5/repeat_kv"]').first

    def shows(state):
        page.wait_for_function(
            "([badge, state]) => badge.dataset.state === state",
            arg=[badge.element_handle(), state],
            timeout=60_000,
        )

    shows("untouched")
    (folder / "ch5/repeat_kv.py").write_text(TILED)
    shows("failing")
    assert badge.inner_text() == "not yet right"
    (folder / "ch5/repeat_kv.py").write_text(RIGHT)
    shows("solved")
    page.close()
    place = served.live.workspace
    assert Progress.of(place).state(catalogue.load()["ch5/repeat_kv"]).name == "solved"


def test_a_wrong_answer_is_told_in_the_language_of_the_page(served, folder):
    (folder / "ch5/repeat_kv.py").write_text(TILED)
    said = states(served, until=lambda s: s.get("ch5/repeat_kv") and s["ch5/repeat_kv"].said.en)
    state = said["ch5/repeat_kv"]
    assert "tiled the heads" in state.in_("en")["said"]
    assert "平铺" in state.in_("zh")["said"]


@pytest.mark.parametrize(
    ("text", "name"),
    [("def broken(:\n", "failing"), (b"\xff\xfe\x00", "failing"), (None, "untouched")],
)
def test_whatever_is_saved_has_a_state(served, folder, text, name):
    file = folder / "ch5/repeat_kv.py"
    if text is None:
        file.unlink()
    elif isinstance(text, bytes):
        file.write_bytes(text)
    else:
        file.write_text(text)
    found = states(
        served,
        until=lambda s: "ch5/repeat_kv" in s and not s["ch5/repeat_kv"].grading,
    )
    assert found["ch5/repeat_kv"].name == name


def get(address, **headers):
    return urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=30)


def test_states_come_as_a_stream_of_events(served):
    with get(f"{served.address}{EVENTS}?lang=zh") as answer:
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        line = answer.readline().decode()
    assert json.loads(line.removeprefix("data: ")) is not None


def test_another_name_for_this_machine_is_refused(served):
    with pytest.raises(urllib.error.HTTPError) as refused:
        get(f"{served.address}/index.html", Host="elsewhere.example.org")
    assert refused.value.code == 403
    refused.value.close()


@pytest.mark.parametrize("path", ["/../../../../etc/passwd", "/assets/", "/none.html"])
def test_nothing_but_the_files_of_the_site_is_served(served, path):
    with pytest.raises(urllib.error.HTTPError) as refused:
        get(f"{served.address}{path}")
    assert refused.value.code == 404
    refused.value.close()


def test_without_a_workspace_pages_are_left_as_they_are(site):
    import threading

    server = Server(site, 0)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    with get(f"{server.address}/index.html") as answer:
        assert answer.read() == (site / "index.html").read_bytes()
    server.shutdown()
    server.server_close()
    thread.join()


def test_every_exercise_has_an_address_that_is_on_the_site(site, known):
    for language, folder in (("en", site), ("zh", site / "zh")):
        for exercise in known:
            page, _, anchor = cards.address(exercise, DOCS / language).partition("#")
            assert f'id="{anchor}"' in (folder / page).read_text(encoding="utf-8")


def test_it_says_where_it_serves_and_ends_by_ctrl_c(folder, site, tmp_path):
    cache = tmp_path / "cache"
    kept = cache / "happyllm" / "site" / build.fingerprint(ROOT)[:16]
    kept.parent.mkdir(parents=True)
    kept.symlink_to(site)
    child = pexpect.spawn(
        sys.executable,
        ["-m", "grader", "docs", "ch5/repeat_kv", "--no-open", "--port", "0", "--lang", "en"],
        cwd=str(folder),
        env=os.environ | {"XDG_CACHE_HOME": str(cache), "PYTHONPATH": str(ROOT)},
        timeout=60,
        encoding="utf-8",
    )
    child.expect(r"The book is at (http://127\.0\.0\.1:\d+/\S+#\S*repeat_kv)")
    with get(child.match[1]) as answer:
        assert b"happyllm-live" in answer.read()
    child.expect("grade what you save")
    child.sendintr()
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    assert "Traceback" not in child.before


def run(*arguments):
    return CliRunner().invoke(command, ["docs", "--no-open", "--lang", "en", *arguments])


def test_what_there_is_not_is_said():
    assert "There is no exercise" in str(run("ch5/nothing").exception)


def test_a_missing_builder_is_named_with_the_fix(monkeypatch, tmp_path):
    monkeypatch.setattr(build, "_found", lambda module: module != "mkdocs")
    with pytest.raises(
        build.BuildError, match=r"mkdocs is not installed; `pip install 'happyllm\[docs\]'"
    ):
        build.build(ROOT, tmp_path / "site")


def test_an_installation_without_a_book_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(build.shelf, "checkout", lambda: None)
    monkeypatch.setattr(build.shelf, "GRADER", tmp_path)
    with pytest.raises(build.BuildError, match="carries no book"):
        build.root()


def test_a_page_with_a_dead_link_is_not_built(tmp_path):
    import shutil

    place = tmp_path / "book"
    shutil.copytree(DOCS, place / "docs", ignore=shutil.ignore_patterns("vendor", "api"))
    for name in build.CONFIGS.values():
        text = (ROOT / name).read_text(encoding="utf-8")
        text = re.sub(r"^.*: api/.*\n", "", text, flags=re.MULTILINE)
        (place / name).write_text(text, encoding="utf-8")
    for page in (place / "docs").glob("*/index.md"):
        page.write_text("# Home { #home }\n\n[gone](exercises.md#nowhere)\n", encoding="utf-8")
    with pytest.raises(build.BuildError, match="nowhere"):
        build.build(place, tmp_path / "site")
    assert not (tmp_path / "site").exists()


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_book_is_printed_with_contents_and_page_numbers(site, chromium, tmp_path, language):
    out = tmp_path / "book.pdf"
    printing.pdf(site, ROOT, language, out)
    data = out.read_bytes()
    assert data.startswith(b"%PDF-")
    assert len(re.findall(rb"/Type\s*/Page\b", data)) >= 8
    assert b"/Outlines" in data
    entries = printing.whole(site, ROOT, language).count("<li style=")
    assert entries > 20
    assert len(re.findall(rb"/Subtype\s*/Link", data)) >= entries


def test_the_one_page_has_each_id_once_and_no_link_to_what_is_not_there(site, tmp_path):
    from grader.book import review

    text = printing.whole(site, ROOT, "en")
    (tmp_path / "print.html").write_text(text, encoding="utf-8")
    (tmp_path / "assets").symlink_to(site / "assets")
    (tmp_path / "api").symlink_to(site / "api")
    problems = [p for p in review.dead_links(tmp_path) if p.where.startswith("print.html")]
    assert not problems, "\n".join(map(str, problems))


def test_on_the_one_page_formulas_diagrams_and_pieces_are_drawn(site, chromium, tmp_path):
    (tmp_path / "print.html").write_text(printing.whole(site, ROOT, "en"), encoding="utf-8")
    (tmp_path / "assets").symlink_to(site / "assets")
    page = chromium.new_page()
    said = []
    page.on("console", lambda one: one.type == "error" and said.append(one.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto((tmp_path / "print.html").as_uri())
    diagrams = page.locator(".mermaid").count()
    page.wait_for_function(
        """n => document.querySelectorAll(".mermaid svg").length === n &&
          document.querySelectorAll("[data-widget]:not([data-mounted])").length === 0""",
        arg=diagrams,
    )
    assert page.locator(".mermaid .error-icon, .katex-error").count() == 0
    assert page.locator(".arithmatex").count() == page.locator(".arithmatex:has(.katex)").count()
    assert not said
    page.close()


def test_a_stale_site_is_built_again(tmp_path):
    first = build.fingerprint(ROOT)
    assert first == build.fingerprint(ROOT)
    copy = tmp_path / "copy"
    (copy / "docs" / "en").mkdir(parents=True)
    (copy / "docs" / "en" / "index.md").write_text("# A\n")
    before = build.fingerprint(copy)
    (copy / "docs" / "en" / "index.md").write_text("# B\n")
    assert build.fingerprint(copy) != before


def test_paths_are_targets_too(folder, known, monkeypatch):
    from grader.cli.site import _page

    monkeypatch.chdir(folder)
    page = _page("ch5/repeat_kv.py", known, None, DOCS / "en")
    assert page == cards.address(known["ch5/repeat_kv"], DOCS / "en")
    assert _page("ch5", known, None, DOCS / "en") == "exercises.html#exercises-ch5"
    assert Path("ch5/repeat_kv.py").exists()
