"""Whole words as tokens: the oldest way, and where it ends."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

UNK = "<unk>"


def split_words(text: str) -> list[str]:
    r"""Split a text into words and punctuation marks.

    A run of letters, digits and underscores (`\w` of Python) is a word. Every other character that
    is not white space is a token of its own. White space separates, and is dropped.

    Args:
        text: Any text.

    Returns:
        The tokens in order.

    Example:
        >>> split_words("Don't panic, it's 42!")
        ['Don', "'", 't', 'panic', ',', 'it', "'", 's', '42', '!']
        >>> split_words("今天 天气好。")
        ['今天', '天气好', '。']
    """
    # Step 1: find all runs of letters, digits and underscores, and all other visible characters.
    return re.findall(r"\w+|[^\w\s]", text)


class WordTokenizer:
    """Give every known word an id, and every other word the id of `<unk>`.

    Args:
        tokens: All tokens in the order of their ids, special tokens first; `<unk>` is among them.

    Attributes:
        tokens: As given, a list: the token of each id.
        vocab: The id of each token.
        special_tokens: The tokens that `train` put first.

    Raises:
        ValueError: A token occurs twice, or `<unk>` is missing.

    Example:
        >>> tokenizer = WordTokenizer.train(["the cat sat.", "the cat ran."], vocab_size=4)
        >>> tokenizer.vocab
        {'<unk>': 0, 'the': 1, 'cat': 2, '.': 3}
        >>> tokenizer.encode("the dog ran.")
        [1, 0, 0, 3]
        >>> tokenizer.decode([1, 0, 0, 3])
        'the <unk> <unk> .'
    """

    def __init__(self, tokens: Sequence[str]) -> None:
        # Step 1: refuse what cannot be a vocabulary.
        for token, count in Counter(tokens).items():
            if count > 1:
                raise ValueError(f"tokens: {token!r} occurs {count} times; every token has one id")
        if UNK not in tokens:
            raise ValueError(f"tokens: {UNK!r} is missing; unknown words need an id")
        # Step 2: the list gives the token of an id, the dict the id of a token.
        self.tokens = list(tokens)
        self.vocab = {token: i for i, token in enumerate(tokens)}

    @classmethod
    def train(
        cls,
        texts: Iterable[str],
        vocab_size: int | None = None,
        min_freq: int = 1,
        special_tokens: Sequence[str] = (UNK,),
    ) -> WordTokenizer:
        """Make a vocabulary of the words of a corpus.

        Args:
            texts: The corpus.
            vocab_size: How many tokens there may be, special tokens among them; None for all.
            min_freq: Words that occur less often are left out.
            special_tokens: They get the first ids, in this order; `<unk>` is among them.

        Returns:
            A tokenizer. Words stand in the order of how often they occur, most frequent first;
            those that are equally frequent in the order in which the corpus first has them.

        Raises:
            ValueError: `vocab_size` is less than the number of special tokens, or `min_freq` is
                less than 1.
        """
        # Step 1: refuse sizes that make no sense.
        if vocab_size is not None and vocab_size < len(special_tokens):
            raise ValueError(
                f"vocab_size={vocab_size} must be at least {len(special_tokens)}, the number of "
                "special tokens"
            )
        if min_freq < 1:
            raise ValueError(f"min_freq={min_freq} must be at least 1")
        # Step 2: count the words of all texts.
        counts: Counter[str] = Counter()
        for text in texts:
            counts.update(split_words(text))
        # Step 3: most frequent first; cut off by frequency, then by size.
        words = [word for word, count in counts.most_common() if count >= min_freq]
        tokens = [*special_tokens, *(word for word in words if word not in special_tokens)]
        return cls(tokens[:vocab_size])

    def encode(self, text: str) -> list[int]:
        """Turn text into ids: those of its words and marks, or that of `<unk>`."""
        # Step 1: split as in training; an unknown word is not dropped, it becomes `<unk>`.
        return [self.vocab.get(token, self.vocab[UNK]) for token in split_words(text)]

    def decode(self, ids: Iterable[int]) -> str:
        """Turn ids into their tokens, joined by single spaces: where the spaces were is lost.

        Raises:
            ValueError: An id is not in the vocabulary.
        """
        tokens = []
        for i in ids:
            if not 0 <= i < len(self.tokens):
                raise ValueError(f"id {i} is not in the vocabulary of {len(self.tokens)} tokens")
            tokens.append(self.tokens[i])
        return " ".join(tokens)
