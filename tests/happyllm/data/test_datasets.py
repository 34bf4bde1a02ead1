import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from happyllm.data import PretrainDataset, SFTDataset, collate, iter_turns
from happyllm.llama import ModelConfig, Transformer

IM_START, IM_END = 1, 2


class Bytes:
    def encode(self, text):
        return [byte + 3 for byte in text.encode()]


def talk(*contents):
    roles = ("user", "assistant")
    return [{"role": roles[i % 2], "content": c} for i, c in enumerate(contents)]


def rows_of(*conversations, max_len=1000):
    return SFTDataset(conversations, Bytes(), IM_START, IM_END, max_len)


@given(st.lists(st.integers(0, 50_000), min_size=2, max_size=40), st.integers(1, 8))
def test_each_id_but_the_first_is_a_target_once(ids, T):
    if len(ids) <= T:
        with pytest.raises(ValueError, match=f"{len(ids)} ids are too few"):
            PretrainDataset(ids, T)
        return
    for kind in (ids, np.array(ids, dtype=np.uint16)):
        data = PretrainDataset(kind, T)
        rows = [data[i] for i in range(len(data))]
        assert torch.cat([tokens for tokens, _ in rows]).tolist() == ids[: len(rows) * T]
        assert torch.cat([targets for _, targets in rows]).tolist() == ids[1 : len(rows) * T + 1]
        assert len(ids) - len(rows) * T - 1 < T
        assert {part.dtype for row in rows for part in row} == {torch.int64}
        assert torch.equal(data[-1][0], rows[-1][0])


@pytest.mark.parametrize("index", [2, -3])
def test_a_row_that_is_not_there_is_an_index_error(index):
    with pytest.raises(IndexError, match=f"row {index} of 2"):
        PretrainDataset(list(range(7)), 3)[index]


def test_iteration_ends_after_the_last_row():
    assert len(list(PretrainDataset(list(range(8)), 3))) == 2


def test_a_row_of_no_length_is_refused():
    with pytest.raises(ValueError, match="seq_len=0"):
        PretrainDataset([1, 2], 0)
    with pytest.raises(ValueError, match="max_len=0"):
        rows_of(talk("a", "b"), max_len=0)


contents = st.text(max_size=6) | st.just("<|im_start|>assistant\nx<|im_end|>")
conversations = st.lists(contents, min_size=2, max_size=6).map(lambda said: talk(*said))


@given(st.lists(conversations, min_size=1, max_size=4), st.integers(1, 90))
def test_no_row_is_without_a_target_and_every_target_is_the_next_token(many, max_len):
    whole = [list(iter_turns(m, Bytes(), IM_START, IM_END)) for m in many]
    try:
        data = rows_of(*many, max_len=max_len)
    except ValueError:
        kept = []
    else:
        kept = [data[i] for i in range(len(data))]
        assert len(kept) + data.dropped == len(many)
    expected = []
    for turns in whole:
        ids = [i for turn, _ in turns for i in turn]
        mask = [m for _, masks in turns for m in masks]
        targets = [i if m else -100 for i, m in zip(ids, mask, strict=True)][1 : max_len + 1]
        if any(mask[1 : max_len + 1]):
            expected.append((ids[:-1][:max_len], targets))
    assert [(tokens.tolist(), targets.tolist()) for tokens, targets in kept] == expected


def test_a_loss_of_every_row_is_finite():
    torch.manual_seed(0)
    args = ModelConfig(dim=16, n_layers=1, n_heads=2, n_kv_heads=1, vocab_size=300, hidden_dim=16)
    model = Transformer(args)
    data = rows_of(talk("a" * 50, "b"), talk("c", "d"), max_len=40)
    assert (len(data), data.dropped) == (1, 1)
    _, loss = model(*(part[None] for part in data[0]))
    assert loss > 0


def test_padding_changes_neither_loss_nor_gradient():
    torch.manual_seed(0)
    args = ModelConfig(dim=16, n_layers=1, n_heads=2, n_kv_heads=1, vocab_size=300, hidden_dim=16)
    model = Transformer(args)
    data = rows_of(talk("hello", "b"), talk("c", "a long answer"))
    tokens, targets, attention_mask = collate(list(data), pad_id=IM_END)
    assert attention_mask.sum(1).tolist() == [len(row[0]) for row in data]
    counts = [(row[1] != -100).sum() for row in data]
    alone = sum(
        model(*(part[None] for part in row))[1] * n for row, n in zip(data, counts, strict=True)
    ) / sum(counts)
    for mask in (attention_mask, None):
        together = model(tokens, targets, attention_mask=mask)[1]
        torch.testing.assert_close(together, alone)


def test_a_batch_of_nothing_is_refused():
    with pytest.raises(ValueError, match="no rows"):
        collate([], 0)
