"""Characters and bytes as tokens: nothing is too rare, and everything is long."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

UNK = "<unk>"


class CharTokenizer:
    """Give every character of a training corpus an id, and every other one that of `<unk>`.

    Characters are Unicode code points, taken as they are: `Ａ` is not `A`, and a capital letter not
    a small one. So whatever was seen in training comes back unchanged.

    Args:
        tokens: All tokens in the order of their ids: `<unk>` first, then single characters.

    Attributes:
        tokens: As given, a list: the token of each id.
        vocab: The id of each token.

    Example:
        >>> tokenizer = CharTokenizer.train(["banana", "吃"])
        >>> tokenizer.vocab
        {'<unk>': 0, 'a': 1, 'b': 2, 'n': 3, '吃': 4}
        >>> tokenizer.encode("nab 吃")
        [3, 1, 2, 0, 4]
        >>> tokenizer.decode([3, 1, 2, 0, 4])
        'nab<unk>吃'
    """

    def __init__(self, tokens: Sequence[str]) -> None:
        # Step 1: the list gives the token of an id, the dict the id of a token.
        self.tokens = list(tokens)
        self.vocab = {token: i for i, token in enumerate(tokens)}

    @classmethod
    def train(cls, texts: Iterable[str]) -> CharTokenizer:
        """Make a vocabulary of the characters of a corpus, white space among them.

        Args:
            texts: The corpus.

        Returns:
            A tokenizer: `<unk>` has id 0, then come the characters in the order of their code
            points.
        """
        # Step 1: collect the characters of all texts, then sort them.
        seen: set[str] = set()
        for text in texts:
            seen.update(text)
        return cls([UNK, *sorted(seen)])

    def encode(self, text: str) -> list[int]:
        """Turn text into ids, one for each character; 0 for one that training did not have."""
        # Step 1: look every character up, as it is.
        return [self.vocab.get(character, 0) for character in text]

    def decode(self, ids: Iterable[int]) -> str:
        """Turn ids into text; id 0 becomes `<unk>`.

        Raises:
            ValueError: An id is not in the vocabulary.
        """
        # Step 1: refuse ids that are not in the vocabulary, negative ones too; join the others.
        characters = []
        for i in ids:
            if not 0 <= i < len(self.tokens):
                raise ValueError(f"id {i} is not in the vocabulary of {len(self.tokens)} tokens")
            characters.append(self.tokens[i])
        return "".join(characters)


class ByteTokenizer:
    """Give every byte of UTF-8 its own value as id: 256 tokens write every text there is.

    Example:
        >>> tokenizer = ByteTokenizer()
        >>> tokenizer.encode("hé")
        [104, 195, 169]
        >>> tokenizer.decode([104, 195, 169])
        'hé'
        >>> tokenizer.decode([104, 195])  # é is cut in two
        'h�'
    """

    vocab_size = 256

    def encode(self, text: str) -> list[int]:
        """Turn text into the bytes of its UTF-8 form, unchanged and not normalized."""
        # Step 1: Python encodes; a list of bytes is a list of numbers.
        return list(text.encode("utf-8"))

    def decode(self, ids: Iterable[int]) -> str:
        """Turn bytes into text; where they are no UTF-8, U+FFFD stands in their place.

        Args:
            ids: Whole numbers from 0 to 255, from anywhere: a model may write any sequence.

        Raises:
            ValueError: An id is not in 0..255.
        """
        # Step 1: refuse what is no byte; then decode all bytes at once, not one by one.
        ids = list(ids)
        for i in ids:
            if not 0 <= i < 256:
                raise ValueError(f"id {i} is no byte: ids are 0 to 255")
        return bytes(ids).decode("utf-8", errors="replace")
