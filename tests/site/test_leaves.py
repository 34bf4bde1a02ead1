"""Pages as plain Markdown: nothing of the site is left in them, and nothing of the page is lost."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from grader import catalogue, shelf
from grader.book import leaves, pages

KNOWN = catalogue.load()
CHAPTER = next(one for one in KNOWN.chapters if one.id == "ch5")
SITE = "https://book.example/en"


@pytest.fixture(scope="module", params=["en", "zh"])
def language(request):
    return request.param


@pytest.fixture(scope="module")
def made(language):
    return leaves.leaves(CHAPTER, KNOWN, language)


@pytest.fixture(scope="module")
def texts(made):
    return {name: data.decode() for name, data in made.items() if name.endswith(".md")}


def written(language):
    """The pages as their authors wrote them, by the name of their leaf."""
    found = pages.read(shelf.docs() / language)
    return {f"book/{Path(p.name).name}": p for p in found if p.name.startswith("ch5/")}


def outside(text: str) -> str:
    """What stands outside code."""
    return "\n".join(line for _, line in pages.split(text)[0])


def unfolded(text: str) -> str:
    """A page with its answers unfolded, so that the blocks in them stand at the margin."""
    out, folded = [], False
    for line in text.split("\n"):
        if line.startswith("??? "):
            folded = True
            continue
        folded = folded and (not line.strip() or line.startswith("    "))
        out.append(line.removeprefix("    ") if folded else line)
    return "\n".join(out)


def parsed(text: str) -> list[Token]:
    return MarkdownIt("commonmark").enable("table").parse(text)


def test_every_page_of_the_chapter_is_there(texts, language):
    assert texts.keys() == written(language).keys()
    assert len(texts) >= 3


def test_a_reader_of_markdown_finds_every_heading_and_every_block_of_code(texts, language):
    for name, page in written(language).items():
        tokens = parsed(texts[name])
        levels = [int(token.tag[1]) for token in tokens if token.type == "heading_open"]
        assert levels == [heading.level for heading in page.headings]
        fences = [token for token in tokens if token.type == "fence"]
        assert [(fence.info, fence.content) for fence in fences] == [
            (block.language, block.text) for block in pages.split(unfolded(page.text))[1]
        ]


def test_nothing_of_the_sites_own_is_left(texts):
    for text in texts.values():
        plain = outside(text)
        assert re.findall(r"^(?:!(?!\[)|\?\?\?|===|:::).*$", plain, re.MULTILINE) == []
        assert re.findall(r"\{[ ]*[#.][\w-]+.*\}", plain) == []
        assert ".html" not in plain


def test_answers_are_folded(texts, language):
    for name, page in written(language).items():
        asked = re.findall(r'^\?\?\? \w+ "(.+)"$', page.text, re.MULTILINE)
        assert texts[name].count("<details><summary>") == len(asked)
        assert texts[name].count("</details>") == len(asked)
        html = [token.content for token in parsed(texts[name]) if token.type == "html_block"]
        assert sum("<details>" in block for block in html) == len(asked)


def test_links_and_figures_lead_to_what_is_there(made, texts):
    found = {name: re.findall(r'<a id="([^"]+)">', text) for name, text in texts.items()}
    for name, ids in found.items():
        assert len(ids) == len(set(ids)), f"{name}: an id stands twice"
    figures, checked = set(), 0
    for name, text in texts.items():
        for target in re.findall(r"\]\(([^()\s]+)\)", outside(text)):
            if "://" in target:
                continue
            path, _, anchor = target.partition("#")
            place = posixpath.join(posixpath.dirname(name), path) if path else name
            assert place in made, f"{name}: {target}"
            assert not anchor or anchor in found[place], f"{name}: {target}"
            figures |= {place} - set(texts)
            checked += 1
    assert checked > 50
    assert figures == set(made) - set(texts)


def test_every_exercise_has_its_card(texts):
    whole = "\n".join(texts.values())
    for exercise in CHAPTER.exercises:
        assert f'<a id="ex-ch5-{exercise.name}"></a>' in whole
        assert f"`python -m pytest tests/test_{exercise.name}.py`" in whole


def test_what_leads_out_of_the_chapter_is_text_or_leads_to_the_site(texts):
    linked = leaves.leaves(CHAPTER, KNOWN, "en", f"{SITE}/")
    whole = "\n".join(data.decode() for name, data in linked.items() if name.endswith(".md"))
    assert f"]({SITE}/api/llama.html" in whole
    assert f"({SITE}/ch5/5-1.html)" in whole  # where an interactive figure stands
    assert SITE not in "\n".join(texts.values())


def leaf() -> leaves._Leaf:
    return leaves._Leaf(pages.Page("ch5/x.md", Path("x.md"), ""), {"ch5/x.md"}, KNOWN, "en", "")


def test_code_keeps_what_looks_like_the_sites_own():
    text = '```{ .python .not-run title="t" }\n!exercise ch5/mlp\n??? note "a"\n[a](b.md)\n```'
    expected = text.replace('{ .python .not-run title="t" }', "python")
    assert "\n".join(leaf().lines(text)) == expected


@pytest.mark.parametrize(
    ("line", "plain"),
    [
        ("see [a `b`](x.md#c) and [d](#e)", "see [a `b`](x.md#c) and [d](#e)"),
        ("see [a](../api/y.md#c).", "see a."),
        ("[a](https://e.org/x)", "[a](https://e.org/x)"),
        ("## A *b* { #c }", '<a id="c"></a>\n\n## A *b*'),
        ("![t](../assets/figures/z.svg)", "![t](figures/z.svg)"),
        (
            '??? question "A `b` < *c*?"\n    yes\n\n    no\nand on',
            "<details><summary>A <code>b</code> &lt; <i>c</i>?</summary>\n\n"
            "yes\n\nno\n\n</details>\nand on",
        ),
    ],
)
def test_lines(line, plain):
    assert "\n".join(leaf().lines(line)) == plain
