"""Subwords: three ways to cut a word into known pieces."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise


def bpe_encode(word: str, merges: Sequence[tuple[str, str]]) -> list[str]:
    """Cut a word as BPE does: begin with characters, and apply the merges in the order learned.

    Args:
        word: Any text; there is nothing in it that separates.
        merges: Pairs of pieces; the first was learned first, and is applied first.

    Returns:
        The pieces; joined they are the word. An empty word has none.

    Example:
        >>> bpe_encode("lower", [("l", "o"), ("lo", "w"), ("e", "r")])
        ['low', 'er']
        >>> bpe_encode("abc", [("b", "c"), ("a", "b")])  # not from the left: by rank
        ['a', 'bc']

    Source:
        Sennrich et al. 2016, "Neural Machine Translation of Rare Words with Subword Units",
        Section 3.2.
    """
    ranks = {pair: rank for rank, pair in enumerate(merges)}
    pieces = list(word)
    while len(pieces) > 1:
        # Step 1: of all pairs of neighbours, find the one with the lowest rank.
        best = min(pairwise(pieces), key=lambda pair: ranks.get(pair, math.inf))
        if best not in ranks:
            break
        # Step 2: join it wherever it stands, from left to right.
        joined: list[str] = []
        i = 0
        while i < len(pieces):
            if tuple(pieces[i : i + 2]) == best:
                joined.append(pieces[i] + pieces[i + 1])
                i += 2
            else:
                joined.append(pieces[i])
                i += 1
        pieces = joined
    return pieces


def wordpiece_encode(
    word: str, vocab: Collection[str], unk: str = "[UNK]", prefix: str = "##"
) -> list[str]:
    """Cut a word as BERT does: from the left, each time the longest piece that is known.

    Args:
        word: One word without spaces.
        vocab: The known pieces. One that continues a word carries the prefix: `##ing`.
        unk: What stands for a word that cannot be cut into known pieces.
        prefix: Marks a piece that does not begin the word.

    Returns:
        The pieces; or `[unk]` alone where any part of the word is unknown. An empty word has none.

    Example:
        >>> vocab = {"un", "##aff", "##able", "##a", "##ble"}
        >>> wordpiece_encode("unaffable", vocab)
        ['un', '##aff', '##able']
        >>> wordpiece_encode("unaffected", vocab)  # one unknown part, and all of it is unknown
        ['[UNK]']

    Source:
        Devlin et al. 2019, "BERT", Section 3; Schuster and Nakajima 2012, "Japanese and Korean
        Voice Search".
    """
    pieces: list[str] = []
    start = 0
    while start < len(word):
        # Step 1: try the longest rest first, then one character less, and so on.
        for end in range(len(word), start, -1):
            piece = word[start:end] if start == 0 else prefix + word[start:end]
            if piece in vocab:
                pieces.append(piece)
                start = end
                break
        # Step 2: not even one character is known: give up the whole word.
        else:
            return [unk]
    return pieces


def unigram_viterbi(text: str, log_probs: Mapping[str, float]) -> list[str]:
    """Cut a text into the pieces whose product of probabilities is greatest.

    Args:
        text: Any text.
        log_probs: The logarithm of each piece's probability.

    Returns:
        The pieces; joined they are the text. An empty text has none. Where several segmentations
        are equally probable, any of them.

    Raises:
        ValueError: No sequence of pieces gives the text; the message names the furthest position
            that pieces reach: for `abx` with the pieces below it is 2.

    Example:
        >>> log_probs = {"a": -3.0, "b": -3.0, "c": -3.0, "ab": -4.0, "bc": -3.5}
        >>> unigram_viterbi("abc", log_probs)  # a + bc = -6.5, ab + c = -7, a + b + c = -9
        ['a', 'bc']

    Source:
        Kudo 2018, "Subword Regularization: Improving Neural Network Translation Models with
        Multiple Subword Candidates", Section 3.2.
    """
    longest = max(map(len, log_probs), default=0)
    # Step 1: best[end] is the greatest log probability of text[:end]; came_from[end] is where the
    # last piece of that segmentation begins.
    best = [0.0] + [-math.inf] * len(text)
    came_from: dict[int, int] = {}
    for end in range(1, len(text) + 1):
        for start in range(max(0, end - longest), end):
            score = best[start] + log_probs.get(text[start:end], -math.inf)
            if score > best[end]:
                best[end], came_from[end] = score, start
    if best[-1] == -math.inf:
        reached = max(end for end, score in enumerate(best) if score > -math.inf)
        raise ValueError(f"the pieces reach position {reached}, and not {text[reached:][:10]!r}")
    # Step 2: walk back from the end, then turn the pieces round.
    pieces = []
    end = len(text)
    while end > 0:
        pieces.append(text[came_from[end] : end])
        end = came_from[end]
    return pieces[::-1]
