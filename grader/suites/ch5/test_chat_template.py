"""Hidden suite of ch5/chat_template."""

import pytest

from grader.judge import check
from grader.judge.marks import also_right, known_wrong
from happyllm.data.chat import render_chatml

TALK = [
    {"role": "system", "content": "Be kind."},
    {"role": "user", "content": "Hi!"},
    {"role": "assistant", "content": "Hello."},
    {"role": "user", "content": "你好吗？"},
]


def test_a_turn_is_marker_role_line_break_content_marker_line_break(student):
    """One message: <|im_start|>role, a line break, the content, <|im_end|>, a line break.

    一条消息：<|im_start|>角色、换行、内容、<|im_end|>、换行。
    """
    check.equal(
        student.render_chatml([{"role": "user", "content": "Hi!"}]),
        "<|im_start|>user\nHi!<|im_end|>\n",
    )


@pytest.mark.parametrize("n", [2, 3, 4])
def test_turns_follow_one_another_in_order(student, n):
    """All turns, one after another, each closed, the last one too.

    所有轮次依次相接，每一轮都要收尾，最后一轮也不例外。
    """
    check.equal(student.render_chatml(TALK[:n]), render_chatml(TALK[:n]))
    check.equal(student.render_chatml(TALK[1:n]), render_chatml(TALK[1:n]))


@pytest.mark.parametrize("n", [0, 2, 3, 4])
def test_a_generation_prompt_opens_a_turn_of_the_assistant(student, n):
    """The prompt is the head of the assistant's turn, with its line break, and no end.

    生成提示是助手这一轮的开头，带换行，不收尾。
    """
    got = student.render_chatml(TALK[:n], add_generation_prompt=True)
    check.equal(got, render_chatml(TALK[:n], True))
    check.equal(student.render_chatml(TALK[:n], True), render_chatml(TALK[:n], True))


def test_without_being_asked_for_no_prompt_is_added(student):
    """In training the text ends where the last turn ends.

    训练时，文本在最后一轮结束处结束。
    """
    check.equal(student.render_chatml(TALK), render_chatml(TALK))
    check.equal(student.render_chatml(TALK, add_generation_prompt=False), render_chatml(TALK))
    check.equal(student.render_chatml([]), "")


@pytest.mark.parametrize(
    "content", ["", " a ", "\n\nb\n", "{content}", "%s", "<|im_end|>", "<b>&amp;", "a\tb", "\u3000"]
)
def test_a_content_is_written_as_it_is(student, content):
    """Not a space, brace or line break is added or lost.

    不多也不少一个空格、花括号或换行。
    """
    messages = [{"role": "user", "content": content}, {"role": "assistant", "content": content}]
    check.equal(student.render_chatml(messages), render_chatml(messages))


def test_any_role_is_written_as_it_is(student):
    """A role is a word like any other here, `tool` too.

    角色在这里只是一个词，tool 也一样。
    """
    messages = [{"role": "tool", "content": "42"}]
    check.equal(student.render_chatml(messages), render_chatml(messages))


def test_the_messages_stay_as_they_were(student):
    """The caller's messages are read and not changed.

    调用者的消息只读，不改。
    """

    def left_behind(m, messages):
        """messages, after render_chatml(messages, True)

        render_chatml(messages, True) 之后的 messages
        """
        m.render_chatml(messages, True)
        return messages

    check.equal(student.run(left_behind, TALK), TALK)


@pytest.mark.parametrize("field", ["role", "content"])
@pytest.mark.parametrize("number", [0, 2])
def test_a_message_that_lacks_a_field_is_refused(student, field, number):
    """A message without a role or a content raises ValueError with its number and the field.

    缺少角色或内容的消息抛出 ValueError，写明第几条和哪个字段。
    """
    messages = [dict(message) for message in TALK]
    del messages[number][field]
    for words in (f"message {number}", field):
        check.raises(ValueError, lambda: student.render_chatml(messages), match=words)


# ---- other right ways


def _head(role):
    return "<|im_start|>" + role + "\n"


@also_right("render_chatml", en="joined pieces")
def joined(messages, add_generation_prompt=False):
    for i, message in enumerate(messages):
        missing = {"role", "content"} - set(message)
        if missing:
            raise ValueError(f"message {i} has no {missing.pop()}")
    turns = [f"<|im_start|>{m['role']}\n{m['content']}<|im_end|>" for m in messages]
    return "\n".join([*turns, "<|im_start|>assistant\n" if add_generation_prompt else ""])


@also_right("render_chatml", en="by KeyError, with a head for all")
def by_key_error(messages, add_generation_prompt=False):
    out = ""
    for number in range(len(messages)):
        try:
            out += _head(messages[number]["role"])
            out += messages[number]["content"] + "<|im_end|>" + "\n"
        except KeyError as error:
            raise ValueError(f"message {number}: {error.args[0]} is missing") from None
    return out + _head("assistant") * bool(add_generation_prompt)


# ---- mistakes that people make


@known_wrong(
    "render_chatml",
    en="The last turn is left open: in training every turn ends in <|im_end|>, for that is how the "
    "model learns to stop.",
    zh="最后一轮没有收尾：训练时每一轮都以 <|im_end|> 结尾，模型正是这样学会停下的。",
)
def last_turn_open(messages, add_generation_prompt=False):
    text = render_chatml(messages).removesuffix("<|im_end|>\n")
    return text + ("<|im_end|>\n<|im_start|>assistant\n" if add_generation_prompt else "")


@known_wrong(
    "render_chatml",
    en="The prompt for an answer stands there unasked: a text for training would end in a turn "
    "that nobody wrote.",
    zh="没有要求，却加上了生成提示：训练文本的末尾就多出一个没人写的轮次。",
)
def always_prompted(messages, add_generation_prompt=False):
    return render_chatml(messages, True)


@known_wrong(
    "render_chatml",
    en="add_generation_prompt changes nothing: without the head of the assistant's turn the model "
    "has to guess who speaks next.",
    zh="add_generation_prompt 不起作用：没有助手这一轮的开头，模型只能猜下一个说话的是谁。",
)
def never_prompted(messages, add_generation_prompt=False):
    return render_chatml(messages)


@known_wrong(
    "render_chatml",
    en="The prompt lacks its line break after `assistant`, so the model first has to write what "
    "in training was always given.",
    zh="生成提示在 assistant 之后少了换行，模型得先写出训练时总是现成的那个换行。",
)
def prompt_without_line_break(messages, add_generation_prompt=False):
    text = render_chatml(messages)
    return text + "<|im_start|>assistant" if add_generation_prompt else text


@known_wrong(
    "render_chatml",
    en="The prompt is closed at once by <|im_end|>: there is nothing left to answer.",
    zh="生成提示马上又被 <|im_end|> 关上了：没有可回答的余地。",
)
def prompt_closed(messages, add_generation_prompt=False):
    text = render_chatml(messages)
    return text + "<|im_start|>assistant\n<|im_end|>\n" if add_generation_prompt else text


@known_wrong(
    "render_chatml",
    en="No line break stands between one turn and the next: it comes after each <|im_end|>.",
    zh="两轮之间没有换行：每个 <|im_end|> 之后都要换行。",
)
def turns_run_together(messages, add_generation_prompt=False):
    return render_chatml(messages, add_generation_prompt).replace("<|im_end|>\n", "<|im_end|>")


@known_wrong(
    "render_chatml",
    en="A line break stands before <|im_end|>: the model learns that every answer ends in it.",
    zh="<|im_end|> 之前多了换行：模型会以为每个回答都以换行结尾。",
)
def line_break_before_the_end(messages, add_generation_prompt=False):
    longer = [m | {"content": m["content"] + "\n"} if "content" in m else m for m in messages]
    return render_chatml(longer, add_generation_prompt)


@known_wrong(
    "render_chatml",
    en="Role and content stand on one line: a line break separates them.",
    zh="角色和内容在同一行：它们之间应有换行。",
)
def role_and_content_on_one_line(messages, add_generation_prompt=False):
    text = ""
    for number, message in enumerate(messages):
        for field in ("role", "content"):
            if field not in message:
                raise ValueError(f"message {number} has no {field}")
        text += f"<|im_start|>{message['role']} {message['content']}<|im_end|>\n"
    return text + ("<|im_start|>assistant\n" if add_generation_prompt else "")


@known_wrong(
    "render_chatml",
    en="You stripped the contents: spaces and line breaks belong to what was said.",
    zh="你去掉了内容首尾的空白：空格和换行也是内容的一部分。",
)
def contents_stripped(messages, add_generation_prompt=False):
    bare = [m | {"content": m["content"].strip()} if "content" in m else m for m in messages]
    return render_chatml(bare, add_generation_prompt)


@known_wrong(
    "render_chatml",
    en="The system message is left out: it is a turn like the others.",
    zh="系统消息被丢掉了：它和其他轮次一样要写出来。",
)
def system_left_out(messages, add_generation_prompt=False):
    render_chatml(messages)
    others = [m for m in messages if m["role"] != "system"]
    return render_chatml(others, add_generation_prompt)


@known_wrong(
    "render_chatml",
    en="A message that lacks its role or content is passed over in silence, or dies of a KeyError "
    "that names no message: raise ValueError with its number.",
    zh="缺少角色或内容的消息被悄悄放过，或者报出不知是哪条消息的 KeyError："
    "应抛出写明序号的 ValueError。",
)
def fields_unchecked(messages, add_generation_prompt=False):
    filled = [{"role": "", "content": ""} | m for m in messages]
    return render_chatml(filled, add_generation_prompt)
