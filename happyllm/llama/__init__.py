"""LLaMA2, from the numbers that fix it to the text that it writes (chapter 5.1 of the book).

Read the files in this order: config, norm, rotary, attention, mlp, layer, model; then cache,
sampling, generate; convert exchanges weights with Hugging Face.
"""

from happyllm.llama.attention import Attention, causal_mask, repeat_kv
from happyllm.llama.cache import KVCache, new_cache
from happyllm.llama.config import ModelConfig, ffn_hidden_dim
from happyllm.llama.convert import from_hf, hf_config, to_hf
from happyllm.llama.generate import generate
from happyllm.llama.layer import DecoderLayer
from happyllm.llama.mlp import MLP
from happyllm.llama.model import Transformer
from happyllm.llama.norm import RMSNorm
from happyllm.llama.rotary import (
    apply_rotary_emb,
    permute_for_hf,
    precompute_freqs_cis,
    reshape_for_broadcast,
)
from happyllm.llama.sampling import apply_temperature, apply_top_k, apply_top_p, sample

__all__ = [
    "Attention",
    "DecoderLayer",
    "KVCache",
    "MLP",
    "ModelConfig",
    "RMSNorm",
    "Transformer",
    "apply_rotary_emb",
    "apply_temperature",
    "apply_top_k",
    "apply_top_p",
    "causal_mask",
    "ffn_hidden_dim",
    "from_hf",
    "generate",
    "hf_config",
    "new_cache",
    "permute_for_hf",
    "precompute_freqs_cis",
    "repeat_kv",
    "reshape_for_broadcast",
    "sample",
    "to_hf",
]
