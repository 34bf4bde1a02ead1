"""AdamW against torch.optim.AdamW, step by step, and from the one to the other."""

import copy

import pytest
import torch
from torch import nn

from happyllm.llama.config import ModelConfig
from happyllm.llama.model import Transformer
from happyllm.train.optim import AdamW, decay_groups

ARGS = ModelConfig(dim=16, n_layers=1, n_heads=4, n_kv_heads=2, vocab_size=23, max_seq_len=8)


def run(model, optimizer, steps, seed=0, schedule=lambda step: None):
    generator = torch.Generator().manual_seed(seed)
    for step in range(steps):
        if (lr := schedule(step)) is not None:
            for group in optimizer.param_groups:
                group["lr"] = lr
        tokens = torch.randint(23, (3, 9), generator=generator)
        optimizer.zero_grad()
        model(tokens[:, :-1], tokens[:, 1:])[1].backward()
        optimizer.step()


@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.8, 0.95)])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_the_weights_are_those_of_torch_to_the_last_bit(betas, weight_decay):
    torch.manual_seed(0)
    ours = Transformer(ARGS)
    theirs = copy.deepcopy(ours)
    options = {"lr": 1e-2, "betas": betas, "eps": 1e-8}
    run(ours, AdamW(decay_groups(ours, weight_decay), **options), 15)
    groups = decay_groups(theirs, weight_decay)
    run(theirs, torch.optim.AdamW(groups, foreach=False, **options), 15)
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_learning_rate_that_changes_is_followed_as_by_torch():
    torch.manual_seed(0)
    ours = Transformer(ARGS)
    theirs = copy.deepcopy(ours)
    run(ours, AdamW(ours.parameters()), 10, schedule=lambda step: 0.01 / (step + 1))
    run(theirs, torch.optim.AdamW(theirs.parameters()), 10, schedule=lambda s: 0.01 / (s + 1))
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-7, rtol=1e-6)


def test_a_run_begun_by_torch_goes_on_with_ours():
    torch.manual_seed(0)
    model = Transformer(ARGS)
    whole = copy.deepcopy(model)
    first = torch.optim.AdamW(model.parameters(), lr=1e-2)
    run(model, first, 5)
    second = AdamW(model.parameters(), lr=3.0)
    second.load_state_dict(first.state_dict())
    run(model, second, 5, seed=1)
    optimizer = AdamW(whole.parameters(), lr=1e-2)
    run(whole, optimizer, 5)
    run(whole, optimizer, 5, seed=1)
    for one, other in zip(model.parameters(), whole.parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-7, rtol=1e-6)


def test_frozen_parameters_stay():
    model = nn.Linear(3, 2)
    model.bias.requires_grad_(False)
    before = model.bias.clone()
    optimizer = AdamW(decay_groups(model, 0.5), lr=0.1)
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    assert torch.equal(model.bias, before)
