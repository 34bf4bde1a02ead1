import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from happyllm.data import (
    cu_seqlens,
    document_ids,
    document_mask,
    document_positions,
    pack,
)
from happyllm.llama import Attention, ModelConfig, Transformer, precompute_freqs_cis

EOS = 0
docs_of_ids = st.lists(st.lists(st.integers(1, 9), max_size=12), max_size=8)


@given(docs_of_ids, st.integers(1, 7))
def test_rows_are_the_documents_with_an_end_after_each(docs, T):
    stream = [i for doc in docs if doc for i in [*doc, EOS]]
    rows = list(pack(docs, T, EOS))
    assert all(len(row) == T for row in rows)
    assert list(itertools.chain(*rows)) == stream[: len(stream) // T * T]


def test_an_end_that_is_there_is_not_doubled():
    assert list(pack([[1, EOS], [2]], 4, EOS)) == [[1, EOS, 2, EOS]]


def test_no_document_is_read_before_it_is_needed():
    rows = pack(([i] * 3 for i in itertools.count(1)), 4, EOS)
    assert [next(rows) for _ in range(3)] == [[1, 1, 1, 0], [2, 2, 2, 0], [3, 3, 3, 0]]


def test_a_row_is_given_as_soon_as_it_is_full():
    def docs():
        yield [1, 2, 3]
        raise AssertionError("read too far")

    rows = pack(docs(), 2, EOS)
    assert [next(rows), next(rows)] == [[1, 2], [3, EOS]]


def test_the_documents_are_left_as_they_were():
    docs = [[1, 2], [3]]
    list(pack(docs, 2, EOS))
    assert docs == [[1, 2], [3]]


def test_a_row_of_no_length_is_refused():
    with pytest.raises(ValueError, match="seq_len=0"):
        next(pack([[1]], 0, EOS))


def naive(row):
    """Document and position of each token, one after another."""
    ids, positions, doc, position = [], [], 0, 0
    for token in row:
        ids.append(doc)
        positions.append(position)
        position += 1
        if token == EOS:
            doc, position = doc + 1, 0
    return ids, positions


@given(st.lists(st.lists(st.integers(0, 3), min_size=6, max_size=6), min_size=1, max_size=4))
def test_documents_positions_mask_and_offsets_agree_with_counting(rows):
    tokens = torch.tensor(rows)
    ids, positions = zip(*(naive(row) for row in rows), strict=True)
    assert document_ids(tokens, EOS).tolist() == list(ids)
    assert document_positions(tokens, EOS).tolist() == list(positions)
    mask = document_mask(tokens, EOS)
    for b, i, j in itertools.product(range(len(rows)), range(6), range(6)):
        assert bool(mask[b, 0, i, j]) == (j <= i and ids[b][i] == ids[b][j])
    flat = [p for row in positions for p in row]
    starts = [i for i, p in enumerate(flat) if p == 0]
    assert cu_seqlens(tokens, EOS).tolist() == [*starts, len(flat)]


def test_packed_documents_attend_as_if_each_stood_alone():
    torch.manual_seed(0)
    args = ModelConfig(dim=32, n_heads=4, n_kv_heads=2)
    attention = Attention(args).eval()
    docs = [[3, 4, 5], [6], [7, 8, 9, 2]]
    tokens = torch.tensor(list(pack(docs, 11, EOS)))
    x = torch.randn(1, 11, 32)
    cos, sin = precompute_freqs_cis(args.head_dim, end=11)
    positions = document_positions(tokens, EOS)
    together = attention(x, cos[positions], sin[positions], document_mask(tokens, EOS))
    start = 0
    for doc in docs:
        end = start + len(doc) + 1
        T = end - start
        alone = attention(x[:, start:end], cos[:T], sin[:T])
        torch.testing.assert_close(together[:, start:end], alone)
        start = end


def test_packed_documents_score_as_if_each_stood_alone():
    torch.manual_seed(0)
    args = ModelConfig(dim=32, n_layers=2, n_heads=4, n_kv_heads=2, vocab_size=10, max_seq_len=16)
    model = Transformer(args).eval()
    docs = [[3, 4, 5], [6, 1], [7, 8, 9, 2]]
    tokens = torch.tensor(list(pack(docs, 12, EOS)))
    h = model.tok_embeddings(tokens)
    positions = document_positions(tokens, EOS)
    for layer in model.layers:
        cos, sin = model.freqs_cos[positions], model.freqs_sin[positions]
        h = layer(h, cos, sin, document_mask(tokens, EOS))
    together = model.output(model.norm(h))
    start = 0
    for doc in docs:
        end = start + len(doc) + 1
        torch.testing.assert_close(together[:, start:end], model(tokens[:, start:end])[0])
        start = end
