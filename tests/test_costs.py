"""Tests are told apart by topic, dealt in whole groups, the longest first, and what they took is kept."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench import proof
from tests.support import costs


@pytest.mark.parametrize(
    ("nodeid", "topic", "group"),
    [
        ("tests/topics/gpt/test_gpt.py::test_a", "gpt", "tests/topics/gpt/test_gpt.py gpt"),
        ("course/assignments/gpt.py::test_a", "gpt", "course/assignments/gpt.py gpt"),
        ("tests/banks/test_banks.py::test_a[gpt-gelu-a_label]", "gpt", "tests/banks/test_banks.py gpt"),
        ("tests/book/test_book.py::test_a[gpt]", "gpt", "tests/book/test_book.py gpt"),
        ("tests/test_up.py::test_a[gpt is a word]", None, "tests/test_up.py"),
        ("tests/test_up.py::test_a", None, "tests/test_up.py"),
    ],
)
def test_a_test_belongs_to_a_topic_and_a_group(nodeid: str, topic: str | None, group: str) -> None:
    assert costs.topic_of(nodeid) == topic
    assert costs.group_of(nodeid) == group


CONFTEST = """
from tests.conftest import *
from tests.support import costs

costs.seconds = lambda: {"test_a.py": 1, "test_b.py": 3, "test_c.py gpt": 2, "test_c.py scale": 0.5}
costs.MEASURED = costs.Path(__file__).with_name("measured.json")
"""
TESTS = """
import os, pathlib, pytest

@pytest.mark.parametrize("number", range(3))
@pytest.mark.parametrize("name", {names})
def test(name, number):
    sum(range(200_000))
    with pathlib.Path("ran").open("a") as file:
        file.write(f"{{os.environ.get('PYTEST_XDIST_WORKER')}} {{__name__[-1]}}-{{name}}\\n")
"""


@pytest.mark.parametrize("workers", [1, 2])
def test_groups_are_dealt_whole_and_the_longest_first(tmp_path: Path, workers: int) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    for letter, names in {"a": ["x"], "b": ["x"], "c": ["gpt", "scale"], "d": ["x"]}.items():
        (tmp_path / f"test_{letter}.py").write_text(TESTS.format(names=names))
    command = [sys.executable, "-m", "pytest", "-q", f"-n{workers}", "--dist", "loadgroup", "-p", "no:cacheprovider"]
    command += ["--basetemp", "temporary", "."]
    environment = os.environ | {"PYTHONPATH": str(costs.ROOT)}
    environment.pop("PYTEST_XDIST_WORKER", None)
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=900)
    assert "15 passed" in done.stdout, done.stdout + done.stderr
    ran = [line.split() for line in (tmp_path / "ran").read_text().splitlines()]
    assert len({tuple(pair) for pair in ran}) == 5, "a group runs on one worker"
    if workers == 1:  # two say nothing of the order in which they were given their work
        begun = list(dict.fromkeys(group for _, group in ran))
        assert begun == ["d-x", "b-x", "c-gpt", "a-x", "c-scale"], "one that nobody measured, then the longest"
    measured = json.loads((tmp_path / "measured.json").read_text())
    assert len(measured) == 15
    assert all(cost["kind"] == "fast" and cost["processor"] > 0 and cost["wall"] > 0 for cost in measured.values())


def test_what_a_running_process_below_has_computed_counts() -> None:
    work = "import sys\nsum(range(20_000_000))\nprint(flush=True)\nsys.stdin.read()"
    between = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {work!r}])"
    before = costs.processor_seconds()
    with subprocess.Popen([sys.executable, "-c", between], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        running = costs.processor_seconds()
    assert before + 0.1 < running <= costs.processor_seconds()


def test_the_page_adds_up() -> None:
    tests = {
        "tests/banks/test_banks.py::test_a[gpt]": {"kind": "fast", "processor": 40.0, "wall": 50.0},
        "tests/topics/scale/test_scale.py::test_a": {"kind": "fast", "processor": 20.0, "wall": 20.0},
        "tests/banks/test_banks.py::test_b[gpt]": {"kind": "proof", "processor": 600.0, "wall": 700.0},
        "tests/long/test_hub.py::test_c": {"kind": "long", "processor": 60.0, "wall": 90.0},
        "tests/book/test_book.py::test_d": {"kind": "fast", "processor": 12.0, "wall": 12.0},
    }
    topics, rooms = proof.tables(tests)
    book = 12 / len(topics)
    assert topics["gpt"] == {"fast": 40 + book, "proof": 600.0} and rooms == {"tests/long": {"long": 60.0}}
    text = proof.page(tests)
    assert f"| gpt | {40 + book:.0f} | 0 | 600 |" in text and f"| mean | {72 / len(topics):.0f} | 0 |" in text
    assert "Fast and long together are 1 minutes" in text
    assert proof.groups(tests)["tests/banks/test_banks.py gpt"] == {"processor": 40.0, "wall": 50.0}
