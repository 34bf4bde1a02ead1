"""A real Chromium opens every page, in both languages, on white and on dark.

It looks up no name but 127.0.0.1, so that a request for another machine fails here as it
would for a reader without a network.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from grader.book import pages

from .conftest import DOCS

AXE = Path(__file__).parent / "vendor" / "axe-core" / "axe.min.js"
PAGES = [page.url for page in pages.read(DOCS / "en")]
DESKTOP, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}

READY = """() =>
  [...document.querySelectorAll("[data-widget]")].every((one) => "mounted" in one.dataset) &&
  [...document.querySelectorAll(".arithmatex")].every((one) => one.querySelector(".katex")) &&
  document.querySelectorAll("pre.mermaid").length === 0"""

SEVERE = """async (scheme) => {
  // Between white and dark nothing changes but colours.
  const rules = scheme === "dark" ? { runOnly: ["color-contrast"] } : {};
  // Of a formula, its thousands of parts are hidden from readers of the screen, and one colour.
  const where = { exclude: [[".katex"]] };
  const found = await axe.run(where, { resultTypes: ["violations"], ...rules });
  return found.violations
    .filter((one) => ["serious", "critical"].includes(one.impact))
    .flatMap((one) => one.nodes.map((node) => `${one.id}: ${node.html.slice(0, 160)}`));
}"""


@pytest.fixture(scope="module")
def visit(chromium, address):
    """Open a page; what went wrong on it is collected in `visit.problems`."""
    context = chromium.new_context(viewport=DESKTOP)
    context.add_init_script("localStorage.clear()")  # or the theme keeps to its first colours
    page = context.new_page()
    problems: list[str] = []
    asked: list[str] = []

    def request(one):
        asked.append(one.url)
        if not one.url.startswith((address, "data:", "blob:")):
            problems.append(f"{page.url}: asks for {one.url}")

    page.on("request", request)
    page.on("pageerror", lambda error: problems.append(f"{page.url}: {error}"))

    def failed(one):
        if one.failure != "net::ERR_ABORTED":  # by leaving the page
            problems.append(f"{page.url}: {one.url}: {one.failure}")

    page.on("requestfailed", failed)
    page.on(
        "console",
        lambda one: one.type == "error" and problems.append(f"{page.url}: {one.text}"),
    )
    page.on(
        "response",
        lambda one: one.status >= 400 and problems.append(f"{one.url}: {one.status}"),
    )

    def open_(url, scheme="light", viewport=DESKTOP):
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size(viewport)
        page.goto(f"{address}/{url}")
        page.wait_for_function(READY, timeout=30_000)
        return page

    open_.problems = problems
    open_.asked = asked
    yield open_
    context.close()


@pytest.fixture(autouse=True)
def _nothing_from_before(visit):
    visit.problems.clear()
    visit.asked.clear()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("language", ["", "zh/"], ids=["en", "zh"])
def test_every_page_opens_without_an_error_and_is_accessible(visit, language, scheme):
    found = []
    for url in PAGES:
        page = visit(language + url, scheme)
        shown = page.evaluate("document.body.getAttribute('data-md-color-scheme')")
        assert shown == ("slate" if scheme == "dark" else "default")
        if language and url.startswith("api/"):
            continue  # the very docstrings that the English page has shown
        page.evaluate(AXE.read_text(encoding="utf-8"))
        found += [f"{language}{url}: {fault}" for fault in page.evaluate(SEVERE, scheme)]
    found += visit.problems
    assert not found, "\n".join(dict.fromkeys(found))


@pytest.mark.parametrize("language", ["", "zh/"], ids=["en", "zh"])
def test_every_page_fits_a_phone(visit, language):
    wide = []
    for url in PAGES:
        page = visit(language + url, viewport=PHONE)
        across = page.evaluate("document.scrollingElement.scrollWidth")
        if across > PHONE["width"]:
            wide.append(f"{language}{url} is {across} wide")
    assert not wide + visit.problems


def search(page, words):
    box = page.locator("[data-md-component=search-query]")
    box.click()
    box.fill(words)
    box.dispatch_event("keyup")  # what the search listens to, and what filling a field leaves out
    result = page.locator(".md-search-result__item").first
    result.wait_for(timeout=15_000)
    return result.inner_text().replace("\u200b", "")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("index.html", "RoPE"),
        ("index.html", "repeat_kv"),
        ("zh/index.html", "RoPE"),
        ("zh/index.html", "repeat_kv"),
        ("zh/index.html", "自注意力"),
    ],
)
def test_search_finds(visit, url, words):
    assert words.lower() in search(visit(url), words).lower()
    assert not visit.problems


@pytest.mark.parametrize("url", ["index.html", "ch5/5-1.html", "api/grader.html"])
def test_the_language_switch_leads_to_the_same_page_and_back(visit, url):
    page = visit(url)
    page.locator(".hl-other").click()
    page.wait_for_url(f"**/zh/{url}")
    page.locator(".hl-other").click()
    page.wait_for_function("document.documentElement.lang === 'en'")
    assert page.url.endswith(f"/{url}")
    assert "/zh/" not in page.url


def test_the_home_page_shows_the_first_command_on_the_first_screen(visit):
    page = visit("index.html")
    place = page.locator("code", has_text="happyllm-grade init").first.bounding_box()
    assert place["y"] + place["height"] < DESKTOP["height"]


def test_a_command_is_copied_by_its_button(visit):
    page = visit("index.html")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.locator(
        ".highlight button[data-clipboard-target], .highlight .md-code__button"
    ).first.click()
    page.wait_for_timeout(200)
    assert "happyllm-grade init" in page.evaluate("navigator.clipboard.readText()")


def test_a_page_opened_as_a_file_is_read_and_searched(chromium, site):
    """No server at all: links, styles and search work from the disk."""
    page = chromium.new_page()
    page.goto((site / "index.html").as_uri())
    assert "repeat_kv" in search(page, "repeat_kv")
    page.locator(".hl-other").first.evaluate("link => link.click()")
    page.wait_for_function("document.documentElement.lang === 'zh'")
    page.close()


def test_nobody_is_asked_for_states_where_no_grader_serves(visit):
    visit("exercises.html")
    assert not [url for url in visit.asked if "_happyllm" in url]
