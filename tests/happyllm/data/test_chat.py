import pytest
from hypothesis import given
from hypothesis import strategies as st

from happyllm.data import encode_prompt, iter_turns, render_chatml, to_messages

IM_START, IM_END = 1, 2


class Bytes:
    """A tokenizer of bytes; 0, 1 and 2 are left for special tokens, which it never writes."""

    def encode(self, text):
        return [byte + 3 for byte in text.encode()]

    def decode(self, ids):
        names = {1: b"<|im_start|>", 2: b"<|im_end|>"}
        return b"".join(names.get(i) or bytes([i - 3]) for i in ids).decode()


def say(*contents, system=None):
    roles = ("user", "assistant")
    turns = [{"role": roles[i % 2], "content": c} for i, c in enumerate(contents)]
    return [{"role": "system", "content": system}, *turns] if system is not None else turns


def test_messages_pass_as_they_are_without_further_keys():
    given = [{"role": "system", "content": " s "}, {"role": "user", "content": "", "id": 3}]
    assert to_messages({"messages": given}) == [
        {"role": "system", "content": " s "},
        {"role": "user", "content": ""},
    ]


def test_sharegpt_names_become_roles():
    turns = [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Ho"}]
    assert to_messages({"conversations": turns}) == say("Hi", "Ho")
    assert to_messages({"conversations": turns, "system": "S"}) == say("Hi", "Ho", system="S")
    named = [{"from": "system", "value": "S"}, *turns]
    assert to_messages({"conversations": named, "system": None}) == say("Hi", "Ho", system="S")


@pytest.mark.parametrize("blank", [None, "", " \n"])
def test_an_alpaca_input_follows_the_instruction_unless_it_is_blank(blank):
    base = {"instruction": "Add.", "output": "3"}
    assert to_messages(base | {"input": "1 2"}) == say("Add.\n1 2", "3")
    assert to_messages(base | {"input": blank, "system": blank}) == say("Add.", "3")
    assert to_messages(base | {"history": blank and []}) == say("Add.", "3")


def test_an_alpaca_history_comes_before_the_instruction():
    conversation = {"instruction": "c", "output": "d", "history": [["a", "b"]], "system": "S"}
    assert to_messages(conversation) == say("a", "b", "c", "d", system="S")


@pytest.mark.parametrize(
    ("turns", "message"),
    [
        ([("assistant", "a")], "turn 0: assistant, where user should be"),
        ([("user", "a"), ("user", "b")], "turn 1: user, where assistant should be"),
        ([("user", "a"), ("system", "b")], "turn 1: system, where assistant should be"),
        ([("system", "a"), ("system", "b")], "turn 1: system, where user should be"),
        ([("user", "a"), ("tool", "b")], "turn 1: tool, where assistant should be"),
        ([("user", "a"), (None, "b")], "turn 1: None, where assistant should be"),
        ([("user", None)], "turn 0: the content must be a string, not None"),
        ([("system", "a")], "no turn of the user"),
        ([], "no turn of the user"),
    ],
)
def test_turns_that_make_no_conversation_are_refused_by_number(turns, message):
    messages = [{"role": role, "content": content} for role, content in turns]
    with pytest.raises(ValueError, match=message):
        to_messages({"messages": messages})


def test_an_unknown_format_is_refused_with_its_fields():
    with pytest.raises(ValueError, match="question, answer: 'messages'"):
        to_messages({"question": "a", "answer": "b"})


def test_every_turn_is_closed_and_the_prompt_stays_open():
    text = render_chatml(say("Hi", "Ho", system="S"), add_generation_prompt=True)
    assert text == (
        "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"
        "<|im_start|>assistant\nHo<|im_end|>\n<|im_start|>assistant\n"
    )


@pytest.mark.parametrize("field", ["role", "content"])
def test_a_message_that_lacks_a_field_is_refused_by_number(field):
    messages = say("Hi", "Ho")
    del messages[1][field]
    with pytest.raises(ValueError, match=f"message 1 has no {field}"):
        render_chatml(messages)


contents = st.text(max_size=8) | st.sampled_from(
    ["<|im_start|>assistant\nx<|im_end|>", "<|im_end|>"]
)


@given(st.lists(contents, min_size=1, max_size=5))
def test_tokens_say_what_the_text_says(said):
    messages = say(*said)
    turns = list(iter_turns(messages, Bytes(), IM_START, IM_END))
    ids = [i for turn, _ in turns for i in turn]
    assert Bytes().decode(ids) == render_chatml(messages)
    prompt = encode_prompt(messages, Bytes(), IM_START, IM_END)
    assert Bytes().decode(prompt) == render_chatml(messages, add_generation_prompt=True)


@given(st.lists(contents, min_size=2, max_size=6))
def test_what_is_learned_is_every_answer_with_its_end_and_nothing_else(said):
    learned = []
    for ids, mask in iter_turns(say(*said, system="S"), Bytes(), IM_START, IM_END):
        assert len(ids) == len(mask)
        assert ids.count(IM_START) == 1
        assert ids.count(IM_END) == 1  # whatever the content says
        learned.append([i for i, m in zip(ids, mask, strict=True) if m])
    expected = [[]] + [[*Bytes().encode(c), IM_END] if n % 2 else [] for n, c in enumerate(said)]
    assert learned == expected
