import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from happyllm.data import PretrainDataset, TokenFile


@given(docs=st.lists(st.lists(st.integers(0, 99_999), max_size=9)))
def test_ids_come_back_as_they_were_written(tmp_path_factory, docs):
    path = tmp_path_factory.mktemp("tokens") / "a.tokens"
    TokenFile.write(path, docs, vocab_size=100_000)
    assert TokenFile.read(path).ids.tolist() == [i for doc in docs for i in doc]


@pytest.mark.parametrize(("vocab_size", "width"), [(300, 2), (65_536, 2), (65_537, 4)])
def test_an_id_takes_two_bytes_while_the_vocabulary_allows_it(tmp_path, vocab_size, width):
    file = TokenFile.write(tmp_path / "a", [[0, vocab_size - 1]], vocab_size)
    assert file.ids.dtype.itemsize == width
    assert file.ids.tolist() == [0, vocab_size - 1]
    assert file.vocab_size == vocab_size


def test_an_end_is_put_after_each_document(tmp_path):
    file = TokenFile.write(tmp_path / "a", [[5, 6], [], [7, 2], [8]], 10, eos=2)
    assert file.ids.tolist() == [5, 6, 2, 7, 2, 8, 2]


def test_more_ids_than_are_held_at_once_are_written_whole(tmp_path, monkeypatch):
    monkeypatch.setattr("happyllm.data.tokens.CHUNK", 7)
    docs = [[i % 50] * (i % 6) for i in range(100)]
    file = TokenFile.write(tmp_path / "a", docs, 50)
    assert file.ids.tolist() == [i for doc in docs for i in doc]


@pytest.mark.parametrize(("bad", "named"), [(300, 300), (-1, -1)])
def test_an_id_outside_the_vocabulary_is_refused_and_nothing_is_overwritten(tmp_path, bad, named):
    path = tmp_path / "a"
    TokenFile.write(path, [[1, 2]], 300)
    with pytest.raises(ValueError, match=f"document 1 holds the id {named}"):
        TokenFile.write(path, [[3], [4, bad]], 300)
    assert TokenFile.read(path).ids.tolist() == [1, 2]
    assert os.listdir(tmp_path) == ["a"]


def test_a_writer_that_is_stopped_leaves_nothing_behind(tmp_path):
    def docs():
        yield [1]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        TokenFile.write(tmp_path / "a", docs(), 300)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("cut", [1, 2, 5, 6, 20, 37])
def test_a_file_that_was_cut_off_is_refused_by_name(tmp_path, cut):
    path = tmp_path / "a.tokens"
    TokenFile.write(path, [[1, 2, 3]], 300)
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(ValueError, match=r"a\.tokens: "):
        TokenFile.read(path)


@pytest.mark.parametrize("data", [b"", b"hello", b"x" * 100])
def test_what_is_no_token_file_is_refused_by_name(tmp_path, data):
    (tmp_path / "a.tokens").write_bytes(data)
    with pytest.raises(ValueError, match=r"a\.tokens: no token file"):
        TokenFile.read(tmp_path / "a.tokens")


def test_the_ids_stay_on_disk(tmp_path):
    file = TokenFile.write(tmp_path / "a", [range(1000)], 1000)
    assert isinstance(file.ids, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        file.ids[0] = 1
    tokens, targets = PretrainDataset(file.ids, 10)[3]
    assert tokens.tolist() == list(range(30, 40))
    assert targets.tolist() == list(range(31, 41))
