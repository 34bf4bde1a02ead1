"""`python -m grader` is `happyllm-grade`."""

import sys
from pathlib import Path

# `python -m` puts the working folder first, where a submission may lie with a click.py of its own.
sys.path[:] = [folder for folder in sys.path if folder not in ("", str(Path.cwd()))]
sys.path.append(str(Path(__file__).resolve().parents[1]))

from grader.cli import main  # noqa: E402

main()
