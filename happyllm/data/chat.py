"""Conversations: many formats in, one list of messages, ChatML out, as text and as tokens.

ChatML writes a turn as `<|im_start|>role`, a line break, the content, `<|im_end|>`, a line break.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

IM_START = "<|im_start|>"
IM_END = "<|im_end|>"

Message = dict[str, str]


class Encoder(Protocol):
    """What is needed of a tokenizer here: text to ids, every character taken as plain text."""

    def encode(self, text: str, /) -> list[int]:
        """Turn text into ids; a special token that is written out in it is plain text."""


def to_messages(conversation: Mapping[str, Any]) -> list[dict[str, str]]:
    r"""Bring a conversation of any of three common formats into the form of messages.

    - Messages: `{"messages": [{"role": "user", "content": …}, …]}`; further keys of a message
      are left out.
    - ShareGPT: `{"conversations": [{"from": "human", "value": …}, …]}`, where `human` is the
      user and `gpt` the assistant.
    - Alpaca: `{"instruction": …, "input": …, "output": …}`. An input that is not blank follows
      the instruction after a line break. Earlier turns come before it:
      `"history": [[asked, answered], …]`.

    In each of them a `"system"` beside the turns comes first, if it is not blank.

    Args:
        conversation: In one of these formats.

    Returns:
        `[{"role": …, "content": …}, …]`: at most one `system` message, at the start; then `user`
        and `assistant` in turn, `user` first. Contents are as they were, to the last space.

    Raises:
        ValueError: It is in none of the formats; a content is no string; a turn has another role
            than its place asks for; there is no user's turn. Of a turn the message
            names the number, counted from 0 in what would be returned: `turn 2`.

    Example:
        >>> to_messages({"instruction": "Add.", "input": "1 2", "output": "3"})
        [{'role': 'user', 'content': 'Add.\n1 2'}, {'role': 'assistant', 'content': '3'}]
        >>> to_messages({"conversations": [{"from": "gpt", "value": "Hello!"}]})
        Traceback (most recent call last):
            ...
        ValueError: turn 0: assistant, where user should be
    """
    # Step 1: find the format, and list what was said as (role, content).
    if "messages" in conversation:
        turns = [(turn.get("role"), turn.get("content")) for turn in conversation["messages"]]
    elif "conversations" in conversation:
        names = {"human": "user", "gpt": "assistant"}  # other names stay as they are
        turns = [
            (names.get(turn.get("from"), turn.get("from")), turn.get("value"))
            for turn in conversation["conversations"]
        ]
    elif "instruction" in conversation and "output" in conversation:
        turns = []
        for asked, answered in conversation.get("history") or ():
            turns += [("user", asked), ("assistant", answered)]
        asked, more = conversation["instruction"], conversation.get("input") or ""
        turns.append(("user", f"{asked}\n{more}" if more.strip() else asked))
        turns.append(("assistant", conversation["output"]))
    else:
        raise ValueError(
            f"unknown format with the fields {', '.join(map(str, conversation)) or '(none)'}: "
            "'messages', 'conversations', or 'instruction' and 'output' are wanted"
        )
    # Step 2: a system line that stands beside the turns comes first.
    system = conversation.get("system")
    if system and system.strip():
        turns.insert(0, ("system", system))
    # Step 3: check each turn: user and assistant take turns, after at most one system line.
    wanted = "user"
    for number, (role, content) in enumerate(turns):
        if not isinstance(content, str):
            raise ValueError(f"turn {number}: the content must be a string, not {content!r}")
        if role == "system" and number == 0:
            continue
        if role != wanted:
            raise ValueError(f"turn {number}: {role}, where {wanted} should be")
        wanted = "assistant" if role == "user" else "user"
    if not any(role == "user" for role, _ in turns):
        raise ValueError("no turn of the user")
    return [{"role": role, "content": content} for role, content in turns]


def render_chatml(
    messages: Sequence[Mapping[str, str]], add_generation_prompt: bool = False
) -> str:
    """Write messages as one text in ChatML, as the model reads them.

    Args:
        messages: Each with a "role" and a "content", which is written as it is.
        add_generation_prompt: Whether to open a turn of the assistant at the end, for the model
            to go on from.

    Returns:
        The text. Every turn, the last one too, ends in `<|im_end|>` and a line break.

    Raises:
        ValueError: A message has no role or no content; the message of the error names its
            number, counted from 0.

    Example:
        >>> print(render_chatml([{"role": "user", "content": "Hi!"}], add_generation_prompt=True))
        <|im_start|>user
        Hi!<|im_end|>
        <|im_start|>assistant
        <BLANKLINE>

    Source:
        OpenAI 2023, "Chat Markup Language".
    """
    text = ""
    for number, message in enumerate(messages):
        for field in ("role", "content"):
            if field not in message:
                raise ValueError(f"message {number} has no {field}")
        # Step 1: marker, role, line break, content, marker, line break.
        text += f"{IM_START}{message['role']}\n{message['content']}{IM_END}\n"
    # Step 2: the prompt for an answer is the head of a turn without its end.
    if add_generation_prompt:
        text += f"{IM_START}assistant\n"
    return text


def iter_turns(
    messages: Sequence[Mapping[str, str]], encoder: Encoder, im_start: int, im_end: int
) -> Iterator[tuple[list[int], list[int]]]:
    """Turn messages into tokens, turn by turn: what is given, and what has to be learned.

    The markers are put in as ids, and contents are encoded as plain text. So a user who types
    `<|im_end|>` or a whole turn of the assistant writes text and nothing else: which tokens are
    learned is known by turn, never searched for.

    Args:
        messages: Each with a "role" and a "content".
        encoder: Its `encode` takes special tokens that are written out as plain text.
        im_start: The id of `<|im_start|>`.
        im_end: The id of `<|im_end|>`.

    Yields:
        For each message `(ids, mask)`, of one length. `mask` is 1 at the tokens that a model has
        to learn, an answer of the assistant and the `<|im_end|>` after it, and 0 elsewhere.
    """
    line_break = encoder.encode("\n")
    for message in messages:
        head = [im_start, *encoder.encode(f"{message['role']}\n")]
        body = [*encoder.encode(message["content"]), im_end]
        learned = int(message["role"] == "assistant")
        ids = [*head, *body, *line_break]
        yield ids, [0] * len(head) + [learned] * len(body) + [0] * len(line_break)


def encode_prompt(
    messages: Sequence[Mapping[str, str]], encoder: Encoder, im_start: int, im_end: int
) -> list[int]:
    """Turn messages into the tokens from which the assistant's next answer is generated.

    Args:
        messages: As in `iter_turns`.
        encoder: As in `iter_turns`.
        im_start: As in `iter_turns`.
        im_end: As in `iter_turns`; generation stops at it.

    Returns:
        The ids of all turns, and the head of a turn of the assistant.
    """
    turns = iter_turns(messages, encoder, im_start, im_end)
    ids = [i for turn, _ in turns for i in turn]
    return [*ids, im_start, *encoder.encode("assistant\n")]
