import pytest
import torch

from happyllm.llama.config import ModelConfig
from happyllm.llama.generate import generate
from happyllm.llama.model import Transformer
from happyllm.llama.sampling import distribution
from happyllm.llama.stream import Functions, stream

PROMPTS = torch.tensor([[0, 0, 7, 3], [5, 6, 7, 8], [0, 9, 1, 2]])
MASK = torch.tensor([[0, 0, 1, 1], [1, 1, 1, 1], [0, 1, 1, 1]])


@pytest.fixture
def model():
    torch.manual_seed(0)
    sizes = {"dim": 32, "n_layers": 2, "n_heads": 4, "n_kv_heads": 2, "vocab_size": 50}
    model = Transformer(ModelConfig(**sizes, multiple_of=16, max_seq_len=32, dropout=0.3))
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(5)
    return model


def written(*args, **options):
    return torch.stack(list(stream(*args, **options)), dim=1)


@pytest.mark.parametrize("use_cache", [True, False], ids=["cache", "full"])
@pytest.mark.parametrize("options", [{}, {"temperature": 0.9, "top_k": 20, "top_p": 0.95}])
def test_a_stream_is_the_text_that_generate_writes(model, options, use_cache):
    options |= {"attention_mask": MASK, "use_cache": use_cache, "stop_tokens": [4, 11], "pad_id": 1}
    torch.manual_seed(1)
    expected = generate(model, PROMPTS, 12, **options)
    torch.manual_seed(1)
    assert torch.equal(written(model, PROMPTS, 12, **options), expected[:, 4:])


def test_each_token_comes_when_it_is_written(model):
    calls = []
    model.register_forward_hook(lambda *_: calls.append(1))
    text = stream(model, PROMPTS, 5)
    for n in range(1, 6):
        assert next(text).shape == (3,)
        assert len(calls) == n
    with pytest.raises(StopIteration):
        next(text)


def test_a_stream_ends_when_every_row_has_stopped(model):
    first = generate(model, PROMPTS, 3)[:, -1].tolist()
    tokens = list(stream(model, PROMPTS, 20, stop_tokens=first))
    assert len(tokens) <= 3


def test_the_model_is_in_its_own_mode_after_the_stream_and_after_a_stop_halfway(model):
    model.train()
    list(stream(model, PROMPTS, 3))
    assert model.training
    text = stream(model, PROMPTS, 3)
    next(text)
    assert not model.training
    text.close()
    assert model.training


def test_tokens_of_a_stream_can_be_trained_on(model):
    tokens = written(model, PROMPTS, 4, temperature=1.0)
    assert not tokens.is_inference()
    logits, loss = model(tokens[:, :-1], targets=tokens[:, 1:])
    loss.backward()
    assert logits.requires_grad


@pytest.mark.parametrize("options", [{}, {"temperature": 1.0, "min_p": 0.1}])
def test_the_repetition_penalty_does_not_see_padding(model, options):
    options["repetition_penalty"] = 3.0
    for row, mask in zip(PROMPTS, MASK, strict=True):
        torch.manual_seed(2)
        padded = written(model, row[None], 8, attention_mask=mask[None], **options)
        torch.manual_seed(2)
        assert torch.equal(padded, written(model, row[mask.bool()][None], 8, **options))


def test_a_strong_repetition_penalty_lets_nothing_come_twice(model):
    text = written(model, PROMPTS, 20, repetition_penalty=1e6)
    for row, prompt in zip(text, PROMPTS, strict=True):
        assert len({*row.tolist(), *prompt.tolist()}) == 20 + len(set(prompt.tolist()))


def test_a_min_p_of_one_is_greedy(model):
    drawn = written(model, PROMPTS, 8, temperature=2.0, min_p=1.0)
    assert torch.equal(drawn, generate(model, PROMPTS, 8)[:, 4:])


@pytest.mark.parametrize(
    "knobs",
    [
        (0.0, 5, 0.5, 0.5),
        (0.7, None, None, None),
        (0.7, 9, 0.9, None),
        (1.3, None, None, 0.02),
        (1.3, 30, 0.95, 0.02),
    ],
)
def test_a_token_is_drawn_with_the_probabilities_that_all_filters_leave(knobs):
    logits = 3 * torch.randn(400, 50)
    probs = distribution(logits, *knobs)
    torch.manual_seed(3)
    expected = torch.multinomial(probs, 1).squeeze(-1)
    torch.manual_seed(3)
    assert torch.equal(Functions().choose(logits, *knobs, None), expected)


def test_a_stream_is_written_by_the_functions_that_it_is_given(model):
    functions = Functions(sample=lambda logits, *_: torch.full_like(logits[:, 0], 7).long())
    assert (written(model, PROMPTS, 3, functions=functions) == 7).all()


def test_greedy_takes_nothing_from_the_generator(model):
    before = torch.get_rng_state()
    list(stream(model, PROMPTS, 3))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"max_new_tokens": 29}, "max_seq_len=32"),
        ({"max_new_tokens": -1}, "max_new_tokens=-1"),
        ({"tokens": PROMPTS[:, :0]}, "T=0"),
        ({"attention_mask": MASK.flip(1)}, "left"),
        ({"attention_mask": MASK[:, 1:]}, "shape"),
        ({"temperature": -1.0}, "temperature"),
        ({"temperature": 1.0, "min_p": 2.0}, "min_p"),
        ({"repetition_penalty": 0.0}, "repetition_penalty"),
    ],
)
def test_what_cannot_be_continued_is_refused_by_name(model, changes, word):
    options = {"tokens": PROMPTS, "max_new_tokens": 2} | changes
    with pytest.raises(ValueError, match=word):
        next(stream(model, **options))
    assert model.training
