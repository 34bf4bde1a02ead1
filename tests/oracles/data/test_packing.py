"""Packed documents against transformers: its mask for packed rows, and a model of its own."""

import pytest
import torch
from transformers import LlamaConfig, LlamaModel
from transformers.masking_utils import create_causal_mask, find_packed_sequence_indices

from happyllm.data.pack import document_ids, document_mask, document_positions

EOS = 0
CONFIG = LlamaConfig(
    hidden_size=16,
    intermediate_size=24,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    vocab_size=30,
    attn_implementation="sdpa",
)


def packed(seed):
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(1, 30, (3, 17), generator=generator)
    tokens[torch.rand(3, 17, generator=generator) < 0.25] = EOS
    return tokens


@pytest.mark.parametrize("seed", range(8))
def test_ids_and_mask_are_those_that_transformers_finds_by_the_positions(seed):
    tokens = packed(seed)
    positions = document_positions(tokens, EOS)
    ids = document_ids(tokens, EOS)
    theirs = find_packed_sequence_indices(positions)
    same = ids[:, :, None] == ids[:, None, :]
    assert torch.equal(theirs[:, :, None] == theirs[:, None, :], same)
    mask = create_causal_mask(
        CONFIG,
        torch.zeros(3, 17, 16),
        attention_mask=None,
        past_key_values=None,
        position_ids=positions,
    )
    assert torch.equal(mask, document_mask(tokens, EOS))


@torch.no_grad()
def test_a_llama_reads_packed_documents_as_it_reads_each_alone():
    torch.manual_seed(0)
    model = LlamaModel(CONFIG).eval()
    tokens = packed(0)[:1]
    mask = document_mask(tokens, EOS)
    together = model(
        tokens, attention_mask=mask, position_ids=document_positions(tokens, EOS)
    ).last_hidden_state
    ids = document_ids(tokens, EOS)[0]
    alone = [model(tokens[:, ids == n]).last_hidden_state for n in range(int(ids.max()) + 1)]
    torch.testing.assert_close(together, torch.cat(alone, dim=1), atol=1e-5, rtol=1e-4)
