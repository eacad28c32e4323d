"""A small course in a temporary folder, and a stand-in for judging that reads the answers instead of running them.

    python -m tests.support.toy_course ROOT autograde toy     # the grading command on that course, with the stand-in

The stand-in notes each student it judges in ROOT/judged. It waits for ever at a student named "waits", once it has
made the file ROOT/started, unless ROOT/go is there; for one named "breaks" it reports that the judge broke, unless
ROOT/go is there.
"""

import copy
import hashlib
import shutil
import signal
import sys
import threading
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_notebook, new_output
from nbgrader.apps.api import NbGraderAPI

from course import ROOT, grading
from course.gradebook import autograde
from course.judging.assignment import Assignment
from course.judging.submission import Received
from course.judging.verdict import Judged, Verdict
from course.notebook import graded_cell
from course.sandbox import Room
from labkit.notebook import REPORT, VERDICT

RIGHT = {"double": "return x * 2", "count": "return len(words)"}
POINTS = {"double": 3, "count": 2}
STUB = "# YOUR CODE HERE\n    raise NotImplementedError()"


def marked(identity: str, source: str, points: int | None = None) -> NotebookNode:
    """A cell with nbgrader's metadata, as course/assemble writes it."""
    kind, _, name = identity.partition("-")
    about = {"exercise": name.removesuffix("-more"), "hidden": "_hidden" in source} if kind == "test" else None
    return graded_cell(kind, name, source, points, about)


def toy(double: str = RIGHT["double"], count: str = RIGHT["count"], extra: Iterable[NotebookNode] = ()) -> NotebookNode:
    """The assignment's notebook; the arguments are the bodies of the two functions."""
    return new_notebook(
        cells=[
            marked("given-setup", "from labkit.testing.answers import Answers\nanswers = Answers('solutions.toy')"),
            marked("exercise-double", f"def double(x):\n    {double}"),
            marked(
                "test-double",
                "def test_two():\n    assert double(2) == 4, 'double(2) should be 4'\n\n\n"
                "with answers('double', cell='double'):\n    test_two()",
                POINTS["double"],
            ),
            marked("exercise-count", f"def count(words):\n    {count}"),
            marked(
                "test-count",
                "### BEGIN HIDDEN TESTS\n"
                "def test_two_words_hidden():\n    assert count(['a', 'b']) == 2, 'two words'\n\n\n"
                "with answers('count', cell='count'):\n    test_two_words_hidden()\n### END HIDDEN TESTS",
                POINTS["count"],
            ),
            *extra,
        ],
        metadata={
            "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
            "course": {"title": "Toy", "points": 5, "seconds": 60},
        },
    )


SUBMISSIONS = {
    "solved": toy(),
    "half": toy("return x + 1"),
    "blank": toy(STUB, STUB),
}


def source() -> NotebookNode:
    """The instructor's notebook."""
    return toy(*(f"### BEGIN SOLUTION\n    {body}\n    ### END SOLUTION" for body in RIGHT.values()))


def write_source(root: Path, notebook: NotebookNode) -> None:
    folder = root / "course" / "source" / "toy"
    folder.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, folder / "toy.ipynb")


def make_course(root: Path) -> NbGraderAPI:
    """A course with the real settings and the toy assignment in its gradebook."""
    (root / "course" / "run" / "exchange").mkdir(parents=True)
    (root / "course" / "run" / "exchange").chmod(0o777)
    shutil.copy(ROOT / "course" / "nbgrader_config.py", root / "course")
    write_source(root, source())
    api = grading.open_course(root)
    assert api.generate_assignment("toy")["success"]
    return api


def copy_code(root: Path) -> None:
    """Copy the course's own code, without what it generates, so that its commands can run at `root`."""
    working = shutil.ignore_patterns(
        "__pycache__", "source", "submitted", "autograded", "feedback", "run", "gradebook.db*", ".ipynb_checkpoints"
    )
    for name in ("course", "labkit", "solutions"):
        shutil.copytree(ROOT / name, root / name, ignore=working, dirs_exist_ok=True)


def load(root: Path, name: str = "toy") -> Assignment:
    """The assignment, without what only judging needs."""
    path = root / "course" / "source" / name / f"{name}.ipynb"
    text = path.read_text(encoding="utf-8")
    version = hashlib.sha256(text.encode()).hexdigest()
    others = [p for p in path.parent.rglob("*") if p.is_file() and p != path]
    data = {p.relative_to(path.parent).as_posix(): p.read_bytes() for p in others}
    return Assignment(name, text, {}, Room(name, (), (), (), None, seconds=60.0), 60.0, version, data, "")


def submit(root: Path, student: str, submission: NotebookNode | str, time: str | None = None) -> Path:
    """Put a submission where collect would; returns its folder."""
    folder = root / "course" / "submitted" / student / "toy"
    folder.mkdir(parents=True, exist_ok=True)
    text = submission if isinstance(submission, str) else nbformat.writes(submission)
    (folder / "toy.ipynb").write_text(text)
    if time is not None:
        (folder / "timestamp.txt").write_text(time)
    return folder


def judged(received: Received, assignment: Assignment) -> Judged:
    """What the stand-in says of a submission."""
    notebook = copy.deepcopy(received.notebook)
    sources = {cell.id: cell.source for cell in notebook.cells}
    verdicts = []
    for cell in notebook.cells:
        if cell.metadata.get("nbgrader", {}).get("grade"):
            exercise = cell.id.removeprefix("test-").removesuffix("-more")
            points = cell.metadata.nbgrader.points
            passed = RIGHT[exercise] in sources[f"exercise-{exercise}"]
            told = "" if passed else f"{exercise} is wrong"
            verdicts.append(Verdict(cell.id, exercise, points, points if passed else 0, None, False, told, told, told))
            cell.metadata[VERDICT] = asdict(verdicts[-1])
            if not passed:
                cell.outputs = [new_output("error", ename="AssertionError", evalue=told, traceback=[told])]
        elif cell.cell_type == "code":
            cell.outputs = [new_output("stream", name="stderr", text="a warning\n")]
    notebook.metadata[REPORT] = {"remarks": [], "seconds": 0.5, "failure": None}
    return Judged(notebook, verdicts, [])


class StandIn:
    """Stands for `course.judging.lanes.judge_many` on the course at `root`; `students` are those it judged."""

    def __init__(self, root: Path):
        self.root = root
        self.students: list[str] = []
        self.options: dict[str, Any] = {}

    def __call__(self, assignment: Assignment, jobs: Iterable[Any], **options: Any) -> Iterator[tuple[Any, Judged]]:
        self.options = options
        for key, received, seed in jobs:
            student = key[0]
            go = (self.root / "go").exists()
            if student == "waits" and not go:
                (self.root / "started").touch()
                threading.Event().wait()
            self.students.append(student)
            with (self.root / "judged").open("a") as file:
                file.write(f"{student} {seed}\n")
            result = judged(received, assignment)
            if student == "breaks" and not go:
                result.notebook.metadata[REPORT]["failure"] = "the judge broke"
            yield key, result


def put_in(root: Path, stand_in: StandIn) -> None:
    """Make this process's grading command work on the course at `root`, with the stand-in."""
    original = grading.open_course
    grading.open_course = lambda: original(root)
    grading.is_isolated = lambda without_sandbox=False: True
    grading.Assignment = type("Loaded", (), {"load": staticmethod(load)})
    autograde.judge_many = stand_in


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs the tests may ignore it
    course = Path(sys.argv.pop(1))
    put_in(course, StandIn(course))
    grading.main()
