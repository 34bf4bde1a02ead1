import pytest
import torch

from happyllm.llama.config import ModelConfig
from happyllm.llama.generate import generate
from happyllm.llama.model import Transformer

PROMPTS = torch.tensor([[0, 0, 7, 3], [5, 6, 7, 8], [0, 9, 1, 2]])
MASK = torch.tensor([[0, 0, 1, 1], [1, 1, 1, 1], [0, 1, 1, 1]])
WITH_AND_WITHOUT_CACHE = pytest.mark.parametrize("use_cache", [True, False], ids=["cache", "full"])


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    args = ModelConfig(
        dim=32, n_layers=2, n_heads=4, n_kv_heads=2, vocab_size=50, multiple_of=16, max_seq_len=32
    )
    model = Transformer(args)
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(5)
    return model


def test_the_prompt_comes_back_followed_by_the_new_tokens(model):
    out = generate(model, PROMPTS, 5)
    assert out.shape == (3, 9)
    assert out.dtype == torch.int64
    assert torch.equal(out[:, :4], PROMPTS)


@WITH_AND_WITHOUT_CACHE
def test_greedy_takes_the_most_probable_token_at_every_step(model, use_cache):
    out = generate(model, PROMPTS, 6, use_cache=use_cache)
    with torch.no_grad():
        logits, _ = model.eval()(out[:, :-1])
    assert torch.equal(out[:, 4:], logits[:, 3:].argmax(-1))


@WITH_AND_WITHOUT_CACHE
def test_a_row_of_a_padded_batch_goes_on_as_it_would_alone(model, use_cache):
    together = generate(model, PROMPTS, 8, attention_mask=MASK, use_cache=use_cache)
    for row, mask, out in zip(PROMPTS, MASK, together, strict=True):
        alone = generate(model, row[mask.bool()][None], 8, use_cache=use_cache)
        assert torch.equal(out[4:], alone[0, -8:])


def test_the_cache_does_not_change_what_is_drawn(model):
    outs = [
        generate(
            model,
            PROMPTS,
            12,
            temperature=0.9,
            top_k=20,
            top_p=0.95,
            attention_mask=MASK,
            generator=torch.Generator().manual_seed(3),
            use_cache=use_cache,
        )
        for use_cache in (True, False)
    ]
    assert torch.equal(*outs)


def test_with_the_cache_each_token_is_computed_once(model):
    widths = []
    hook = model.tok_embeddings.register_forward_hook(
        lambda _, args, __: widths.append(args[0].size(1))
    )
    generate(model, PROMPTS, 5)
    hook.remove()
    assert widths == [4, 1, 1, 1, 1]


@WITH_AND_WITHOUT_CACHE
def test_a_finished_row_keeps_its_stop_token_and_is_filled_up(model, use_cache):
    free = generate(model, PROMPTS, 10)[:, 4:]
    stop = free[0, 2].item()
    out = generate(model, PROMPTS, 10, stop_tokens=[stop], pad_id=49, use_cache=use_cache)[:, 4:]
    for free_row, row in zip(free.tolist(), out.tolist(), strict=True):
        end = free_row.index(stop) + 1 if stop in free_row else 10
        expected = (free_row[:end] + [49] * 10)[: len(row)]
        assert row == expected


def test_writing_ends_when_every_row_is_finished(model):
    first = generate(model, PROMPTS, 1)[:, 4]
    out = generate(model, PROMPTS, 10, stop_tokens=first.tolist())
    assert out.shape == (3, 5)


def test_a_stop_token_in_the_prompt_stops_nothing(model):
    free = generate(model, PROMPTS, 1)
    absent = next(t for t in PROMPTS.flatten().tolist() if t not in free[:, 4].tolist())
    assert generate(model, PROMPTS, 1, stop_tokens=[absent]).shape == (3, 5)


def test_no_new_tokens_is_the_prompt(model):
    assert torch.equal(generate(model, PROMPTS, 0), PROMPTS)


def test_the_text_may_fill_the_model_to_the_last_place(model):
    assert generate(model, PROMPTS, 28).shape == (3, 32)


def test_more_than_the_model_can_take_is_refused(model):
    with pytest.raises(ValueError, match=r"T=4 \+ max_new_tokens=29 is more than max_seq_len=32"):
        generate(model, PROMPTS, 29)


def test_padding_on_the_right_is_refused(model):
    with pytest.raises(ValueError, match="pad prompts on the left"):
        generate(model, PROMPTS, 2, attention_mask=MASK.flip(1))


@pytest.mark.parametrize(("tokens", "new"), [(PROMPTS[:, :0], 3), (PROMPTS, -1)])
def test_an_empty_prompt_or_a_negative_number_is_refused(model, tokens, new):
    with pytest.raises(ValueError, match="max_new_tokens"):
        generate(model, tokens, new)


@pytest.mark.parametrize("training", [True, False])
def test_the_model_is_left_in_the_mode_that_it_was_in(model, training):
    model.train(training)
    generate(model, PROMPTS, 2)
    assert model.training is training


def test_the_mode_is_restored_after_an_error(model):
    model.train()
    with pytest.raises(ValueError, match="temperature"):
        generate(model, PROMPTS, 2, temperature=-1.0)
    assert model.training


def test_dropout_rests_while_text_is_written(model):
    args = ModelConfig(dim=32, n_layers=2, n_heads=4, n_kv_heads=2, vocab_size=50, dropout=0.5)
    model = Transformer(args).train()
    assert torch.equal(generate(model, PROMPTS, 8), generate(model, PROMPTS, 8))


def test_written_tokens_can_be_trained_on(model):
    out = generate(model, PROMPTS, 4)
    _, loss = model(out[:, :-1], out[:, 1:])
    loss.backward()
    model.zero_grad()


def test_the_arguments_are_left_as_they_were(model):
    prompts, mask = PROMPTS.clone(), MASK.clone()
    generate(model, PROMPTS, 3, attention_mask=MASK)
    assert torch.equal(PROMPTS, prompts)
    assert torch.equal(MASK, mask)


def test_a_half_precision_model_writes_with_its_cache(model):
    args = ModelConfig(dim=32, n_layers=2, n_heads=4, n_kv_heads=2, vocab_size=50)
    assert generate(Transformer(args).bfloat16(), PROMPTS, 3).shape == (3, 7)


def test_an_empty_batch_writes_nothing(model):
    assert generate(model, PROMPTS[:0], 3).size(0) == 0
