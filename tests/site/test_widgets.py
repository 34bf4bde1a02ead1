"""The interactive pieces: what they show is what happyllm computes, and everybody can use them."""

import re
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
import torch
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from happyllm.data import iter_turns, render_chatml
from happyllm.llama import (
    ModelConfig,
    apply_rotary_emb,
    apply_temperature,
    apply_top_k,
    apply_top_p,
    causal_mask,
    new_cache,
    precompute_freqs_cis,
    repeat_kv,
)
from happyllm.tokenizer import count_words, pre_tokenize, train_bpe

WIDGETS = Path(__file__).parents[2] / "docs" / "shared" / "assets" / "widgets"
NAMES = ["rope", "gqa", "attention-mask", "bpe", "chat-mask", "sampling", "notes"]

# The page of a widget: the theme's style sheets, the widget's own files, and the site's contract.
PAGE = """<!doctype html><html lang="{lang}"><head><meta charset="utf-8"><title>{name}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">{styles}<link rel="stylesheet" href="/widgets/widgets.css"></head>
<body data-md-color-scheme="{scheme}" data-md-color-primary="indigo">
<article class="md-content__inner md-typeset">
<div class="hl-widget" data-widget="{name}"{data}></div></article>
<script>window.HappyLLM = {{ widget(name, mount) {{
  mount(document.querySelector(`[data-widget="${{name}}"]`), {{ lang: "{lang}" }}); }} }};</script>
<script src="/widgets/{name}.js"></script></body></html>"""


def theme_styles() -> dict[str, Path]:
    found = find_spec("material")
    assert found is not None, "mkdocs-material is not installed: pip install happyllm[docs]"
    assert found.origin is not None
    folder = Path(found.origin).parent / "templates" / "assets" / "stylesheets"
    return {path.name: path for path in sorted(folder.glob("*.css"))}


@pytest.fixture(scope="module")
def context(chromium: Browser):
    context = chromium.new_context()
    context.set_default_timeout(5000)
    yield context
    context.close()


@pytest.fixture
def open_widget(context: BrowserContext):
    """Open the page of a widget; nothing may be left on the console, and nothing fetched.

    Each test has an address of its own, and with it a store of its own for notes.
    """
    site = f"http://{uuid4().hex}.test"
    styles = theme_styles()
    complaints: list[str] = []

    def serve(route: Route) -> None:
        url = urlsplit(route.request.url)
        folder, _, name = url.path.removeprefix("/").partition("/")
        if folder == "page":
            lang, scheme, widget, *key = name.split("/")
            links = "".join(f'<link rel="stylesheet" href="/theme/{css}">' for css in styles)
            data = f' data-key="{key[0]}"' if key else ""
            body = PAGE.format(lang=lang, scheme=scheme, name=widget, styles=links, data=data)
            route.fulfill(body=body, content_type="text/html")
        elif folder == "theme":
            route.fulfill(path=styles[name])
        elif folder == "widgets":
            route.fulfill(path=WIDGETS / name)
        else:
            complaints.append(f"asked for {route.request.url}")
            route.abort()

    def open_page(
        name: str,
        lang: str = "en",
        scheme: str = "default",
        key: str = "",
        script: str = "",
    ) -> Page:
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        if script:
            page.add_init_script(script)
        page.goto("/".join([site, "page", lang, scheme, name, *([key] if key else [])]))
        return page

    context.route("**/*", serve)
    yield open_page
    for page in context.pages:
        page.close()
    context.unroute("**/*")
    assert complaints == []


def slide(page: Page, name: str, value: int) -> None:
    page.locator(f"[name={name}]").fill(str(value))


def number(text: str) -> float:
    return float(text.replace("−", "-"))


# --- rope -----------------------------------------------------------------------------------------


def dot_product(page: Page) -> float:
    return number(page.locator(".hl-sum b").inner_text())


def numbers(page: Page) -> list[list[list[float]]]:
    """The rows of the table: q, k, q turned, k turned, and the share, of every pair."""
    rows = page.locator("tbody tr").all()
    cells = [[cell.text_content() or "" for cell in row.locator("td").all()] for row in rows]
    return [[[number(x) for x in cell.split()] for cell in row] for row in cells]


def by_the_library(page: Page, base: float, m: int, n: int):
    """Turn the vectors that the table shows with happyllm: the two, and their dot product."""
    rows = numbers(page)
    q, k = (torch.tensor([row[i] for row in rows]).reshape(1, 1, 1, 8) for i in (0, 1))
    cos, sin = precompute_freqs_cis(8, 64, base)
    turned_q, _ = apply_rotary_emb(q, q, cos[m : m + 1], sin[m : m + 1])
    turned_k, _ = apply_rotary_emb(k, k, cos[n : n + 1], sin[n : n + 1])
    return turned_q.flatten(), turned_k.flatten(), float((turned_q * turned_k).sum())


@pytest.mark.parametrize("base", [10000, 500000])
@pytest.mark.parametrize(("m", "n"), [(0, 0), (12, 7), (3, 60), (63, 0)])
def test_rope_shows_the_dot_product_of_the_library(open_widget, base, m, n):
    page = open_widget("rope")
    page.select_option("[name=base]", str(base))
    slide(page, "m", m)
    slide(page, "n", n)
    q, k, score = by_the_library(page, base, m, n)
    assert dot_product(page) == pytest.approx(score, abs=1e-4)

    rows = numbers(page)
    assert [x for row in rows for x in row[2]] == pytest.approx(q.tolist(), abs=1e-3)
    assert [x for row in rows for x in row[3]] == pytest.approx(k.tolist(), abs=1e-3)
    shares = (q * k).reshape(4, 2).sum(-1)
    assert [row[4][0] for row in rows] == pytest.approx(shares.tolist(), abs=1e-4)


def test_rope_is_right_for_other_vectors_too(open_widget):
    page = open_widget("rope")
    before = numbers(page)
    page.get_by_role("button", name="Other q and k").click()
    assert numbers(page) != before
    assert dot_product(page) == pytest.approx(by_the_library(page, 10000, 12, 7)[2], abs=1e-4)


def test_rope_with_the_distance_locked_the_number_stands_still(open_widget):
    page = open_widget("rope")
    page.get_by_label("Lock the distance").check()
    before, arrows = page.locator(".hl-sum").inner_text(), page.locator(".hl-dials").inner_html()
    for name, value, positions in [("m", 40, (40, 35)), ("n", 20, (25, 20)), ("m", 9, (9, 4))]:
        slide(page, name, value)
        assert tuple(int(page.locator(f"[name={x}]").input_value()) for x in "mn") == positions
        assert page.locator(".hl-sum").inner_text() == before
        moved = str(positions[0] - 12).replace("-", "−")
        assert f"Both moved by {moved}," in page.locator(".hl-verdict").inner_text()
        assert page.locator(".hl-dials").inner_html() != arrows, "no arrow turned"
    page.get_by_label("Lock the distance").uncheck()
    slide(page, "m", 30)
    assert page.locator("[name=n]").input_value() == "4"
    assert page.locator(".hl-sum").inner_text() != before


@pytest.mark.parametrize(("name", "value", "stop"), [("m", 0, (5, 0)), ("n", 63, (63, 58))])
def test_rope_a_locked_pair_stops_together_at_the_ends(open_widget, name, value, stop):
    page = open_widget("rope")
    page.get_by_label("Lock the distance").check()
    slide(page, name, value)
    assert tuple(int(page.locator(f"[name={x}]").input_value()) for x in "mn") == stop


@pytest.mark.parametrize(("m", "n"), [(12, 7), (0, 63), (40, 35), (63, 0)])
def test_rope_the_point_lies_on_the_curve_of_its_distance(open_widget, m, n):
    page = open_widget("rope")
    slide(page, "m", m)
    slide(page, "n", n)
    points = (page.locator(".hl-curve").get_attribute("points") or "").split()
    on_curve = [float(x) for x in points[(m - n + 63) * 4].split(",")]
    dot = page.locator(".hl-dot")
    shown = [float(dot.get_attribute(name) or "nan") for name in ("cx", "cy")]
    assert shown == pytest.approx(on_curve, abs=0.06)


def test_rope_works_from_the_keyboard(open_widget):
    page = open_widget("rope")
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowLeft")
    assert [page.locator(f"[name={x}]").input_value() for x in "mn"] == ["13", "6"]
    assert dot_product(page) == pytest.approx(by_the_library(page, 10000, 13, 6)[2], abs=1e-4)
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("End")
    assert [page.locator(f"[name={x}]").input_value() for x in "mn"] == ["63", "56"]


def test_rope_is_read_out_once_when_the_sliders_come_to_rest(open_widget):
    page = open_widget("rope")
    status = page.locator("[role=status]")
    expect(status).not_to_be_empty()
    page.evaluate(
        """() => {
          window.spoken = 0;
          const count = (changes) => { window.spoken += changes.length; };
          const status = document.querySelector("[role=status]");
          new MutationObserver(count).observe(status, { childList: true });
          const slider = document.querySelector("[name=m]");
          for (let m = 20; m < 40; m++) {
            slider.value = m;
            slider.dispatchEvent(new Event("input"));
          }
        }"""
    )
    expect(status).to_contain_text("32")  # 39 - 7
    assert page.evaluate("window.spoken") == 1


# --- gqa ------------------------------------------------------------------------------------------


def choose(page: Page, n_heads: int, n_kv_heads: int) -> None:
    slide(page, "heads", n_heads)
    page.locator(f".hl-choice input[value='{n_kv_heads}']").check()


def drawn_order(page: Page) -> list[int]:
    """Which key/value head stands under each query head, from left to right."""
    texts = page.locator("svg .hl-copy text").all_text_contents()
    return [int(text.removeprefix("K")) for text in texts]


SIZES = [(1, 1), (4, 4), (6, 2), (8, 1), (8, 2), (12, 4), (16, 4), (16, 16)]


@pytest.mark.parametrize(("H", "K"), SIZES)
def test_gqa_draws_the_heads_in_the_order_of_repeat_kv(open_widget, H, K):
    page = open_widget("gqa")
    choose(page, H, K)
    labelled = torch.arange(1, K + 1).view(1, 1, K, 1)
    order = repeat_kv(labelled, H // K).flatten().tolist()
    assert drawn_order(page) == order
    described = page.locator("svg desc").text_content()
    assert described == ", ".join(f"Q{h} reads K{k}" for h, k in enumerate(order, 1))
    assert f"n_rep = H / K = {H // K}" in page.locator(".hl-case").inner_text()

    page.get_by_label("wrong order").check()
    wrong = labelled.repeat(1, 1, H // K, 1).flatten().tolist()
    assert drawn_order(page) == wrong
    misled = sum(a != b for a, b in zip(order, wrong, strict=True))
    assert page.locator("svg .hl-cross").count() == misled
    verdict = page.locator(".hl-verdict").inner_text()
    assert (f"{misled} of {H} query heads" in verdict) if misled else ("agree" in verdict)


@pytest.mark.parametrize(("H", "K"), SIZES)
def test_gqa_counts_the_bytes_of_the_librarys_cache(open_widget, H, K):
    page = open_widget("gqa")
    choose(page, H, K)
    args = ModelConfig(dim=H * 128, n_layers=32, n_heads=H, n_kv_heads=K, max_seq_len=4096)
    with torch.device("meta"):  # shapes without memory
        cache = new_cache(args, batch_size=1, dtype=torch.float16)
    size = sum(x.numel() * x.element_size() for layer in cache for x in (layer.k, layer.v))
    assert page.locator(".hl-formula").inner_text().endswith(f"= {size:,} bytes")
    assert page.locator(".hl-some").inner_text() == f"{size // 2**20:,} MiB"
    assert page.locator(".hl-all").inner_text() == f"{size // 2**20 * H // K:,} MiB"
    assert page.locator(".hl-kept").evaluate("bar => bar.style.width") == f"{100 * K / H:g}%"


def test_gqa_offers_the_divisors_and_names_the_case(open_widget):
    page = open_widget("gqa")
    for H in range(1, 17):
        slide(page, "heads", H)
        offered = [int(text) for text in page.locator(".hl-choice").inner_text().split()]
        assert offered == [K for K in range(1, H + 1) if H % K == 0]
        assert page.locator(".hl-choice :checked").count() == 1
    for K, name in [(1, "MQA"), (2, "GQA"), (16, "MHA")]:
        choose(page, 16, K)
        assert f"· {name}, " in page.locator(".hl-case").inner_text()


def test_gqa_works_from_the_keyboard(open_widget):
    page = open_widget("gqa")
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")  # H = 12
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")  # K = 3
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    assert drawn_order(page) == [1, 2, 3] * 4


def test_gqa_does_not_move_for_who_asked_for_less_motion(open_widget):
    page = open_widget("gqa")
    page.emulate_media(reduced_motion="reduce")
    bar = page.locator(".hl-kept")
    assert bar.evaluate("bar => getComputedStyle(bar).transitionDuration") == "0s"


# --- attention-mask -------------------------------------------------------------------------------


def drawn_mask(page: Page, T: int, S: int) -> torch.Tensor:
    """Where the drawing has a dot, row by row."""
    cells = page.locator("svg rect:not(.hl-chosen)")
    assert cells.count() == T * S
    seen = cells.evaluate_all("all => all.map((one) => one.parentNode.matches('.hl-seen'))")
    return torch.tensor(seen).view(T, S)


@pytest.mark.parametrize(("P", "T"), [(0, 6), (6, 1), (4, 3), (8, 8), (0, 1)])
def test_the_mask_is_that_of_the_library(open_widget, P, T):
    page = open_widget("attention-mask")
    slide(page, "cached", P)
    slide(page, "fresh", T)
    right = causal_mask(T, P + T)
    assert torch.equal(drawn_mask(page, T, P + T), right)

    page.get_by_label("Align to the start").check()
    wrong = torch.ones(T, P + T, dtype=torch.bool).tril()
    assert torch.equal(drawn_mask(page, T, P + T), wrong)
    assert page.locator("svg .hl-odd").count() == int((right & ~wrong).sum())


def test_the_mask_says_what_the_chosen_query_sees(open_widget):
    page = open_widget("attention-mask")
    page.get_by_role("button", name="chunk").press("Enter")
    page.get_by_label("Query i").press("End")
    expect(page.locator(".hl-verdict")).to_contain_text("Query 2 is at position 6")
    expect(page.locator(".hl-verdict")).to_contain_text("keys 0 to 6")
    page.get_by_role("button", name="one step").press("Enter")
    expect(page.locator(".hl-verdict")).to_contain_text("Query 0 is at position 6")


# --- bpe ------------------------------------------------------------------------------------------

TYPED = [
    "low lower lowest, new newer newest 好过 好过",
    "aaaaa aaa",
    "It's 42  times 1999 <b>&</b>",
    "优美好过丑陋。明说好过暗示。naïve 🙂🙂",
]


def readable(piece: bytes) -> str:
    """A token as the widget shows it."""
    try:
        return piece.decode().replace(" ", "␣")
    except UnicodeDecodeError:
        return piece.hex(" ").upper()


def listed(page: Page) -> list[tuple[str, ...]]:
    merges = page.locator(".hl-merges li").all()
    return [tuple(one.locator(".hl-token").all_text_contents()) for one in merges]


@pytest.mark.parametrize("text", TYPED, ids=range(len(TYPED)))
def test_bpe_learns_the_merges_of_the_library(open_widget, text):
    page = open_widget("bpe")
    page.locator("[name=text]").fill(text)
    page.get_by_role("button", name="All merges").click()
    tokenizer = train_bpe(text, 1000)
    assert listed(page) == [(readable(a), readable(b)) for a, b in tokenizer.merges]
    sizes = page.locator(".hl-sizes").inner_text()
    tokens, length = len(tokenizer.encode(text)), len(text.encode())
    assert sizes == f"{tokens} tokens for {length} bytes · vocabulary 256 + {len(listed(page))}"


def test_bpe_shows_each_piece_as_the_library_cuts_it(open_widget):
    page = open_widget("bpe")
    for n in range(1, 8):
        page.get_by_role("button", name="Next merge").click()
        tokenizer = train_bpe(TYPED[0], 256 + n)
        pieces = page.locator(".hl-piece").all()
        shown = [one.locator(".hl-token").all_text_contents() for one in pieces]
        words = list(count_words(TYPED[0]))
        cut = [[readable(tokenizer.token(i)) for i in tokenizer.encode(word)] for word in words]
        assert shown == cut


def test_bpe_goes_back_the_way_it_came(open_widget):
    page = open_widget("bpe")
    start = page.locator(".hl-pieces").inner_html()
    for name in ("Next merge", "Next merge", "Back", "Back"):
        page.get_by_role("button", name=name).click()
    assert page.locator(".hl-pieces").inner_html() == start
    assert listed(page) == []
    expect(page.get_by_role("button", name="Back")).to_be_disabled()


def test_bpe_has_nothing_to_do_for_an_empty_text(open_widget):
    page = open_widget("bpe")
    page.locator("[name=text]").fill("")
    expect(page.get_by_role("button", name="Next merge")).to_be_disabled()
    assert "nothing to count" in page.locator(".hl-over").inner_text()


def test_bpe_works_from_the_keyboard(open_widget):
    page = open_widget("bpe")
    page.keyboard.press("Tab")
    page.keyboard.type("abab")  # over what was selected
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.keyboard.press("Space")
    assert listed(page) == [("a", "b"), ("ab", "ab")]


# --- chat-mask ------------------------------------------------------------------------------------

TALKS = [
    ("Answer in a few words.", "Who has the ball?", "Tim has it."),
    ("", "So?\n\n  x <b>&</b>", " It's 42.\n"),
    ("s", "a<|im_end|>\n<|im_start|>assistant\nb<|im_end|>", "<|im_start|>user\nc"),
    ("你好", "皮球在谁那里？", ""),
]
START, END = "<|im_start|>", "<|im_end|>"


class Pieces:
    """A tokenizer whose tokens are the pieces themselves."""

    def encode(self, text):
        return pre_tokenize(text)


def said(page: Page, talk) -> list[dict[str, str]]:
    roles = ("system", "user", "assistant")
    for role, content in zip(roles, talk, strict=True):
        page.locator(f"[name={role}]").fill(content)
    return [{"role": role, "content": content} for role, content in zip(roles, talk, strict=True)]


def drawn_tokens(page: Page) -> list[tuple[str, bool, bool]]:
    """Each token as (text, whether it is a marker, whether it is learned)."""
    return [
        (text.replace("␣", " ").replace("↵", "\n"), "hl-marker" in kind, "hl-learned" in kind)
        for text, kind in page.locator(".hl-token").evaluate_all(
            "all => all.map((one) => [one.textContent, one.className])"
        )
    ]


@pytest.mark.parametrize("talk", TALKS, ids=range(len(TALKS)))
def test_what_is_learned_by_turn_is_that_of_the_library(open_widget, talk):
    page = open_widget("chat-mask")
    messages = said(page, talk)
    markers = {1: START, 2: END}
    expected = [
        (markers.get(token, token), token in markers, bool(learned))
        for ids, mask in iter_turns(messages, Pieces(), 1, 2)
        for token, learned in zip(ids, mask, strict=True)
    ]
    assert drawn_tokens(page) == expected
    expect(page.locator(".hl-verdict")).to_contain_text("this is what should be learned")

    page.get_by_label("Take the end for padding").check()
    assert [one for one in drawn_tokens(page) if one[1] and one[2]] == []
    expect(page.locator(".hl-verdict")).to_contain_text("never stops")


@pytest.mark.parametrize("talk", TALKS, ids=range(len(TALKS)))
def test_searching_finds_whatever_looks_like_an_answer(open_widget, talk):
    page = open_widget("chat-mask")
    text = render_chatml(said(page, talk))
    page.get_by_label("Search the text").check()
    tokens = drawn_tokens(page)
    assert "".join(token for token, _, _ in tokens) == text
    assert sum(marker and token == START for token, marker, _ in tokens) == text.count(START)
    found = re.findall(r"<\|im_start\|>assistant\n(.*?)(?=<\|im_start\|>|\Z)", text, re.DOTALL)
    answers = [one.partition(END)[0] + (END if END in one else "") for one in found]
    assert "".join(token for token, _, learned in tokens if learned) == "".join(answers)
    forged = text.count(START) > 3
    assert ("of their own" in page.locator(".hl-verdict").inner_text()) == forged


# --- sampling -------------------------------------------------------------------------------------


def shown_odds(page: Page) -> list[float]:
    """What each word is drawn with, in percent; 0 where it is out."""
    texts = page.locator(".hl-odd b").all_inner_texts()
    return [0.0 if text == "out" else float(text.removesuffix(" %")) for text in texts]


def logits_of(page: Page) -> torch.Tensor:
    """The scores of the widget up to a constant: the logarithms of the outlined bars."""
    widths = page.locator(".hl-odd u").evaluate_all("all => all.map((one) => one.style.width)")
    return torch.tensor([float(width.removesuffix("%")) for width in widths]).log()


@pytest.mark.parametrize("place", ["sure", "unsure"])
@pytest.mark.parametrize(
    ("temperature", "k", "p", "m"),
    [
        (1, 10, 1, 0),
        (0.5, 10, 1, 0),
        (3, 4, 1, 0),
        (1, 10, 0.85, 0),
        (2, 10, 1, 0.3),
        (1.5, 6, 0.7, 0.55),
    ],
)
def test_what_may_be_drawn_is_what_the_library_says(open_widget, place, temperature, k, p, m):
    page = open_widget("sampling")
    page.locator(f"[name=place][value={place}]").check()
    for name, value in {"temperature": temperature, "k": k, "p": p, "m": m}.items():
        slide(page, name, value)
    logits = apply_top_p(apply_top_k(apply_temperature(logits_of(page), temperature), k), p)
    probs = logits.softmax(dim=-1)
    expected = logits.masked_fill(probs < m * probs.max(), -torch.inf).softmax(dim=-1)
    assert shown_odds(page) == pytest.approx((100 * expected).tolist(), abs=0.15)
    kept = int((expected > 0).sum())
    said = page.locator(".hl-verdict").inner_text()
    assert said.startswith("One word" if kept == 1 else f"{kept} words")


def test_sampling_with_all_off_draws_as_the_model_says(open_widget):
    page = open_widget("sampling")
    slide(page, "k", 2)
    page.get_by_role("button", name="All off").click()
    given = logits_of(page).softmax(dim=-1)
    assert shown_odds(page) == pytest.approx((100 * given).tolist(), abs=0.15)


# --- notes ----------------------------------------------------------------------------------------


def write(page: Page, text: str) -> None:
    page.get_by_role("textbox").fill(text)
    expect(page.locator(".hl-state")).to_contain_text("Saved in this browser")


def test_notes_survive_a_reload_and_are_cleared_when_confirmed(open_widget):
    page = open_widget("notes")
    field = page.get_by_role("textbox", name="Your notes")
    write(page, "RoPE turns pairs.\n旋转。")
    page.reload()
    assert field.input_value() == "RoPE turns pairs.\n旋转。"

    page.get_by_role("button", name="Clear").click()
    page.keyboard.press("Escape")
    assert field.input_value() != "", "Escape must keep them"
    page.get_by_role("button", name="Clear").click()
    expect(page.get_by_role("button", name="Keep them")).to_be_focused()
    page.get_by_role("button", name="Delete").click()
    assert field.input_value() == ""
    expect(page.get_by_role("button", name="Clear")).to_be_disabled()
    assert page.evaluate("localStorage.length") == 0
    page.reload()
    assert field.input_value() == ""


def test_notes_are_saved_when_the_reader_leaves_at_once(open_widget):
    page = open_widget("notes")
    page.get_by_role("textbox").fill("one more thing")
    page.reload()
    assert page.get_by_role("textbox").input_value() == "one more thing"


def test_notes_belong_to_their_page_or_to_their_key(open_widget):
    page = open_widget("notes")
    write(page, "of this page")
    site = page.url.partition("/page/")[0]
    page.goto(f"{site}/page/zh/default/notes")
    assert page.get_by_role("textbox").input_value() == ""
    page.goto(f"{site}/page/en/default/notes/goals")
    write(page, "my goals")
    page.goto(f"{site}/page/zh/default/notes/goals")
    assert page.get_by_role("textbox").input_value() == "my goals", "one key, both languages"


def test_notes_are_exported_as_they_are(open_widget):
    page = open_widget("notes", key="ch0-goals")
    expect(page.get_by_role("button", name="Export")).to_be_disabled()
    page.get_by_role("textbox").fill("# 目标\n- <b>train</b>")
    with page.expect_download() as coming:
        page.get_by_role("button", name="Export").click()
    assert coming.value.suggested_filename == "happyllm-ch0-goals.txt"
    assert Path(coming.value.path()).read_text(encoding="utf-8") == "# 目标\n- <b>train</b>"


def test_notes_written_in_another_tab_arrive(open_widget):
    page = open_widget("notes")
    other = page.context.new_page()
    other.goto(page.url)
    write(other, "from the other tab")
    expect(page.get_by_role("textbox")).to_have_value("from the other tab")


NO_STORE = """Object.defineProperty(window, "localStorage", {
  get() { throw new DOMException("denied", "SecurityError"); } });"""
FULL_STORE = """const set = Storage.prototype.setItem;
Storage.prototype.setItem = function (key, value) {
  if (value !== "") throw new DOMException("full", "QuotaExceededError");
  set.call(this, key, value); };"""


@pytest.mark.parametrize(
    ("script", "said"),
    [(NO_STORE, "does not let the page keep"), (FULL_STORE, "no room left")],
    ids=["no store", "full store"],
)
def test_notes_say_so_where_they_cannot_be_kept(open_widget, script, said):
    page = open_widget("notes", script=script)
    page.get_by_role("textbox").fill("fleeting")
    expect(page.locator(".hl-state")).to_contain_text(said)
    expect(page.get_by_role("status")).to_contain_text(said)
    expect(page.get_by_role("button", name="Export")).to_be_enabled()


def test_notes_are_printed_in_full(open_widget):
    page = open_widget("notes")
    text = "\n".join(f"line {i}" for i in range(40))
    page.get_by_role("textbox").fill(text)
    page.emulate_media(media="print")
    expect(page.locator(".hl-printed")).to_have_text(text)
    expect(page.locator(".hl-printed")).to_be_visible()
    expect(page.locator("textarea")).to_be_hidden()


# --- all of them ----------------------------------------------------------------------------------

every_widget = pytest.mark.parametrize("name", NAMES)
every_language = pytest.mark.parametrize("lang", ["en", "zh"])


def stir(page: Page) -> None:
    """Touch every control once, so that the states behind the first one are seen too."""
    for box in page.locator("input[type=checkbox]").all():
        box.check()
    for slider in page.locator("input[type=range]").all():
        slider.press("End")
    for disclosure in page.locator("summary").all():
        disclosure.click()
    for field in page.locator("textarea").all():
        field.fill("W" * 200)
    for clear in page.locator("[name=clear]").all():
        clear.click()


SPILT = """() => {
  const room = document.querySelector(".hl-widget").getBoundingClientRect();
  const sticksOut = (one) => {
    const box = one.getBoundingClientRect();
    return one.checkVisibility() && (box.left < room.left - 1 || box.right > room.right + 1);
  };
  return [...document.querySelectorAll(".hl-widget *")]
    .filter(sticksOut)
    .map((one) => one.outerHTML.slice(0, 80));
}"""


@every_widget
@every_language
def test_nothing_sticks_out_on_a_narrow_page(open_widget, name, lang):
    page = open_widget(name, lang)
    for state in ("as it opens", "stirred"):
        for width in (1000, 600, 390, 360, 320):
            page.set_viewport_size({"width": width, "height": 900})
            page.evaluate("() => new Promise(requestAnimationFrame)")  # drawings follow the width
            assert page.evaluate("document.documentElement.scrollWidth") <= width, state
            assert page.evaluate(SPILT) == [], f"{state}, {width} px"
        if state == "as it opens":
            stir(page)


@every_widget
def test_every_control_has_a_name_and_shows_where_the_focus_is(open_widget, name):
    page = open_widget(name)
    controls = page.locator("input, select, textarea, button, summary")
    assert controls.count() > 0
    stir(page)
    for control in controls.all():
        if not control.is_visible():
            continue
        named = control.evaluate(
            "one => [...(one.labels ?? [])].map((l) => l.textContent).join() || one.textContent"
        )
        assert named.strip(), control.evaluate("one => one.outerHTML")
    page.locator("body").click(position={"x": 1, "y": 1})
    for _ in range(controls.count()):
        page.keyboard.press("Tab")
        outline = page.evaluate(
            """() => {
              const one = document.activeElement;
              const shown = one.closest(".hl-choice label") ?? one;
              return one === document.body ? "2px" : getComputedStyle(shown).outlineWidth;
            }"""
        )
        assert outline == "2px"


@every_widget
@every_language
def test_drawings_have_names_and_words_are_of_one_language(open_widget, name, lang):
    page = open_widget(name, lang)
    stir(page)
    for drawing in page.locator("svg").all():
        assert drawing.get_attribute("role") == "img"
        assert drawing.locator("title").text_content()
    html = page.locator(".hl-widget").evaluate("one => one.outerHTML")
    for stray in ("undefined", "NaN", "[object", "null", "=&gt;"):
        assert stray not in html
    han = re.findall(r"[一-鿿]", html)
    assert (len(han) > 20) if lang == "zh" else (not han)


# Every piece of text against the page behind it, as they come out of the browser's own blending.
CONTRAST = """() => {
  const context = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const blend = (...colours) => {
    context.clearRect(0, 0, 1, 1);
    for (const colour of colours) { context.fillStyle = colour; context.fillRect(0, 0, 1, 1); }
    return [...context.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const light = (rgb) => {
    const [r, g, b] = rgb.map((x) => x / 255)
      .map((x) => (x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (one) => {
    const box = one.closest("svg g")?.querySelector("rect");
    if (box && one.tagName === "text") return [getComputedStyle(box).fill];
    const all = [];
    for (let at = one; at; at = at.parentElement) all.unshift(getComputedStyle(at).backgroundColor);
    return all;
  };
  const page = getComputedStyle(document.body).backgroundColor;
  return [...document.querySelectorAll(".hl-widget *")]
    .filter((one) => one.getClientRects().length && !one.matches("title, desc, option, :disabled"))
    .filter((one) => [...one.childNodes].some((n) => n.nodeType === 3 && n.data.trim()))
    .map((one) => {
      const style = getComputedStyle(one);
      const ink = one.closest("svg") ? style.fill : style.color;
      const ground = ["white", page, ...behind(one)];
      const [a, b] = [light(blend(...ground)), light(blend(...ground, ink))].sort((x, y) => y - x);
      return [(a + 0.05) / (b + 0.05), one.outerHTML.slice(0, 90)];
    });
}"""


@every_widget
@pytest.mark.parametrize("scheme", ["default", "slate"])
def test_text_stands_out_from_the_page(open_widget, name, scheme):
    page = open_widget(name, scheme=scheme)
    at_first = page.evaluate(CONTRAST)
    stir(page)
    measured = [*at_first, *page.evaluate(CONTRAST)]
    assert len(measured) > 6
    assert [one for one in measured if one[0] < 4.5] == []


@every_widget
def test_on_paper_the_sliders_go_and_what_they_say_stays(open_widget, name):
    page = open_widget(name)
    page.emulate_media(media="print")
    for slider in page.locator("input[type=range]").all():
        expect(slider).to_be_hidden()
        expect(slider.locator("xpath=preceding-sibling::b")).to_be_visible()
    for button in page.locator("button").all():
        expect(button).to_be_hidden()
    for drawing in page.locator("svg").all():
        expect(drawing).to_be_visible()
