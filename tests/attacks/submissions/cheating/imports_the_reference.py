# outcome: blocked
"""Imports the library that the exercise is compared with."""

from happyllm.llama.attention import repeat_kv  # noqa: F401
