"""What each test costs in processor time, and how tests are dealt to workers by it: the longest first.

A group is what one worker runs together, because it shares what is dear to make: the tests of a file, or those of a
file for one topic. `tests/costs.json` holds what each group took when it was last measured (`python -m bench.proof`).
"""

import contextlib
import json
import os
import re
import resource
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

import psutil
import pytest
from xdist.scheduler import LoadScopeScheduling

from course import ROOT

TOPICS = frozenset(path.stem for path in (ROOT / "course" / "assignments").glob("*.py"))
MEASURED = ROOT / "_build" / "costs" / "tests.json"
KEPT = ROOT / "tests" / "costs.json"
UNKNOWN = 1e9  # a group that nobody has measured may be long: it begins at once
OWN_FOLDER = re.compile(r"(?:tests/topics/|course/assignments/)(\w+)")


def topic_of(nodeid: str) -> str | None:
    """The topic that a test is about, by its folder or its first parameter; None for a test of the rooms."""
    own = OWN_FOLDER.match(nodeid)
    first = own[1] if own else re.split(r"[-\]]", nodeid.partition("[")[2])[0]
    return first if first in TOPICS else None


def group_of(nodeid: str) -> str:
    """The name of a test's group: `tests/banks/test_banks.py gpt`, or the file alone."""
    file, topic = nodeid.partition("::")[0], topic_of(nodeid)
    return f"{file} {topic}" if topic else file


@cache
def seconds() -> dict[str, float]:
    """What each group took when it was last measured."""
    kept = json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.exists() else {}
    return {group: cost["wall"] for group, cost in kept.items()}


def longest_first(items: list[pytest.Item]) -> None:
    """Sort tests by what their group takes; the tests of a group stay together and in order."""
    items.sort(key=lambda item: (-seconds().get(group := group_of(item.nodeid), UNKNOWN), group))


class ByGroup(LoadScopeScheduling):
    """Deals whole groups, in the order in which they were collected.

    xdist's own groups (`--dist loadgroup`) have no effect on pytest 9.2: they need an attribute it no longer reads.
    """

    def __init__(self, config: pytest.Config, log: object = None) -> None:
        super().__init__(config, log)  # type: ignore[arg-type]
        config.option.loadscopereorder = False  # by number of tests, which says nothing of their length

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)


def processor_seconds() -> float:
    """What this process and all that it has started, whether ended or still running, have computed so far."""
    waited_for = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    seconds = sum(used.ru_utime + used.ru_stime for used in waited_for)
    for pid in descendants(os.getpid()):
        with contextlib.suppress(psutil.NoSuchProcess):
            seconds += sum(psutil.Process(pid).cpu_times()[:4])  # its own, and that of children it has waited for
    return seconds


def descendants(pid: int) -> Iterator[int]:
    """The running processes below one. Linux tells them; psutil looks at all processes there are, for every test."""
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in map(int, task.read_text(encoding="ascii").split()):
                yield child
                yield from descendants(child)


class Costs:
    """Collects what each test took, here or on the workers, and writes it to _build/costs/tests.json."""

    def __init__(self) -> None:
        self.took: dict[str, dict[str, float | str]] = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterable[None]:
        self.before = processor_seconds()
        return (yield)  # type: ignore[misc]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> Iterable[None]:
        if call.when == "teardown":
            used = max(processor_seconds() - self.before, 0.0)  # what nobody waited for leaves the count as it ends
            item.user_properties.append(("processor", round(used, 3)))
            kind = next((mark for mark in ("proof", "long") if item.get_closest_marker(mark)), "fast")
            item.user_properties.append(("kind", kind))
        return (yield)  # type: ignore[misc]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        cost = self.took.setdefault(report.nodeid, {"wall": 0.0})
        cost["wall"] = round(float(cost["wall"]) + report.duration, 3)
        cost.update(report.user_properties)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if not hasattr(session.config, "workerinput"):
            keep(self.took)


def keep(took: Mapping[str, Mapping[str, float | str]]) -> None:
    """Add to what earlier runs have measured."""
    known = json.loads(MEASURED.read_text(encoding="utf-8")) if MEASURED.exists() else {}
    MEASURED.parent.mkdir(parents=True, exist_ok=True)
    MEASURED.write_text(json.dumps(known | dict(took), indent=0, sort_keys=True) + "\n", encoding="utf-8")


def about(nodeid: str, topic: str) -> bool:
    """Whether a test belongs to the proof of one topic; what reads the whole built book does not."""
    return topic_of(nodeid) == topic and not Path(nodeid.partition("::")[0]).match("tests/book/test_book.py")
