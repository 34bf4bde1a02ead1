import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from happyllm.tokenizer import bpe_encode, unigram_viterbi, wordpiece_encode

WORDS = st.text("abc", max_size=12)
MERGES = [("a", "b"), ("c", "c"), ("ab", "a"), ("cc", "ab")]
VOCAB = {"a", "b", "ab", "##a", "##b", "##c", "##bca"}
LOG_PROBS = {"a": -1.0, "b": -2.0, "c": -3.0, "ab": -2.5, "bca": -4.0, "cc": -5.0}


@given(WORDS)
def test_the_pieces_of_bpe_are_the_word(word):
    pieces = bpe_encode(word, MERGES)
    assert "".join(pieces) == word
    # No merge is left to do.
    assert not set(pairwise(pieces)) & set(MERGES)


@given(WORDS)
def test_the_pieces_of_wordpiece_are_the_word_or_one_unknown_token(word):
    pieces = wordpiece_encode(word, VOCAB)
    if word.startswith("c"):
        assert pieces == ["[UNK]"]
    else:
        assert set(pieces) <= VOCAB
        assert "".join(pieces).replace("##", "") == word


@given(WORDS)
def test_no_segmentation_is_more_probable_than_that_of_viterbi(word):
    def best(text):
        if not text:
            return 0.0
        heads = (text[:end] for end in range(1, len(text) + 1))
        return max(LOG_PROBS[h] + best(text[len(h) :]) for h in heads if h in LOG_PROBS)

    pieces = unigram_viterbi(word, LOG_PROBS)
    assert "".join(pieces) == word
    assert math.isclose(sum(LOG_PROBS[piece] for piece in pieces), best(word), abs_tol=1e-9)


def test_a_text_out_of_reach_is_refused_by_the_place():
    with pytest.raises(ValueError, match="the pieces reach position 2, and not 'xa'"):
        unigram_viterbi("abxa", LOG_PROBS)
