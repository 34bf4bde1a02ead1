"""Muon and AdamW as one optimizer: of a whole model, saved, resumed, trained with."""

import copy

import pytest
import torch
from torch import nn

from happyllm.llama import ModelConfig, Transformer
from happyllm.train.muon import Joint, Muon, muon_groups, muon_with_adamw
from happyllm.train.optim import AdamW
from happyllm.train.step import train_step

ARGS = ModelConfig(dim=16, n_layers=2, n_heads=4, n_kv_heads=2, vocab_size=23, max_seq_len=8)


def batches(steps, seed=0):
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        tokens = torch.randint(23, (3, 9), generator=generator)
        yield [{"tokens": tokens[:, :-1], "targets": tokens[:, 1:]}]


def train(model, optimizer, steps, seed=0):
    for batch in batches(steps, seed):
        train_step(model, optimizer, batch, lr=0.01, max_norm=1.0)


def test_every_parameter_has_one_optimizer():
    torch.manual_seed(0)
    model = Transformer(ARGS)
    hidden, rest = muon_groups(model, 0.1)
    names = {id(p): name for name, p in model.named_parameters()}
    muons = [names[id(p)] for group in hidden for p in group["params"]]
    adamws = [names[id(p)] for group in rest for p in group["params"]]
    assert sorted(muons + adamws) == sorted(names.values())
    assert all(name.startswith("layers.") and "norm" not in name for name in muons)
    assert all(not name.startswith("layers.") or "norm" in name for name in adamws)


def test_a_whole_model_learns_one_batch_by_heart():
    torch.manual_seed(0)
    model = Transformer(ARGS)
    optimizer = muon_with_adamw(model)
    batch = next(batches(1))
    losses = [train_step(model, optimizer, batch, lr=0.02, max_norm=1.0).loss for _ in range(40)]
    assert losses[-1] < 0.2 * losses[0]


def test_a_run_that_is_saved_and_resumed_is_the_same_to_the_last_bit():
    torch.manual_seed(0)
    whole = Transformer(ARGS)
    model = copy.deepcopy(whole)
    optimizer = muon_with_adamw(whole)
    train(whole, optimizer, 3)
    train(whole, optimizer, 3, seed=1)
    first = muon_with_adamw(model)
    train(model, first, 3)
    saved = copy.deepcopy(first.state_dict())
    second = muon_with_adamw(model, lr=9.0)
    second.load_state_dict(saved)
    train(model, second, 3, seed=1)
    for one, other in zip(model.parameters(), whole.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_learning_rate_set_on_the_joint_holds_for_each():
    matrix, vector = nn.Parameter(torch.eye(3)), nn.Parameter(torch.ones(3))
    muon, adamw = Muon([matrix]), AdamW([vector])
    joint = Joint(muon, adamw)
    for group in joint.param_groups:
        group["lr"] = 0.0
    (matrix @ vector).square().sum().backward()
    joint.step()
    assert torch.equal(matrix, torch.eye(3))
    assert torch.equal(vector, torch.ones(3))
    joint.zero_grad()
    assert matrix.grad is None
    assert vector.grad is None


def test_what_is_no_matrix_is_refused_with_its_shape():
    with pytest.raises(ValueError, match=r"the shape \(3,\) belongs to AdamW"):
        Muon([nn.Parameter(torch.zeros(3))])


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ({"momentum": 1.0}, "momentum=1.0 must be in"),
        ({"n_steps": 0}, "n_steps=0 must be at least 1"),
        ({"lr": -1.0}, "lr=-1.0 must be 0 or more"),
        ({"weight_decay": float("nan")}, "weight_decay=nan must be 0 or more"),
    ],
)
def test_an_option_out_of_range_is_refused_by_name(option, said):
    with pytest.raises(ValueError, match=said):
        Muon([nn.Parameter(torch.zeros(3, 3))], **option)


def test_a_state_of_another_shape_is_refused():
    one, other = (Muon([nn.Parameter(torch.zeros(n, 3))]) for n in (2, 4))
    for group in one.param_groups:
        group["params"][0].grad = torch.ones(2, 3)
    one.step()
    with pytest.raises(ValueError, match=r"shape \(4, 3\), its momentum_buffer \(2, 3\)"):
        other.load_state_dict(one.state_dict())
