# outcome: failed, blocked, error
"""Answers with a container in a container in a container, past every limit."""


def repeat_kv(x, n_rep):
    answer = []
    for _ in range(50_000):
        answer = [answer]
    return answer
