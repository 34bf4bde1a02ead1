"""Byte-level BPE: learn merges from a corpus, encode text with them, and give it back unchanged.

Training counts words once, then merges the most frequent pair of neighbours again and again. What a
merge changes is counted anew, and nothing else, so that ten thousand merges take seconds.

Merges, ids and ties are those of Hugging Face's `tokenizers`: special tokens have the first ids,
then come the 256 bytes in the order of GPT-2, then the merges as they were learned.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import regex

from happyllm.tokenizer.files import (
    TokenizerFileError,
    read_tokenizer_json,
    write_tokenizer_json,
)
from happyllm.tokenizer.letters import BYTE_ORDER, letters_of

Pair = tuple[int, int]

MAX_KNOWN, MAX_KNOWN_LENGTH = 1 << 17, 64  # words kept once encoded, and their letters

PATTERN = regex.compile(
    r"'(?:[sdmt]|ll|ve|re)"  # what English hangs on a word: it's, don't, we'll
    r"| ?\p{L}+"  # letters of any script, with the space before them
    r"| ?\p{N}+"  # digits
    r"| ?[^\s\p{L}\p{N}]+"  # everything else that can be seen
    r"|\s+(?!\S)"  # white space, but for the one space that belongs to the next word
    r"|\s+"
)


# ---- from text to words


def pre_tokenize(text: str) -> list[str]:
    """Cut a text into words, which no merge will ever join.

    The pattern is GPT-2's: a space belongs to the word behind it, letters, digits and other signs
    do not mix. Nothing is lost: the pieces joined are the text.

    Args:
        text: Any text.

    Returns:
        The words in order.

    Example:
        >>> pre_tokenize("It's 42  times  我们 :-)")
        ['It', "'s", ' 42', ' ', ' times', ' ', ' 我们', ' :-)']

    Source:
        Radford et al. 2019, "Language Models are Unsupervised Multitask Learners", Section 2.2.
    """
    return PATTERN.findall(text)


def count_words(texts: str | Iterable[str]) -> Counter[str]:
    """Count the words of one text or many, in the order in which they come first.

    Args:
        texts: A text, or texts that may come one at a time from a file.

    Returns:
        How often each word occurs.

    Example:
        >>> count_words(["to be", "or not to be"])
        Counter({' be': 2, 'to': 1, 'or': 1, ' not': 1, ' to': 1})
    """
    counts: Counter[str] = Counter()
    for text in [texts] if isinstance(texts, str) else texts:
        counts.update(pre_tokenize(text))
    return counts


# ---- learning merges


def count_pairs(
    words: Sequence[Sequence[int]], counts: Sequence[int]
) -> tuple[dict[Pair, int], dict[Pair, set[int]]]:
    """Count every pair of neighbours, and note in which words it stands.

    Args:
        words: The words, each a sequence of token ids.
        counts: How often each word occurs in the corpus.

    Returns:
        How often each pair occurs in the corpus, and for each pair the indices of the words that
        hold it. In `[a, a, a]` the pair (a, a) occurs twice.

    Example:
        >>> count_pairs([[1, 2, 1, 2], [2, 1]], [10, 3])
        ({(1, 2): 20, (2, 1): 13}, {(1, 2): {0}, (2, 1): {0, 1}})

    Source:
        Sennrich et al. 2016, "Neural Machine Translation of Rare Words with Subword Units",
        Section 3.2.
    """
    pair_counts: defaultdict[Pair, int] = defaultdict(int)
    where: defaultdict[Pair, set[int]] = defaultdict(set)
    # Step 1: each word adds its count for each pair of neighbours in it.
    for i, (word, count) in enumerate(zip(words, counts, strict=True)):
        for pair in pairwise(word):
            pair_counts[pair] += count
            where[pair].add(i)
    return dict(pair_counts), dict(where)


def merge_pair(word: Sequence[int], pair: Pair, new_id: int) -> list[int]:
    """Replace a pair by a new token wherever it stands in a word, from left to right.

    Args:
        word: Token ids.
        pair: Two neighbours.
        new_id: What stands for both.

    Returns:
        The word with every occurrence replaced. Where occurrences overlap, the left one counts.

    Example:
        >>> merge_pair([1, 2, 3, 1, 2], (1, 2), 9)
        [9, 3, 9]
        >>> merge_pair([1, 1, 1], (1, 1), 9)
        [9, 1]
    """
    merged: list[int] = []
    i = 0
    # Step 1: where the pair begins, write the new token and step over both; else copy one token.
    while i < len(word):
        if word[i] == pair[0] and i + 1 < len(word) and word[i + 1] == pair[1]:
            merged.append(new_id)
            i += 2
        else:
            merged.append(word[i])
            i += 1
    return merged


def learn_merges(
    word_counts: Mapping[tuple[int, ...], int], n_merges: int, first_id: int
) -> list[Pair]:
    """Learn the merges of a corpus: join the most frequent pair of neighbours, again and again.

    Only the words that hold the merged pair change, so only their pairs are counted anew. To count
    the whole corpus for every merge is right too, and hundreds of times slower.

    Args:
        word_counts: Each word as token ids, and how often it occurs.
        n_merges: How many merges to learn at most.
        first_id: The id of the first new token, greater than every id in the words; merge number i
            (from 0) makes the token `first_id + i`.

    Returns:
        The merged pairs in order. Among pairs that are equally frequent the smaller one comes
        first: `(1, 9)` before `(2, 3)`. There are fewer than `n_merges` where no pair is left.

    Example:
        >>> learn_merges({(1, 2, 3): 5, (2, 3): 4, (1, 2): 1}, n_merges=2, first_id=10)
        [(2, 3), (1, 10)]

    Source:
        Sennrich et al. 2016, "Neural Machine Translation of Rare Words with Subword Units",
        Section 3.2, Algorithm 1.
    """
    # Step 1: count all pairs once, and make a heap of them: most frequent first, then smallest.
    words = [list(word) for word in word_counts]
    counts = list(word_counts.values())
    pair_counts, where = count_pairs(words, counts)
    heap = [(-count, pair) for pair, count in pair_counts.items()]
    heapq.heapify(heap)

    merges: list[Pair] = []
    while heap and len(merges) < n_merges:
        # Step 2: take the best pair. A count that fell since it was put there goes back, corrected.
        count, pair = heapq.heappop(heap)
        if -count != pair_counts[pair]:
            if pair_counts[pair] > 0:
                heapq.heappush(heap, (-pair_counts[pair], pair))
            continue
        new_id = first_id + len(merges)
        merges.append(pair)

        # Step 3: merge it in the words that hold it; take their old pairs out, put the new ones in.
        new_pairs: set[Pair] = set()
        for i in where.pop(pair):
            old, new, count = words[i], merge_pair(words[i], pair, new_id), counts[i]
            for before in pairwise(old):
                pair_counts[before] -= count
            for after in pairwise(new):
                if after in pair_counts:
                    pair_counts[after] += count
                else:
                    pair_counts[after] = count
                if new_id in after:
                    new_pairs.add(after)
                    where.setdefault(after, set()).add(i)
            words[i] = new

        # Step 4: pairs with the new token are new; they enter the heap.
        for after in new_pairs:
            heapq.heappush(heap, (-pair_counts[after], after))
    return merges


# ---- the tokenizer


class BPETokenizer:
    """Turn text into token ids and back, without losing anything.

    Ordinary text never gives the id of a special token, whatever is written in it, unless
    `encode` is told so.

    Args:
        vocab: Every ordinary token as bytes, with its id; all 256 single bytes are among them.
        merges: The two parts of each merge, in the order in which they were learned.
        special_tokens: Special tokens with their ids.

    Attributes:
        vocab: As given.
        merges: As given.
        special_tokens: As given.
        vocab_size: One more than the largest id.

    Raises:
        ValueError: The parts do not fit together; the message says which.

    Example:
        >>> tokenizer = train_bpe("low low low lower lowest", 262, special_tokens=["<|end|>"])
        >>> ids = tokenizer.encode("lower <|end|>")
        >>> print(*map(tokenizer.token, ids))
        b'low' b'e' b'r' b' ' b'<' b'|' b'e' b'n' b'd' b'|' b'>'
        >>> tokenizer.decode(ids)
        'lower <|end|>'
        >>> tokenizer.encode("<|end|>", allow_special=True)
        [0]
    """

    def __init__(
        self,
        vocab: Mapping[bytes, int],
        merges: Sequence[tuple[bytes, bytes]],
        special_tokens: Mapping[str, int] | None = None,
    ) -> None:
        self.vocab = dict(vocab)
        self.merges = [(left, right) for left, right in merges]
        self.special_tokens = dict(special_tokens or {})
        self._check()
        self.vocab_size = max(*self.vocab.values(), *self.special_tokens.values()) + 1
        self._pieces = {i: piece for piece, i in self.vocab.items()}
        self._pieces |= {i: token.encode() for token, i in self.special_tokens.items()}
        self._special_ids = frozenset(self.special_tokens.values())
        self._byte_ids = [self.vocab[bytes([byte])] for byte in range(256)]
        self._ranks = {
            (self.vocab[left], self.vocab[right]): (rank, self.vocab[left + right])
            for rank, (left, right) in enumerate(self.merges)
        }
        self._known: dict[str, tuple[int, ...]] = {}  # words that were encoded before

    def _check(self) -> None:
        missing = [byte for byte in range(256) if bytes([byte]) not in self.vocab]
        if missing:
            raise ValueError(f"vocab lacks the byte {missing[0]:#04x}: all 256 must have an id")
        for left, right in self.merges:
            for piece in (left, right, left + right):
                if piece not in self.vocab:
                    raise ValueError(
                        f"merges: {left!r} + {right!r} needs {piece!r}, which is not in vocab"
                    )
        taken: dict[int, str | bytes] = {}
        everything: list[tuple[str | bytes, int]] = [*self.vocab.items()]
        for token, i in [*everything, *self.special_tokens.items()]:
            if i < 0:
                raise ValueError(f"the id of {token!r} is {i}; ids begin at 0")
            if i in taken:
                raise ValueError(f"{taken[i]!r} and {token!r} have the same id {i}")
            taken[i] = token
        letters = {letters_of(piece) for piece in self.vocab}
        for token in self.special_tokens:
            if not token:
                raise ValueError("special_tokens: a special token cannot be empty")
            if token in letters:
                raise ValueError(
                    f"special_tokens: {token!r} is an ordinary token too; give it a name that "
                    f"ordinary text does not spell, such as '<|{token}|>'"
                )

    def encode(self, text: str, allow_special: bool | Collection[str] = False) -> list[int]:
        """Turn text into ids.

        Args:
            text: Any text.
            allow_special: Which special tokens written in the text become their ids: none of them,
                as is right for what a user typed, all of them (True), or those named.

        Returns:
            The ids; `decode` gives the text back, whatever it is.

        Raises:
            ValueError: Half a surrogate pair stands in the text, which is no character; or a name
                in `allow_special` is no special token.
        """
        ids: list[int] = []
        for part, special in self._parts(text, allow_special):
            if special:
                ids.append(self.special_tokens[part])
                continue
            for word in pre_tokenize(part):
                known = self._known.get(word)
                ids += self._encode_word(word) if known is None else known
        return ids

    def encode_batch(
        self, texts: Iterable[str], allow_special: bool | Collection[str] = False
    ) -> list[list[int]]:
        """Turn each of many texts into ids; see `encode`."""
        return [self.encode(text, allow_special) for text in texts]

    def decode(self, ids: Iterable[int], skip_special: bool = False) -> str:
        """Turn ids into text.

        Args:
            ids: Ids of this vocabulary; a tensor's `tolist()`.
            skip_special: Leave special tokens out.

        Returns:
            The text. Where the ids end or begin inside a character, U+FFFD stands for its bytes.

        Raises:
            ValueError: An id is not in the vocabulary.
        """
        pieces = []
        for i in ids:
            if i not in self._pieces:
                raise ValueError(f"id {i} is not in the vocabulary of {self.vocab_size} tokens")
            if not (skip_special and i in self._special_ids):
                pieces.append(self._pieces[i])
        return b"".join(pieces).decode("utf-8", errors="replace")

    def token(self, i: int) -> bytes:
        """Look up the bytes of one id, those of a special token's name for its id."""
        return self._pieces[i]

    def save(self, path: str | Path) -> None:
        """Write a `tokenizer.json`, as `tokenizers.Tokenizer.from_file` and transformers read it.

        Read by them, it gives the ids that `encode(text, allow_special=True)` gives here.
        """
        write_tokenizer_json(Path(path), self.vocab, self.merges, self.special_tokens)

    @classmethod
    def load(cls, path: str | Path) -> BPETokenizer:
        """Read a `tokenizer.json` of a byte-level BPE with GPT-2's pattern, from here or elsewhere.

        Raises:
            TokenizerFileError: The file cannot be read, is damaged, or asks for what this class
                does not do. The message names the file, the field and the fix.
        """
        parts = read_tokenizer_json(Path(path))
        try:
            return cls(*parts)
        except ValueError as error:
            raise TokenizerFileError(
                f"{path}: model: {error}; save or fetch the file again"
            ) from None

    def _parts(
        self, text: str, allow_special: bool | Collection[str]
    ) -> Iterable[tuple[str, bool]]:
        """Split a text at the special tokens that are allowed: the longest that begins first."""
        if isinstance(allow_special, bool):
            allowed = list(self.special_tokens) if allow_special else []
        else:
            allowed = [allow_special] if isinstance(allow_special, str) else list(allow_special)
            for token in allowed:
                if token not in self.special_tokens:
                    raise ValueError(f"allow_special: {token!r} is no special token")
        if not allowed:
            return [(text, False)]
        longest_first = sorted(allowed, key=len, reverse=True)
        parts = regex.split(f"({'|'.join(map(regex.escape, longest_first))})", text)
        return [(part, i % 2 == 1) for i, part in enumerate(parts) if part]

    def _encode_word(self, word: str) -> tuple[int, ...]:
        """Merge the bytes of a word: the merge that was learned first goes first."""
        try:
            tokens = [self._byte_ids[byte] for byte in word.encode()]
        except UnicodeEncodeError as error:
            half = error.object[error.start]
            raise ValueError(
                f"the text has half a surrogate pair, {half!a}, which is no character; "
                "decode the source as UTF-8, or replace it"
            ) from None
        # A linked list of tokens, and a heap of the merges that are possible between neighbours:
        # a word of a million letters is no trouble.
        end = len(tokens)
        after = list(range(1, end + 1))
        before = list(range(-1, end))
        heap = [
            (*self._ranks[pair], i)
            for i, pair in enumerate(pairwise(tokens))
            if pair in self._ranks
        ]
        heapq.heapify(heap)
        while heap:
            _, new_id, left = heapq.heappop(heap)
            right = after[left]
            merge = self._ranks.get((tokens[left], tokens[right])) if right < end else None
            if merge is None or merge[1] != new_id:
                continue  # one of the two has been merged with another neighbour since
            tokens[left], tokens[right] = new_id, -1
            after[left] = after[right]
            before[after[right]] = left
            for i in (before[left], left):
                if i >= 0 and after[i] < end:
                    merge = self._ranks.get((tokens[i], tokens[after[i]]))
                    if merge is not None:
                        heapq.heappush(heap, (*merge, i))
        merged = tuple(token for token in tokens if token >= 0)
        if len(word) <= MAX_KNOWN_LENGTH:
            if len(self._known) >= MAX_KNOWN:
                self._known.clear()
            self._known[word] = merged
        return merged


def train_bpe(
    text: str | Iterable[str],
    vocab_size: int,
    special_tokens: Sequence[str] = (),
    *,
    learn: Callable[..., list[Pair]] = learn_merges,
) -> BPETokenizer:
    """Train a byte-level BPE tokenizer.

    Args:
        text: The corpus: a text, or many texts, which are read once.
        vocab_size: How many tokens there shall be: special tokens, 256 bytes and merges. Where the
            corpus is too small to learn so many, there are fewer.
        special_tokens: Names of tokens that no text spells, `<|end|>`. They get the first ids.
        learn: What learns the merges; another `learn_merges`.

    Returns:
        The tokenizer.

    Raises:
        ValueError: `vocab_size` has no room for bytes and special tokens; or a special token occurs
            twice, is empty, or is one that ordinary text would spell.

    Example:
        >>> tokenizer = train_bpe(["the cat", "the hat"], vocab_size=259)
        >>> tokenizer.merges
        [(b'a', b't'), (b'h', b'e'), (b't', b'he')]
        >>> print(*map(tokenizer.token, tokenizer.encode("that")))
        b't' b'h' b'at'
    """
    for token in special_tokens:
        if special_tokens.count(token) > 1:
            raise ValueError(f"special_tokens: {token!r} occurs twice")
        if len(pre_tokenize(token)) < 2:
            raise ValueError(
                f"special_tokens: ordinary text may spell {token!r}, and would then be mistaken "
                f"for it; name it '<|{token}|>', say"
            )
    room = vocab_size - len(special_tokens) - 256
    if room < 0:
        raise ValueError(
            f"vocab_size={vocab_size} must be at least {vocab_size - room}: 256 bytes and "
            f"{len(special_tokens)} special tokens"
        )
    # Among equals the smaller pair wins; so bytes are numbered in the order of their final ids.
    number = {byte: i for i, byte in enumerate(BYTE_ORDER)}
    words = {
        tuple(number[byte] for byte in word.encode()): count
        for word, count in count_words(text).items()
    }
    pieces = [bytes([byte]) for byte in BYTE_ORDER]
    merges = []
    for left, right in learn(words, room, first_id=256):
        merges.append((pieces[left], pieces[right]))
        pieces.append(pieces[left] + pieces[right])
    specials = {token: i for i, token in enumerate(special_tokens)}
    vocab = {piece: i for i, piece in enumerate(pieces, start=len(specials))}
    return BPETokenizer(vocab, merges, specials)
