"""Judging spread over the workers of a Dask scheduler.

Every worker process keeps one `Grader` warm while a run lasts, and judges as many submissions at a time as it has
threads. What crosses is the assignment once, submissions as they were received, and judgements, all as text. The
course has to be installed on every machine at the same release (`Assignment.check_code`).

A scheduler and its workers run code for whoever reaches them: keep them on a network of your own, or use Dask's TLS
(an address `tls://...` and Dask's own configuration). On a cluster with a queue, dask-jobqueue starts the workers:

    from dask_jobqueue import SLURMCluster
    cluster = SLURMCluster(cores=6, job_cpu=4, processes=1, memory="12GB", walltime="01:00:00")  # six threads on four
    cluster.scale(jobs=10)
    print(cluster.scheduler_address)   # what the grading command takes

`course/deploy/dask.yaml` holds settings that leave the workers more of their time: name it in DASK_CONFIG where they
and the scheduler start.

The workers may come later than the command, which waits for them.
"""

import contextlib
import itertools
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from distributed import Client, KilledWorker, Worker, WorkerPlugin, as_completed, get_worker

from course.judging import wire
from course.judging.assignment import Assignment, GraderError
from course.judging.grader import Grader, Key, Work, cores
from course.judging.submission import Received
from course.judging.verdict import Judged, failed

PATIENCE = 10.0
"""Seconds within which a scheduler has to answer."""


class WarmGrader(WorkerPlugin):
    """A worker's grader: started with the first submission, closed when the run ends or the worker does."""

    def __init__(self, name: str, make: Callable[..., Grader]):
        self.name, self.make = name, make
        self.grader: Grader | None = None

    def setup(self, worker: Worker) -> None:
        self.crowding = worker.state.nthreads / cores()
        self.lock = threading.Lock()

    def teardown(self, worker: Worker) -> None:
        with self.lock:
            if self.grader is not None:
                self.grader.close()

    def judge(self, received: Received, seed: int) -> Judged:
        with self.lock:
            if self.grader is None:
                self.grader = self.make(crowding=self.crowding).__enter__()
        return self.grader.judge(received, seed)


def judge_here(plugin: str, received: bytes, seed: int) -> bytes:
    """Judge one submission on the worker that runs this; both it and its judgement as JSON."""
    grader: Any = get_worker().plugins[plugin]
    return wire.encode(grader.judge(wire.decode(received, Received), seed))


def judge_on_cluster(
    assignment: Assignment, jobs: Iterable[Work[Key]], scheduler: str, make: Callable[..., Grader]
) -> Iterator[tuple[Key, Judged]]:
    """Judge submissions on the workers of the scheduler at this address and yield them as they are done.

    `make` builds a worker's grader, there. A submission whose worker dies is given to another; one that loses as many
    as Dask allows (`distributed.scheduler.allowed-failures`, three) gets a judgement with no points.

    Raises:
        GraderError: nobody answers at the address, or a worker's course is another release.
    """
    try:
        client = Client(scheduler, timeout=PATIENCE, set_as_default=False)
    except (OSError, ValueError) as error:
        raise GraderError(
            f"No Dask scheduler answers at {scheduler} ({error}): start one with `dask scheduler`, or correct it."
        ) from None
    plugin = f"course-{uuid.uuid4().hex}"
    waiting = iter(jobs)
    running: dict[Any, tuple[Key, Received]] = {}

    def submit() -> list[Any]:
        # Workers come and go; twice as many submissions as threads are under way, so that none waits. One at least,
        # as the run ends when none is.
        count = max(1, 2 * sum(client.nthreads().values()) - len(running))
        futures = []
        for key, received, seed in itertools.islice(waiting, count):
            futures.append(client.submit(judge_here, plugin, wire.encode(received), seed, pure=False))
            running[futures[-1]] = (key, received)
        return futures

    with client:
        client.register_plugin(WarmGrader(plugin, make), name=plugin)
        try:
            client.wait_for_workers(1)
            done = as_completed(submit(), loop=client.loop)
            for future in done:
                key, received = running.pop(future)
                yield key, _judged(future, received, assignment)
                done.update(submit())
        finally:
            with contextlib.suppress(Exception):  # the scheduler may be gone; what ended the run matters more
                client.cancel(list(running))
                client.unregister_worker_plugin(plugin)


def _judged(future: Any, received: Received, assignment: Assignment) -> Judged:
    if future.status == "cancelled":
        raise GraderError(
            "The Dask scheduler went away: start it again and repeat the command, which goes on from here."
        )
    error = future.exception()
    if error is None:
        return wire.decode(future.result(), Judged)
    if isinstance(error, KilledWorker):
        reason = "It could not be judged: every machine that tried was lost. Tell your instructor."
        return failed(received.notebook, assignment.notebook, reason)
    raise GraderError(str(error)) from error
