import pytest

from happyllm.tokenizer.letters import BYTE, BYTE_ORDER, LETTER, bytes_of, letters_of


def test_every_byte_has_a_letter_of_its_own_that_can_be_seen():
    assert sorted(BYTE_ORDER) == list(range(256))
    assert len(set(LETTER.values())) == 256
    assert all(letter.isprintable() and not letter.isspace() for letter in LETTER.values())


def test_bytes_stand_in_the_order_of_their_letters():
    assert [BYTE[letter] for letter in sorted(BYTE)] == list(BYTE_ORDER)


def test_letters_give_the_bytes_back():
    everything = bytes(range(256))
    assert bytes_of(letters_of(everything)) == everything


def test_what_is_no_letter_of_a_byte_is_refused():
    with pytest.raises(KeyError):
        bytes_of("世")
