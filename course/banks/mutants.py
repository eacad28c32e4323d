"""Which small changes of the reference keep all points: what no test asks.

    python -m course.banks.mutants gpt

plays every mutant of an assignment (`course.banks.mutate`) into its notebook and writes what survived to
`tests/topics/<name>/mutants.json`. A mutant that survives all tests needs a better test, or a place in `equivalent.py`
beside that record with the reason why it is the same function. What survives only the visible tests is listed too.
"""

import argparse
import copy
import hashlib
import json
import math
import multiprocessing
import os
import resource
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path

import torch
from nbformat import NotebookNode
from rich.console import Console
from rich.progress import track

from course import ROOT, CourseError
from course.assemble.assembler import Assembler
from course.assemble.source import assignments
from course.banks.equivalent import USES, difference, equivalents
from course.banks.mutate import Mutant, mutants
from course.banks.play import play, without_hidden_tests
from course.notebook import kind_of, test_cells
from course.reach import Reach, bare
from labkit.files import write_whole
from labkit.notebook import INTEGRATION, name_of

CAUGHT_BY_VISIBLE, CAUGHT_BY_HIDDEN, SURVIVED = "visible", "hidden", "survived"
# Beside the reference's own time, which is taken five times: a mutant may be slow and right.
SECONDS = 10
MEMORY = 2 << 30
# How calls travel between tests and answers says nothing of what the tests ask.
NOT_REACHED = ("labkit.testing.answers", "labkit.testing.link")

Key = tuple[str, str]
"""An exercise and the name of one of its mutants."""


@dataclass(frozen=True)
class Record:
    """What became of an assignment's mutants, and the digest of what that depends on."""

    digest: str
    mutants: int
    caught_by_visible: int
    survive_visible_tests: list[Key]
    """Those that only a hidden test catches."""
    survive_all_tests: list[Key]

    def text(self) -> str:
        return json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n"


class MutantPlayer:
    """The mutants of an assignment, played in processes of their own."""

    def __init__(self, name: str):
        self.name = name
        self.notebook = Assembler(name).build()
        self.released = without_hidden_tests(self.notebook)
        self.cells = {name_of(c): c.source for c in self.notebook.cells if kind_of(c) == "exercise"}
        self.mutants = [m for exercise, source in self.cells.items() for m in mutants(exercise, source)]

    def digest(self) -> str:
        """Of all that the fate of a mutant depends on: comments and prose apart."""
        code = [c.source for c in self.notebook.cells if c.cell_type == "code" and kind_of(c) != "run"]
        digest = hashlib.sha256()
        reach = Reach(ROOT, ("labkit", "solutions"), NOT_REACHED)
        for text in [*map(bare, code), *reach.of(code)]:
            digest.update(text.encode())
        for mutant in self.mutants:
            digest.update(mutant.source.encode())
        return digest.hexdigest()

    def fate(self, mutant: Mutant, *, seconds: int) -> str:
        """What becomes of one mutant: see `fates`."""
        return next(iter(self.fates([mutant], seconds={mutant.exercise: seconds})))[1]

    def fates(
        self, some: Iterable[Mutant], *, seconds: dict[str, int], at_once: int = 1
    ) -> Iterator[tuple[Mutant, str]]:
        """`(mutant, what catches it)` in the order in which they end; `seconds` of processor time an exercise."""
        waiting = list(some)[::-1]
        running: dict[Connection, tuple[Mutant, BaseProcess]] = {}
        known: dict[Connection, str] = {}
        while waiting or running:
            while waiting and len(running) < at_once:
                mutant = waiting.pop()
                here, there = multiprocessing.Pipe(duplex=False)
                process: BaseProcess = multiprocessing.get_context("fork").Process(
                    target=self._play, args=(mutant, seconds[mutant.exercise], there)
                )
                process.start()
                there.close()
                running[here] = mutant, process
                known[here] = CAUGHT_BY_VISIBLE
            for ready in wait(list(running)):
                assert isinstance(ready, Connection)
                try:
                    known[ready] = ready.recv()
                except EOFError:  # it has ended, by itself or at a limit
                    mutant, process = running.pop(ready)
                    process.join()
                    ready.close()
                    yield mutant, known.pop(ready)

    def _play(self, mutant: Mutant, seconds: int, results: Connection) -> None:
        """In a process of its own: say after each stage what is known."""
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 1)
            os.dup2(nowhere.fileno(), 2)
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
        resource.setrlimit(resource.RLIMIT_AS, (_address_space() + MEMORY,) * 2)
        if self._passes(self.released, mutant):
            results.send(CAUGHT_BY_HIDDEN)
            if self._passes(self.notebook, mutant):
                results.send(SURVIVED)

    def _passes(self, notebook: NotebookNode, mutant: Mutant) -> bool:
        cells = [copy.copy(cell) for cell in notebook.cells]
        for cell in cells:
            if kind_of(cell) == "exercise" and name_of(cell) == mutant.exercise:
                cell["source"] = mutant.source
        changed = copy.copy(notebook)
        changed["cells"] = cells
        return not any(play(changed, only=self.tests_of(mutant.exercise), first_failure=True).values())

    def tests_of(self, exercise: str) -> list[str]:
        """The exercise's tests and the integration test: others take its answer from the reference."""
        return [t.name for t in test_cells(self.notebook) if t.exercise in (exercise, INTEGRATION)]

    def seconds(self) -> dict[str, int]:
        """Processor time that a mutant of each exercise may take; plays the reference, which must keep its points."""
        allowed = {}
        for exercise, source in self.cells.items():
            start = time.process_time()
            for notebook in (self.released, self.notebook):
                if not self._passes(notebook, Mutant(exercise, "", source)):
                    raise CourseError(f"{self.name}: the reference fails a test of {exercise}; mend that first.")
            allowed[exercise] = math.ceil(SECONDS + 5 * (time.process_time() - start))
        return allowed

    def record(self) -> Record:
        """Play all mutants, with progress."""
        seconds = self.seconds()
        cores = len(os.sched_getaffinity(0))
        played = self.fates(self.mutants, seconds=seconds, at_once=cores)
        fates = {
            (mutant.exercise, mutant.name): fate
            for mutant, fate in track(played, self.name, len(self.mutants), console=Console(stderr=True))
        }

        def keys(fate: str) -> list[Key]:
            return [key for m in self.mutants if fates[key := (m.exercise, m.name)] == fate]

        return Record(
            digest=self.digest(),
            mutants=len(self.mutants),
            caught_by_visible=len(keys(CAUGHT_BY_VISIBLE)),
            survive_visible_tests=keys(CAUGHT_BY_HIDDEN),
            survive_all_tests=keys(SURVIVED),
        )

    def mutant(self, key: Key) -> Mutant:
        return next(m for m in self.mutants if (m.exercise, m.name) == tuple(key))

    def difference(self, key: Key, times: int = USES) -> str | None:
        """Where random uses tell a mutant that is listed as equivalent from the reference; None where none does."""
        mutant = self.mutant(key)
        use = equivalents(self.name).uses.get(mutant.exercise)
        if use is None:
            return f"tests/topics/{self.name}/equivalent.py has no @uses({mutant.exercise!r})"
        return difference(self.notebook, use, self.cells[mutant.exercise], mutant.source, times)


def _address_space() -> int:
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[0]
    return int(pages) * resource.getpagesize()


def path_of(name: str) -> Path:
    """Where an assignment's record lies."""
    return ROOT / "tests" / "topics" / name / "mutants.json"


def read(name: str) -> Record | None:
    """An assignment's record, if it has one."""
    if not path_of(name).exists():
        return None
    found = json.loads(path_of(name).read_text(encoding="utf-8"))
    for field in ("survive_visible_tests", "survive_all_tests"):
        found[field] = [tuple(key) for key in found[field]]
    return Record(**found)


def unexplained(name: str, record: Record) -> list[Key]:
    """The mutants that survive all tests and are not listed as equivalent."""
    return [key for key in record.survive_all_tests if key not in equivalents(name).reasons]


def summary(name: str, record: Record) -> str:
    """One line: how many there are and what became of them."""
    left = unexplained(name, record)
    return (
        f"{name}: {record.mutants} mutants, caught by visible tests {record.caught_by_visible}, "
        f"by any test {record.mutants - len(record.survive_all_tests)}, "
        f"equivalent {len(record.survive_all_tests) - len(left)}, unexplained {len(left)}"
    )


def report(name: str, record: Record) -> Iterator[str]:
    """What keeps all points, by exercise: all tests, and visible tests only."""
    columns = {
        "keeps all points, and is not listed as equivalent": unexplained(name, record),
        "keeps all points with visible tests only": record.survive_visible_tests,
    }
    for title, keys in columns.items():
        if keys:
            yield f"{title}:"
        for exercise, change in keys:
            yield f"  {exercise}: {change}"
    yield summary(name, record)


def main(arguments: list[str] | None = None) -> int:
    """Play the mutants of an assignment and write down what survives."""
    parser = argparse.ArgumentParser(prog="python -m course.banks.mutants", description=main.__doc__)
    parser.add_argument("names", nargs="+", metavar="assignment", choices=assignments())
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)  # a process that has started threads cannot be forked
    for name in options.names:
        record = MutantPlayer(name).record()
        write_whole(path_of(name), record.text().encode())
        print(*report(name, record), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
