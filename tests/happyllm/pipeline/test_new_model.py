"""A new model of a run: drawn as the model draws itself, and as wide as the settings say."""

import pytest
import torch

from happyllm.llama.config import ModelConfig
from happyllm.llama.model import Transformer
from happyllm.pipeline.assemble import widen
from happyllm.train.config import INIT_STD, ConfigError, RunConfig, TrainConfig

SIZES = ModelConfig(dim=128, n_layers=3, n_heads=4, n_kv_heads=2, vocab_size=500)


def drawn(factor):
    torch.manual_seed(0)
    model = Transformer(SIZES)
    widen(model, factor)
    return dict(model.named_parameters())


def test_the_width_that_a_model_draws_is_the_one_that_is_named():
    weights = drawn(1)
    assert weights["layers.0.attention.wq.weight"].std().item() == pytest.approx(INIT_STD, rel=0.03)


def test_matrices_are_widened_alike_and_vectors_stay():
    as_they_were, wider = drawn(1), drawn(4.4)
    for name, weight in as_they_were.items():
        factor = 4.4 if weight.dim() > 1 else 1
        torch.testing.assert_close(wider[name], factor * weight, msg=name)


def test_a_width_that_draws_nothing_is_refused_by_name():
    with pytest.raises(ConfigError, match=r"run\.init_std=0 must be above 0"):
        TrainConfig(SIZES, run=RunConfig(init_std=0))
