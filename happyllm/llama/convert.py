"""Weights from and to Hugging Face: the same numbers under other names, and in another RoPE order.

Hugging Face's RoPE pairs feature i with i + d/2, ours (Meta's) 2i with 2i + 1. So the rows of `wq`
and `wk` are reordered; renaming alone gives a model that runs, and talks nonsense.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from happyllm.llama.rotary import permute_for_hf

if TYPE_CHECKING:
    from happyllm.llama.config import ModelConfig


def hf_names(args: ModelConfig) -> dict[str, str]:
    """Map each of our parameters' names to Hugging Face's.

    Args:
        args: The model's configuration.

    Returns:
        One entry for every name in the state dict of `Transformer(args)`.

    Example:
        >>> from happyllm.llama.config import ModelConfig
        >>> hf_names(ModelConfig())["layers.0.feed_forward.w2.weight"]
        'model.layers.0.mlp.down_proj.weight'
    """
    in_a_layer = {
        "attention.wq": "self_attn.q_proj",
        "attention.wk": "self_attn.k_proj",
        "attention.wv": "self_attn.v_proj",
        "attention.wo": "self_attn.o_proj",
        "feed_forward.w1": "mlp.gate_proj",
        "feed_forward.w2": "mlp.down_proj",
        "feed_forward.w3": "mlp.up_proj",
        "attention_norm": "input_layernorm",
        "ffn_norm": "post_attention_layernorm",
    }
    names = {"tok_embeddings": "model.embed_tokens", "norm": "model.norm", "output": "lm_head"}
    for i in range(args.n_layers):
        for ours, theirs in in_a_layer.items():
            names[f"layers.{i}.{ours}"] = f"model.layers.{i}.{theirs}"
    return {f"{ours}.weight": f"{theirs}.weight" for ours, theirs in names.items()}


def permute_from_hf(weight: torch.Tensor, n_heads: int) -> torch.Tensor:
    """Undo `permute_for_hf`: reorder rows from split halves to interleaved pairs.

    Args:
        weight: (n_heads * d, D) weight of a `q_proj` (with H heads) or `k_proj` (with K heads).
        n_heads: How many heads the rows hold.

    Returns:
        (n_heads * d, D), a new tensor.

    Example:
        >>> weight = torch.arange(6.0).view(6, 1)  # one head of size 6
        >>> permute_from_hf(weight, n_heads=1).flatten()
        tensor([0., 3., 1., 4., 2., 5.])
    """
    rows, width = weight.shape
    halves = weight.reshape(n_heads, 2, rows // n_heads // 2, width)  # (H, 2, d/2, D)
    return halves.transpose(1, 2).reshape(rows, width)  # (H, d/2, 2, D) -> (H * d, D)


def from_hf(state_dict: Mapping[str, torch.Tensor], args: ModelConfig) -> dict[str, torch.Tensor]:
    """Rename and reorder the weights of a `LlamaForCausalLM` for our `Transformer`.

    Args:
        state_dict: Its state dict. Where `args.tie_word_embeddings`, `lm_head.weight` may be
            missing and is not read.
        args: The configuration of the same model.

    Returns:
        A state dict that `Transformer(args)` loads with `strict=True`. Tensors that need no
        reordering are the given ones, not copies.

    Raises:
        ValueError: A weight is missing, or there is one that we have no place for (a bias, a
            layer too many): leaving it out would change the model.

    Example:
        >>> from happyllm.llama.config import ModelConfig
        >>> from happyllm.llama.model import Transformer
        >>> args = ModelConfig(dim=32, n_layers=1, n_heads=4, n_kv_heads=2, vocab_size=50)
        >>> weights = Transformer(args).state_dict()
        >>> back = from_hf(to_hf(weights, args), args)
        >>> all(torch.equal(back[name], weights[name]) for name in weights)
        True
    """
    names = hf_names(args)
    if args.tie_word_embeddings:
        names["output.weight"] = names["tok_embeddings.weight"]

    missing = sorted(set(names.values()) - state_dict.keys())
    # Old checkpoints carry the rotary frequencies; we compute them.
    unknown = sorted(
        name
        for name in state_dict.keys() - set(names.values()) - {"lm_head.weight"}
        if not name.endswith("rotary_emb.inv_freq")
    )
    if missing or unknown:
        raise ValueError(f"not a state dict of this model: missing {missing}, unknown {unknown}")

    result = {ours: state_dict[theirs] for ours, theirs in names.items()}
    for i in range(args.n_layers):
        wq, wk = f"layers.{i}.attention.wq.weight", f"layers.{i}.attention.wk.weight"
        result[wq] = permute_from_hf(result[wq], args.n_heads)
        result[wk] = permute_from_hf(result[wk], args.n_kv_heads or args.n_heads)
    return result


def to_hf(state_dict: Mapping[str, torch.Tensor], args: ModelConfig) -> dict[str, torch.Tensor]:
    """Rename and reorder our weights for a `LlamaForCausalLM`.

    Args:
        state_dict: That of a `Transformer(args)`.
        args: Its configuration.

    Returns:
        A state dict that `LlamaForCausalLM(LlamaConfig(**hf_config(args)))` loads with
        `strict=True`.

    Raises:
        KeyError: A weight is missing.

    Example:
        >>> from happyllm.llama.config import ModelConfig
        >>> from happyllm.llama.model import Transformer
        >>> args = ModelConfig(dim=32, n_layers=1, n_heads=4, n_kv_heads=2, vocab_size=50)
        >>> theirs = to_hf(Transformer(args).state_dict(), args)
        >>> theirs["model.layers.0.self_attn.k_proj.weight"].shape
        torch.Size([16, 32])
    """
    result = {theirs: state_dict[ours] for ours, theirs in hf_names(args).items()}
    for i in range(args.n_layers):
        q, k = (f"model.layers.{i}.self_attn.{name}_proj.weight" for name in "qk")
        result[q] = permute_for_hf(result[q], args.n_heads)
        result[k] = permute_for_hf(result[k], args.n_kv_heads or args.n_heads)
    return result


def hf_config(args: ModelConfig) -> dict[str, Any]:
    """Translate our configuration to the arguments of `transformers.LlamaConfig`.

    Dropout is left out: Hugging Face's LLaMA drops attention weights only, ours also the outputs.

    Args:
        args: Our configuration.

    Returns:
        Keyword arguments, for transformers 5 and later.

    Example:
        >>> from happyllm.llama.config import ModelConfig
        >>> hf_config(ModelConfig(dim=768, multiple_of=64))["intermediate_size"]
        2048
    """
    return {
        "vocab_size": args.vocab_size,
        "hidden_size": args.dim,
        "intermediate_size": args.ffn_dim,
        "num_hidden_layers": args.n_layers,
        "num_attention_heads": args.n_heads,
        "num_key_value_heads": args.n_kv_heads,
        "head_dim": args.head_dim,
        "max_position_embeddings": args.max_seq_len,
        "rms_norm_eps": args.norm_eps,
        "rope_parameters": {"rope_type": "default", "rope_theta": args.rope_theta},
        "tie_word_embeddings": args.tie_word_embeddings,
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
    }
