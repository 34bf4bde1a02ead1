"""The command `happyllm-grade`: parse, call, render, exit. What it does is done elsewhere."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; the exit status is 0, 1, 2 or 3 as the README says."""
    from .command import command

    try:
        sys.exit(command.main(prog_name="happyllm-grade", standalone_mode=False) or 0)
    except Exception as error:
        from .errors import status

        sys.exit(status(error))
