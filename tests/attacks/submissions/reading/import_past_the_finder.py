# outcome: error, blocked
# needs: landlock
"""Takes the refusing importer away, puts the checkout on the path, imports the reference."""

import sys

sys.meta_path[:] = [finder for finder in sys.meta_path if type(finder).__name__ != "Finder"]
sys.path.insert(0, "{{repo}}")

from happyllm.llama.attention import repeat_kv as answer  # noqa: E402


def repeat_kv(x, n_rep):
    return answer(x, n_rep)
