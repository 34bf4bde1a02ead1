import itertools

import pytest
import torch

from happyllm.llama.beam import beam_search
from happyllm.llama.config import ModelConfig
from happyllm.llama.generate import generate
from happyllm.llama.model import Transformer

PROMPTS = torch.tensor([[0, 0, 7, 3], [5, 6, 2, 1], [0, 4, 1, 2]])
MASK = torch.tensor([[0, 0, 1, 1], [1, 1, 1, 1], [0, 1, 1, 1]])


@pytest.fixture
def model():
    torch.manual_seed(0)
    sizes = {"dim": 32, "n_layers": 2, "n_heads": 4, "n_kv_heads": 2, "vocab_size": 8}
    model = Transformer(ModelConfig(**sizes, multiple_of=16, max_seq_len=24, dropout=0.3))
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(4)
    return model


def test_one_beam_is_greedy(model):
    texts, scores = beam_search(model, PROMPTS, 8, 1, attention_mask=MASK, stop_tokens=[5])
    expected = generate(model, PROMPTS, 8, attention_mask=MASK, stop_tokens=[5])
    assert torch.equal(texts[:, 0], expected)
    assert scores.shape == (3, 1)


def test_beams_enough_for_every_text_find_the_best_of_all(model):
    texts, scores = beam_search(model, PROMPTS, 3, 64, length_penalty=0.0)
    every = torch.tensor(list(itertools.product(range(8), repeat=3)))
    for row, prompt in enumerate(PROMPTS):
        full = torch.cat([prompt.expand(512, 4), every], dim=1)
        with torch.no_grad():
            log_probs = model.eval()(full)[0][:, 3:6].log_softmax(-1)
        sums = log_probs.gather(2, every[:, :, None]).sum((1, 2))
        best = sums.topk(64)
        assert torch.equal(texts[row, 0, 4:], every[best.indices[0]])
        torch.testing.assert_close(scores[row, :8], best.values[:8])


@pytest.mark.parametrize("stops", [(), (5,), (5, 6)])
def test_a_padded_row_searches_as_it_would_alone(model, stops):
    together, scores = beam_search(
        model, PROMPTS, 9, 3, attention_mask=MASK, stop_tokens=stops, pad_id=7
    )
    for row, mask, texts, score in zip(PROMPTS, MASK, together, scores, strict=True):
        alone, alone_score = beam_search(
            model, row[mask.bool()][None], 9, 3, stop_tokens=stops, pad_id=7
        )
        width = alone.size(2) - int(mask.sum())
        assert torch.equal(
            texts[:, 4 : 4 + width], alone[0, :, -width:] if width else alone[0, :, :0]
        )
        assert (texts[:, 4 + width :] == 7).all()
        torch.testing.assert_close(score, alone_score[0])


def test_a_text_ends_in_its_first_stop_token(model):
    texts, _ = beam_search(model, PROMPTS, 12, 4, stop_tokens=[5, 6], pad_id=0)
    stopped = 0
    for text in texts[:, :, 4:].flatten(0, 1).tolist():
        places = [i for i, token in enumerate(text) if token in (5, 6)]
        if places:
            stopped += 1
            assert not any(text[places[0] + 1 :])
    assert stopped > 0


def test_more_beams_than_candidates_leave_places_empty(model):
    texts, scores = beam_search(model, PROMPTS, 1, 12)
    assert texts.shape == (3, 12, 5)
    assert scores[:, :8].isfinite().all()
    assert (scores[:, 8:] == -torch.inf).all()


def test_the_mode_is_restored_and_no_graph_is_built(model):
    model.train()
    _, scores = beam_search(model, PROMPTS, 3, 2)
    assert model.training
    assert not scores.requires_grad


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"max_new_tokens": 21}, "max_seq_len=24"),
        ({"max_new_tokens": 0}, "max_new_tokens=0"),
        ({"n_beams": 0}, "n_beams=0"),
        ({"attention_mask": MASK.flip(1)}, "left"),
    ],
)
def test_what_cannot_be_searched_is_refused_by_name(model, changes, word):
    options = {"max_new_tokens": 2, "n_beams": 2} | changes
    with pytest.raises(ValueError, match=word):
        beam_search(model, PROMPTS, **options)
