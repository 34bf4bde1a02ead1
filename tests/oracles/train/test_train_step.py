"""A whole update against the same one written with PyTorch's optimizer, clipping and loss."""

import copy

import pytest
import torch
import torch.nn.functional as F

from happyllm.llama.config import ModelConfig
from happyllm.llama.model import Transformer
from happyllm.train.optim import AdamW, decay_groups
from happyllm.train.step import train_step

ARGS = ModelConfig(dim=16, n_layers=2, n_heads=4, n_kv_heads=2, vocab_size=23, max_seq_len=8)


@pytest.mark.parametrize("max_norm", [0.1, 100.0])
def test_ten_updates_are_those_of_pytorch(max_norm):
    torch.manual_seed(0)
    ours = Transformer(ARGS)
    theirs = copy.deepcopy(ours)
    optimizer = AdamW(decay_groups(ours, 0.1), eps=1e-5)
    expected = torch.optim.AdamW(decay_groups(theirs, 0.1), eps=1e-5)
    for step in range(10):
        tokens, targets = torch.randint(23, (4, 8)), torch.randint(23, (4, 8))
        targets[torch.rand(4, 8) < 0.5] = -100
        lr = 0.01 / (step + 1)
        pairs = zip(tokens.split((1, 3)), targets.split((1, 3)), strict=True)
        batches = [{"tokens": x, "targets": y} for x, y in pairs]
        result = train_step(ours, optimizer, batches, lr=lr, max_norm=max_norm)

        for group in expected.param_groups:
            group["lr"] = lr
        expected.zero_grad()
        loss = F.cross_entropy(theirs(tokens)[0].flatten(0, 1), targets.flatten())
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(theirs.parameters(), max_norm)
        expected.step()
        assert result.loss == pytest.approx(loss.item(), rel=1e-4)
        assert result.grad_norm == pytest.approx(norm.item(), rel=1e-3)
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-3)
