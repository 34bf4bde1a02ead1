import random
import re
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from happyllm.tokenizer import (
    BPETokenizer,
    count_pairs,
    count_words,
    learn_merges,
    merge_pair,
    pre_tokenize,
    train_bpe,
)

CORPUS = "the cat sat on the mat. 我们去公园，我们去学校。 don't  you?\n" * 5
SPECIAL = ["<|end|>", "<|user|>"]
TOKENIZER = train_bpe(CORPUS, 290, SPECIAL)
BYTES = {bytes([byte]): byte for byte in range(256)}


def merges_by_recounting(word_counts, n_merges, first_id):
    """What learn_merges promises, written as plainly as can be."""
    words = [(list(word), count) for word, count in word_counts.items()]
    merges = []
    for new_id in range(first_id, first_id + n_merges):
        counts = Counter()
        for word, count in words:
            for pair in pairwise(word):
                counts[pair] += count
        if not counts:
            break
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        merges.append(best)
        words = [(merge_pair(word, best, new_id), count) for word, count in words]
    return merges


# ---- words


@given(st.text())
def test_no_character_is_lost_between_words(text):
    assert "".join(pre_tokenize(text)) == text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("we'll don't", ["we", "'ll", " don", "'t"]),
        ("a1b2", ["a", "1", "b", "2"]),
        ("  two", [" ", " two"]),
        ("end  \n", ["end", "  \n"]),
        ("x=1; y", ["x", "=", "1", ";", " y"]),
        ("我们 去", ["我们", " 去"]),
    ],
)
def test_a_space_belongs_to_the_word_behind_it_and_kinds_do_not_mix(text, words):
    assert pre_tokenize(text) == words


def test_words_are_counted_over_all_texts_of_an_iterator():
    assert count_words(iter(["a b", "a"])) == {"a": 2, " b": 1}


# ---- learning


@settings(deadline=None)
@given(
    st.dictionaries(
        st.lists(st.integers(0, 3), max_size=10).map(tuple), st.integers(1, 9), max_size=12
    ),
    st.integers(0, 60),
)
def test_merges_are_those_of_counting_everything_anew(word_counts, n_merges):
    expected = merges_by_recounting(word_counts, n_merges, 10)
    assert learn_merges(word_counts, n_merges, 10) == expected


@given(st.lists(st.integers(0, 2), max_size=12))
def test_after_a_merge_the_pair_is_gone_and_the_tokens_are_the_same(word):
    merged = merge_pair(word, (1, 2), 9)
    assert (1, 2) not in pairwise(merged)
    assert [token for one in merged for token in ((1, 2) if one == 9 else (one,))] == word


def test_a_word_is_noted_for_each_pair_in_it():
    counts, where = count_pairs([[1, 1, 1], [1, 2]], [3, 5])
    assert counts == {(1, 1): 6, (1, 2): 5}
    assert where == {(1, 1): {0}, (1, 2): {1}}


def test_the_order_of_the_corpus_does_not_matter():
    texts = CORPUS.split(" ")
    random.Random(1).shuffle(texts)
    ours, shuffled = (train_bpe(one, 300).merges for one in (CORPUS.split(" "), texts))
    assert ours == shuffled


def test_a_small_corpus_gives_fewer_tokens_than_were_asked_for():
    assert train_bpe("aa", 1000).vocab_size == 257


def test_ids_are_special_tokens_then_bytes_then_merges():
    assert TOKENIZER.special_tokens == {"<|end|>": 0, "<|user|>": 1}
    assert TOKENIZER.token(2) == b"!"
    assert TOKENIZER.token(257) == b"\xad"
    assert TOKENIZER.token(258) == b"".join(TOKENIZER.merges[0])
    assert TOKENIZER.vocab_size == 290


@pytest.mark.parametrize(
    ("vocab_size", "special", "message"),
    [
        (255, (), "vocab_size=255 must be at least 256"),
        (257, SPECIAL, "vocab_size=257 must be at least 258"),
        (300, ["<|a|>", "<|a|>"], "'<|a|>' occurs twice"),
        (300, ["end"], "ordinary text may spell 'end'"),
        (300, ["a"], "ordinary text may spell 'a'"),
        (300, [""], "ordinary text may spell ''"),
    ],
)
def test_what_cannot_be_trained_is_refused_by_name(vocab_size, special, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        train_bpe("end", vocab_size, special)


# ---- encoding


@given(st.text())
def test_any_text_comes_back(text):
    assert TOKENIZER.decode(TOKENIZER.encode(text)) == text


@pytest.mark.parametrize("text", ["ﬁ ½ Ａ ² ℌ", "e\u0301 é", "A a", "\x00\ufeff\r\n"])
def test_nothing_is_normalized(text):
    assert TOKENIZER.decode(TOKENIZER.encode(text)) == text


@given(st.text("<|>enduser ", max_size=30))
def test_no_text_gives_a_special_id_unless_it_is_allowed(text):
    assert not {0, 1} & set(TOKENIZER.encode(text))
    assert TOKENIZER.decode(TOKENIZER.encode(text, allow_special=True)) == text


def test_special_tokens_can_be_allowed_by_name():
    text = "<|user|>hi<|end|>"
    assert TOKENIZER.encode(text, allow_special=True)[0] == 1
    only = TOKENIZER.encode(text, allow_special={"<|end|>"})
    assert only[-1] == 0
    assert 1 not in only
    assert TOKENIZER.encode(text, allow_special="<|end|>") == only
    with pytest.raises(ValueError, match=r"'<\|nobody\|>' is no special token"):
        TOKENIZER.encode(text, allow_special=["<|nobody|>"])


def test_the_longest_special_token_is_found_first():
    tokenizer = BPETokenizer(BYTES, [], {"<|a": 256, "<|a|>": 257})
    assert tokenizer.encode("<|a|><|a", allow_special=True) == [257, 256]


def test_special_tokens_can_be_left_out_of_what_is_decoded():
    ids = [1, *TOKENIZER.encode("hi"), 0]
    assert TOKENIZER.decode(ids) == "<|user|>hi<|end|>"
    assert TOKENIZER.decode(ids, skip_special=True) == "hi"


def test_ids_that_end_inside_a_character_decode_to_a_replacement():
    ids = TOKENIZER.encode("雨")
    assert len(ids) > 1
    assert TOKENIZER.decode(ids[:-1]) == "\ufffd"


def test_a_batch_is_its_texts_one_by_one():
    texts = ["the cat", "", "我们"]
    assert TOKENIZER.encode_batch(texts) == [TOKENIZER.encode(text) for text in texts]


def test_a_word_is_encoded_alike_the_second_time():
    fresh = BPETokenizer(TOKENIZER.vocab, TOKENIZER.merges)
    assert fresh.encode("the cat") == fresh.encode("the cat") == TOKENIZER.encode("the cat")


def test_a_word_of_a_hundred_thousand_letters_is_no_trouble():
    word = "theat" * 20_000
    tokenizer = train_bpe(word, 300)
    ids = tokenizer.encode(word)
    assert len(ids) < len(word) / 1000
    assert tokenizer.decode(ids) == word


@pytest.mark.parametrize("wrong", [290, -1])
def test_an_unknown_id_is_refused_by_its_number(wrong):
    with pytest.raises(ValueError, match=f"id {wrong} is not in the vocabulary of 290 tokens"):
        TOKENIZER.decode([5, wrong])


@pytest.mark.parametrize("text", ["\ud83d", "ok \udc00", "<|end|>\ud800"])
def test_half_a_surrogate_pair_is_refused_in_words(text):
    with pytest.raises(ValueError, match="half a surrogate pair"):
        TOKENIZER.encode(text, allow_special=True)


@pytest.mark.parametrize(
    ("vocab", "merges", "special", "message"),
    [
        ({b"a": 0}, [], {}, "vocab lacks the byte 0x00"),
        (BYTES, [(b"a", b"b")], {}, "needs b'ab', which is not in vocab"),
        (BYTES | {b"ab": 0}, [], {}, "have the same id 0"),
        (BYTES, [], {"<|a|>": 7}, "have the same id 7"),
        (BYTES, [], {"<|a|>": -1}, "the id of '<|a|>' is -1"),
        (BYTES, [], {"": 256}, "cannot be empty"),
        (BYTES | {b" the": 256}, [], {"Ġthe": 257}, "is an ordinary token too"),
    ],
)
def test_parts_that_do_not_fit_are_refused(vocab, merges, special, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        BPETokenizer(vocab, merges, special)
