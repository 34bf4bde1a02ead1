"""What a model says: the book's own model writes by the fast way, a learner's by its own."""

import pytest
import torch

from happyllm.llama import FastDecoder, ModelConfig, Transformer
from happyllm.pipeline.speak import Sampling, Speaker
from happyllm.pipeline.vocabulary import SPECIAL
from happyllm.tokenizer import BPETokenizer

SPECIALS = {token: 256 + i for i, token in enumerate(SPECIAL)}
TOKENIZER = BPETokenizer({bytes([i]): i for i in range(256)}, [], SPECIALS)
SIZES = ModelConfig(
    dim=32, n_layers=2, n_heads=4, n_kv_heads=2, vocab_size=TOKENIZER.vocab_size, max_seq_len=64
)


class Learners(Transformer):
    """A model that is not ours."""


@pytest.fixture
def model():
    torch.manual_seed(0)
    made = Learners(SIZES).eval()
    with torch.no_grad():
        for p in made.parameters():
            p.mul_(5)
    return made


@pytest.mark.parametrize("how", [Sampling(temperature=0.0), Sampling(temperature=0.7, seed=3)])
def test_both_ways_say_the_same(model, how):
    ours = Transformer(SIZES).eval()
    ours.load_state_dict(model.state_dict())
    fast, plain = Speaker(ours, TOKENIZER), Speaker(model, TOKENIZER)
    assert type(fast.model) is FastDecoder
    assert plain.model is model
    ids = fast.text_prompt("Once")
    assert list(fast.stream_ids(ids, how)) == list(plain.stream_ids(ids, how))
    question = fast.chat_prompt([{"role": "user", "content": "Who?"}])
    prompts = [ids, fast.text_prompt("A longer story"), question]
    assert fast.answers(prompts) == plain.answers(prompts)
