"""The command `happyllm`: parse, call, show, exit. What it does is done in happyllm.pipeline."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; the exit status is 0, 1, 2, 3, 130 or 143, as `--help` says."""
    try:
        from happyllm.streams import prepare

        from .command import command

        prepare()
        sys.exit(command.main(prog_name="happyllm", standalone_mode=False) or 0)
    except (Exception, KeyboardInterrupt) as error:
        from .errors import status

        sys.exit(status(error))
