"""What the solution answers in a suite under one seed, so that the same answers need no test.

A test is a function of its seed and of the answers that it gets. Where a learner's code answers
every request of a test with the very bytes that the solution answered, the test ends as it ended
then: it passes. Nothing has to be drawn, worked out or compared again. At the first answer that is
another one, the test itself is run: it gets the answers that have come, and asks on from there.

Scripts are made before there is a submission, from the solution alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from grader.sandbox import wire

from .student import Asked, Backend, Raised, StudentFailure, told_by


@dataclass(frozen=True)
class Line:
    """One request of a test, as it was asked and answered on the solution."""

    asked: Asked

    def agrees(self, came: bytes) -> bool:
        """Whether a reply is the solution's.

        An exception is the same with the same words, wherever in a file it was raised: no test
        looks at that.
        """
        if came == self.asked.came:
            return True
        ours = self.asked.answer
        if not isinstance(ours, Raised):
            return False
        theirs = told_by(came, self.asked)
        if not isinstance(theirs, Raised):
            return False
        return (theirs.type, theirs.bases, theirs.message) == (ours.type, ours.bases, ours.message)


@dataclass(frozen=True)
class Scene:
    """What one test asks of the solution.

    Attributes:
        sent, came: all its lines as one request, and the solution's reply to it.
    """

    lines: tuple[Line, ...]
    sent: bytes
    came: bytes

    @classmethod
    def of(cls, log: Iterable[Asked], solution: Backend) -> Scene | None:
        """The scene that was played when these requests were made; none if it ends otherwise now.

        Args:
            log: the requests.
            solution: is asked all of them at once.
        """
        lines = tuple(Line(asked) for asked in log)
        sent = {"id": 0, "op": "play", "bodies": [line.asked.sent for line in lines]}
        scene = cls(lines, wire.encode(sent), solution.ask(wire.encode(sent)))
        replies = wire.decode(scene.came)["value"]
        agree = (line.agrees(came) for line, came in zip(lines, replies, strict=True))
        return scene if all(agree) else None

    def agrees(self, backend: Backend) -> bool:
        """Ask all of it; whether the reply is the solution's, to the byte.

        Raises:
            StudentFailure: there is no reply.
        """
        return backend.ask(self.sent) == self.came


@dataclass(frozen=True)
class Script:
    """What a suite asks of the solution, test by test, and what it answers.

    A test that is not the same each time has no scene.
    """

    seed: int
    tests: Mapping[str, Scene]


def script(
    seed: int,
    first: Mapping[str, Sequence[Asked]],
    second: Mapping[str, Sequence[Asked]],
    solution: Backend,
) -> Script:
    """Keep, of two times that a suite was played on the solution, the tests that went the same."""
    scenes = {
        name: Scene.of(log, solution)
        for name, log in first.items()
        if name in second and _bytes(log) == _bytes(second[name]) and all(a.came for a in log)
    }
    return Script(seed, {name: scene for name, scene in scenes.items() if scene is not None})


def _bytes(log: Iterable[Asked]) -> list[tuple[bytes, bytes]]:
    return [(asked.sent, asked.came) for asked in log]


@dataclass(frozen=True)
class Came:
    """What came in answer to a request: a reply, or what ended the worker."""

    sent: bytes
    reply: bytes | StudentFailure
    agrees: bool


def follow(lines: Iterable[Line], backend: Backend) -> list[Came]:
    """Ask line by line, up to the first answer that is not the solution's."""
    all_that_came = []
    for line in lines:
        reply: bytes | StudentFailure
        try:
            reply = backend.ask(line.asked.sent)
            came = Came(line.asked.sent, reply, line.agrees(reply))
        except StudentFailure as failure:
            came = Came(line.asked.sent, failure, False)
        all_that_came.append(came)
        if not came.agrees:
            break
    return all_that_came


class Resumed:
    """A room that has been asked some of a test's questions already.

    The test is given what came then, and is asked on for the rest.
    """

    def __init__(self, backend: Backend, came: Iterable[Came]):
        self.backend = backend
        self.left = deque(came)
        self.strayed = False

    def ask(self, body: bytes) -> bytes:
        if not self.left:
            return self.backend.ask(body)
        came = self.left.popleft()
        if came.sent != body:
            self.strayed = True
            raise AssertionError("the test asks otherwise than it did of the solution")
        if isinstance(came.reply, StudentFailure):
            raise came.reply
        return came.reply

    def aside(self, seconds: float) -> AbstractContextManager[None]:
        return self.backend.aside(seconds)
