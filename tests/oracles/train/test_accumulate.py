"""Accumulated gradients against autograd on the one big batch, by F.cross_entropy."""

import pytest
import torch
import torch.nn.functional as F

from happyllm.llama.config import ModelConfig
from happyllm.llama.model import Transformer
from happyllm.train.accumulate import accumulate_gradients

ARGS = ModelConfig(dim=16, n_layers=2, n_heads=4, n_kv_heads=2, vocab_size=23, max_seq_len=8)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("sizes", [(6,), (1, 5), (2, 2, 2), (1, 1, 1, 3)])
def test_the_gradients_are_those_of_the_big_batch(seed, sizes):
    torch.manual_seed(seed)
    model = Transformer(ARGS)
    tokens, targets = torch.randint(23, (6, 8)), torch.randint(23, (6, 8))
    targets[torch.rand(6, 8) < torch.rand(6, 1)] = -100
    targets[0] = -100
    loss = F.cross_entropy(model(tokens)[0].flatten(0, 1), targets.flatten())
    expected = torch.autograd.grad(loss, list(model.parameters()))

    pairs = zip(tokens.split(sizes), targets.split(sizes), strict=True)
    got = accumulate_gradients(model, [{"tokens": x, "targets": y} for x, y in pairs])
    torch.testing.assert_close(got, loss.detach())
    for p, grad in zip(model.parameters(), expected, strict=True):
        torch.testing.assert_close(p.grad, grad, atol=1e-6, rtol=1e-4)
