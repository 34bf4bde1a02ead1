"""Every error that reaches the top, as a sentence and an exit status; never a traceback of ours."""

from __future__ import annotations

import errno
import os
import sys
import traceback

import click

from .words import tell

FAILED, USAGE, FAULT, INTERRUPTED, TERMINATED = 1, 2, 3, 130, 143

# By name, so that a wrong command line is told without importing torch.
_THEIRS = {
    "ConfigError": USAGE,
    "CheckpointError": USAGE,
    "FolderError": USAGE,
    "PartsError": USAGE,
    "TokenizerFileError": USAGE,
    "TrainingDiverged": FAILED,
    "LaunchError": FAILED,
}
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)


def status(error: BaseException) -> int:
    """Say what went wrong on standard error, and give the exit status for it."""
    if isinstance(error, click.exceptions.Exit):
        return error.exit_code
    if isinstance(error, click.exceptions.Abort | KeyboardInterrupt):
        _say("\nStopped.")
        return INTERRUPTED
    if isinstance(error, click.ClickException):
        error.show()
        return error.exit_code
    code = _THEIRS.get(type(error).__name__)
    if code is not None and type(error).__module__.startswith("happyllm."):
        _say(f"happyllm: {error}")
        return code
    if isinstance(error, BrokenPipeError):
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - for what is flushed at the end
        return 0
    if isinstance(error, OSError) and error.errno in _FULL:
        where = error.filename or "the folder of the run"
        _say(f"happyllm: {where}: {error.strerror}; make room there. Checkpoints are untouched.")
        return USAGE
    if isinstance(error, PermissionError):
        _say(f"happyllm: {error.filename}: {error.strerror}; choose another folder by --out")
        return USAGE
    _say("happyllm: a fault of happyllm, not yours:")
    _say("".join(traceback.format_exception_only(error)).strip())
    if os.environ.get("HAPPYLLM_TRACEBACK"):
        traceback.print_exception(error)
    else:
        _say("Set HAPPYLLM_TRACEBACK=1 to see where.")
    return FAULT


def _say(text: str) -> None:
    tell(text, err=True)
