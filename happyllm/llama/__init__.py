"""LLaMA2, from the numbers that fix it to the text that it writes (chapter 5.1 of the book).

Read the files in this order: config, norm, rotary, attention, mlp, layer, model; then cache,
sampling, generate; then what section 5.3.6 adds, stream, beam, speculative, fast; convert exchanges
weights with Hugging Face.
"""

from happyllm.llama.attention import Attention, causal_mask, repeat_kv
from happyllm.llama.beam import beam_search
from happyllm.llama.cache import KVCache, new_cache
from happyllm.llama.config import ModelConfig, ffn_hidden_dim
from happyllm.llama.convert import from_hf, hf_config, to_hf
from happyllm.llama.fast import FastDecoder
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
from happyllm.llama.sampling import (
    apply_min_p,
    apply_repetition_penalty,
    apply_temperature,
    apply_top_k,
    apply_top_p,
    distribution,
    sample,
)
from happyllm.llama.speculative import residual, speculative_generate, verify
from happyllm.llama.stream import stream

__all__ = [
    "Attention",
    "DecoderLayer",
    "FastDecoder",
    "KVCache",
    "MLP",
    "ModelConfig",
    "RMSNorm",
    "Transformer",
    "apply_min_p",
    "apply_repetition_penalty",
    "apply_rotary_emb",
    "apply_temperature",
    "apply_top_k",
    "apply_top_p",
    "beam_search",
    "causal_mask",
    "distribution",
    "ffn_hidden_dim",
    "from_hf",
    "generate",
    "hf_config",
    "new_cache",
    "permute_for_hf",
    "precompute_freqs_cis",
    "repeat_kv",
    "reshape_for_broadcast",
    "residual",
    "sample",
    "speculative_generate",
    "stream",
    "to_hf",
    "verify",
]
