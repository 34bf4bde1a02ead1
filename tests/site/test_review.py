"""The review finds a fault that is planted in a small book, and nothing in one without faults."""

from __future__ import annotations

import pytest

from grader.book import review

OUTLINE = """
[[chapter]]
id = "ch5"
en = "By Hand"
zh = "动手"
sections = [
  { number = "5.1", en = "LLaMA2", zh = "LLaMA2 模型" },
  { number = "5.1.1", en = "Heads", zh = "多头", code = true },
]
"""

PAGE = """\
# 5.1 {title} {{ #s5-1 }}

{words} $a = b$ ![{alt}](../assets/figures/heads.svg)

## 5.1.1 {heads} {{ #s5-1-1 }}

```python
print(1)  # {comment}
```

```{{ .text .output }}
1
```

!exercise ch5/heads

!widget rope
"""

WORDS = {
    "en": {
        "title": "LLaMA2",
        "heads": "Heads",
        "words": "A model of words.",
        "alt": "four heads in a row",
        "comment": "one",
    },
    "zh": {
        "title": "LLaMA2 模型",
        "heads": "多头",
        "words": "一个语言模型。",
        "alt": "四个头排成一行，共享两个键",
        "comment": "一",
    },
}

EXERCISES = {"ch5/heads": "5.1.1"}


@pytest.fixture
def docs(tmp_path):
    folder = tmp_path / "docs"
    for language, words in WORDS.items():
        (folder / language / "ch5").mkdir(parents=True)
        (folder / language / "ch5" / "5-1.md").write_text(PAGE.format(**words), encoding="utf-8")
    (folder / "outline.toml").write_text(OUTLINE, encoding="utf-8")
    assets = folder / "shared" / "assets"
    for name in ("figures/heads.svg", "widgets/rope.js"):
        (assets / name).parent.mkdir(parents=True)
        (assets / name).write_text("", encoding="utf-8")
    return folder


RULES = {
    rule.__name__: rule
    for rule in (
        review.parity,
        review.headings,
        review.sections,
        review.blocks,
        review.described,
        review.widgets,
        review.translated,
        review.orphans,
    )
} | {"cards": lambda docs: review.cards(docs, EXERCISES)}


@pytest.mark.parametrize("rule", RULES)
def test_a_book_without_faults_has_none(docs, rule):
    assert [str(problem) for problem in RULES[rule](docs)] == []


def change(docs, language, old, new):
    page = docs / language / "ch5" / "5-1.md"
    text = page.read_text(encoding="utf-8")
    assert old in text
    page.write_text(text.replace(old, new), encoding="utf-8")


@pytest.mark.parametrize(
    ("rule", "language", "old", "new", "told"),
    [
        ("parity", "zh", "{ #s5-1-1 }", "{ #heads }", "## { #heads }"),
        ("parity", "zh", "## 5.1.1", "### 5.1.1", "### { #s5-1-1 }"),
        ("parity", "zh", "print(1)", "print(2)", "print ( 2 )"),
        ("parity", "zh", "\n1\n```", "\n2\n```", "the output '2\\n'"),
        ("parity", "zh", "$a = b$", "$a = c$", "a = c"),
        ("parity", "en", "$a = b$", "", "is not in the other language"),
        ("parity", "zh", "heads.svg", "other.svg", "other.svg"),
        ("parity", "zh", "!widget rope", "", "!widget rope"),
        ("parity", "en", "!exercise ch5/heads", "!exercise ch5/tails", "!exercise ch5/heads"),
        ("headings", "en", " { #s5-1-1 }", "", "'5.1.1 Heads' has no id"),
        ("headings", "en", "## 5.1.1", "### 5.1.1", "h3 follows h1"),
        ("headings", "en", "{ #s5-1-1 }", "{ #s5-1 }", "is that of line 1"),
        ("headings", "en", "## 5.1.1", "# 5.1.1", "one h1"),
        ("sections", "en", "## 5.1.1 Heads", "## Heads", "section 5.1.1 is missing"),
        ("sections", "en", "5.1.1 Heads", "5.1.1 Tails", "docs/outline.toml says '5.1.1 Heads'"),
        ("sections", "zh", "多头", "头", "says '5.1.1 多头'"),
        ("sections", "en", "5.1.1 Heads", "5.1.7 Heads", "has no section 5.1.7"),
        ("sections", "en", "{ #s5-1-1 }", "{ #heads }", "has the id 'heads'"),
        ("cards", "en", "!exercise ch5/heads", "", "lacks the line `!exercise ch5/heads`"),
        ("cards", "en", "ch5/heads", "ch5/tails", "there is no exercise 'ch5/tails'"),
        ("cards", "en", "## 5.1.1", "## 5.1.2", "belongs to section 5.1.1"),
        ("cards", "en", "!widget rope", "!exercise ch5/heads", "has its card in"),
        ("blocks", "en", "```python", "```{ .python .not-run }", "tells the reader nothing"),
        ("blocks", "en", "```python", "```{ .python .file }", "which file is it?"),
        ("blocks", "en", "print(1)", "print(", "is no Python"),
        ("blocks", "en", "```python\nprint(1)  # one\n```", "Text.", "directly after a Python"),
        ("described", "en", "four heads in a row", "", "needs a text"),
        ("widgets", "en", "!widget rope", "!widget rope\n\n!widget gqa", "there is no shared"),
        ("translated", "zh", "一个语言模型。", "This is a model of the words.", "not in Chinese"),
        ("translated", "en", "A model", "一个模型", "is not in English: '一个模型'"),
        ("orphans", "zh", "heads.svg", "other.svg", "no page of docs/zh shows it"),
    ],
)
def test_a_planted_fault_in_a_page_is_found(docs, rule, language, old, new, told):
    change(docs, language, old, new)
    assert any(told in str(problem) for problem in RULES[rule](docs))


def test_a_page_in_one_language_only_is_found(docs):
    (docs / "en" / "ch5" / "5-2.md").write_text("# More\n", encoding="utf-8")
    assert any("has no docs/zh/ch5/5-2.md" in str(one) for one in review.parity(docs))


def test_a_widget_that_no_page_has_is_found(docs):
    (docs / "shared/assets/widgets/gqa.js").write_text("", encoding="utf-8")
    assert any("no page has it" in str(one) for one in review.widgets(docs))


def test_a_picture_beside_the_pages_is_found(docs):
    (docs / "en" / "photo.png").write_bytes(b"")
    assert any("only pages belong here" in str(one) for one in review.orphans(docs))


def test_titles_of_papers_stay_in_english():
    assert review.english_run('Ainslie 等 2023，"GQA: Training of a Model from the Ground"') == ""
    assert review.english_run("它是 the mean of the squares of all the entries") != ""


def test_what_stands_in_code_and_comments_is_no_heading_and_no_directive(docs):
    hidden = "```text\n# no heading\n!exercise no/such\n```\n\n<!--\n# neither\n-->\n"
    for language in WORDS:
        change(docs, language, "!widget rope", f"!widget rope\n\n{hidden}")
    for name, rule in RULES.items():
        assert [str(problem) for problem in rule(docs)] == [], name


SITE = """<!doctype html><html><head><link rel="stylesheet" href="a.css"></head>
<body><h1 id="top">T</h1><p>Text</p><a href="#top">up</a> <a href="zh/index.html#oben">zh</a>
<img src="pic.svg" alt="p"><a href="https://example.org/">away</a></body></html>"""


@pytest.fixture
def site(tmp_path):
    folder = tmp_path / "site"
    (folder / "zh").mkdir(parents=True)
    (folder / "index.html").write_text(SITE, encoding="utf-8")
    (folder / "zh" / "index.html").write_text('<h1 id="oben">T</h1>', encoding="utf-8")
    (folder / "a.css").write_text("b { background: url(pic.svg) }", encoding="utf-8")
    (folder / "pic.svg").write_text("<svg/>", encoding="utf-8")
    return folder


BUILT = (review.dead_links, review.foreign, review.leftovers)


@pytest.mark.parametrize("rule", BUILT, ids=lambda rule: rule.__name__)
def test_a_site_without_faults_has_none(site, rule):
    assert [str(problem) for problem in rule(site)] == []


@pytest.mark.parametrize(
    ("file", "old", "new", "told"),
    [
        ("index.html", 'href="#top"', 'href="#bottom"', "leads to #bottom"),
        ("index.html", "zh/index.html#oben", "zh/index.html#unten", "there is no such id"),
        ("index.html", "zh/index.html#oben", "zh/none.html", "which is not there"),
        ("index.html", "pic.svg", "other.svg", "leads to other.svg"),
        ("index.html", "pic.svg", "https://example.org/p.svg", "from another machine"),
        ("index.html", "a.css", "//cdn.example.org/a.css", "from another machine"),
        ("index.html", "<p>Text</p>", '<p id="top">Text</p>', "is there 2 times"),
        ("a.css", "pic.svg", "https://example.org/p.svg", "loads https://example.org"),
        ("index.html", "Text", "!exercise ch5/x", "'!exercise ch5/x' was not understood"),
        ("index.html", "Text", "see [^note]", "'[^note]' was not understood"),
        ("index.html", "Text", ":material-heart:", "':material-heart:' was not understood"),
    ],
)
def test_a_planted_fault_in_the_site_is_found(site, file, old, new, told):
    text = (site / file).read_text(encoding="utf-8")
    assert old in text
    (site / file).write_text(text.replace(old, new), encoding="utf-8")
    assert any(told in str(problem) for rule in BUILT for problem in rule(site))
