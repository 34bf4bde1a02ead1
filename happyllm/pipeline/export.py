"""A trained model as a folder that `transformers` loads, and whatever reads its format."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from happyllm.data.chat import IM_END, IM_START
from happyllm.llama.config import ModelConfig
from happyllm.llama.convert import hf_config, to_hf
from happyllm.pipeline.folder import FolderError, write_json
from happyllm.pipeline.vocabulary import END, load_tokenizer

# ChatML as a template of Jinja, which is what transformers, vLLM and llama.cpp read.
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


def export(
    config: ModelConfig,
    weights: dict[str, torch.Tensor],
    tokenizer: Path,
    target: Path,
    *,
    chat: bool,
    dtype: torch.dtype = torch.float32,
) -> list[Path]:
    """Write a folder that `AutoModelForCausalLM` and `AutoTokenizer` load.

    Args:
        config: Of the model.
        weights: Its state dict.
        tokenizer: Its `tokenizer.json`.
        target: The folder; it must not exist, or be empty. It comes into being whole or not at all.
        chat: Whether the model ends its turns, so that generation stops there.
        dtype: Of the weights.

    Returns:
        The files that were written.

    Raises:
        FolderError: There is something at `target`.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise FolderError(f"{target}: is there already; choose another folder by --to")
    special = load_tokenizer(tokenizer).special_tokens
    draft = target.with_name(f".{target.name}.unfinished")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    stops = [special[END], *([special[IM_END]] if chat else [])]
    try:
        theirs = {name: weight.to(dtype) for name, weight in to_hf(weights, config).items()}
        if config.tie_word_embeddings:  # they tie it again; safetensors stores nothing twice
            del theirs["lm_head.weight"]
        save_file(
            {name: weight.contiguous() for name, weight in theirs.items()},
            draft / "model.safetensors",
            metadata={"format": "pt"},
        )
        write_json(
            draft / "config.json",
            {
                "architectures": ["LlamaForCausalLM"],
                "model_type": "llama",
                **hf_config(config),
                "rope_theta": config.rope_theta,
                "bos_token_id": special[END],
                "eos_token_id": stops,
                "pad_token_id": special[END],
                "dtype": str(dtype).removeprefix("torch."),
                "torch_dtype": str(dtype).removeprefix("torch."),
            },
        )
        write_json(draft / "generation_config.json", generation(special[END], stops, config))
        write_json(draft / "tokenizer_config.json", tokenizer_config(config))
        write_json(
            draft / "special_tokens_map.json",
            {"bos_token": END, "eos_token": IM_END if chat else END, "pad_token": END},
        )
        (draft / "chat_template.jinja").write_text(CHAT_TEMPLATE, encoding="utf-8")
        shutil.copyfile(tokenizer, draft / "tokenizer.json")
        if chat:
            settings = json.loads((draft / "tokenizer_config.json").read_text(encoding="utf-8"))
            settings["eos_token"] = IM_END
            write_json(draft / "tokenizer_config.json", settings)
        if target.exists():
            target.rmdir()
        draft.rename(target)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    return sorted(target.iterdir())


def generation(pad: int, stops: list[int], config: ModelConfig) -> dict[str, Any]:
    """What `generation_config.json` says: where to stop, and how to draw."""
    return {
        "bos_token_id": pad,
        "eos_token_id": stops,
        "pad_token_id": pad,
        "do_sample": True,
        "temperature": 0.8,
        "top_p": 0.95,
        "max_length": config.max_seq_len,
    }


def tokenizer_config(config: ModelConfig) -> dict[str, Any]:
    """What `tokenizer_config.json` says beside `tokenizer.json`."""
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": config.max_seq_len,
        "bos_token": END,
        "eos_token": END,
        "pad_token": END,
        "additional_special_tokens": [IM_START, IM_END],
        "clean_up_tokenization_spaces": False,
        "chat_template": CHAT_TEMPLATE,
    }
