"""Three ways to cut a word against the BPE, WordPiece and Unigram models of `tokenizers`."""

import math
import random
from itertools import product

import pytest
from tokenizers import Tokenizer
from tokenizers.models import BPE, Unigram, WordPiece

from happyllm.tokenizer.subword import bpe_encode, unigram_viterbi, wordpiece_encode

SEEDS = pytest.mark.parametrize("seed", range(30))
ALPHABET = "abc"


def words_of(draw, n=20, longest=12):
    return ["".join(draw.choices(ALPHABET, k=draw.randint(1, longest))) for _ in range(n)]


@SEEDS
def test_bpe_cuts_as_tokenizers_does(seed):
    draw = random.Random(seed)
    pieces, merges = list(ALPHABET), []
    while len(merges) < 12:
        left, right = draw.choice(pieces), draw.choice(pieces)
        if left + right not in pieces:
            merges.append((left, right))
            pieces.append(left + right)
    oracle = Tokenizer(BPE(vocab={piece: i for i, piece in enumerate(pieces)}, merges=merges))
    for word in words_of(draw):
        assert bpe_encode(word, merges) == oracle.encode(word).tokens


@SEEDS
def test_wordpiece_cuts_as_tokenizers_does(seed):
    draw = random.Random(seed)
    starts = {"".join(p) for n in (1, 2, 3) for p in product(ALPHABET, repeat=n)}
    vocab = {piece for piece in starts if draw.random() < 0.4}
    vocab |= {f"##{piece}" for piece in starts if draw.random() < 0.4}
    ids = {piece: i for i, piece in enumerate(["[UNK]", *sorted(vocab)])}
    oracle = Tokenizer(WordPiece(vocab=ids, unk_token="[UNK]"))
    for word in words_of(draw):
        assert wordpiece_encode(word, vocab) == oracle.encode(word).tokens


@SEEDS
def test_unigram_cuts_as_tokenizers_does(seed):
    draw = random.Random(seed)
    pieces = {*ALPHABET, *words_of(draw, 15, 4)}
    log_probs = {piece: math.log(draw.random()) for piece in sorted(pieces)}
    oracle = Tokenizer(Unigram([("<unk>", -100.0), *log_probs.items()], unk_id=0))
    for word in words_of(draw):
        assert unigram_viterbi(word, log_probs) == oracle.encode(word).tokens
