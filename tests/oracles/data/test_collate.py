"""Padding against torch's pad_sequence."""

import pytest
import torch
from torch.nn.utils.rnn import pad_sequence

from happyllm.data.datasets import collate

PAD = 2


def rows(seed):
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, 12, (5,), generator=generator).tolist()
    made = [torch.randint(30, (n,), generator=generator) for n in lengths]
    return [(one, one.roll(-1).masked_fill(one.roll(-1) < 9, -100)) for one in made]


@pytest.mark.parametrize("seed", range(8))
def test_rows_are_filled_up_as_by_torch(seed):
    batch = rows(seed)
    tokens, targets, attention_mask = collate(batch, PAD)
    ones = [torch.ones_like(row) for row, _ in batch]
    assert torch.equal(tokens, pad_sequence([row for row, _ in batch], True, PAD))
    assert torch.equal(targets, pad_sequence([row for _, row in batch], True, -100))
    assert torch.equal(attention_mask, pad_sequence(ones, True, 0))
