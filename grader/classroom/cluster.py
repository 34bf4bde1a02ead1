"""A class graded by the machines of a Dask cluster, behind the same face as the pool of this one.

The record stays here. What is sent are texts, what comes back are reports, both as bytes; a machine
that is not the same as this one, or that isolates less than the best of them, is refused by name. A
machine that dies costs a retry: its hand-ins go to another.
"""

from __future__ import annotations

import contextlib
import json
import queue
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from grader import engine
from grader.catalogue import Exercise, Text
from grader.report import Graded, build
from grader.sandbox.backends import Backend
from grader.sandbox.isolation import STRENGTHS, Isolation

from . import site
from .pool import Began, Event, Finished, Task, Verdict
from .problems import ClassroomError

if TYPE_CHECKING:
    from distributed import Client, Future

PATIENCE_S: Final = 60.0  # for the first machine, or for another after the last one
_AHEAD: Final = 2  # hand-ins sent for each thread of a machine, so that none waits for the next
_LOOK_S: Final = 0.5  # so often is looked who has come and who has gone
_TRIES: Final = 2  # of what a machine fails on; one that dies is not counted here

Told = Callable[[Text], None]


@dataclass
class _Machine:
    """A worker of the cluster that may grade."""

    name: str
    threads: int
    isolation: Isolation


@dataclass
class _Sent:
    """A hand-in that is out: how often it has been tried, and which machines may take it."""

    task: Task
    files: Mapping[str, str]
    tries: int = 1
    to: frozenset[str] = frozenset()


@dataclass
class _Machines:
    """The workers that may grade, and those that may not, by address."""

    fit: dict[str, _Machine] = field(default_factory=dict)
    refused: dict[str, Text] = field(default_factory=dict)


class Cluster:
    """Grades tasks on a Dask cluster. Use it as a context manager."""

    def __init__(
        self,
        address: str,
        exercises: Sequence[Exercise],
        *,
        backend: Backend | None = None,
        patience_s: float = PATIENCE_S,
        tell: Told = lambda _: None,
    ):
        """Connect to the scheduler.

        Args:
            address: of the scheduler, `tcp://10.0.0.1:8786`.
            exercises: what will be graded.
            backend: how the machines make processes.
            patience_s: how long to wait when there is no machine.
            tell: is called with what is to be known of a machine.

        Raises:
            ClassroomError: Dask is not installed, or the scheduler does not answer.
        """
        self.address = address
        self._exercises = tuple(exercises)
        self._backend = backend
        self._patience_s = patience_s
        self._tell = tell
        self._machines = _Machines()
        self._order: dict[str, Any] = {}
        self._done: queue.SimpleQueue[Future] = queue.SimpleQueue()
        self._client = _connect(address)

    def isolation(self, policy: engine.Policy) -> Isolation:
        """The isolation that code will be graded under: the best that a machine gives.

        Raises:
            ClassroomError: no machine is there, or none is fit.
        """
        self._order = site.order(self._exercises, policy, self._backend)
        until = time.monotonic() + self._patience_s
        while not self._workers():
            if time.monotonic() > until:
                raise self._nobody()
            time.sleep(0.1)
        self._admit(self._workers())
        if not self._machines.fit:
            raise self._nobody()
        return next(iter(self._machines.fit.values())).isolation

    def grade(self, tasks: Iterable[Task]) -> Generator[Event, None, None]:
        """Grade tasks, and say what happens. Closing the generator leaves the rest ungraded.

        Raises:
            ClassroomError: no machine is left, or the scheduler has gone.
        """
        left = iter(tasks)
        following = next(left, None)
        out: dict[Future, _Sent] = {}
        alive_at = looked_at = time.monotonic()
        try:
            while following is not None or out:
                most = _AHEAD * sum(one.threads for one in self._machines.fit.values())
                while following is not None and len(out) < most:
                    self._send(_Sent(following, following.load()), out)
                    following = next(left, None)
                with contextlib.suppress(queue.Empty):
                    future = self._done.get(timeout=_LOOK_S)
                    if future in out:
                        yield from self._come_back(future, out.pop(future), out)
                if time.monotonic() > looked_at + _LOOK_S:
                    alive_at = self._look_around(out, alive_at)
                    looked_at = time.monotonic()
        finally:
            for future in out:
                future.cancel()

    def close(self) -> None:
        """Leave the cluster; its machines stay as they are."""
        self._client.close(timeout=5)

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ---- hand-ins

    def _send(self, sent: _Sent, out: dict[Future, _Sent]) -> None:
        wanted = self._order | {
            "files": dict(sent.files),
            "left": [one.id for one in sent.task.exercises],
        }
        # Never to nobody: that would be to anybody. Where no machine is left it waits for the old.
        sent.to = frozenset(self._machines.fit) or sent.to
        future = self._client.submit(
            site.grade,
            json.dumps(wanted).encode(),
            workers=sorted(sent.to),
            allow_other_workers=False,
            pure=False,
        )
        out[future] = sent
        future.add_done_callback(self._done.put)

    def _come_back(self, future: Future, sent: _Sent, out: dict[Future, _Sent]) -> Iterator[Event]:
        """Tell what has come of a hand-in; what a machine failed on is sent once more.

        Raises:
            ClassroomError: the scheduler has gone.
        """
        if future.cancelled():
            raise self._cut_off()
        try:
            verdicts = _verdicts(future.result(), sent.task)
        except Exception as error:  # whatever a machine may raise
            if sent.tries < _TRIES:
                sent.tries += 1
                self._send(sent, out)
                return
            why = " ".join(str(error).split())[:500] or type(error).__name__
            verdicts = [engine.lost(one, why) for one in sent.task.exercises]
        yield Began(sent.task)
        yield from (Verdict(sent.task, graded) for graded in verdicts)
        yield Finished(sent.task)

    # ---- machines

    def _workers(self) -> dict[str, Any]:
        """The cluster's workers, by address.

        Raises:
            ClassroomError: the scheduler does not answer any more.
        """
        try:
            found: dict[str, Any] = self._client.scheduler_info(n_workers=-1)["workers"]
        except (OSError, RuntimeError) as error:
            raise self._cut_off() from error
        return found

    def _look_around(self, out: dict[Future, _Sent], alive_at: float) -> float:
        """Take in machines that have come, forget those that have gone.

        Returns:
            when there was a machine last.

        Raises:
            ClassroomError: there has been none for too long.
        """
        workers = self._workers()
        for gone in self._machines.fit.keys() - workers.keys():
            del self._machines.fit[gone]
        new = {address: one for address, one in workers.items() if address not in self._known()}
        if new:
            self._admit(new)
        there = self._machines.fit.keys()
        for future, sent in list(out.items()):
            if there and not sent.to & there:  # it waits for machines that are no more
                del out[future]
                future.cancel()
                self._send(sent, out)
        if self._machines.fit:
            return time.monotonic()
        if time.monotonic() > alive_at + self._patience_s:
            raise self._nobody()
        return alive_at

    def _known(self) -> set[str]:
        return {*self._machines.fit, *self._machines.refused}

    def _admit(self, workers: Mapping[str, Any]) -> None:
        """Ask machines who they are; take those that are the same as this one."""
        asked = {
            address: self._client.submit(
                site.introduce,
                json.dumps(self._order).encode(),
                workers=[address],
                allow_other_workers=False,
                pure=False,
            )
            for address in workers
        }
        mine = site.identity(self._exercises)
        fit: dict[str, _Machine] = {}
        for address, future in asked.items():
            name = f"{workers[address].get('name') or address} ({address})"
            try:
                said = json.loads(future.result(timeout=120))
            except Exception as error:  # it has no happyllm, or has gone
                why = f"{type(error).__name__}: {error}"[:300]
                self._refuse(
                    address, Text(f"{name}: does not answer: {why}", f"{name}：没有回应：{why}")
                )
                continue
            why_not = _differs(name, said, mine)
            if why_not is not None:
                self._refuse(address, why_not)
            else:
                threads = int(workers[address].get("nthreads", 1))
                fit[address] = _Machine(name, threads, said["isolation"])
        self._keep_the_best(fit)

    def _keep_the_best(self, fit: dict[str, _Machine]) -> None:
        """Refuse what isolates less than others do: no grade may depend on where it was made."""
        there = [one.isolation for one in (*self._machines.fit.values(), *fit.values())]
        if self._machines.fit:
            best = next(iter(self._machines.fit.values())).isolation  # the run has begun with it
        else:
            best = min(there, key=STRENGTHS.index, default="process")
        for address, one in fit.items():
            if one.isolation == best:
                self._machines.fit[address] = one
            else:
                self._refuse(
                    address,
                    Text(
                        f"{one.name}: isolates by '{one.isolation}', the others by '{best}'",
                        f"{one.name}：隔离为 '{one.isolation}'，其他机器为 '{best}'",
                    ),
                )

    def _refuse(self, address: str, why: Text) -> None:
        self._machines.refused[address] = why
        self._tell(Text(f"machine refused: {why.en}.", f"已拒绝机器：{why.zh}。"))

    def _cut_off(self) -> ClassroomError:
        return ClassroomError(
            Text(
                f"{self.address}: the scheduler has gone. What is graded is kept; start it again, "
                "and the same command goes on from here.",
                f"{self.address}：调度器已断开。评过的都已保存；重新启动它，再次运行同一命令即可继续。",
            )
        )

    def _nobody(self) -> ClassroomError:
        refused = self._machines.refused.values()
        en = "; ".join(why.en for why in refused) or "none is there"
        zh = "；".join(why.zh for why in refused) or "没有机器"
        return ClassroomError(
            Text(
                f"{self.address}: no machine of the cluster can grade ({en}). Start one with this "
                "version of happyllm by `dask worker`; what is graded is kept, and the same "
                "command goes on from here.",
                f"{self.address}：集群中没有可用于评分的机器（{zh}）。请用 `dask worker` 启动装有"
                "同一版本 happyllm 的机器；评过的都已保存，再次运行同一命令即可继续。",
            )
        )


def _connect(address: str) -> Client:
    """A connection to a scheduler.

    Raises:
        ClassroomError: Dask is not installed, or the scheduler does not answer.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise ClassroomError(
            Text(
                "--dask needs Dask: pip install 'happyllm[cluster]'.",
                "--dask 需要 Dask：pip install 'happyllm[cluster]'。",
            )
        ) from error
    try:
        return Client(address, timeout=5, set_as_default=False)
    except (OSError, ValueError) as error:
        why = " ".join(str(error).split())[:200] or type(error).__name__
        raise ClassroomError(
            Text(
                f"{address}: no Dask scheduler answers ({why}); start one by `dask scheduler`.",
                f"{address}：没有 Dask 调度器回应（{why}）；请用 `dask scheduler` 启动。",
            )
        ) from error


def _differs(name: str, said: Mapping[str, Any], mine: Mapping[str, str]) -> Text | None:
    """Why a machine must not grade; nothing if it may."""
    its: Mapping[str, str] = said.get("identity", {})
    for key, value in mine.items():
        if key not in ("suites", "environment") and its.get(key) != value:
            has = its.get(key, "?")
            return Text(
                f"{name}: has {key} {has}, and this machine has {value}",
                f"{name}：{key} 为 {has}，本机为 {value}",
            )
    if its.get("suites") != mine["suites"]:
        return Text(f"{name}: has other suites", f"{name}：测试与本机不同")
    if its.get("environment") != mine["environment"]:
        return Text(f"{name}: has another grader", f"{name}：评测器或参考实现与本机不同")
    if not said["isolation"]:
        return Text(f"{name}: {said['why']}", f"{name}：{said['why']}")
    return None


def _verdicts(answer: bytes, task: Task) -> list[Graded]:
    """The verdicts in an answer, one for each exercise that was asked for."""
    found: dict[str, Graded] = {one["id"]: build(Graded, one) for one in json.loads(answer)}
    return [found.get(one.id) or engine.lost(one, "no verdict came") for one in task.exercises]
