"""Conversations as tokens, where the words around each content are those of a chat template.

A template writes text, and text cannot be trusted with a conversation: whoever types `<|im_end|>`
would end a turn. So the template is asked for what it writes around a stand-in. The markers in that
become ids, and the content between is encoded as plain text, as `iter_turns` does it.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from happyllm.data.chat import IM_END, IM_START, Encoder

STAND_IN = "\0"  # nothing that a template writes by itself
MARKERS = re.compile(f"({re.escape(IM_START)}|{re.escape(IM_END)})")


class Template:
    """What `iter_turns` and `encode_prompt` do, in the words of a `render_chatml`.

    Args:
        render: As `render_chatml`; it writes each content once.

    Example:
        >>> from happyllm.data.chat import iter_turns, render_chatml
        >>> class Letters:
        ...     def encode(self, text):
        ...         return [ord(letter) for letter in text]
        >>> talk = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
        >>> turns = Template(render_chatml).turns(talk, Letters(), 1, 2)
        >>> list(turns) == list(iter_turns(talk, Letters(), 1, 2))
        True
    """

    def __init__(self, render: Callable[..., str]) -> None:
        self.render = render
        self.frame = functools.cache(self._frame)

    def _frame(self, role: str, prompted: bool = False) -> tuple[str, str]:
        """What stands before a content, and after it."""
        text = self.render([{"role": role, "content": STAND_IN}], prompted)
        head, _, tail = text.partition(STAND_IN)
        return head, tail

    def turns(
        self,
        messages: Sequence[Mapping[str, str]],
        encoder: Encoder,
        im_start: int,
        im_end: int,
    ) -> Iterator[tuple[list[int], list[int]]]:
        """Turn messages into tokens and what has to be learned of them; see `iter_turns`."""
        for message in messages:
            head, tail = (
                _marked(text, encoder, im_start, im_end) for text in self.frame(message["role"])
            )
            body = encoder.encode(message["content"])
            learned = int(message["role"] == "assistant")
            end = tail.index(im_end) + 1 if im_end in tail else 0  # the answer's end is learned too
            mask = [0] * len(head) + [learned] * (len(body) + end) + [0] * (len(tail) - end)
            yield [*head, *body, *tail], mask

    def prompt(
        self,
        messages: Sequence[Mapping[str, str]],
        encoder: Encoder,
        im_start: int,
        im_end: int,
    ) -> list[int]:
        """Turn messages into the tokens that the next answer follows; see `encode_prompt`."""
        *before, last = messages
        ids = [i for turn, _ in self.turns(before, encoder, im_start, im_end) for i in turn]
        head, tail = (
            _marked(text, encoder, im_start, im_end) for text in self.frame(last["role"], True)
        )
        return [*ids, *head, *encoder.encode(last["content"]), *tail]


def _marked(text: str, encoder: Encoder, im_start: int, im_end: int) -> list[int]:
    """Encode what a template wrote by itself: markers as ids, the rest as plain text."""
    markers = {IM_START: [im_start], IM_END: [im_end]}
    pieces = (markers.get(piece) or encoder.encode(piece) for piece in MARKERS.split(text))
    return [i for piece in pieces for i in piece]
