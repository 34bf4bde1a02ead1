from dataclasses import FrozenInstanceError

import pytest

from happyllm.llama.config import ModelConfig, ffn_hidden_dim


def test_the_mlp_width_is_two_thirds_of_four_times_the_width():
    assert ffn_hidden_dim(dim=96, multiple_of=1) == 256


@pytest.mark.parametrize(("dim", "expected"), [(97, 258), (98, 261), (100, 266)])
def test_two_thirds_are_rounded_down_before_they_are_rounded_up(dim, expected):
    assert ffn_hidden_dim(dim, multiple_of=1) == expected


def test_the_mlp_width_is_rounded_up_and_never_down():
    assert ffn_hidden_dim(dim=48, multiple_of=100) == 200  # 128 is nearer to 100


def test_a_width_that_fits_is_not_rounded_further():
    assert ffn_hidden_dim(dim=48, multiple_of=64) == 128


def test_a_given_mlp_width_is_used_as_it_is():
    assert ffn_hidden_dim(dim=48, multiple_of=64, hidden_dim=77) == 77


def test_the_defaults_are_a_model_and_its_derived_sizes_agree():
    config = ModelConfig()
    assert (config.head_dim, config.n_rep, config.ffn_dim) == (48, 2, 2048)


def test_without_kv_heads_every_query_head_has_its_own():
    config = ModelConfig(n_heads=4, n_kv_heads=None)
    assert (config.n_kv_heads, config.n_rep) == (4, 1)


def test_one_kv_head_may_serve_all():
    assert ModelConfig(n_heads=16, n_kv_heads=1).n_rep == 16


def test_the_mlp_width_follows_hidden_dim_where_it_is_given():
    assert ModelConfig(hidden_dim=100).ffn_dim == 100


def test_a_configuration_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        ModelConfig().dim = 3


def test_equal_configurations_are_equal_and_hash_alike():
    assert hash(ModelConfig(n_heads=4, n_kv_heads=None)) == hash(
        ModelConfig(n_heads=4, n_kv_heads=4)
    )


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"dim": 96, "n_heads": 6, "n_kv_heads": 4}, "n_heads=6 is not a multiple of n_kv_heads=4"),
        ({"dim": 100}, "dim=100 is not a multiple of n_heads=16"),
        ({"n_heads": 4, "n_kv_heads": 8}, "n_heads=4 is not a multiple of n_kv_heads=8"),
        ({"dim": 48}, "dim=48 over n_heads=16 gives heads of odd size 3"),
        ({"dropout": 1.0}, r"dropout=1.0 must be in \[0, 1\)"),
        ({"dropout": -0.1}, "dropout=-0.1"),
        ({"dropout": float("nan")}, "dropout=nan"),
        ({"norm_eps": 0.0}, "norm_eps=0.0 must be above 0"),
        ({"norm_eps": float("nan")}, "norm_eps=nan"),
        ({"rope_theta": -1.0}, "rope_theta=-1.0 must be above 0"),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_name(values, message):
    with pytest.raises(ValueError, match=message):
        ModelConfig(**values)


INTEGERS = [
    "dim",
    "n_layers",
    "n_heads",
    "n_kv_heads",
    "vocab_size",
    "hidden_dim",
    "multiple_of",
    "max_seq_len",
]


@pytest.mark.parametrize("name", INTEGERS)
@pytest.mark.parametrize("value", [0, -2])
def test_a_size_must_be_positive(name, value):
    with pytest.raises(ValueError, match=f"{name}={value} must be positive"):
        ModelConfig(**{name: value})


@pytest.mark.parametrize("name", INTEGERS)
@pytest.mark.parametrize("value", [True, "64", 64.0])
def test_a_size_must_be_an_integer(name, value):
    with pytest.raises(TypeError, match=f"{name}={value!r} must be an integer"):
        ModelConfig(**{name: value})


@pytest.mark.parametrize("name", ["norm_eps", "dropout", "rope_theta"])
@pytest.mark.parametrize("value", [True, "1", None])
def test_a_real_number_must_be_a_number(name, value):
    with pytest.raises(TypeError, match=f"{name}={value!r} must be a number"):
        ModelConfig(**{name: value})


@pytest.mark.parametrize("name", ["flash_attn", "tie_word_embeddings"])
def test_a_switch_must_be_true_or_false(name):
    with pytest.raises(TypeError, match=f"{name}=1 must be True or False"):
        ModelConfig(**{name: 1})


def test_a_whole_number_will_do_where_a_real_one_is_asked_for():
    assert ModelConfig(rope_theta=500000, dropout=0).rope_theta == 500000
