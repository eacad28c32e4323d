"""Plays the banks of wrong answers and keeps what the tests say of each, so that no page has to wait for it.

    python -m course.pages.record            # every assignment; plays only what changed
    python -m course.pages.record gpt scale  # these

The record of an assignment is `tests/topics/<name>/mistakes.json`, committed; `course.pages.mistakes` reads it.
"""

import argparse
import ast
import functools
import importlib.util
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from types import ModuleType

import torch
from nbformat import NotebookNode
from tqdm import tqdm

from course import ROOT, CourseError
from course.assemble.assembler import Assembler
from course.assemble.source import assignments
from course.banks.bank import Answer, bank
from course.banks.play import play
from course.judging import wire
from course.judging.messages import failure_of
from course.judging.verdict import Failure
from course.notebook import TestCell, test_cells
from course.pages.digests import digests
from course.pages.mistakes import Mistake, bank_of, read_record, record_of
from labkit.files import write_whole
from labkit.notebook import INTEGRATION
from labkit.testing.answers import graded_with

# Hidden tests draw their shapes from the seed, and a mistake may fail another of a test's assertions on other shapes.
SEEDS = ("1", "2", "3", "4", "5")


def outcomes(source: NotebookNode, answer: Answer, seeds: Sequence[str] = SEEDS) -> tuple[dict[str, Failure], ...]:
    """How the tests of its exercise and the integration test fail with an answer, in each way that some seed brings."""
    tests = [test for test in test_cells(source) if test.exercise in (answer.exercise, INTEGRATION)]
    found: list[dict[str, Failure]] = []
    for seed in seeds:
        # No seed changes what visible tests say.
        played = tests if not found else [test for test in tests if test.hidden]
        outcome = {**(found[0] if found else {})}
        for test in played:
            outcome.pop(test.id, None)
        with graded_with(seed):
            errors = play(source, answer.names, only={test.name for test in played}, through_codec=True)
        outcome |= Words(source).of({f"test-{test}": error for test, error in errors.items() if error})
        found.append(outcome)
    return tuple(outcome for n, outcome in enumerate(found) if outcome not in found[:n])


class Words:
    """Puts the exceptions of a notebook's tests into the words that the judge writes down."""

    def __init__(self, source: NotebookNode):
        self.trees = {f"<{cell.id}>": ast.parse(cell.source) for cell in source.cells if cell.cell_type == "code"}
        self.cells: dict[str, TestCell] = {test.id: test for test in test_cells(source)}

    def of(self, errors: Mapping[str, Exception]) -> dict[str, Failure]:
        """`{test cell: how it failed}` for `{test cell: what it raised}`."""
        return {test: failure_of(error, self.cells[test], self.trees) for test, error in errors.items()}


def record(root: Path, names: Iterable[str]) -> dict[str, int]:
    """Bring the records of assignments up to date; `{assignment: how many answers were played}`.

    What has its digest already is taken over as it is, so that the same bank gives the same bytes.
    """
    played = {}
    for name in names:
        now = digests(root, name, _source(root, name))
        known = {(m.exercise, m.label): m for m in read_record(root, name)}
        current = {key: known[key] for key in now if key in known and known[key].digest == now[key]}
        todo = [(root, name, key) for key in now if key not in current]
        played[name] = len(todo)
        pool = ProcessPoolExecutor(len(os.sched_getaffinity(0)))
        try:
            shown = tqdm(pool.map(_played, todo), total=len(todo), desc=f"{name}: answers played", disable=not todo)
            for (_, _, key), found in zip(todo, shown, strict=True):
                current[key] = Mistake(*key, found, now[key])
        finally:  # what was played before an interruption is not lost
            pool.shutdown(cancel_futures=True)
            entries = [wire.encode(current[key]) for key in now if key in current]  # a line each, for readable changes
            write_whole(record_of(root, name), b"[\n" + b",\n".join(entries) + b"\n]\n")
    return played


@functools.cache
def _source(root: Path, name: str) -> NotebookNode:
    return Assembler(name, root).build()


def _played(task: tuple[Path, str, tuple[str, str]]) -> tuple[dict[str, Failure], ...]:
    root, name, key = task
    torch.set_num_threads(1)  # one process a core
    _load(bank_of(root, name), f"tests.topics.{name}.wrong")
    (answer,) = (a for a in bank("wrong", name) if (a.exercise, a.label) == key)
    return outcomes(_source(root, name), answer)


def _load(path: Path, module: str) -> ModuleType:
    """The module in a file, under a name; the loaded one, if there is one of that name."""
    if module not in sys.modules:
        spec = importlib.util.spec_from_file_location(module, path)
        assert spec is not None and spec.loader is not None
        sys.modules[module] = importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(sys.modules[module])
        except BaseException:
            del sys.modules[module]
            raise
    return sys.modules[module]


def main() -> None:
    """Run the command; a mistake of the person who typed it ends in one sentence."""
    parser = argparse.ArgumentParser(prog="python -m course.pages.record", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("assignments", nargs="*", help="all, where none is named")
    names = parser.parse_args().assignments or assignments()
    try:
        for name in names:
            bank_of(ROOT, name)
        for name, count in record(ROOT, names).items():
            print(f"{name}: {count} played, record in {record_of(ROOT, name).relative_to(ROOT)}")
    except CourseError as refusal:
        sys.exit(str(refusal))


if __name__ == "__main__":
    main()
