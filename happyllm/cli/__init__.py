"""The command `happyllm`: parse, call, show, exit. What it does is done in happyllm.pipeline."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the command line; the exit status is 0, 1, 2, 3, 130 or 143, as `--help` says."""
    try:
        from happyllm.streams import prepare

        from .command import command

        prepare()
        code = command.main(prog_name="happyllm", standalone_mode=False) or 0
    except (Exception, KeyboardInterrupt) as error:
        from .errors import status

        code = status(error)
    if "RANK" in os.environ:  # one of several processes that train together
        from happyllm.train.parallel import leave

        leave(code)
    sys.exit(code)
