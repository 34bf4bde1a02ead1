"""Byte-level BPE against `tokenizers`: the same merges from a corpus, the same ids for a text."""

import json
import pydoc_data.topics
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.trainers import BpeTrainer

from happyllm.tokenizer import BPETokenizer, learn_merges, pre_tokenize, train_bpe
from happyllm.tokenizer.letters import BYTE_ORDER, letters_of

ENGLISH = "\n".join(pydoc_data.topics.topics.values())
CHINESE = (
    "今天天气很好，我们去公园散步。天气好的时候，公园里的人很多。我们都很喜欢天气好的日子！" * 3
)
HELD_OUT = [
    ENGLISH[300_000:302_000],
    CHINESE + "明天下雨，我不去公园了。",
    "👩‍👩‍👧 🇨🇳 😀😀 naïve café e\u0301 ﬁ ½ Ａ ℌ",
    " \n\n\t  def f(x):\r\n    return x ** 2  # don't, we'll\n   ",
    "\u3000全角　空格\u00a0nbsp \x00\x1c\x85 \u2028",
    "١٢٣ ²³ Ⅷ 42nd हिन्दी ไทย עברית",
    "",
]
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im|>"]


def oracle(texts, vocab_size, special=()):
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[AddedToken(token, normalized=False) for token in special],
        initial_alphabet=ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def merges_of(tokenizer):
    return [tuple(pair) for pair in json.loads(tokenizer.to_str())["model"]["merges"]]


def as_letters(merges):
    return [(letters_of(left), letters_of(right)) for left, right in merges]


@pytest.fixture(scope="module")
def both():
    texts = [ENGLISH[:130_000], CHINESE, *HELD_OUT[2:4]]
    return train_bpe(texts, 1200, SPECIAL), oracle(texts, 1200, SPECIAL)


def test_merges_and_ids_of_tokens_are_those_of_tokenizers(both):
    ours, theirs = both
    assert as_letters(ours.merges) == merges_of(theirs)
    ids = {letters_of(piece): i for piece, i in ours.vocab.items()} | ours.special_tokens
    assert ids == theirs.get_vocab()


@pytest.mark.parametrize("text", HELD_OUT)
def test_ids_of_held_out_text_are_those_of_tokenizers(both, text):
    ours, theirs = both
    assert ours.encode(text) == theirs.encode(text).ids
    assert ours.decode(ours.encode(text)) == text


@pytest.mark.parametrize(
    "text",
    ["<|im_start|>user\nhi<|im|><|endoftext|>", "<|im<|im|>|>", "a<|im_start|", "<|im|><|im|> x"],
)
def test_special_tokens_that_are_allowed_are_found_as_tokenizers_finds_them(both, text):
    ours, theirs = both
    assert ours.encode(text, allow_special=True) == theirs.encode(text).ids


@given(text=st.text(max_size=40))
@settings(max_examples=300, deadline=None, derandomize=True)
def test_any_text_gets_the_ids_of_tokenizers(both, text):
    ours, theirs = both
    ids = theirs.encode(text).ids
    assert ours.encode(text, allow_special=True) == ids


@given(ids=st.lists(st.integers(3, 1199), max_size=12))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_any_ids_decode_as_tokenizers_decodes_them(both, ids):
    ours, theirs = both
    assert ours.decode(ids) == theirs.decode(ids)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("letters", ["ab", "aab", "abc -", "的了是a "])
def test_merges_are_those_of_tokenizers_down_to_the_last_pair(seed, letters):
    draw = random.Random(seed)
    text = " ".join("".join(draw.choices(letters, k=draw.randint(1, 25))) for _ in range(50))
    assert as_letters(train_bpe(text, 700).merges) == merges_of(oracle([text], 700))


def test_a_large_corpus_gives_the_merges_of_tokenizers():
    ours, theirs = train_bpe(ENGLISH, 8256), oracle([ENGLISH], 8256)
    assert as_letters(ours.merges) == merges_of(theirs)
    assert ours.encode(ENGLISH) == theirs.encode(ENGLISH).ids


def test_the_exercise_alone_learns_the_merges_of_tokenizers():
    number = {byte: i for i, byte in enumerate(BYTE_ORDER)}
    counts: dict = {}
    for word in pre_tokenize(CHINESE):
        key = tuple(number[byte] for byte in word.encode())
        counts[key] = counts.get(key, 0) + 1
    pieces = [bytes([byte]) for byte in BYTE_ORDER]
    for left, right in learn_merges(counts, 60, 256):
        pieces.append(pieces[left] + pieces[right])
    theirs = merges_of(oracle([CHINESE], 316))
    assert [letters_of(piece) for piece in pieces[256:]] == [left + right for left, right in theirs]


@pytest.mark.parametrize("text", HELD_OUT)
def test_a_saved_file_gives_tokenizers_the_same_ids(both, tmp_path, text):
    ours, _ = both
    ours.save(tmp_path / "tokenizer.json")
    theirs = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    marked = f"<|im_start|>{text}<|endoftext|>"
    ids = ours.encode(marked, allow_special=True)
    assert theirs.encode(marked).ids == ids
    assert theirs.decode(ids, skip_special_tokens=False) == marked
    assert theirs.decode(ids) == ours.decode(ids, skip_special=True) == text


@pytest.mark.parametrize("text", HELD_OUT)
def test_a_file_of_tokenizers_gives_the_same_ids_here(both, tmp_path, text):
    _, theirs = both
    theirs.save(str(tmp_path / "tokenizer.json"))
    ours = BPETokenizer.load(tmp_path / "tokenizer.json")
    marked = f"<|im_start|>{text}<|endoftext|>"
    assert ours.encode(marked, allow_special=True) == theirs.encode(marked).ids
    assert ours.encode(text) == theirs.encode(text).ids


def test_transformers_reads_a_saved_file(both, tmp_path):
    transformers = pytest.importorskip("transformers")
    ours, _ = both
    ours.save(tmp_path / "tokenizer.json")
    fast = transformers.PreTrainedTokenizerFast(tokenizer_file=str(tmp_path / "tokenizer.json"))
    for text in HELD_OUT:
        assert fast(text)["input_ids"] == ours.encode(text)
