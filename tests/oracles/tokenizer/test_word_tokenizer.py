"""Word tokenizers against the WordLevel model of `tokenizers`."""

import pydoc_data.topics

import pytest
from tokenizers import Regex, Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Split
from tokenizers.trainers import WordLevelTrainer

from happyllm.tokenizer.word import WordTokenizer, split_words

TEXTS = [*pydoc_data.topics.topics.values()][:20]
OTHERS = ["今天天气很好，我们去公园吧！", "naïve café — “Ångström”", "a_b 3.14 😀😀", "", " \n "]


def oracle(model):
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = Split(Regex(r"\w+|[^\w\s]"), behavior="removed", invert=True)
    return tokenizer


@pytest.mark.parametrize("text", [*TEXTS, *OTHERS])
def test_words_are_those_of_tokenizers(text):
    pieces = oracle(WordLevel()).pre_tokenizer.pre_tokenize_str(text)
    assert split_words(text) == [piece for piece, _ in pieces]


@pytest.mark.parametrize(("vocab_size", "min_freq"), [(300, 1), (100_000, 3), (50, 200)])
def test_the_vocabulary_holds_words_as_frequent_as_those_of_tokenizers(vocab_size, min_freq):
    ours = WordTokenizer.train(TEXTS, vocab_size=vocab_size, min_freq=min_freq)
    theirs = oracle(WordLevel(unk_token="<unk>"))
    trainer = WordLevelTrainer(
        vocab_size=vocab_size,
        min_frequency=min_freq,
        special_tokens=["<unk>"],
        show_progress=False,
    )
    theirs.train_from_iterator(TEXTS, trainer)
    words = [word for text in TEXTS for word in split_words(text)]
    # Which of two equally frequent words comes first, each library settles for itself.
    frequencies = [words.count(word) for word in ours.tokens[1:]]
    by_id = sorted(theirs.get_vocab(), key=theirs.get_vocab().get)
    assert frequencies == [words.count(word) for word in by_id[1:]]


@pytest.mark.parametrize("text", [*TEXTS, *OTHERS])
def test_ids_are_those_of_tokenizers(text):
    ours = WordTokenizer.train(TEXTS[::2], vocab_size=400)
    theirs = oracle(WordLevel(vocab=ours.vocab, unk_token="<unk>"))
    assert ours.encode(text) == theirs.encode(text).ids
