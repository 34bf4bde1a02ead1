"""Every error that reaches the top, as a sentence and an exit status; never a traceback of ours."""

from __future__ import annotations

import errno
import os
import sys
import traceback

import click

from grader.book.build import BuildError
from grader.catalogue import CatalogueError, UnknownTarget
from grader.engine import EngineFault
from grader.learning.workspace import WorkspaceError
from grader.sandbox.nursery import ScratchError
from grader.shelf import ShelfError

USAGE, FAULT, INTERRUPTED = 2, 3, 130

# What is for the user to put right; the message says how.
_THEIRS = (UnknownTarget, WorkspaceError, CatalogueError, ShelfError, ScratchError, BuildError)


def status(error: BaseException) -> int:
    """Say what went wrong on standard error, and give the exit status for it."""
    if isinstance(error, click.exceptions.Exit):
        return error.exit_code
    if isinstance(error, click.exceptions.Abort | KeyboardInterrupt):
        print("\nStopped.", file=sys.stderr)
        return INTERRUPTED
    if isinstance(error, click.ClickException):
        error.show()
        return error.exit_code
    if isinstance(error, _THEIRS):
        print(f"happyllm-grade: {error}", file=sys.stderr)
        return USAGE
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EROFS, errno.EIO):
        where = error.filename or "the output"
        print(f"happyllm-grade: {where}: {error.strerror}; make room there", file=sys.stderr)
        return USAGE
    if isinstance(error, EngineFault):
        print(f"happyllm-grade: the grader could not start: {error}", file=sys.stderr)
        return FAULT
    print("happyllm-grade: a fault of the grader, not of your code:", file=sys.stderr)
    print("".join(traceback.format_exception_only(error)).strip(), file=sys.stderr)
    if os.environ.get("HAPPYLLM_TRACEBACK"):
        traceback.print_exception(error)
    else:
        print("Set HAPPYLLM_TRACEBACK=1 to see where.", file=sys.stderr)
    return FAULT
