import pytest
from hypothesis import given
from hypothesis import strategies as st

from happyllm.tokenizer import ByteTokenizer, CharTokenizer


@given(st.lists(st.text()))
def test_a_text_of_the_corpus_comes_back(texts):
    tokenizer = CharTokenizer.train(texts)
    for text in texts:
        ids = tokenizer.encode(text)
        assert len(ids) == len(text)
        assert tokenizer.decode(ids) == text


def test_an_unseen_character_is_unknown_and_the_others_are_not():
    tokenizer = CharTokenizer.train(["abc"])
    assert tokenizer.encode("aXc") == [1, 0, 3]


@given(st.text())
def test_any_text_comes_back_from_its_bytes(text):
    ids = ByteTokenizer().encode(text)
    assert ids == list(text.encode())
    assert ByteTokenizer().decode(ids) == text


@given(st.lists(st.integers(0, 255)))
def test_any_bytes_decode_to_some_text(ids):
    text = ByteTokenizer().decode(ids)
    assert text == bytes(ids).decode(errors="replace")


@pytest.mark.parametrize("tokenizer", [ByteTokenizer(), CharTokenizer.train(["ab"])])
@pytest.mark.parametrize("wrong", [256, -1])
def test_an_id_out_of_range_is_refused_by_its_number(tokenizer, wrong):
    with pytest.raises(ValueError, match=f"id {wrong} is n"):
        tokenizer.decode([1, wrong])
