"""ChatML against the template that transformers renders with jinja2, text and assistant mask."""

import random

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from happyllm.data import iter_turns, render_chatml

TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}"
    "{% if message['role'] == 'assistant' %}{% generation %}"
    "{{ message['content'] + '<|im_end|>' }}{% endgeneration %}{{ '\n' }}"
    "{% else %}{{ message['content'] + '<|im_end|>\n' }}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
PIECES = ("Hi", " there", "\n", "你好", "。", "  ", "😀", "{{ x }}", "<b>", "user\n", "é", "'s")


@pytest.fixture(scope="module")
def theirs():
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    inner = Tokenizer(models.BPE(vocab={letter: i for i, letter in enumerate(letters)}, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner)
    tokenizer.add_special_tokens(
        {"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]},
        replace_extra_special_tokens=False,
    )
    tokenizer.chat_template = TEMPLATE
    return tokenizer


def draw(seed):
    rng = random.Random(seed)

    def content():
        return "".join(rng.choice(PIECES) for _ in range(rng.randint(0, 6)))

    roles = ("user", "assistant")
    messages = [{"role": roles[i % 2], "content": content()} for i in range(rng.randint(1, 6))]
    if rng.random() < 0.5:
        messages.insert(0, {"role": "system", "content": content()})
    return messages


class Plain:
    def __init__(self, theirs):
        self.theirs = theirs

    def encode(self, text):
        return self.theirs.encode(text, add_special_tokens=False)


@pytest.mark.parametrize("prompt", [False, True])
@pytest.mark.parametrize("seed", range(20))
def test_the_text_is_that_of_the_template(theirs, seed, prompt):
    messages = draw(seed)
    expected = theirs.apply_chat_template(messages, tokenize=False, add_generation_prompt=prompt)
    assert render_chatml(messages, prompt) == expected


@pytest.mark.parametrize("seed", range(20))
def test_ids_and_mask_are_those_of_the_template(theirs, seed):
    messages = draw(seed)
    expected = theirs.apply_chat_template(
        messages, tokenize=True, return_dict=True, return_assistant_tokens_mask=True
    )
    start, end = theirs.convert_tokens_to_ids(["<|im_start|>", "<|im_end|>"])
    turns = list(iter_turns(messages, Plain(theirs), start, end))
    assert [i for ids, _ in turns for i in ids] == expected["input_ids"]
    assert [m for _, mask in turns for m in mask] == expected["assistant_masks"]
