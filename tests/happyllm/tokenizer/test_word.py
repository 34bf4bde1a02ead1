import pytest

from happyllm.tokenizer import WordTokenizer, split_words

TEXTS = ["a rose is a rose.", "A rose!"]


def test_words_are_separated_from_punctuation():
    assert split_words("(Yes, 42%)") == ["(", "Yes", ",", "42", "%", ")"]


def test_every_word_of_the_corpus_has_an_id_if_there_is_no_limit():
    tokenizer = WordTokenizer.train(TEXTS)
    assert tokenizer.tokens == ["<unk>", "rose", "a", "is", ".", "A", "!"]
    assert 0 not in tokenizer.encode(" ".join(TEXTS))


def test_a_limit_keeps_the_most_frequent_words():
    assert WordTokenizer.train(TEXTS, vocab_size=3).tokens == ["<unk>", "rose", "a"]
    assert WordTokenizer.train(TEXTS, min_freq=3).tokens == ["<unk>", "rose"]


def test_decoding_what_was_encoded_gives_the_words_with_single_spaces():
    tokenizer = WordTokenizer.train(TEXTS)
    assert tokenizer.decode(tokenizer.encode("A  rose,\nis a rose.")) == "A rose <unk> is a rose ."


@pytest.mark.parametrize("wrong", [7, -1])
def test_an_unknown_id_is_refused_by_its_number(wrong):
    with pytest.raises(ValueError, match=f"id {wrong} is not in the vocabulary of 7 tokens"):
        WordTokenizer.train(TEXTS).decode([wrong])


@pytest.mark.parametrize(
    ("tokens", "message"),
    [(["<unk>", "a", "a"], "'a' occurs 2 times"), (["a"], "'<unk>' is missing")],
)
def test_what_is_no_vocabulary_is_refused(tokens, message):
    with pytest.raises(ValueError, match=message):
        WordTokenizer(tokens)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"vocab_size": 0}, "vocab_size=0 must be at least 1"),
        ({"min_freq": 0}, "min_freq=0 must be at least 1"),
    ],
)
def test_sizes_out_of_range_are_refused_by_name(options, message):
    with pytest.raises(ValueError, match=message):
        WordTokenizer.train(TEXTS, **options)
