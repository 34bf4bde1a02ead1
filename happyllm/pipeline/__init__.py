"""From an empty folder to a model that answers: what the command `happyllm` does, as functions.

Read the files in this order: folder, corpus, vocabulary, rows, assemble; then evaluate, speak,
export, plot; parts brings in a learner's own files, launch starts several processes.
"""
