# outcome: error, blocked
# link: ch5/helper.py -> {{repo}}/solutions/ch5/repeat_kv.py
"""Its helper is a symbolic link to the worked file on the grader's own disk."""

from ch5.helper import repeat_kv  # noqa: F401
