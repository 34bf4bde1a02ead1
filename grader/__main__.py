"""`python -m grader` is `happyllm-grade`."""

from grader.cli import main

main()
