"""What an instructor has to put right, in both languages."""

from __future__ import annotations

from collections.abc import Iterable

from grader.catalogue import Language, Text


class ClassroomError(Exception):
    """A policy, a roster, a record or a folder cannot be used; every problem that was found."""

    def __init__(self, *problems: Text):
        self.problems = problems
        super().__init__("\n".join(problem.en for problem in problems))

    def in_(self, language: Language) -> str:
        return "\n".join(problem.in_(language) for problem in self.problems)


class PolicyError(ClassroomError):
    """A policy says something that it must not."""


class RosterError(ClassroomError):
    """A roster cannot be read, or names somebody twice."""


class RecordError(ClassroomError):
    """A record cannot be opened or written, or is another run's at the moment."""


def raise_if(problems: Iterable[Text], kind: type[ClassroomError]) -> None:
    """Raise all problems at once, if there are any.

    Raises:
        ClassroomError: of the kind that was asked for.
    """
    found = tuple(problems)
    if found:
        raise kind(*found)
