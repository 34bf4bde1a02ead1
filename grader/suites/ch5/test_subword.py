"""Hidden suite of ch5/subword."""

import math
import random
from itertools import pairwise

import pytest

from grader.judge import check
from grader.judge.marks import also_right, equivalent_mutant, known_wrong
from happyllm.tokenizer.subword import bpe_encode, unigram_viterbi, wordpiece_encode

LEARNED = [
    *(("e", "r"), ("l", "o"), ("lo", "w"), ("n", "e"), ("ne", "w")),
    *(("er", "s"), ("low", "er"), ("o", "w"), ("w", "er"), ("a", "a")),
]
WORDS = ["low", "lower", "newer", "lowers", "wow", "lowest", "ow", "xyz", "l", "slower"]

VOCAB = {
    *("un", "play", "player", "a", "b", "ab", "tok", "##en", "##izer", "##ize", "##r", "##s"),
    *("##a", "##b", "##aff", "##able", "##er", "##ing", "##ed", "##bc", "pla", "##y"),
}

LOG_PROBS = {
    "a": -3.0,
    "b": -3.5,
    "c": -4.0,
    "ab": -4.25,
    "bc": -3.25,
    "abc": -9.0,
    "ca": -5.0,
    "aa": -5.5,
    "cab": -8.75,
}


@pytest.mark.parametrize("word", WORDS)
def test_bpe_applies_merges_in_the_order_learned(student, word):
    """Of all pairs of neighbours, the one that was learned first is joined first.

    在所有相邻对中，最先学到的合并最先执行。
    """
    check.equal(student.bpe_encode(word, LEARNED), bpe_encode(word, LEARNED))


@pytest.mark.parametrize(
    ("word", "merges", "pieces"),
    [
        ("abc", [("b", "c"), ("a", "b")], ["a", "bc"]),
        ("abcd", [("c", "d"), ("b", "c"), ("a", "b")], ["ab", "cd"]),
        ("abab", [("b", "a"), ("a", "b")], ["a", "ba", "b"]),
        ("abc", [("b", "c"), ("a", "b"), ("a", "bc")], ["abc"]),
    ],
    ids=["abc", "abcd", "abab", "abc in two steps"],
)
def test_the_rank_decides_and_not_the_place(student, word, merges, pieces):
    """A merge learned early goes first even where another would fit further left.

    先学到的合并先做，哪怕更靠左的位置有另一个合并可做。
    """
    check.equal(student.bpe_encode(word, merges), pieces)


@pytest.mark.parametrize(("n", "pieces"), [(2, "aa"), (3, "aa a"), (5, "aa aa a")])
def test_overlapping_pairs_are_joined_from_the_left(student, n, pieces):
    """In `aaa` the left pair is joined: `aa`, `a`.

    `aaa` 中合并左边那一对：`aa`、`a`。
    """
    check.equal(student.bpe_encode("a" * n, LEARNED), pieces.split())


def test_only_the_two_parts_of_a_merge_are_joined(student):
    """The merge (ab, c) joins `ab` and `c`, and not `a` and `bc`, though the string is the same.

    合并 (ab, c) 只连接 `ab` 和 `c`，不连接 `a` 和 `bc`，尽管拼出的串相同。
    """
    merges = [("b", "c"), ("a", "b"), ("ab", "c")]
    check.equal(student.bpe_encode("abc", merges), ["a", "bc"])
    check.equal(student.bpe_encode("abd", merges), ["ab", "d"])


def test_without_merges_a_word_is_its_characters(student):
    """Nothing to join leaves characters; an empty word has no pieces.

    没有可做的合并就是单个字符；空词没有片段。
    """
    check.equal(student.bpe_encode("天气abc", []), ["天", "气", "a", "b", "c"])
    check.equal(student.bpe_encode("x", LEARNED), ["x"])
    check.equal(student.bpe_encode("", LEARNED), [])


def test_bpe_of_words_and_merges_drawn_at_random(student):
    """Merges learned from other words cut this one as the reference does.

    用从别的词学来的合并切分，结果与参考实现相同。
    """
    for _ in range(25):
        alphabet, merges = ["a", "b", "c"], []
        pieces = list(alphabet)
        for _ in range(6):
            pair = (random.choice(pieces), random.choice(pieces))
            if pair not in merges and "".join(pair) not in pieces:
                merges.append(pair)
                pieces.append("".join(pair))
        word = "".join(random.choices(alphabet, k=9))
        check.equal(student.bpe_encode(word, merges), bpe_encode(word, merges))


@pytest.mark.parametrize("word", ["unaffable", "tokenizers", "player", "abbc", "players", "plays"])
def test_wordpiece_takes_the_longest_known_piece_each_time(student, word):
    """From the left: the longest known beginning, then the longest known piece of the rest.

    从左到右：先取已知的最长开头，再对剩余部分取已知的最长片段。
    """
    check.equal(student.wordpiece_encode(word, VOCAB), wordpiece_encode(word, VOCAB))


def test_pieces_inside_a_word_carry_the_prefix(student):
    """`ab` begins a word, `##ab` continues one: they are different tokens.

    `ab` 只能在词首，`##ab` 只能接在后面：它们是不同的 token。
    """
    check.equal(student.wordpiece_encode("aa", {"a", "##a"}), ["a", "##a"])
    check.equal(student.wordpiece_encode("aa", {"a"}), ["[UNK]"])
    check.equal(student.wordpiece_encode("aa", {"##a"}), ["[UNK]"])


@pytest.mark.parametrize("word", ["unaffected", "xplay", "playx", "pl", "天气"])
def test_a_word_that_cannot_be_covered_is_one_unk(student, word):
    """One part that is unknown makes all of the word unknown.

    只要有一部分未知，整个词就是未知的。
    """
    check.equal(student.wordpiece_encode(word, VOCAB), ["[UNK]"])


def test_wordpiece_never_takes_a_choice_back(student):
    """`ab` is longer than `a`; that `##c` is unknown then does not bring `a`, `##bc` back.

    `ab` 比 `a` 长，先取它；之后发现 `##c` 未知，也不会退回去取 `a`、`##bc`。
    """
    check.equal(student.wordpiece_encode("abc", VOCAB), ["[UNK]"])


def test_the_marks_of_wordpiece_can_be_chosen(student):
    """Another prefix and another unknown token are used as they are given.

    前缀和未知 token 可以另行指定。
    """
    vocab = ["re", "@@do", "##do"]
    check.equal(student.wordpiece_encode("redo", vocab, prefix="@@"), ["re", "@@do"])
    check.equal(student.wordpiece_encode("undo", vocab, unk="<unk>"), ["<unk>"])
    check.equal(student.wordpiece_encode("redo", {"re", "do"}, prefix=""), ["re", "do"])


def test_an_empty_word_has_no_pieces(student):
    """Nothing to cover gives an empty list, and no unknown token.

    空词给出空列表，而不是未知 token。
    """
    check.equal(student.wordpiece_encode("", VOCAB), [])


@pytest.mark.parametrize("text", ["abc", "ab", "aab", "cab", "abcab", "caab", "bca", "aaa"])
def test_unigram_finds_the_most_probable_segmentation(student, text):
    """Of all ways to cut the text, the one whose log probabilities add up to the most.

    在所有切法中，选对数概率之和最大的一种。
    """
    check.equal(student.unigram_viterbi(text, LOG_PROBS), unigram_viterbi(text, LOG_PROBS))


def test_neither_the_longest_nor_the_best_piece_decides(student):
    """The sum decides: a long piece, or a probable one, can force improbable neighbours.

    起决定作用的是总和：一个很长或概率很高的片段，可能迫使相邻片段概率很低。
    """
    longest = {"abc": -9.0, "a": -1.0, "bc": -2.0, "d": -1.0, "bcd": -9.0}
    check.equal(student.unigram_viterbi("abcd", longest), ["a", "bc", "d"])
    greedy = {"ab": -1.0, "c": -20.0, "a": -3.0, "bc": -3.0}
    check.equal(student.unigram_viterbi("abc", greedy), ["a", "bc"])
    fewest = {"ab": -9.0, "cd": -9.0, "a": -2.0, "b": -2.0, "c": -2.0, "d": -2.0}
    check.equal(student.unigram_viterbi("abcd", fewest), ["a", "b", "c", "d"])


def test_unigram_agrees_with_trying_every_segmentation(student):
    """With probabilities drawn at random, the best of all segmentations comes out.

    概率随机抽取时，结果与枚举所有切法得到的最优解相同。
    """
    for _ in range(25):
        pieces = {"".join(random.choices("abc", k=random.randint(1, 4))) for _ in range(12)}
        log_probs = {piece: -10 * random.random() for piece in {*pieces, "a", "b", "c"}}
        text = "".join(random.choices("abc", k=10))
        got = student.unigram_viterbi(text, log_probs)
        check.equal(got, unigram_viterbi(text, log_probs))


def test_a_long_text_does_not_underflow(student):
    """The probability of 3000 characters is far below the smallest float: add logarithms.

    3000 个字符的概率远小于最小的浮点数：应把对数相加。
    """
    text = "abcabca" * 430
    check.equal(student.unigram_viterbi(text, LOG_PROBS), unigram_viterbi(text, LOG_PROBS))


def test_an_empty_text_has_no_pieces(student):
    """Nothing to cut gives an empty list.

    没有可切的，给出空列表。
    """
    check.equal(student.unigram_viterbi("", LOG_PROBS), [])


@pytest.mark.parametrize(("text", "reached"), [("abx", 2), ("xab", 0), ("axb", 1), ("天", 0)])
def test_a_text_that_the_pieces_cannot_give_is_refused(student, text, reached):
    """Where no sequence of pieces gives the text, a ValueError names the position they reach.

    任何片段序列都拼不出文本时，要抛出 ValueError，写明片段最远能到达的位置。
    """
    check.raises(ValueError, lambda: student.unigram_viterbi(text, LOG_PROBS), match=str(reached))


def test_no_pieces_at_all_give_no_text(student):
    """Without any piece only the empty text can be cut.

    一个片段都没有时，只有空文本能切分。
    """
    check.equal(student.unigram_viterbi("", {}), [])
    check.raises(ValueError, lambda: student.unigram_viterbi("a", {}))


# ---- other right ways


@also_right("bpe_encode", en="merge by merge, each over the whole word")
def merge_by_merge(word, merges):
    pieces = list(word)
    for left, right in merges:
        i = 0
        while i + 1 < len(pieces):
            if pieces[i] == left and pieces[i + 1] == right:
                pieces[i : i + 2] = [left + right]
            i += 1
    return pieces


@also_right("bpe_encode", en="one pair at a time, the leftmost of the lowest rank")
def one_at_a_time(word, merges):
    pieces = list(word)
    ranks = {tuple(pair): i for i, pair in enumerate(merges)}
    while True:
        found = [(ranks[p], i) for i, p in enumerate(pairwise(pieces)) if p in ranks]
        if not found:
            return pieces
        _, i = min(found)
        pieces[i : i + 2] = [pieces[i] + pieces[i + 1]]


@also_right("wordpiece_encode", en="with a recursion")
def recursive(word, vocab, unk="[UNK]", prefix="##"):
    def rest(start):
        if start == len(word):
            return []
        mark = prefix if start else ""
        for end in range(len(word), start, -1):
            if mark + word[start:end] in vocab:
                after = rest(end)
                return None if after is None else [mark + word[start:end], *after]
        return None

    pieces = rest(0)
    return [unk] if pieces is None else pieces


@also_right("unigram_viterbi", en="forwards, keeping (score, pieces)")
def forwards(text, log_probs):
    best = {0: (0.0, None, 0)}
    longest = max((len(piece) for piece in log_probs), default=0)
    for start in range(len(text)):
        if start not in best:
            continue
        for size in range(1, longest + 1):
            piece = text[start : start + size]
            if len(piece) == size and piece in log_probs:
                score = best[start][0] + log_probs[piece]
                if start + size not in best or score > best[start + size][0]:
                    best[start + size] = (score, piece, start)
    if len(text) not in best:
        raise ValueError(f"the pieces end at {max(best)}")
    pieces, end = [], len(text)
    while end:
        _, piece, end = best[end]
        pieces.insert(0, piece)
    return pieces


_LONGEST = "longest = max(map(len, log_probs), default={})"
_STARTS = "for start in range({}, end{}):"

EQUIVALENT = (
    equivalent_mutant(
        "wordpiece_encode",
        "piece = word[start:end] if start == 0 else prefix + word[start:end]",
        "piece = word[:end] if start == 0 else prefix + word[start:end]",
        because="start is 0 there",
    ),
    *(
        equivalent_mutant(
            "unigram_viterbi",
            _LONGEST.format(0),
            _LONGEST.format(other),
            because="without any piece, no length of a piece is found",
        )
        for other in (1, -1)
    ),
    equivalent_mutant(
        "unigram_viterbi",
        "best = [0.0] + [-math.inf] * len(text)",
        "best = [1.0] + [-math.inf] * len(text)",
        because="every segmentation is worth 1 more, so the best remains the best",
    ),
    equivalent_mutant(
        "unigram_viterbi",
        "for end in range(1, len(text) + 1):",
        "for end in range(0, len(text) + 1):",
        because="no piece ends at 0",
    ),
    equivalent_mutant(
        "unigram_viterbi",
        _STARTS.format("max(0, end - longest)", ""),
        _STARTS.format("max(0, end - longest)", " + 1"),
        because="the empty string is no piece",
    ),
    equivalent_mutant(
        "unigram_viterbi",
        _STARTS.format("max(0, end - longest)", ""),
        _STARTS.format("max(-1, end - longest)", ""),
        because="best[-1] is that of the whole text, which is not reached yet",
    ),
)


# ---- mistakes that people make


@known_wrong(
    "bpe_encode",
    en="You join the first pair from the left that is known at all. The merge learned first goes "
    "first, wherever it stands.",
    zh="你合并的是从左数第一个已知的对。应先做最早学到的合并，不管它在哪里。",
)
def from_the_left(word, merges):
    pieces = list(word)
    while True:
        for i, pair in enumerate(pairwise(pieces)):
            if pair in set(map(tuple, merges)):
                pieces[i : i + 2] = ["".join(pair)]
                break
        else:
            return pieces


@known_wrong(
    "bpe_encode",
    en="You join the merge that was learned last. The first one goes first: min over the ranks.",
    zh="你先做了最后学到的合并。应先做最早的：对名次取 min。",
)
def last_first(word, merges):
    pieces = list(word)
    ranks = {tuple(pair): i for i, pair in enumerate(merges)}
    while True:
        found = [(-ranks[p], i) for i, p in enumerate(pairwise(pieces)) if p in ranks]
        if not found:
            return pieces
        _, i = min(found)
        pieces[i : i + 2] = [pieces[i] + pieces[i + 1]]


@known_wrong(
    "bpe_encode",
    en="You stop after one merge. Go on until no pair of neighbours is known.",
    zh="你只合并了一次就停了。应一直做到没有已知的相邻对为止。",
)
def once(word, merges):
    pieces = list(word)
    ranks = {tuple(pair): i for i, pair in enumerate(merges)}
    found = [(ranks[p], i) for i, p in enumerate(pairwise(pieces)) if p in ranks]
    if found:
        _, i = min(found)
        pieces[i : i + 2] = [pieces[i] + pieces[i + 1]]
    return pieces


@known_wrong(
    "bpe_encode",
    en="You match the longest known piece from the left, as WordPiece does. BPE replays merges.",
    zh="你从左边取最长的已知片段，那是 WordPiece 的做法。BPE 是重放合并的过程。",
)
def longest_match(word, merges):
    known = {left + right for left, right in merges}
    pieces, start = [], 0
    while start < len(word):
        end = next(
            (e for e in range(len(word), start + 1, -1) if word[start:e] in known), start + 1
        )
        pieces.append(word[start:end])
        start = end
    return pieces


@known_wrong(
    "bpe_encode",
    en="You look the joined string up. The merge (ab, c) does not join `a` and `bc`: compare the "
    "two parts.",
    zh="你查的是拼起来的串。合并 (ab, c) 并不连接 `a` 和 `bc`：应比较两个部分。",
)
def by_the_string(word, merges):
    pieces = list(word)
    ranks = {}
    for i, (left, right) in enumerate(merges):
        ranks.setdefault(left + right, i)
    while True:
        found = [(ranks[a + b], i) for i, (a, b) in enumerate(pairwise(pieces)) if a + b in ranks]
        if not found:
            return pieces
        _, i = min(found)
        pieces[i : i + 2] = [pieces[i] + pieces[i + 1]]


@known_wrong(
    "bpe_encode",
    en="Where pairs overlap you join the right one; go from left to right: `aaa` is `aa`, `a`.",
    zh="重叠时你合并了右边那一对；应从左到右：`aaa` 是 `aa`、`a`。",
)
def from_the_right(word, merges):
    pieces = list(word)
    ranks = {tuple(pair): i for i, pair in enumerate(merges)}
    while True:
        found = [(ranks[p], -i) for i, p in enumerate(pairwise(pieces)) if p in ranks]
        if not found:
            return pieces
        i = -min(found)[1]
        pieces[i : i + 2] = [pieces[i] + pieces[i + 1]]


def _wordpiece(word, vocab, prefix, ends, start=0):
    """Cut a word with another order of trying, or None."""
    pieces = []
    while start < len(word):
        mark = prefix if start else ""
        for end in ends(start, len(word)):
            if mark + word[start:end] in vocab:
                pieces.append(mark + word[start:end])
                start = end
                break
        else:
            return None
    return pieces


@known_wrong(
    "wordpiece_encode",
    en="You take the shortest known piece; begin with the longest.",
    zh="你取了最短的已知片段；应从最长的试起。",
)
def shortest(word, vocab, unk="[UNK]", prefix="##"):
    pieces = _wordpiece(word, vocab, prefix, lambda start, size: range(start + 1, size + 1))
    return [unk] if pieces is None else pieces


@known_wrong(
    "wordpiece_encode",
    en="You keep the known pieces and put the unknown token only where something is missing. "
    "In WordPiece the whole word is unknown then.",
    zh="你保留了已知片段，只在缺失处放未知 token。WordPiece 中，此时整个词都是未知的。",
)
def unk_for_the_rest(word, vocab, unk="[UNK]", prefix="##"):
    pieces, start = [], 0
    while start < len(word):
        mark = prefix if start else ""
        for end in range(len(word), start, -1):
            if mark + word[start:end] in vocab:
                pieces.append(mark + word[start:end])
                start = end
                break
        else:
            return [*pieces, unk]
    return pieces


@known_wrong(
    "wordpiece_encode",
    en="You take a choice back and find another way. WordPiece never does: greedy is greedy.",
    zh="你退回去另找了一条路。WordPiece 从不回溯：贪心就是贪心。",
)
def with_a_way_back(word, vocab, unk="[UNK]", prefix="##"):
    def rest(start):
        if start == len(word):
            return []
        mark = prefix if start else ""
        for end in range(len(word), start, -1):
            if mark + word[start:end] in vocab:
                after = rest(end)
                if after is not None:
                    return [mark + word[start:end], *after]
        return None

    pieces = rest(0)
    return [unk] if pieces is None else pieces


@known_wrong(
    "wordpiece_encode",
    en="You look pieces inside the word up without the prefix: `##er` and `er` are two tokens.",
    zh="查词中的片段时你没有加前缀：`##er` 和 `er` 是两个 token。",
)
def prefix_forgotten(word, vocab, unk="[UNK]", prefix="##"):
    pieces = _wordpiece(word, vocab, "", lambda start, size: range(size, start, -1))
    return [unk] if pieces is None else pieces


@known_wrong(
    "wordpiece_encode",
    en="The pieces inside the word come back without their prefix; what comes back are tokens of "
    "the vocabulary.",
    zh="词中的片段返回时没有前缀；返回的应是词表里的 token。",
)
def prefix_dropped(word, vocab, unk="[UNK]", prefix="##"):
    pieces = _wordpiece(word, vocab, prefix, lambda start, size: range(size, start, -1))
    return [unk] if pieces is None else [piece.removeprefix(prefix) for piece in pieces]


@known_wrong(
    "wordpiece_encode",
    en="`##` and `[UNK]` are written into your code: use the arguments prefix and unk.",
    zh="你把 `##` 和 `[UNK]` 写死在代码里了：应使用参数 prefix 和 unk。",
)
def arguments_ignored(word, vocab, unk="[UNK]", prefix="##"):
    pieces = _wordpiece(word, vocab, "##", lambda start, size: range(size, start, -1))
    return ["[UNK]"] if pieces is None else pieces


@known_wrong(
    "wordpiece_encode",
    en="An empty word gives the unknown token; it has no pieces.",
    zh="空词给出了未知 token；它没有片段。",
)
def nothing_is_unknown(word, vocab, unk="[UNK]", prefix="##"):
    pieces = _wordpiece(word, vocab, prefix, lambda start, size: range(size, start, -1))
    return pieces or [unk]


def _greedy(text, log_probs, best):
    pieces, start = [], 0
    while start < len(text):
        fitting = [p for p in log_probs if text.startswith(p, start)]
        if not fitting:
            raise ValueError(f"nothing fits at {start}")
        pieces.append(max(fitting, key=best))
        start += len(pieces[-1])
    return pieces


@known_wrong(
    "unigram_viterbi",
    en="You take the longest piece each time, as WordPiece does. Compare whole segmentations.",
    zh="你每次取最长的片段，那是 WordPiece 的做法。应比较整个切分。",
)
def longest_first(text, log_probs):
    return _greedy(text, log_probs, len)


@known_wrong(
    "unigram_viterbi",
    en="You take the most probable piece each time. It can force improbable ones later: compare "
    "whole segmentations.",
    zh="你每次取概率最大的片段。它可能迫使后面的概率很低：应比较整个切分。",
)
def best_piece_first(text, log_probs):
    return _greedy(text, log_probs, lambda piece: log_probs[piece])


def _viterbi(text, weights, better, start=0.0, worst=-math.inf, join=lambda a, b: a + b):
    longest = max(map(len, weights), default=0)
    best, came_from = [start] + [worst] * len(text), [0] * (len(text) + 1)
    for end in range(1, len(text) + 1):
        for begin in range(max(0, end - longest), end):
            piece = text[begin:end]
            if piece in weights and best[begin] != worst:
                score = join(best[begin], weights[piece])
                if best[end] == worst or better(score, best[end]):
                    best[end], came_from[end] = score, begin
    if best[-1] == worst:
        reached = max(end for end, score in enumerate(best) if score != worst)
        raise ValueError(f"the pieces end at {reached}")
    pieces, end = [], len(text)
    while end:
        pieces.append(text[came_from[end] : end])
        end = came_from[end]
    return pieces[::-1]


@known_wrong(
    "unigram_viterbi",
    en="You look for the fewest pieces; probabilities decide, not their number.",
    zh="你找的是片段最少的切法；决定因素是概率，不是个数。",
)
def fewest(text, log_probs):
    return _viterbi(text, dict.fromkeys(log_probs, 1), lambda a, b: a < b, 0, math.inf)


@known_wrong(
    "unigram_viterbi",
    en="You look for the smallest sum; log probabilities are negative, and the greatest is best.",
    zh="你找的是最小的和；对数概率是负数，最大的才最好。",
)
def least_probable(text, log_probs):
    return _viterbi(text, log_probs, lambda a, b: a < b, 0.0, math.inf)


@known_wrong(
    "unigram_viterbi",
    en="You multiply probabilities: after some hundred pieces the product is 0, and every "
    "segmentation as good as any. Add the logarithms.",
    zh="你把概率相乘：几百个片段之后乘积就是 0，所有切法再无分别。应把对数相加。",
)
def multiplied(text, log_probs):
    probs = {piece: math.exp(value) for piece, value in log_probs.items()}
    return _viterbi(text, probs, lambda a, b: a > b, 1.0, -1.0, lambda a, b: a * b)


@known_wrong(
    "unigram_viterbi",
    en="The pieces come out from the end to the beginning: turn them round.",
    zh="片段是从末尾到开头排列的：应反转过来。",
)
def backwards(text, log_probs):
    return _viterbi(text, log_probs, lambda a, b: a > b)[::-1]


@known_wrong(
    "unigram_viterbi",
    en="What no piece covers goes through as single characters; raise ValueError.",
    zh="没有片段能覆盖的部分被当作单个字符放过了；应抛出 ValueError。",
)
def unknown_goes_through(text, log_probs):
    return _viterbi(text, {**dict.fromkeys(text, -100.0), **log_probs}, lambda a, b: a > b)
