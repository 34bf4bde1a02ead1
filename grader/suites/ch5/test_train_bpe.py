"""Hidden suite of ch5/train_bpe."""

import heapq
import random
from collections import Counter, defaultdict
from itertools import pairwise

import pytest

from grader.judge import check
from grader.judge.marks import also_right, known_wrong
from happyllm.tokenizer.bpe import count_pairs, learn_merges, merge_pair

LOW = {(1, 2, 3): 5, (1, 2, 3, 4, 5): 2, (6, 4, 3, 4, 5): 6, (3, 7, 8, 4, 9, 10): 3}


def corpus(words=40, letters=5, longest=9):
    """Words drawn at random, in which pairs repeat and overlap, and how often each occurs."""
    drawn = {
        tuple(random.choices(range(letters), k=random.randint(1, longest))) for _ in range(words)
    }
    return {word: random.randint(1, 20) for word in sorted(drawn)}


def test_a_pair_counts_as_often_as_its_words_occur(student):
    """Each pair of neighbours counts once for every time that its word stands in the corpus.

    每个相邻对的次数，等于它所在的词在语料中出现的次数。
    """
    got, _ = student.count_pairs([[1, 2, 3], [2, 3]], [5, 4])
    check.equal(got, {(1, 2): 5, (2, 3): 9})


def test_a_pair_counts_wherever_it_stands_in_a_word(student):
    """A word that holds a pair twice counts for two, and in [a, a, a] the pair (a, a) stands twice.

    词里出现两次就算两次；[a, a, a] 中 (a, a) 出现两次。
    """
    got, _ = student.count_pairs([[1, 2, 1, 2], [7, 7, 7]], [10, 3])
    check.equal(got, {(1, 2): 20, (2, 1): 10, (7, 7): 6})


def test_for_each_pair_it_is_known_which_words_hold_it(student):
    """The second answer gives for each pair the indices of its words, as a set.

    第二个返回值给出每个对所在的词的下标，是集合。
    """
    words = [[1, 2, 1, 2], [2, 1], [5], [], [3, 1, 2]]
    _, where = student.count_pairs(words, [1, 1, 9, 9, 2])
    check.equal(where, {(1, 2): {0, 4}, (2, 1): {0, 1}, (3, 1): {4}})


def test_pairs_of_a_corpus_drawn_at_random(student):
    """All pairs of forty words are counted and found.

    四十个词里的所有相邻对都被数到、找到。
    """
    words = corpus()
    got = student.count_pairs([list(word) for word in words], list(words.values()))
    check.equal(got, count_pairs(list(words), list(words.values())))


@pytest.mark.parametrize(
    ("word", "merged"),
    [
        ([1, 2, 3, 1, 2], [9, 3, 9]),
        ([1, 2], [9]),
        ([1, 2, 1, 2, 2, 1], [9, 9, 2, 1]),
        ([2, 1], [2, 1]),
        ([3, 1], [3, 1]),
        ([1], [1]),
        ([], []),
        ([1, 1, 2], [1, 9]),
    ],
)
def test_a_pair_is_replaced_wherever_it_stands(student, word, merged):
    """Every occurrence of (1, 2) becomes 9, at the end too; all else stays.

    每一处 (1, 2) 都变成 9，包括词尾；其余不变。
    """
    check.equal(student.merge_pair(word, (1, 2), 9), merged)


@pytest.mark.parametrize(("n", "merged"), [(2, [9]), (3, [9, 1]), (4, [9, 9]), (5, [9, 9, 1])])
def test_overlapping_pairs_are_replaced_from_the_left(student, n, merged):
    """[1, 1, 1] becomes [9, 1], and not [1, 9].

    [1, 1, 1] 变成 [9, 1]，而不是 [1, 9]。
    """
    check.equal(student.merge_pair([1] * n, (1, 1), 9), merged)


def test_the_callers_word_stays_as_it_was(student):
    """merge_pair answers with a new list; the word that it was given is not changed.

    merge_pair 返回新列表；传入的词不变。
    """

    def left_behind(m, word):
        """merge_pair(word, (1, 2), 9), and word afterwards

        merge_pair(word, (1, 2), 9)，以及之后的 word
        """
        return m.merge_pair(word, (1, 2), 9), word

    check.equal(student.run(left_behind, [3, 1, 2]), ([3, 9], [3, 1, 2]))


def test_the_most_frequent_pair_is_merged_first(student):
    """With `low`, `lower`, `newer`, `widest` counted, the merges are those of the reference.

    统计好 `low`、`lower` 等词后，合并的次序与论文示例的做法一致。
    """
    check.equal(student.learn_merges(LOW, 1, 11), learn_merges(LOW, 1, 11))
    check.equal(student.learn_merges(LOW, 8, 11), learn_merges(LOW, 8, 11))


def test_among_equals_the_smaller_pair_comes_first(student):
    """Pairs compare as tuples: (1, 9) before (2, 3), whichever was met first.

    并列时按元组比较：(1, 9) 在 (2, 3) 之前，与先后出现无关。
    """
    check.equal(student.learn_merges({(2, 3): 4, (1, 9): 4}, 2, 10), [(1, 9), (2, 3)])
    check.equal(student.learn_merges({(5, 1): 2, (4, 8): 2, (4, 7): 2}, 1, 10), [(4, 7)])


def test_new_tokens_take_part_in_later_merges(student):
    """Merge number i makes the token first_id + i, which has neighbours like any other.

    第 i 次合并产生 token first_id + i，它和别的 token 一样有相邻对。
    """
    check.equal(student.learn_merges({(1, 2, 3, 4): 3}, 3, 100), [(1, 2), (3, 4), (100, 101)])


def test_a_merge_lowers_the_counts_of_what_it_breaks_up(student):
    """Where (1, 2) is merged, its neighbours lose pairs: (2, 3) is rare afterwards.

    合并 (1, 2) 之后，与它相邻的对被拆散：(2, 3) 就变少了。
    """
    words = {(1, 2, 3): 10, (1, 2): 5, (2, 3): 1, (4, 5): 3, (6, 7): 2}
    check.equal(student.learn_merges(words, 4, 100), [(1, 2), (100, 3), (4, 5), (6, 7)])


@pytest.mark.parametrize("n", [2, 3, 4, 7, 12])
def test_runs_of_one_token_are_merged_from_the_left(student, n):
    """A run of equal tokens holds overlapping pairs; the merges are those of the reference.

    一串相同的 token 含有重叠的对；合并结果与参考实现相同。
    """
    words = {(1,) * n: 3, (1, 1, 2): 2}
    check.equal(student.learn_merges(words, 6, 10), learn_merges(words, 6, 10))


def test_it_ends_when_nothing_is_left_to_merge(student):
    """More merges than there are pairs give fewer merges, and no error; no words give none.

    要求的合并数超过可用的对时，给出较少的合并，不报错；没有词就没有合并。
    """
    check.equal(student.learn_merges({(1, 2): 1, (3,): 9}, 50, 10), [(1, 2)])
    check.equal(student.learn_merges({(1,): 7, (): 2}, 5, 10), [])
    check.equal(student.learn_merges({}, 5, 10), [])
    check.equal(student.learn_merges(LOW, 0, 11), [])


@pytest.mark.parametrize(("words", "letters"), [(8, 2), (15, 4), (30, 12)])
def test_merges_of_a_corpus_drawn_at_random(student, words, letters):
    """The merges are those that counting everything anew each time would find.

    合并与每次全部重数得到的相同。
    """
    for _ in range(2):
        drawn = corpus(words, letters)
        check.equal(student.learn_merges(drawn, 90, 50), learn_merges(drawn, 90, 50))


def test_only_what_a_merge_changes_is_counted_anew(student):
    """100 merges in a corpus of 750 pairs: who counts them all for each merge looks far too often.

    750 个对的语料做 100 次合并：每次合并都全部重数的话，查看的次数就太多了。
    """

    def looks(m, words):
        """learn_merges(words, 100, 1000): is a pair looked up over 90 times, on average?

        learn_merges(words, 100, 1000)：平均每个对的查找是否超过 90 次？
        """
        looked = [0]

        class Token(int):
            def __hash__(self):
                looked[0] += 1
                return int.__hash__(self)

        corpus = {tuple(map(Token, word)): count for word, count in words}
        pairs = sum(len(word) - 1 for word in corpus)
        looked[0] = 0
        merges = m.learn_merges(corpus, 100, 1000)
        return len(merges), looked[0] > 90 * 2 * pairs  # two tokens a pair

    draw = random.Random(5)  # what counts is how often, so the corpus is always the same
    words = [(tuple(draw.choices(range(16), k=6)), i % 9 + 1) for i in range(150)]
    check.equal(student.run(looks, words), (100, False))


# ---- other right ways


@also_right("count_pairs", en="counters")
def with_counters(words, counts):
    pair_counts, where = Counter(), defaultdict(set)
    for i, word in enumerate(words):
        for pair, times in Counter(pairwise(word)).items():
            pair_counts[pair] += times * counts[i]
            where[pair].add(i)
    return dict(pair_counts), dict(where)


@also_right("merge_pair", en="in place on a copy")
def on_a_copy(word, pair, new_id):
    word = list(word)
    i = 0
    while i + 1 < len(word):
        if (word[i], word[i + 1]) == tuple(pair):
            word[i : i + 2] = [new_id]
        i += 1
    return word


@also_right("learn_merges", en="the maximum over all pairs, and only differences counted")
def by_maximum(word_counts, n_merges, first_id):
    words, counts = [list(word) for word in word_counts], list(word_counts.values())
    pair_counts, where = count_pairs(words, counts)
    merges = []
    while pair_counts and len(merges) < n_merges:
        pair = min(pair_counts, key=lambda p: (-pair_counts[p], p))
        new_id = first_id + len(merges)
        merges.append(pair)
        for i in where.pop(pair):
            new = merge_pair(words[i], pair, new_id)
            change = Counter(pairwise(new))
            change.subtract(pairwise(words[i]))
            for changed, by in change.items():
                pair_counts[changed] = pair_counts.get(changed, 0) + by * counts[i]
                if by > 0:
                    where.setdefault(changed, set()).add(i)
                if pair_counts[changed] == 0:
                    del pair_counts[changed]
            words[i] = new
    return merges


@also_right("learn_merges", en="a heap to which every changed count is pushed")
def every_change_pushed(word_counts, n_merges, first_id):
    words, counts = [list(word) for word in word_counts], list(word_counts.values())
    pair_counts, where = count_pairs(words, counts)
    heap = [(-count, pair) for pair, count in pair_counts.items()]
    heapq.heapify(heap)
    merges = []
    while heap and len(merges) < n_merges:
        count, pair = heapq.heappop(heap)
        if pair_counts.get(pair, 0) != -count or count == 0:
            continue
        merges.append(pair)
        changed = set()
        for i in list(where[pair]):
            old = words[i]
            words[i] = merge_pair(old, pair, first_id + len(merges) - 1)
            for one, sign in ((old, -1), (words[i], 1)):
                for p in pairwise(one):
                    pair_counts[p] = pair_counts.get(p, 0) + sign * counts[i]
                    where.setdefault(p, set()).add(i)
                    changed.add(p)
        for p in changed:
            heapq.heappush(heap, (-pair_counts[p], p))
    return merges


# ---- mistakes that people make


@known_wrong(
    "count_pairs",
    en="Each word counts for one. It counts as often as it occurs in the corpus.",
    zh="每个词只算了一次。它在语料中出现几次就应算几次。",
)
def words_once(words, counts):
    return count_pairs(words, [1] * len(counts))


@known_wrong(
    "count_pairs",
    en="A pair that stands twice in a word counts once for it; it counts twice.",
    zh="在同一个词里出现两次的对只算了一次；应算两次。",
)
def once_a_word(words, counts):
    pair_counts, where = defaultdict(int), defaultdict(set)
    for i, word in enumerate(words):
        for pair in set(pairwise(word)):
            pair_counts[pair] += counts[i]
            where[pair].add(i)
    return dict(pair_counts), dict(where)


@known_wrong(
    "count_pairs",
    en="In [a, a, a] you count (a, a) once. Overlapping pairs count too: twice.",
    zh="[a, a, a] 中的 (a, a) 你只数了一次。重叠的对也要数：两次。",
)
def overlaps_left_out(words, counts):
    pair_counts, where = defaultdict(int), defaultdict(set)
    for i, word in enumerate(words):
        last = None
        for at, pair in enumerate(pairwise(word)):
            if pair[0] == pair[1] and last == (at - 1, pair):
                last = None
                continue
            last = (at, pair)
            pair_counts[pair] += counts[i]
            where[pair].add(i)
    return dict(pair_counts), dict(where)


@known_wrong(
    "count_pairs",
    en="You step from pair to pair without overlap: (2, 3) in [1, 2, 3] is never seen.",
    zh="你两个两个地跳着走：[1, 2, 3] 里的 (2, 3) 永远看不到。",
)
def two_by_two(words, counts):
    pair_counts, where = defaultdict(int), defaultdict(set)
    for i, word in enumerate(words):
        for pair in zip(word[::2], word[1::2], strict=False):
            pair_counts[pair] += counts[i]
            where[pair].add(i)
    return dict(pair_counts), dict(where)


@known_wrong(
    "merge_pair",
    en="Only the first occurrence is replaced; go on to the end of the word.",
    zh="只替换了第一处；应一直做到词尾。",
)
def first_only(word, pair, new_id):
    for i in range(len(word) - 1):
        if tuple(word[i : i + 2]) == tuple(pair):
            return [*word[:i], new_id, *word[i + 2 :]]
    return list(word)


@known_wrong(
    "merge_pair",
    en="Where occurrences overlap you replace the right one: [1, 1, 1] shall become [9, 1].",
    zh="重叠时你替换了右边那一处：[1, 1, 1] 应变成 [9, 1]。",
)
def from_the_right(word, pair, new_id):
    return merge_pair(word[::-1], pair[::-1], new_id)[::-1]


@known_wrong(
    "merge_pair",
    en="The word that you were given is changed; answer with a new list.",
    zh="传入的词被改动了；应返回新列表。",
)
def in_place(word, pair, new_id):
    word[:] = merge_pair(word, pair, new_id)
    return word


@known_wrong(
    "merge_pair",
    en="The last token of the word is lost.",
    zh="词的最后一个 token 丢了。",
)
def last_lost(word, pair, new_id):
    merged, i = [], 0
    while i < len(word) - 1:
        if word[i] == pair[0] and word[i + 1] == pair[1]:
            merged.append(new_id)
            i += 2
        else:
            merged.append(word[i])
            i += 1
    return merged


def _recount(word_counts, n_merges, first_id, best, new=lambda first_id, n: first_id + n):
    words, counts = [list(word) for word in word_counts], list(word_counts.values())
    merges = []
    while len(merges) < n_merges:
        pair_counts, _ = count_pairs(words, counts)
        if not pair_counts:
            break
        pair = best(pair_counts)
        words = [merge_pair(word, pair, new(first_id, len(merges))) for word in words]
        merges.append(pair)
    return merges


@known_wrong(
    "learn_merges",
    en="Right, but you count the whole corpus for every merge. Only the words that hold the pair "
    "change: take their old pairs out of the counts, and put the new ones in.",
    zh="结果正确，但每次合并你都重数了整个语料。只有含有该对的词才会变：从计数中减去它们旧的对，加上新的对。",
)
def counted_anew(word_counts, n_merges, first_id):
    def best(counts):
        return min(counts, key=lambda pair: (-counts[pair], pair))

    return _recount(word_counts, n_merges, first_id, best)


@known_wrong(
    "learn_merges",
    en="Among equally frequent pairs you take the one met first; take the smaller one, so that "
    "the order of the corpus does not matter.",
    zh="频次相同时你取了先出现的；应取较小的，这样结果与语料的次序无关。",
)
def ties_as_met(word_counts, n_merges, first_id):
    return _recount(word_counts, n_merges, first_id, lambda counts: max(counts, key=counts.get))


@known_wrong(
    "learn_merges",
    en="Among equally frequent pairs you take the greatest: max over (count, pair) does that. The "
    "smaller pair comes first.",
    zh="频次相同时你取了最大的：对 (次数, 对) 取 max 就会这样。应取较小的。",
)
def ties_to_the_greatest(word_counts, n_merges, first_id):
    def best(counts):
        return max(counts, key=lambda pair: (counts[pair], pair))

    return _recount(word_counts, n_merges, first_id, best)


@known_wrong(
    "learn_merges",
    en="The rarest pair is merged first: a heap gives the smallest, so put the counts in "
    "negatively.",
    zh="最少见的对先被合并了：堆给出最小值，所以次数要取负。",
)
def rarest_first(word_counts, n_merges, first_id):
    def best(counts):
        return min(counts, key=lambda pair: (counts[pair], pair))

    return _recount(word_counts, n_merges, first_id, best)


@known_wrong(
    "learn_merges",
    en="Every merge makes the same token, first_id. Number i makes first_id + i.",
    zh="每次合并产生的都是同一个 token：first_id。第 i 次应产生 first_id + i。",
)
def one_id_for_all(word_counts, n_merges, first_id):
    def best(counts):
        return min(counts, key=lambda pair: (-counts[pair], pair))

    return _recount(word_counts, n_merges, first_id, best, lambda first_id, n: first_id)


@known_wrong(
    "learn_merges",
    en="You take the n most frequent pairs of the beginning. Each merge changes the counts, and "
    "makes new pairs.",
    zh="你取的是一开始最频繁的 n 个对。每次合并都会改变计数，并产生新的对。",
)
def counted_once(word_counts, n_merges, first_id):
    counts, _ = count_pairs(list(word_counts), list(word_counts.values()))
    return sorted(counts, key=lambda pair: (-counts[pair], pair))[:n_merges]


def _incremental(word_counts, n_merges, first_id, subtract=True, add=True, weigh=True):
    words, counts = [list(word) for word in word_counts], list(word_counts.values())
    pair_counts, where = count_pairs(words, counts)
    merges = []
    while len(merges) < n_merges:
        left = {pair: count for pair, count in pair_counts.items() if count > 0 and pair in where}
        if not left:
            break
        pair = min(left, key=lambda p: (-left[p], p))
        merges.append(pair)
        for i in where.pop(pair):
            new = merge_pair(words[i], pair, first_id + len(merges) - 1)
            weight = counts[i] if weigh else 1
            for one, sign in ((words[i], -1 if subtract else 0), (new, 1 if subtract else 0)):
                for p in pairwise(one):
                    pair_counts[p] = pair_counts.get(p, 0) + sign * weight
            for p in pairwise(new):
                if first_id + len(merges) - 1 in p and add:
                    where.setdefault(p, set()).add(i)
                    if not subtract:
                        pair_counts[p] += weight
            words[i] = new
    return merges


@known_wrong(
    "learn_merges",
    en="The pairs that a merge breaks up keep their old counts, and win later though they are "
    "gone. Take the word's old pairs out of the counts first.",
    zh="被合并拆散的对仍保留旧的次数，明明已不存在，后来却又胜出。应先把词里旧的对从计数中减去。",
)
def never_lowered(word_counts, n_merges, first_id):
    return _incremental(word_counts, n_merges, first_id, subtract=False)


@known_wrong(
    "learn_merges",
    en="The pairs with the new token are never found again: note in which words they stand.",
    zh="含有新 token 的对再也找不到了：要记下它们在哪些词里。",
)
def new_pairs_not_noted(word_counts, n_merges, first_id):
    return _incremental(word_counts, n_merges, first_id, add=False)


@known_wrong(
    "learn_merges",
    en="After a merge you change the counts by 1; a word that occurs ten times changes them by 10.",
    zh="合并之后你每次只把计数改 1；出现十次的词应改 10。",
)
def changed_by_one(word_counts, n_merges, first_id):
    return _incremental(word_counts, n_merges, first_id, weigh=False)


@known_wrong(
    "learn_merges",
    en="What comes from the heap is taken as it is. Its count may have fallen since: compare it "
    "with the count of today, and put it back where they differ.",
    zh="你直接用了堆里弹出的项。它的次数可能早已下降：应与当前计数比较，不同就改正后放回。",
)
def stale_heap(word_counts, n_merges, first_id):
    words, counts = [list(word) for word in word_counts], list(word_counts.values())
    pair_counts, where = count_pairs(words, counts)
    heap = [(-count, pair) for pair, count in pair_counts.items()]
    heapq.heapify(heap)
    merges = []
    while heap and len(merges) < n_merges:
        _, pair = heapq.heappop(heap)
        new_id = first_id + len(merges)
        merges.append(pair)
        new_pairs = set()
        for i in where.pop(pair):
            old, words[i] = words[i], merge_pair(words[i], pair, new_id)
            for one, sign in ((old, -1), (words[i], 1)):
                for p in pairwise(one):
                    pair_counts[p] = pair_counts.get(p, 0) + sign * counts[i]
            for p in pairwise(words[i]):
                if new_id in p:
                    new_pairs.add(p)
                    where.setdefault(p, set()).add(i)
        for p in new_pairs:
            heapq.heappush(heap, (-pair_counts[p], p))
    return merges


@known_wrong(
    "learn_merges",
    en="When no pair is left it fails; stop, and answer with the merges there are.",
    zh="没有对可合并时出错了；应停下来，返回已有的合并。",
)
def runs_dry(word_counts, n_merges, first_id):
    merges = learn_merges(word_counts, n_merges, first_id)
    if len(merges) < n_merges:
        min([])
    return merges
