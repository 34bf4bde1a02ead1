"""A second look at what passed: asked the same once more, the code must answer the same.

A submission may count its calls and be right as often as a suite asks, and no more; an honest one
may keep something of its first call that spoils the second. Either shows when the same questions
come again, in another order, after the last test.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from grader.catalogue import Text
from grader.report import Failure

from . import show
from .diagnosis import replay, same
from .student import Asked, Backend, StudentFailure, TimedOut

ENOUGH = 12  # requests; whole tests are asked again until there are so many
SECONDS = 5.0


def second_look(
    backend: Backend,
    logs: Mapping[str, Sequence[Asked]],
    number: int,
    as_before: Callable[[str], bool] = lambda _: False,
) -> tuple[str, Asked, Any] | None:
    """Ask some tests' questions again, in an order that the number draws.

    Args:
        backend: who answered them.
        logs: what each test asked and was answered.
        number: none that the code can foresee.
        as_before: asks all of a test at once, and says whether that settles that every answer is
            as it was.

    Returns:
        The test, the question and the other answer, where one is not as it was; else nothing.
    """
    order = sorted(name for name, log in logs.items() if log)
    random.Random(number).shuffle(order)
    asked = 0
    with backend.aside(SECONDS):
        for name in order:
            if asked >= ENOUGH:
                break
            try:
                if as_before(name):
                    asked += len(logs[name])
                    continue
            except StudentFailure:  # then the questions are asked one by one
                pass
            for question, (answer, before) in zip(
                logs[name], replay(backend, logs[name]), strict=False
            ):
                asked += 1
                if isinstance(answer, TimedOut):
                    return None  # it has answered in time once
                if not same(answer, before):
                    return name, question, answer
    return None


def told(before: Any, answer: Any) -> Failure:
    """That an answer is another one the second time, in words."""
    return Failure(
        kind="claim",
        message=Text(
            en="Asked the same a second time, it answers otherwise. An answer may depend on what "
            "is given, and not on how often it was asked before.",
            zh="同样的问题再问一次，回答却不同。回答只应取决于给定的输入，而不应取决于之前问过多少次。",
        ),
        expected=show.value(before),
        got=show.value(answer),
    )
