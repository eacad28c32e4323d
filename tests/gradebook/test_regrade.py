"""An assignment that changes while a term goes on: everyone it touches is graded again, what people gave stays.

The gradebook, the store and the writer are the real ones. Judging is played in this process (`course.banks.play`) but
for one test, which goes through the grader, without the sandbox so that it runs everywhere.
"""

import functools
import json
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat import NotebookNode

from course import ROOT, grading
from course.assemble.assembler import Assembler, assemble
from course.assemble.release import released
from course.banks.play import play
from course.gradebook import audit as trail
from course.gradebook import autograde, term
from course.gradebook.autograde import Result, Run
from course.gradebook.store import Store
from course.judging.assignment import Assignment
from course.judging.submission import Received
from course.judging.verdict import Judged, Verdict
from labkit.renew import renew
from tests.support.toy import ROOT as TOY

# With a time limit that is out of reach on a busy machine.
ASSIGNMENT = (TOY / "course/assignments/toy.py").read_text().replace("seconds: 10", "seconds: 240")
# A test as its author first wrote it: the answer it wants is wrong.
BROKEN = ASSIGNMENT.replace("assert bits([0.5, 0.5]) == 1", "assert bits([0.5, 0.5]) == 2")
LONGER = ASSIGNMENT.replace("points: 12", "points: 14").replace(
    '# %% exercise="bits"',
    '''# %% test="norm-width" of="norm" points=2
def test_norm_keeps_the_width():
    assert Norm(ToyConfig(4))(torch.ones(2, 4)).shape == (2, 4), "the shape changed"


# %% exercise="bits"''',
)
PRIVATE = """\
# %% test="bits-secret" of="bits" points=3
def test_bits_of_four_hidden():
    assert bits([0.25] * 4) == 2, "four equal probabilities hold two bits"
"""
# Wrong answers: what is replaced in the solution, and what by. Each costs what its comment says under ASSIGNMENT.
CENTRE = ("x.mean(-1", "x.mean(0")  # test-centre 1, test-centre-axes 2, integration 3
CHUNKS = ("start += size", "start += size + 1")  # test-chunks 2, and integration 3
TWICE = ("return -sum", "return -2 * sum")  # test-bits 1, but nothing under BROKEN


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A course with the toy assignment, its broken test still in it."""
    root = tmp_path / "course-folder"
    for path in ("course", "course/assignments", "solutions"):
        (root / path).mkdir(parents=True)
    shutil.copy(ROOT / "course/nbgrader_config.py", root / "course")
    shutil.copy(TOY / "solutions/toy.py", root / "solutions")
    write(root, BROKEN)
    return root


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> None:
    """Judge by running the submission's cells here: they are this file's own."""

    def judge_many(
        assignment: Assignment, jobs: Iterable[tuple[Any, Received, int]], **_: Any
    ) -> Iterator[tuple[Any, Judged]]:
        for key, received, _seed in jobs:
            said = play(received.notebook)
            cells = [c for c in assignment.notebook.cells if c.id.startswith("test-")]
            points = {cell.id: cell.metadata.nbgrader.points for cell in cells}
            errors = [said[cell.id.removeprefix("test-")] for cell in cells]
            verdicts = [
                Verdict(c.id, "", points[c.id], 0 if e else points[c.id], None, False, "", "", "")
                for c, e in zip(cells, errors, strict=True)
            ]
            yield key, Judged(received.notebook, verdicts, [])

    monkeypatch.setattr(autograde, "judge_many", judge_many)


def write(root: Path, assignment: str) -> NotebookNode:
    """Write the assignment and assemble it, as an author does; returns the students' version."""
    (root / "course/assignments/toy.py").write_text(assignment)
    assemble("toy", root)
    return release_of(assignment, root)


@functools.cache
def release_of(assignment: str, root: Path) -> NotebookNode:
    return released("toy", Assembler("toy", root).build())


def hand_in(root: Path, student: str, release: NotebookNode, *mistakes: tuple[str, str], at: str = "10:00") -> None:
    """What a student hands in who has solved a release, but for some mistakes."""
    notebook = nbformat.from_dict(release)
    solved = {c.id: c.source for c in nbformat.read(root / "course/source/toy/toy.ipynb", as_version=4).cells}
    for cell in notebook.cells:
        if cell.id.startswith("exercise-"):
            cell.source = solved[cell.id]
            for right, wrong in mistakes:
                cell.source = cell.source.replace(right, wrong)
    folder = root / "course/submitted" / student / "toy"
    folder.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, folder / "toy.ipynb")
    (folder / "timestamp.txt").write_text(f"2026-12-01 {at}:00 UTC")


def grade(root: Path) -> dict[str, Result]:
    """The autograde command's own steps."""
    api = grading.open_course(root)
    run = Run(api, Assignment.load(root, "toy"), api.get_submitted_students("toy"), isolated=False)
    results = {result.student: result for result in run.results()}
    assert not [r for r in results.values() if r.problem], results
    return results


def scores(root: Path, student: str) -> dict[str, float]:
    with grading.open_course(root).gradebook as gradebook:
        found = gradebook.find_submission_notebook("toy", "toy", student).grades
        return {grade.name.removeprefix("test-"): grade.score for grade in found}


def told(root: Path, student: str) -> list[tuple[str, str]]:
    """Sentence and reason of the audit trail's lines on a student."""
    return [(trail.sentence(c), c.why) for c in Store(root).changes() if c.student == student]


def test_a_corrected_test_regrades_everyone_and_keeps_what_people_gave(root: Path, played: None):
    old = write(root, BROKEN)
    hand_in(root, "ann", old)
    hand_in(root, "bob", old, CENTRE)
    hand_in(root, "cid", old, TWICE)
    first = grade(root)
    assert {name: result.score for name, result in first.items()} == {"ann": 11, "bob": 5, "cid": 12}
    with grading.open_course(root).gradebook as gradebook:
        gradebook.find_grade("test-centre", "toy", "toy", "bob").manual_score = 0.5
        gradebook.find_grade("test-bits", "toy", "toy", "ann").extra_credit = 2
        gradebook.find_comment("exercise-centre", "toy", "toy", "bob").manual_comment = "Nearly"
        gradebook.db.commit()

    write(root, LONGER)
    # nobody hands in again: what came from the old release is graded with the corrected tests, and the new one
    second = grade(root)
    assert {name: result.score for name, result in second.items()} == {"ann": 14 + 2, "bob": 8 + 0.5, "cid": 13}
    assert second["bob"].max_score == 14
    record = Store(root).record("toy", "bob")
    assert record is not None and any("test-bits was corrected after you got" in remark for remark in record.remarks)
    assert scores(root, "ann")["norm-width"] == 2
    with grading.open_course(root).gradebook as gradebook:
        assert gradebook.find_grade("test-centre", "toy", "toy", "bob").manual_score == 0.5
        assert gradebook.find_comment("exercise-centre", "toy", "toy", "bob").comment == "Nearly"
    assert ("test-bits changed from 0 to 1", "assignment changed") in told(root, "ann")
    assert ("test-bits changed from 1 to 0", "assignment changed") in told(root, "cid")
    assert ("test-norm-width: 2", "assignment changed") in told(root, "cid")
    assert ("manual score of test-centre: 0.5", trail.NOTICED) in told(root, "bob")
    assert ("comment on exercise-centre: Nearly", trail.NOTICED) in told(root, "bob")
    assert grade(root) == {}, "and nothing twice"


def test_a_renewed_notebook_is_the_corrected_release_and_is_graded_alike(root: Path, played: None):
    old = write(root, BROKEN)
    hand_in(root, "ann", old)
    path = root / "course/submitted/ann/toy/toy.ipynb"
    mine = nbformat.read(path, as_version=4)
    new = write(root, LONGER)
    renewed = renew(mine, new)
    assert "Corrected: test-bits." in renewed.remarks
    nbformat.write(renewed.notebook, path)
    (result,) = grade(root).values()
    assert (result.score, result.remark) == (14, None)


def test_a_private_test_regrades_everyone_and_students_never_see_it(root: Path):
    release = write(root, ASSIGNMENT)
    hand_in(root, "ann", release)
    hand_in(root, "cid", release, TWICE)
    assert {name: result.score for name, result in grade(root).items()} == {"ann": 12, "cid": 11}
    (root / "course/private").mkdir()
    (root / "course/private/toy.py").write_text(PRIVATE)
    assert write(root, ASSIGNMENT) == release
    again = grade(root)
    assert {name: (r.score, r.max_score) for name, r in again.items()} == {"ann": (15, 15), "cid": (11, 15)}
    assert [result.remark for result in again.values()] == [None, None], "a cell they cannot have is not missed"
    api = grading.open_course(root)
    grading.feedback(api, "toy")
    page = (root / "course/feedback/cid/toy/toy.html").read_text()
    assert "a test that your instructor added" in page
    assert "four equal probabilities" not in page and "[0.25] * 4" not in page and "bits_of_four" not in page


def test_the_best_submission_counts_and_all_are_regraded_before_it_is_chosen(root: Path, played: None):
    rules = '[toy]\ndue = 2026-12-01T12:00:00Z\nlose_per_day = 0.5\nsubmissions = "best"\n'
    (root / "course/term.toml").write_text(rules)
    release = write(root, BROKEN)
    hand_in(root, "ann", release, CHUNKS, at="10:00")
    assert grade(root)["ann"].score == 6
    hand_in(root, "ann", release, CENTRE, at="13:00")
    assert grade(root)["ann"].score == 6, "the second has 5: the first keeps its grade"
    assert penalty(root, "ann") == 0, "and its time"
    hand_in(root, "ann", release, CHUNKS, TWICE, at="14:00")
    assert grade(root)["ann"].score == 7, "7 less 0.5 for coming late is more than 6"
    assert penalty(root, "ann") == 0.5
    write(root, ASSIGNMENT)
    # under the corrected test the first has 7, on time, and the third 6, late
    assert grade(root)["ann"].score == 7
    assert penalty(root, "ann") == 0
    assert scores(root, "ann")["bits"] == 1
    sentences = [sentence for sentence, _ in told(root, "ann")]
    assert [s for s in sentences if s.startswith(trail.COUNTS)] == [
        "submission that counts: that of 2026-12-01 10:00 UTC",
        "submission that counts changed from that of 2026-12-01 10:00 UTC to that of 2026-12-01 14:00 UTC",
        "submission that counts changed from that of 2026-12-01 14:00 UTC to that of 2026-12-01 10:00 UTC",
    ]
    api = grading.open_course(root)
    assert api.get_autograded_students("toy") == {"ann"}, "nbgrader and formgrader take it for graded"
    assert grade(root) == {}

    (root / "course/term.toml").write_text(rules.replace("best", "last"))
    assert grade(root)["ann"].score == 6, "the rule holds from the next grading on"
    assert penalty(root, "ann") == 0.5
    assert json.loads((Store(root).folder("toy", "ann") / "record.json").read_text())["counts"] is None


def penalty(root: Path, student: str) -> float:
    with grading.open_course(root).gradebook as gradebook:
        return float(gradebook.find_submission("toy", student).late_submission_penalty)


def test_a_wrong_term_file_stops_grading_before_it_begins(root: Path, played: None):
    hand_in(root, "ann", write(root, BROKEN))
    (root / "course/term.toml").write_text("[toy]\ndue = tomorrow\n")
    with pytest.raises(term.TermError, match=r"course/term\.toml:2: "):
        grade(root)
    assert not (root / "course/autograded").exists()


def test_publishing_takes_in_tests_that_are_new_though_some_have_handed_in(root: Path):
    release = write(root, ASSIGNMENT)
    exchange = root / "course/run/exchange"
    exchange.mkdir(parents=True)
    exchange.chmod(0o777)
    (root / "exercises/toy").mkdir(parents=True)
    nbformat.write(release, root / "exercises/toy/toy.ipynb")
    api = grading.open_course(root)
    assert grading.publish(api, ["ann"]) == ["toy"]
    with api.gradebook as gradebook:
        gradebook.add_submission("toy", "ann")
    (root / "course/private").mkdir()
    (root / "course/private/toy.py").write_text(PRIVATE)
    write(root, ASSIGNMENT)
    assert grading.publish(api) == ["toy"]
    with api.gradebook as gradebook:
        assert gradebook.find_assignment("toy").max_score == 15
        assert gradebook.find_grade("test-bits-secret", "toy", "toy", "ann").auto_score is None
    (fetched,) = exchange.glob("*/outbound/toy/toy.ipynb")
    assert "secret" not in fetched.read_text()
