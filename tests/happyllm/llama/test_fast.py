import copy
from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from happyllm.llama import (
    FastDecoder,
    ModelConfig,
    Transformer,
    beam_search,
    generate,
    new_cache,
    speculative_generate,
    stream,
)

PROMPTS = torch.tensor([[0, 0, 7, 3], [5, 6, 7, 8], [0, 9, 1, 2]])
MASK = torch.tensor([[0, 0, 1, 1], [1, 1, 1, 1], [0, 1, 1, 1]])


def made(seed=0, **sizes):
    torch.manual_seed(seed)
    sizes = {"dim": 32, "n_layers": 2, "n_heads": 4, "n_kv_heads": 2, "vocab_size": 50} | sizes
    model = Transformer(ModelConfig(**sizes, multiple_of=16, max_seq_len=32, dropout=0.3)).eval()
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(5 if p.dim() > 1 else torch.rand_like(p) + 0.5)
    return model


class Operations(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.names = Counter()

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        self.names[str(operation)] += 1
        return operation(*args, **(kwargs or {}))


def steps(model, tokens, mask=None, first=1, n=5):
    """The logits of `n` steps of one token after `first`, and how many operations they took."""
    cache = new_cache(model.args, len(tokens))
    found, count = [], 0
    with torch.inference_mode():
        seen = None if mask is None else mask[:, :first]
        model(tokens[:, :first], None, seen, cache)
        for t in range(first, first + n):
            seen = None if mask is None else mask[:, : t + 1]
            with Operations() as operations:
                logits, loss = model(tokens[:, t : t + 1], None, seen, cache, logits_to_keep=1)
            assert loss is None
            assert cache[0].length == t + 1
            found.append(logits)
            count += operations.names.total()
    return torch.cat(found, dim=1), count, cache


@settings(max_examples=40, deadline=None)
@given(
    heads=st.sampled_from([(1, 1), (4, 4), (4, 2), (4, 1), (6, 3)]),
    d=st.sampled_from([2, 8, 10]),
    layers=st.integers(1, 3),
    tie=st.booleans(),
    B=st.integers(1, 4),
    padded=st.booleans(),
    eps=st.sampled_from([1e-6, 1e-5, 0.1]),
    seed=st.integers(0, 99),
)
def test_the_logits_are_the_models(heads, d, layers, tie, B, padded, eps, seed):
    model = made(
        seed,
        dim=heads[0] * d,
        n_heads=heads[0],
        n_kv_heads=heads[1],
        n_layers=layers,
        tie_word_embeddings=tie,
        norm_eps=eps,
    )
    tokens, mask = torch.randint(50, (B, 9)), None
    if padded:
        pads = torch.randint(4, (B,))
        mask = (torch.arange(9) >= pads[:, None]).long()
    expected, _, cache = steps(model, tokens, mask, first=4)
    found, _, fast_cache = steps(FastDecoder(model), tokens, mask, first=4)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    for one, other in zip(fast_cache, cache, strict=True):
        torch.testing.assert_close(one.k, other.k, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(one.v, other.v, rtol=1e-4, atol=1e-4)


@settings(max_examples=30, deadline=None)
@given(
    heads=st.sampled_from([(4, 4), (4, 2), (6, 1)]),
    layers=st.integers(1, 3),
    B=st.integers(1, 3),
    T=st.integers(1, 9),
    padding=st.sampled_from(["none", "left", "right"]),
    seed=st.integers(0, 99),
)
def test_what_a_prompt_leads_to_is_what_the_model_says(heads, layers, B, T, padding, seed):
    model = made(seed, dim=48, n_heads=heads[0], n_kv_heads=heads[1], n_layers=layers)
    tokens, mask = torch.randint(50, (B, T)), None
    if padding != "none":
        mask = (torch.arange(T) >= torch.randint(T, (B, 1))).long()
        mask = mask.flip(1) if padding == "right" else mask
    caches = [new_cache(model.args, B) for _ in range(2)]
    with torch.inference_mode():
        expected, _ = model(tokens, None, mask, caches[0], logits_to_keep=1)
        found, loss = FastDecoder(model)(tokens, None, mask, caches[1], logits_to_keep=1)
    assert loss is None
    assert found.shape == (B, 1, 50)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    for one, other in zip(*caches, strict=True):
        assert one.length == other.length == T
        torch.testing.assert_close(one.k, other.k, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(one.v, other.v, rtol=1e-4, atol=1e-4)


def test_the_last_layer_of_a_prompt_computes_its_last_position_only():
    class Products(TorchDispatchMode):
        def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
            if str(operation).startswith(("aten.mm", "aten.addmm")):
                rows.append(args[-2].size(0))
            return operation(*args, **(kwargs or {}))

    model, tokens, rows = made(), torch.randint(50, (2, 9)), []
    with torch.inference_mode(), Products():
        FastDecoder(model)(tokens, cache=new_cache(model.args, 2), logits_to_keep=1)
    # Of the last layer keys and values of all tokens, and the rest of the last ones.
    assert rows == [18] * 7 + [18, 18, 2, 2, 2, 2, 2] + [2]


def test_a_step_takes_fewer_operations():
    model, tokens = made(), torch.randint(50, (2, 8))
    assert steps(FastDecoder(model), tokens)[1] < 0.7 * steps(model, tokens)[1]


def test_a_new_token_that_is_not_real_sees_itself_as_in_the_model():
    model, tokens = made(), torch.randint(50, (2, 8))
    mask = torch.tensor([[0, 1, 1, 0, 0, 1, 0, 1], [0, 0, 0, 0, 0, 0, 1, 1]])
    expected, found = steps(model, tokens, mask)[0], steps(FastDecoder(model), tokens, mask)[0]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_a_zero_vector_stays_finite():
    model = made()
    with torch.no_grad():
        model.tok_embeddings.weight[7] = 0
    tokens = torch.full((2, 8), 7)
    expected, found = steps(model, tokens)[0], steps(FastDecoder(model), tokens)[0]
    assert found.isfinite().all()
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("mask", [None, MASK], ids=["whole", "padded"])
def test_every_way_to_write_gives_the_same_text(mask):
    model, draft = made(), made(1, n_layers=1)
    fast, fast_draft = FastDecoder(model), FastDecoder(draft)
    options = {"attention_mask": mask, "stop_tokens": [4, 11], "pad_id": 1}
    assert generate(fast, PROMPTS, 12, **options).equal(generate(model, PROMPTS, 12, **options))
    one, other = (torch.stack(list(stream(m, PROMPTS, 12, **options))) for m in (fast, model))
    assert one.equal(other)
    one, other = (beam_search(m, PROMPTS, 8, n_beams=3, **options) for m in (fast, model))
    assert one[0].equal(other[0])
    torch.testing.assert_close(one[1], other[1])
    one = speculative_generate(fast, fast_draft, PROMPTS, 12, **options)
    assert one.equal(speculative_generate(model, draft, PROMPTS, 12, **options))


def test_a_prompt_of_one_token_needs_no_other_way():
    model = made()
    prompt = torch.tensor([[3]])
    assert generate(FastDecoder(model), prompt, 9).equal(generate(model, prompt, 9))


def test_it_is_the_model():
    model = made()
    fast = FastDecoder(model)
    assert isinstance(fast, Transformer)
    assert fast.state_dict().keys() == model.state_dict().keys()
    model.train()
    assert fast.training
    fast.eval()
    assert not model.training
    assert not model.layers[0].attention.training


def test_weights_that_change_between_texts_are_seen():
    model = made()
    fast = FastDecoder(model)
    generate(fast, PROMPTS, 4)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight) * 0.1)  # in place, as an optimizer does
    assert generate(fast, PROMPTS, 12).equal(generate(model, PROMPTS, 12))
    model.output = nn.Linear(32, 50, bias=False)  # another object
    model.load_state_dict(made(3).state_dict())
    assert generate(fast, PROMPTS, 12).equal(generate(model, PROMPTS, 12))


def test_a_copy_has_weights_of_its_own():
    model = made()
    fast = FastDecoder(model)
    expected = generate(fast, PROMPTS, 8)
    other = copy.deepcopy(fast)
    with torch.no_grad():
        model.output.weight.normal_()
    assert generate(other, PROMPTS, 8).equal(expected)


class Adapter(nn.Linear):
    def forward(self, x):
        return super().forward(x) + 1


def with_adapter(model):
    old = model.layers[1].attention.wq
    model.layers[1].attention.wq = Adapter(old.in_features, old.out_features, bias=False)
    return model


def with_hook(model):
    model.layers[0].feed_forward.w2.register_forward_hook(lambda m, args, out: out * 2)
    return model


def with_a_hook_before(model):
    model.layers[0].ffn_norm.register_forward_pre_hook(lambda m, args: (args[0] + 1,))
    return model


def with_a_forward_of_its_own(model):
    model.layers[0].attention.forward = lambda x, *_: x
    return model


def with_a_bias(model):
    model.output.bias = nn.Parameter(torch.randn(50))
    return model


def with_weights_that_are_computed(model):
    nn.utils.parametrizations.weight_norm(model.layers[0].feed_forward.w1)
    with torch.no_grad():
        model.layers[0].feed_forward.w1.parametrizations.weight.original0.mul_(2)
    return model


@pytest.mark.parametrize(
    "change",
    [
        with_adapter,
        with_hook,
        with_a_hook_before,
        with_a_forward_of_its_own,
        with_a_bias,
        with_weights_that_are_computed,
        lambda model: model.to(torch.float64),
        lambda model: model.to(torch.bfloat16),
    ],
)
def test_what_is_not_plain_is_computed_as_it_is(change):
    model = change(made())
    tokens = torch.randint(50, (2, 8))
    dtype = model.tok_embeddings.weight.dtype
    fast, caches = FastDecoder(model), [new_cache(model.args, 2, dtype=dtype) for _ in range(2)]
    with torch.inference_mode():
        for t in range(8):
            expected, _ = model(tokens[:, t : t + 1], cache=caches[0])
            found, _ = fast(tokens[:, t : t + 1], cache=caches[1])
            assert found.equal(expected)


def test_the_explicit_attention_is_left_to_the_model():
    model, tokens = made(flash_attn=False), torch.randint(50, (2, 8))
    assert steps(FastDecoder(model), tokens)[1] == steps(model, tokens)[1]


def test_autocast_is_left_to_the_model():
    model, tokens = made(), torch.randint(50, (2, 8))
    with torch.autocast("cpu", torch.bfloat16):
        expected, found = steps(model, tokens)[0], steps(FastDecoder(model), tokens)[0]
    assert found.equal(expected)


def test_in_training_and_where_there_are_gradients_it_is_the_model():
    model = made()
    fast = FastDecoder(model)
    tokens = torch.randint(50, (2, 8))
    _, loss = fast(tokens[:, :-1], targets=tokens[:, 1:])
    loss.backward()
    assert model.layers[0].attention.wq.weight.grad is not None
    cache = new_cache(model.args, 2)
    fast(tokens[:, :3], cache=cache)
    logits, _ = fast(tokens[:, 3:4], cache=cache)
    assert logits.requires_grad
    model.train()
    torch.manual_seed(1)
    expected = steps(model, tokens)[0]
    torch.manual_seed(1)
    assert steps(fast, tokens)[0].equal(expected)  # with the same dropout


def test_without_a_cache_and_for_several_tokens_it_is_the_model():
    model, tokens = made(), torch.randint(50, (2, 8))
    fast = FastDecoder(model)
    with torch.inference_mode():
        assert fast(tokens[:, :1])[0].equal(model(tokens[:, :1])[0])
        caches = [new_cache(model.args, 2) for _ in range(2)]
        for part, keep in ((tokens[:, :3], None), (tokens[:, 3:6], 1)):
            found, _ = fast(part, cache=caches[0], logits_to_keep=keep)
            expected, _ = model(part, cache=caches[1], logits_to_keep=keep)
            assert found.equal(expected)
        loss = fast(tokens[:, 6:7], tokens[:, 7:], cache=caches[0])[1]
        assert loss.equal(model(tokens[:, 6:7], tokens[:, 7:], cache=caches[1])[1])


@pytest.mark.parametrize(
    "wrong",
    [
        lambda cache: {"logits_to_keep": 0},
        lambda cache: {"attention_mask": torch.ones(2, 3)},
        lambda cache: {"attention_mask": torch.ones(1, 4)},
        lambda cache: {"cache": cache[:1]},
        lambda cache: {"tokens": torch.zeros(3, 1, dtype=torch.int64)},
    ],
)
def test_errors_are_the_models(wrong):
    model, tokens = made(), torch.zeros(2, 1, dtype=torch.int64)
    said = []
    for one in (model, FastDecoder(model)):
        cache = new_cache(model.args, 2)
        with torch.inference_mode():
            one(torch.zeros(2, 3, dtype=torch.int64), cache=cache)
            with pytest.raises(ValueError) as error:  # noqa: PT011, compared below
                one(**({"tokens": tokens, "cache": cache} | wrong(cache)))
        said.append(str(error.value))
        assert cache[0].length == 3
    assert said[0] == said[1]


def test_a_text_that_is_too_long_is_refused_as_by_the_model():
    fast = FastDecoder(made())
    cache = new_cache(fast.args, 1, max_seq_len=40)
    with torch.inference_mode():
        for _ in range(32):
            fast(torch.zeros(1, 1, dtype=torch.int64), cache=cache)
        with pytest.raises(ValueError, match="33 tokens is longer than max_seq_len=32"):
            fast(torch.zeros(1, 1, dtype=torch.int64), cache=cache)
