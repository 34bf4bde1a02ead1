import pytest
import torch

from happyllm.llama.config import ModelConfig
from happyllm.llama.convert import from_hf, hf_config, hf_names, permute_from_hf, to_hf
from happyllm.llama.model import Transformer
from happyllm.llama.rotary import permute_for_hf

SIZES = {"dim": 32, "n_layers": 2, "n_heads": 4, "n_kv_heads": 2, "vocab_size": 50}


def make(tied):
    args = ModelConfig(**SIZES, tie_word_embeddings=tied)
    return Transformer(args).state_dict(), args


def test_every_weight_has_a_name_over_there():
    weights, args = make(tied=True)
    assert hf_names(args).keys() == weights.keys()


@pytest.mark.parametrize("n_heads", [1, 2, 4])
def test_permuting_there_and_back_changes_nothing(n_heads):
    weight = torch.randn(16, 5)
    assert torch.equal(permute_from_hf(permute_for_hf(weight, n_heads), n_heads), weight)


@pytest.mark.parametrize("tied", [True, False])
def test_weights_survive_the_way_there_and_back(tied):
    weights, args = make(tied)
    back = from_hf(to_hf(weights, args), args)
    assert back.keys() == weights.keys()
    assert all(torch.equal(back[name], weights[name]) for name in weights)


def test_only_queries_and_keys_are_reordered():
    weights, args = make(tied=False)
    theirs = to_hf(weights, args)
    changed = {n for n, t in hf_names(args).items() if not torch.equal(weights[n], theirs[t])}
    assert changed == {f"layers.{i}.attention.{w}.weight" for i in (0, 1) for w in ("wq", "wk")}


def test_a_tied_output_may_be_missing():
    weights, args = make(tied=True)
    theirs = to_hf(weights, args)
    del theirs["lm_head.weight"]
    Transformer(args).load_state_dict(from_hf(theirs, args), strict=True)


def test_an_untied_output_may_not_be_missing():
    weights, args = make(tied=False)
    theirs = to_hf(weights, args)
    del theirs["lm_head.weight"]
    with pytest.raises(ValueError, match=r"missing \['lm_head.weight'\]"):
        from_hf(theirs, args)


def test_a_weight_without_a_place_is_refused():
    weights, args = make(tied=True)
    theirs = to_hf(weights, args) | {"model.layers.0.self_attn.q_proj.bias": torch.zeros(32)}
    with pytest.raises(ValueError, match=r"unknown \['model.layers.0.self_attn.q_proj.bias'\]"):
        from_hf(theirs, args)


def test_the_rotary_frequencies_of_old_checkpoints_are_passed_over():
    weights, args = make(tied=True)
    name = "model.layers.0.self_attn.rotary_emb.inv_freq"
    assert from_hf(to_hf(weights, args) | {name: torch.zeros(4)}, args).keys() == weights.keys()


def test_the_configuration_names_every_size():
    config = hf_config(ModelConfig(**SIZES, hidden_dim=77, rope_theta=5000.0))
    assert config["intermediate_size"] == 77
    assert config["head_dim"] == 8
    assert config["rope_parameters"] == {"rope_type": "default", "rope_theta": 5000.0}
