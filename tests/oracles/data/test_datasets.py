"""Rows and batches against transformers: its shifted loss, its collator, its assistant mask."""

import random

import pytest
import torch
from torch.nn import functional as F
from transformers.data.data_collator import DataCollatorForTokenClassification
from transformers.loss.loss_utils import ForCausalLMLoss

from happyllm.data import PretrainDataset, SFTDataset, collate

V = 300


class Bytes:
    def encode(self, text):
        return [byte + 3 for byte in text.encode()]


def draw_talk(rng):
    roles = ("user", "assistant")
    return [
        {"role": roles[i % 2], "content": "x" * rng.randint(0, 9)} for i in range(rng.randint(2, 6))
    ]


@pytest.mark.parametrize("seed", range(20))
def test_the_loss_of_shifted_targets_is_that_of_labels_that_transformers_shifts(seed):
    generator = torch.Generator().manual_seed(seed)
    T = 2 + seed
    ids = torch.randint(V, (T + 1,), generator=generator)
    tokens, targets = PretrainDataset(ids.tolist(), T)[0]
    logits = torch.randn(1, T + 1, V, generator=generator)
    expected = ForCausalLMLoss(logits, ids[None], V)
    assert torch.equal(tokens, ids[:-1])
    torch.testing.assert_close(F.cross_entropy(logits[0, :-1], targets), expected)


@pytest.mark.parametrize("seed", range(20))
def test_a_batch_is_filled_up_as_the_collator_of_transformers_does(seed):
    rng = random.Random(seed)
    rows = list(SFTDataset([draw_talk(rng) for _ in range(4)], Bytes(), 1, 2, max_len=80))
    tokens, targets, attention_mask = collate(rows, pad_id=0)

    class Padder:
        padding_side = "right"

        def pad(self, features, **kwargs):
            T = max(len(one["input_ids"]) for one in features)
            ids = [one["input_ids"] + [0] * (T - len(one["input_ids"])) for one in features]
            mask = [[1] * len(one["input_ids"]) for one in features]
            mask = [row + [0] * (T - len(row)) for row in mask]
            return {"input_ids": torch.tensor(ids), "attention_mask": torch.tensor(mask)}

    collator = DataCollatorForTokenClassification(Padder(), return_tensors="pt")
    expected = collator([{"input_ids": a.tolist(), "labels": b.tolist()} for a, b in rows])
    assert torch.equal(tokens, expected["input_ids"])
    assert torch.equal(targets, expected["labels"])
    assert torch.equal(attention_mask, expected["attention_mask"])
