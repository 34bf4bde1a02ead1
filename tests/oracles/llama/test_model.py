"""Transformer against transformers' LlamaForCausalLM: logits, loss, gradients, weights."""

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from happyllm.llama.convert import from_hf, hf_config, hf_names, to_hf
from happyllm.llama.model import Transformer

BOTH_PATHS = pytest.mark.parametrize("flash", [True, False], ids=["fused", "explicit"])


def close(got, expected):
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)


@BOTH_PATHS
@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("T", [1, 2, 17, 40])
def test_the_logits_are_those_of_llama(flash, seed, T, random_config, make_pair):
    args = random_config(seed, flash_attn=flash)
    ours, theirs = make_pair(args)
    tokens = torch.randint(args.vocab_size, (3, T))
    with torch.no_grad():
        close(ours(tokens)[0], theirs(tokens).logits)


@BOTH_PATHS
@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("side", ["left", "right"])
def test_the_logits_of_real_tokens_in_a_padded_batch_are_those_of_llama(
    flash, seed, side, random_config, make_pair
):
    args = random_config(seed, flash_attn=flash)
    ours, theirs = make_pair(args)
    tokens = torch.randint(args.vocab_size, (4, 12))
    lengths = torch.tensor([12, 1, 5, 9])
    mask = torch.arange(12) < lengths[:, None]
    mask = (mask.flip(1) if side == "left" else mask).long()
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    with torch.no_grad():
        got, _ = ours(tokens, attention_mask=mask)
        expected = theirs(tokens, attention_mask=mask, position_ids=positions).logits
    close(got[mask.bool()], expected[mask.bool()])


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("seed", range(5))
def test_the_loss_and_all_gradients_are_those_of_llama(
    tied, seed, random_config, make_pair, assert_grads_agree
):
    args = random_config(seed, tie_word_embeddings=tied)
    ours, theirs = make_pair(args)
    tokens = torch.randint(args.vocab_size, (3, 13))
    labels = tokens.masked_fill(torch.rand(3, 13) < 0.3, -100)
    _, loss = ours(tokens[:, :-1], labels[:, 1:])
    expected = theirs(tokens, labels=labels).loss  # shifts the labels itself
    close(loss, expected)

    loss.backward()
    expected.backward()
    grads = {name: p.grad for name, p in ours.named_parameters(remove_duplicate=False)}
    their_grads = {name: p.grad for name, p in theirs.named_parameters(remove_duplicate=False)}
    assert_grads_agree(to_hf(grads, args), their_grads)


@pytest.mark.parametrize("seed", range(4))
def test_the_gradients_in_a_padded_batch_are_those_of_llama(
    seed, random_config, make_pair, assert_grads_agree
):
    args = random_config(seed)
    ours, theirs = make_pair(args)
    tokens = torch.randint(args.vocab_size, (3, 8))
    mask = (torch.arange(8) >= torch.tensor([[0], [3], [6]])).long()
    labels = tokens.masked_fill(mask == 0, -100)
    labels[torch.arange(3), mask.argmax(1)] = -100  # nothing real comes before a row's first token
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    ours(tokens[:, :-1], labels[:, 1:], attention_mask=mask[:, :-1])[1].backward()
    theirs(tokens, labels=labels, attention_mask=mask, position_ids=positions).loss.backward()
    grads = {name: p.grad for name, p in ours.named_parameters(remove_duplicate=False)}
    their_grads = {name: p.grad for name, p in theirs.named_parameters(remove_duplicate=False)}
    assert_grads_agree(to_hf(grads, args), their_grads)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("seed", range(4))
def test_weights_born_in_transformers_give_the_same_logits_here(tied, seed, random_config, enliven):
    args = random_config(seed, tie_word_embeddings=tied)
    theirs = enliven(LlamaForCausalLM(LlamaConfig(**hf_config(args)))).eval()
    ours = Transformer(args).eval()
    ours.load_state_dict(from_hf(theirs.state_dict(), args), strict=True)
    tokens = torch.randint(args.vocab_size, (2, 11))
    with torch.no_grad():
        close(ours(tokens)[0], theirs(tokens).logits)


def test_weights_that_are_renamed_but_not_reordered_give_logits_far_off(random_config, make_pair):
    args = random_config(0, dim=64, n_heads=4, n_kv_heads=2)
    ours, theirs = make_pair(args)
    weights = to_hf(ours.state_dict(), args)
    for name, weight in ours.state_dict().items():
        if name.endswith(("wq.weight", "wk.weight")):
            weights[hf_names(args)[name]] = weight
    theirs.load_state_dict(weights)
    tokens = torch.randint(args.vocab_size, (2, 11))
    with torch.no_grad():
        assert (ours(tokens)[0] - theirs(tokens).logits).abs().max() > 0.1


@pytest.mark.parametrize("seed", range(3))
def test_bfloat16_logits_are_as_near_to_float32_as_those_of_llama(seed, random_config, make_pair):
    args = random_config(seed)
    ours, theirs = make_pair(args)
    tokens = torch.randint(args.vocab_size, (4, 20))
    with torch.no_grad():
        exact = ours(tokens)[0]
        our_error = (ours.bfloat16()(tokens)[0] - exact).abs().mean()
        their_error = (theirs.bfloat16()(tokens).logits - exact).abs().mean()
    assert our_error < 1.5 * their_error
