"""Packing against transformers' own way of grouping texts, JSONL against pandas-free plain json."""

import itertools
import json
import random

import pytest
import torch
from transformers.data.data_collator import DataCollatorWithFlattening

from happyllm.data import cu_seqlens, document_positions, iter_jsonl, pack, to_messages

EOS = 0


def draw_docs(seed):
    rng = random.Random(seed)
    return [
        [rng.randint(1, 9) for _ in range(rng.randint(1, 15))] for _ in range(rng.randint(1, 9))
    ]


@pytest.mark.parametrize("seed", range(20))
def test_rows_are_those_of_concatenating_and_cutting(seed):
    """The recipe of transformers' run_clm: join all, drop the rest, cut into blocks."""
    docs, T = draw_docs(seed), 1 + seed % 7
    joined = list(itertools.chain.from_iterable([*doc, EOS] for doc in docs))
    total = len(joined) // T * T
    assert list(pack(docs, T, EOS)) == [joined[i : i + T] for i in range(0, total, T)]


@pytest.mark.parametrize("seed", range(20))
def test_positions_and_offsets_are_those_of_the_flattening_collator(seed):
    docs = [[*doc, EOS] for doc in draw_docs(seed)]
    collator = DataCollatorWithFlattening(return_tensors="pt", return_flash_attn_kwargs=True)
    expected = collator([{"input_ids": doc} for doc in docs])
    tokens = expected["input_ids"]
    assert torch.equal(document_positions(tokens, EOS), expected["position_ids"])
    offsets = expected["cu_seq_lens_q"]
    assert torch.equal(cu_seqlens(tokens, EOS), offsets)


@pytest.mark.parametrize("seed", range(20))
def test_lines_are_what_json_reads(tmp_path, seed):
    rng = random.Random(seed)
    rows = [{"t": "".join(chr(rng.randint(32, 0x2FFF)) for _ in range(9))} for _ in range(20)]
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(json.dumps(r, ensure_ascii=seed % 2 == 0) for r in rows), "utf-8")
    expected = [json.loads(line) for line in path.read_bytes().split(b"\n")]
    assert list(iter_jsonl(path)) == expected == rows


def test_a_conversation_is_the_same_in_every_format():
    turns = ["a", "b", "c", "d"]
    roles = ("user", "assistant")
    messages = [{"role": roles[i % 2], "content": t} for i, t in enumerate(turns)]
    names = ("human", "gpt")
    share = [{"from": names[i % 2], "value": t} for i, t in enumerate(turns)]
    alpaca = {"instruction": "c", "output": "d", "history": [["a", "b"]]}
    for conversation in ({"messages": messages}, {"conversations": share}, alpaca):
        assert to_messages(conversation) == messages
