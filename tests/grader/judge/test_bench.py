"""The bench: what it finds out for all gradings, and when."""

from __future__ import annotations

import dataclasses
import socket
from collections.abc import Callable

from grader.judge.bench import HEAR_AFTER, _Bench
from grader.judge.job import Job
from grader.judge.session import Stage, on_stage
from grader.sandbox.nursery import Lease, Nursery

from .test_rehearsal import SUITE


def test_mistakes_are_heard_out_once_and_only_when_it_pays(
    make_job: Callable[..., Job], warm: Nursery
) -> None:
    job = make_job(SUITE)
    done = []

    def then(stage: Stage) -> None:
        stage.rehearse(dataclasses.replace(job, files={}))
        ours, theirs = socket.socketpair()
        with ours, theirs:
            bench = _Bench(theirs, Lease(warm._connection).share(), stage, {job.exercise.id: job})
            for _ in range(HEAR_AFTER - 1):
                bench.hear(job.exercise.id)
            assert not bench.hearings
            bench.hear(job.exercise.id)
            (hearing,) = bench.hearings.values()
            while bench.hearings:
                bench.listen(hearing)
            heard = stage.heard(job.exercise.id)
            assert heard is not None
            assert heard.replies.keys() == {"tripled", "thirds"}
            assert heard == stage.hear(job)
            bench.hear(job.exercise.id)
            assert not bench.hearings
            bench.lease.connection.close()
        done.append(True)

    assert job.suite is not None
    on_stage([job.suite], then)
    assert done
