import pytest
import torch

from happyllm.llama.config import ModelConfig
from happyllm.llama.generate import generate
from happyllm.llama.model import Transformer
from happyllm.llama.speculative import residual, speculative_generate, verify

PROMPTS = torch.tensor([[0, 0, 7, 3], [5, 6, 2, 1], [0, 4, 1, 2]])
MASK = torch.tensor([[0, 0, 1, 1], [1, 1, 1, 1], [0, 1, 1, 1]])


def make(dim, n_layers, seed, **changes):
    torch.manual_seed(seed)
    sizes = {"n_heads": 4, "n_kv_heads": 2, "vocab_size": 30, "multiple_of": 16, "max_seq_len": 24}
    model = Transformer(ModelConfig(dim=dim, n_layers=n_layers, **(sizes | changes)))
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(5)
    return model


@pytest.fixture
def target():
    return make(32, 2, seed=0)


@pytest.fixture
def draft():
    return make(16, 1, seed=1)


def calls_of(model):
    calls = []
    model.register_forward_hook(lambda _, inputs, __: calls.append(inputs[0].size(1)))
    return calls


@pytest.mark.parametrize("n_draft", [1, 4, 30])
@pytest.mark.parametrize("stops", [(), (3, 17, 20)])
def test_greedy_text_is_that_of_generate(target, draft, n_draft, stops):
    options = {"attention_mask": MASK, "stop_tokens": stops, "pad_id": 9}
    expected = generate(target, PROMPTS, 15, **options)
    got = speculative_generate(target, draft, PROMPTS, 15, n_draft=n_draft, **options)
    assert torch.equal(got, expected)


def test_a_perfect_draft_saves_all_but_one_pass_in_five(target):
    calls = calls_of(target)
    twin = make(32, 2, seed=0)
    speculative_generate(target, twin, PROMPTS[1:2], 15, n_draft=4)
    assert calls == [8, 5, 5]  # the prompt of 4 and 4 drafted tokens; then 4 and the newest


def test_no_token_is_shown_twice_however_bad_the_draft_is(target, draft):
    calls = calls_of(target)
    text = speculative_generate(target, draft, PROMPTS[1:2], 15, n_draft=3)
    assert text.size(1) == 19
    refused = sum(calls) - 18  # all but the newest token are in the cache at the end
    assert 0 <= refused <= 3 * len(calls)


def test_the_same_generator_writes_the_same_text(target, draft):
    texts = [
        speculative_generate(
            target,
            draft,
            PROMPTS,
            12,
            temperature=1.0,
            top_p=0.9,
            generator=torch.Generator().manual_seed(seed),
        )
        for seed in (5, 5, 6)
    ]
    assert torch.equal(texts[0], texts[1])
    assert not torch.equal(texts[0], texts[2])


def test_filters_hold_for_every_token(target, draft):
    text = speculative_generate(target, draft, PROMPTS, 15, temperature=1.5, top_k=3)
    with torch.no_grad():
        logits, _ = target.eval()(text[:, :-1])
    best = logits[:, 3:].topk(3).indices
    assert (best == text[:, 4:, None]).any(-1).all()
    assert not torch.equal(text, generate(target, PROMPTS, 15))


def test_what_the_draft_never_proposes_can_still_come():
    p, q = torch.tensor([[0.0, 0.0, 1.0]] * 2), torch.tensor([[0.5, 0.5, 0.0]])
    assert verify(p, q, torch.tensor([1])).tolist() == [2]
    torch.testing.assert_close(residual(p[0], q[0]), p[0])


def test_half_precision_keeps_its_caches(target, draft):
    out = speculative_generate(target.bfloat16(), draft, PROMPTS, 6)
    assert torch.equal(out, generate(target, PROMPTS, 6))


def test_both_models_are_left_in_their_modes(target, draft):
    target.eval()
    draft.train()
    speculative_generate(target, draft, PROMPTS, 3)
    assert (target.training, draft.training) == (False, True)


@pytest.mark.parametrize(
    ("changes", "options", "word"),
    [
        ({"max_seq_len": 8}, {}, "max_seq_len=8"),
        ({"vocab_size": 31}, {}, "vocab_size=30"),
        ({}, {"n_draft": 0}, "n_draft=0"),
        ({}, {"attention_mask": MASK.flip(1)}, "left"),
    ],
)
def test_what_cannot_be_written_is_refused_by_name(target, changes, options, word):
    with pytest.raises(ValueError, match=word):
        speculative_generate(target, make(16, 1, seed=1, **changes), PROMPTS, 5, **options)
