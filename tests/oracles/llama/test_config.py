"""ModelConfig against transformers.LlamaConfig and the sizes of the published models."""

import pytest
from huggingface_hub.errors import StrictDataclassClassValidationError
from transformers import LlamaConfig, LlamaForCausalLM

from happyllm.llama.config import ModelConfig, ffn_hidden_dim
from happyllm.llama.convert import hf_config
from happyllm.llama.model import Transformer


@pytest.mark.parametrize(
    ("name", "dim", "multiple_of", "intermediate_size"),
    [
        ("LLaMA 2 7B", 4096, 256, 11008),
        ("LLaMA 2 13B", 5120, 256, 13824),
        ("LLaMA 33B", 6656, 256, 17920),
        ("LLaMA 65B", 8192, 256, 22016),
    ],
)
def test_the_mlp_widths_are_those_of_the_published_models(
    name, dim, multiple_of, intermediate_size
):
    assert ffn_hidden_dim(dim, multiple_of) == intermediate_size


def test_llama_config_of_its_own_defaults_has_our_derived_sizes():
    theirs = LlamaConfig()  # LLaMA 2 7B
    ours = ModelConfig(dim=4096, n_layers=32, n_heads=32, n_kv_heads=None, multiple_of=256)
    assert ours.ffn_dim == theirs.intermediate_size
    assert ours.head_dim == theirs.head_dim
    assert ours.n_kv_heads == theirs.num_key_value_heads


@pytest.mark.parametrize("seed", range(10))
def test_llama_config_takes_our_sizes_and_derives_the_same(random_config, seed):
    args = random_config(seed)
    config = hf_config(args)
    del config["head_dim"]
    theirs = LlamaConfig(**config)
    assert theirs.head_dim == args.head_dim
    assert theirs.num_attention_heads // theirs.num_key_value_heads == args.n_rep
    assert theirs.rope_parameters["rope_theta"] == args.rope_theta


@pytest.mark.parametrize("seed", range(6))
def test_the_parameters_are_as_many(random_config, seed):
    args = random_config(seed)
    assert (
        Transformer(args).num_params()
        == LlamaForCausalLM(LlamaConfig(**hf_config(args))).num_parameters()
    )


def test_what_llama_config_refuses_we_refuse():
    with pytest.raises(StrictDataclassClassValidationError, match="not a multiple"):
        LlamaConfig(hidden_size=100, num_attention_heads=16)
    with pytest.raises(ValueError, match="not a multiple"):
        ModelConfig(dim=100, n_heads=16)
