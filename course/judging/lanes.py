"""Judge many submissions, several side by side: in lanes on this machine, or over the workers of a Dask scheduler."""

import functools
import itertools
import math
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from course.judging.assignment import Assignment
from course.judging.grader import Grader, Key, Work, cores
from course.judging.verdict import Judged

LANES_PER_CORE = 1.5
"""Starting a kernel is partly waiting, so one lane a core leaves it idle; with two or three a core, submissions that
compute for seconds push each other out of its cache (bench/grading.md)."""


def judge_many(
    assignment: Assignment,
    jobs: Iterable[Work[Key]],
    *,
    lanes: int | None = None,
    scheduler: str | None = None,
    isolated: bool = True,
) -> Generator[tuple[Key, Judged], None, None]:
    """Judge submissions, each with its seed, and yield them by their keys as they are done.

    `lanes` submissions are judged at a time on this machine (three for every two cores when not given), or as many as
    the workers of a Dask scheduler have threads when its address is given. `jobs` is read as lanes become free. Ending
    the iteration early, by `close()` or an exception such as KeyboardInterrupt, ends all processes at once.

    Raises:
        GraderError: grading cannot go on at all; what was yielded before stands.
    """
    if scheduler is not None:
        from course.judging.cluster import judge_on_cluster

        yield from judge_on_cluster(
            assignment, jobs, scheduler, functools.partial(Grader, assignment, isolated=isolated)
        )
        return
    lanes = lanes or lanes_here()
    with Grader(assignment, isolated=isolated, crowding=lanes / cores()) as grader:
        yield from in_lanes(grader, jobs, lanes)


def in_lanes(grader: Grader, jobs: Iterable[Work[Key]], lanes: int) -> Iterator[tuple[Key, Judged]]:
    """Judge submissions with a grader that is running, `lanes` at a time."""
    waiting = iter(jobs)
    pool = ThreadPoolExecutor(lanes, thread_name_prefix="lane")
    running: dict[Future[Judged], Key] = {}
    try:
        while True:
            # As many again stand ready, so that no lane waits while the caller uses what it was given.
            for key, received, seed in itertools.islice(waiting, 2 * lanes - len(running)):
                running[pool.submit(grader.judge, received, seed)] = key
            if not running:
                break
            for done in wait(running, return_when=FIRST_COMPLETED).done:
                yield running.pop(done), done.result()
    except BaseException:
        grader.close()  # lets the lanes go
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def lanes_here() -> int:
    """How many submissions are judged at a time on this machine."""
    return math.ceil(LANES_PER_CORE * cores())
