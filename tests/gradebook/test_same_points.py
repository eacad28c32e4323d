"""Honest submissions earn what plain nbgrader gives them, cell by cell.

That every variant of every topic does is a proof (tests/support/proofs.py), made when the notebook, the bank, the judge
or what they reach has changed; the long tests play one variant of each topic again, another one each time.
"""

import copy
import shutil
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode
from nbgrader.apps.api import NbGraderAPI
from nbgrader.converters import Autograde
from sqlalchemy.exc import SAWarning

from course import ROOT, grading
from course.assemble.assembler import assemble
from course.assemble.source import assignments
from course.banks.variants import variants
from course.gradebook.store import Store, grading_seed, secret
from course.gradebook.writer import enter
from course.judging.assignment import Assignment
from course.judging.submission import receive
from course.notebook import kind_of
from course.sandbox import why_not
from labkit.testing.answers import SEED_VARIABLE
from tests.support import proofs

# Plain nbgrader takes its time: it grades every variant of every topic when something changes (tests/proofs), and
# in each run this one.
A_FEW = {"tokenizer": ["wrong 3"]}

pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")


def make_course(root: Path, name: str) -> tuple[NbGraderAPI, Assignment]:
    """A course with one of the real assignments."""
    (root / "course" / "run" / "exchange").mkdir(parents=True)
    shutil.copy(ROOT / "course" / "nbgrader_config.py", root / "course")
    (root / "solutions").symlink_to(ROOT / "solutions")
    (root / "labkit").symlink_to(ROOT / "labkit")
    assemble(name, to=root / "course" / "source" / name / f"{name}.ipynb")
    assignment = Assignment.load(root, name)
    api = grading.open_course(root)
    enter(api, assignment)
    return api, assignment


def without_runs(notebook: NotebookNode) -> NotebookNode:
    """The notebook of a student who deleted the cells that only show something: in gpt they take most of the time."""
    kept = copy.copy(notebook)
    kept.cells = [cell for cell in notebook.cells if kind_of(cell) != "run"]
    return kept


def submit(root: Path, name: str, notebooks: Mapping[str, NotebookNode]) -> dict[str, str]:
    """Hand the notebooks in; returns `{student: label}`."""
    students = {f"student-{number:03}": label for number, label in enumerate(notebooks)}
    for student, label in students.items():
        folder = root / "course" / "submitted" / student / name
        folder.mkdir(parents=True)
        nbformat.write(notebooks[label], folder / f"{name}.ipynb")
    return students


def scores(api: NbGraderAPI, name: str, students: Iterable[str]) -> dict[str, dict[str, float]]:
    with api.gradebook as gradebook:
        notebooks = {s: gradebook.find_submission_notebook(name, name, s) for s in students}
        return {s: {grade.name: grade.auto_score for grade in notebook.grades} for s, notebook in notebooks.items()}


def plain(root: Path, name: str, assignment: Assignment, students: Iterable[str], seeds: pytest.MonkeyPatch) -> None:
    """Grade as nbgrader does by itself: its own steps, one kernel for a student's code and the tests."""
    config = grading.settings(root)
    del config.Autograde
    config.Execute.timeout = 600
    config.CourseDirectory.db_url = f"sqlite:///{root / 'plain.db'}"
    config.CourseDirectory.autograded_directory = "plain"
    api = NbGraderAPI(config=config)
    assert len(Autograde(config=config).autograde_preprocessors) == 7
    enter(api, assignment)
    store = Store(root)
    for student in students:
        folder = root / "course" / "submitted" / student / name
        digest = receive(folder, assignment.notebook, name).digest
        seeds.setenv(SEED_VARIABLE, str(grading_seed(digest, secret(store.run))))
        outcome = api.autograde(name, student)
        assert outcome["success"], outcome
    seeds.delenv(SEED_VARIABLE)


def compare(root: Path, name: str, labels: list[str] | None, monkeypatch: pytest.MonkeyPatch) -> None:
    api, assignment = make_course(root, name)
    notebooks = dict(variants(name, assignment.notebook))
    assert labels is None or set(labels) <= set(notebooks), sorted(notebooks)
    handed_in = {label: notebooks[label] for label in labels or notebooks}
    # One keeps all of its cells.
    handed_in = {s: n if s == "solved" else without_runs(n) for s, n in handed_in.items()}
    students = submit(root, name, handed_in)
    run = grading.autograde(api, name, isolated=why_not() is None)
    results = {result.student: result for result in run.results()}
    assert {s: r.problem for s, r in results.items() if r.problem} == {}
    ours = scores(api, name, students)
    plain(root, name, assignment, students, monkeypatch)
    config = grading.settings(root)
    config.CourseDirectory.db_url = f"sqlite:///{root / 'plain.db'}"
    theirs = scores(NbGraderAPI(config=config), name, students)
    different = {students[s]: (ours[s], theirs[s]) for s in students if ours[s] != theirs[s]}
    assert different == {}
    possible = sum(c.metadata.nbgrader.points for c in assignment.notebook.cells if c.id.startswith("test-"))
    for student, label in students.items():
        total = sum(ours[student].values())
        assert total == {"solved": possible, "blank": 0}.get(label, total), label
        assert total < possible or not label.startswith("wrong"), label
        assert total == possible or not label.startswith("right"), label


@pytest.mark.parametrize("name", A_FEW)
def test_a_few_submissions_earn_what_plain_nbgrader_gives(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compare(tmp_path, name, A_FEW[name], monkeypatch)


@pytest.mark.proof
@pytest.mark.parametrize("name", assignments())
def test_every_variant_earns_what_plain_nbgrader_gives(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    warnings.simplefilter("ignore", SAWarning)
    with proofs.variants(name).proving():
        compare(tmp_path, name, None, monkeypatch)


@pytest.mark.long
@pytest.mark.parametrize("name", assignments())
def test_one_variant_of_the_record_earns_the_same(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labels = [label for label, _ in variants(name, assemble(name, to=tmp_path / f"{name}.ipynb"))]
    compare(tmp_path / "course", name, [proofs.one_of(labels)], monkeypatch)
