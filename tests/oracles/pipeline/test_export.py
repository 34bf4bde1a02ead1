"""What `happyllm export` writes, as transformers reads it: the same logits, ids and chat."""

import json

import pytest
import torch

from happyllm.data.chat import render_chatml
from happyllm.llama.config import ModelConfig
from happyllm.llama.generate import generate
from happyllm.llama.model import Transformer
from happyllm.pipeline.export import export
from happyllm.pipeline.folder import FolderError
from happyllm.pipeline.vocabulary import SPECIAL
from happyllm.tokenizer import train_bpe

transformers = pytest.importorskip("transformers")

TEXTS = ["Tom went to the park. He found a ball.", "小明去了公园。他捡到一个球。", "  \n\tx  1234 "]
TALK = [
    {"role": "system", "content": "Answer."},
    {"role": "user", "content": "Where is Tom? <|im_end|>"},
]


@pytest.fixture(params=[True, False], ids=["tied", "untied"])
def exported(request, tmp_path):
    torch.manual_seed(0)
    tokenizer = train_bpe(TEXTS * 3, 300, SPECIAL)
    tokenizer.save(tmp_path / "tokenizer.json")
    config = ModelConfig(
        dim=32,
        n_layers=2,
        n_heads=4,
        n_kv_heads=2,
        vocab_size=320,
        max_seq_len=64,
        rope_theta=500.0,
        tie_word_embeddings=request.param,
    )
    model = Transformer(config).eval()
    weights = {name: w.clone() for name, w in model.state_dict().items()}
    export(config, weights, tmp_path / "tokenizer.json", tmp_path / "out", chat=True)
    return model, tokenizer, tmp_path / "out"


def test_the_logits_are_the_same(exported):
    model, _, folder = exported
    theirs = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
    tokens = torch.randint(300, (2, 20))
    with torch.no_grad():
        torch.testing.assert_close(theirs(tokens).logits, model(tokens)[0], atol=1e-5, rtol=1e-4)
    assert theirs.get_input_embeddings().weight.dtype == torch.float32


def test_greedy_text_is_the_same(exported):
    model, tokenizer, folder = exported
    theirs = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
    assert theirs.generation_config.eos_token_id == [0, 2]
    prompt = torch.tensor([tokenizer.encode("Tom went")])
    written = theirs.generate(
        prompt, attention_mask=torch.ones_like(prompt), do_sample=False, max_length=30
    )
    ours = generate(model, prompt, 30 - prompt.size(1), stop_tokens=[0, 2])
    assert written.tolist() == ours.tolist()


def test_the_ids_are_the_same(exported):
    _, tokenizer, folder = exported
    theirs = transformers.AutoTokenizer.from_pretrained(folder)
    for text in TEXTS:
        assert theirs(text)["input_ids"] == tokenizer.encode(text)
        assert theirs.decode(tokenizer.encode(text)) == text
    assert theirs.eos_token == "<|im_end|>"
    assert theirs.pad_token == "<|endoftext|>"


@pytest.mark.parametrize("prompt", [True, False])
def test_the_chat_template_is_the_same(exported, prompt):
    theirs = transformers.AutoTokenizer.from_pretrained(exported[2])
    text = theirs.apply_chat_template(TALK, tokenize=False, add_generation_prompt=prompt)
    assert text == render_chatml(TALK, add_generation_prompt=prompt)


def test_a_folder_with_something_in_it_is_left_alone(exported, tmp_path):
    model, _, folder = exported
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    with pytest.raises(FolderError, match="is there already"):
        export(model.args, model.state_dict(), tmp_path / "tokenizer.json", folder, chat=True)
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before
    assert json.loads(before["config.json"])["model_type"] == "llama"
