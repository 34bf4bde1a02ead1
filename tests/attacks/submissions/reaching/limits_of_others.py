# outcome: error
# never: TOUCHED
"""Turns the knobs of a process that is not its own: its limits, its processors, its rank."""

import os
import resource


def repeat_kv(x, n_rep):
    touched = []
    for change in (
        lambda pid: resource.prlimit(pid, resource.RLIMIT_NOFILE, (17, 17)),
        lambda pid: os.setpriority(os.PRIO_PROCESS, pid, 19),
        lambda pid: os.sched_setaffinity(pid, {0}),
    ):
        try:
            change({{bystander}})
            touched.append("TOUCHED")
        except OSError:
            continue
    raise ValueError(f"{touched}")
