"""Data: from stories and files to the batches that a model learns from (chapter 5.3 of the book).

Read the files in this order: load, pack, tokens, chat, datasets; tinytales makes the corpus.
"""
