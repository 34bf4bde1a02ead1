"""The reference library of Happy-LLM: every idea of the book, written once, by topic."""

__version__ = "0.1.0"
