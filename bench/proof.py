"""`python -m bench.proof`: what the proof of a change costs, from what `make test` and the others measured here.

Writes bench/proof.md, for people, and tests/costs.json, by which tests are dealt to workers.
"""

import datetime
import json
import os
import platform
from collections import defaultdict
from pathlib import Path

from tests.support.costs import KEPT, MEASURED, TOPICS, group_of, topic_of

PAGE = Path(__file__).with_name("proof.md")
KINDS = ("fast", "long", "proof")
PLANNED = 25  # topics, when the course is complete
BUDGET = {"fast": 75, "long": 60}  # seconds of processor time a topic
WHOLE_BOOK = ("tests/book/test_book.py", "tests/book/test_notebooks.py", "tests/book/test_topics.py")
Table = dict[str, dict[str, float]]


def room_of(nodeid: str) -> str:
    """The folder that a test of no topic lies in, as the rooms are called."""
    folders = Path(nodeid.partition("::")[0]).parts[:-1]
    return "/".join(folders[:2])


def tables(tests: dict[str, dict]) -> tuple[Table, Table]:
    """Processor seconds by topic and by room, each by kind of test.

    What builds or reads the whole book grows with every topic: it is shared out evenly over them.
    """
    topics: Table = {name: defaultdict(float) for name in sorted(TOPICS)}
    rooms: Table = defaultdict(lambda: defaultdict(float))
    for nodeid, cost in tests.items():
        topic = topic_of(nodeid)
        if topic is None and nodeid.startswith(WHOLE_BOOK):
            for row in topics.values():
                row[cost["kind"]] += cost["processor"] / len(topics)
        else:
            (topics[topic] if topic else rooms[room_of(nodeid)])[cost["kind"]] += cost["processor"]
    return topics, dict(sorted(rooms.items()))


def drawn(title: str, table: Table, last: str) -> list[str]:
    """A table with a last line that `last` names: the mean of topics, the sum of rooms."""
    lines = [f"| {title} | fast | long | when its inputs change |", "| --- | --: | --: | --: |"]
    rows = [*table.items(), (last, mean(table) if last == "mean" else total(table))]
    return lines + [
        f"| {name} | " + " | ".join(f"{row.get(kind, 0):.0f}" for kind in KINDS) + " |" for name, row in rows
    ]


def total(table: Table) -> dict[str, float]:
    return {kind: sum(row.get(kind, 0) for row in table.values()) for kind in KINDS}


def mean(table: Table) -> dict[str, float]:
    return {kind: seconds / len(table) for kind, seconds in total(table).items()}


def page(tests: dict[str, dict]) -> str:
    """The text of bench/proof.md."""
    topics, rooms = tables(tests)
    a_topic, all_topics, all_rooms = mean(topics), total(topics), total(rooms)
    now = sum(all_topics[kind] + all_rooms[kind] for kind in BUDGET) / 2 / 60
    more = (PLANNED - len(topics)) * sum(a_topic[kind] for kind in BUDGET) / 2 / 60
    return "\n".join(
        [
            "# What a proof costs",
            "",
            "Written by `make costs` from what `make test`, `make test-long` and `make prove` measured on one",
            "machine, in seconds of processor time, those of a test's children included. The budget of a topic, on",
            f"average over the topics, is {BUDGET['fast']} s for fast tests and {BUDGET['long']} s for long ones. What",
            "builds or reads the whole book, chapters that no test has executed before among it, is shared out evenly.",
            "",
            f"{datetime.date.today()}, {os.cpu_count()} cores, Python {platform.python_version()}, {len(tests)} tests.",
            "",
            *drawn("topic", topics, "mean"),
            "",
            *drawn("room", rooms, "sum"),
            "",
            f"Fast and long together are {now:.0f} minutes of two cores that are never idle; with {PLANNED} topics",
            f"at the mean, {now + more:.0f}. Tests that wait for a time limit, a browser or a hub take longer.",
            "",
        ]
    )


def groups(tests: dict[str, dict]) -> dict[str, dict[str, float]]:
    """What each group of tests takes, by which they are dealt."""
    found: dict[str, dict[str, float]] = defaultdict(lambda: {"processor": 0.0, "wall": 0.0})
    for nodeid, cost in tests.items():
        if cost["kind"] != "proof":
            for what in ("processor", "wall"):
                found[group_of(nodeid)][what] += cost[what]
    return {name: {what: round(s, 1) for what, s in cost.items()} for name, cost in sorted(found.items())}


def main() -> None:
    """Read what was measured, and write both files."""
    tests = {test: cost for test, cost in json.loads(MEASURED.read_text(encoding="utf-8")).items() if "kind" in cost}
    KEPT.write_text(json.dumps(groups(tests), indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(page(tests), encoding="utf-8")


if __name__ == "__main__":
    main()
