"""Data: from stories and files to the batches that a model learns from (chapter 5.3 of the book).

Read the files in this order: load, pack, tokens, chat, datasets; tinytales makes the corpus.
"""

from happyllm.data.chat import encode_prompt, iter_turns, render_chatml, to_messages
from happyllm.data.datasets import PretrainDataset, SFTDataset, collate
from happyllm.data.load import iter_hub, iter_jsonl, iter_texts, pick_fields
from happyllm.data.pack import cu_seqlens, document_ids, document_mask, document_positions, pack
from happyllm.data.tokens import TokenFile

__all__ = [
    "PretrainDataset",
    "SFTDataset",
    "TokenFile",
    "collate",
    "cu_seqlens",
    "document_ids",
    "document_mask",
    "document_positions",
    "encode_prompt",
    "iter_hub",
    "iter_jsonl",
    "iter_texts",
    "iter_turns",
    "pack",
    "pick_fields",
    "render_chatml",
    "to_messages",
]
