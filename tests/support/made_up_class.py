"""A class that never was: its gradebook and graded notebooks, made from the banks' own answers.

    python -m tests.support.made_up_class gpt /tmp/course 60

writes a course in which so many students have handed in `gpt`. What the tests say of each is what the bank's record
holds; only who made which mistake is drawn by lot.
"""

import copy
import datetime
import functools
import random
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbgrader.api import Gradebook
from nbgrader.apps.api import NbGraderAPI
from traitlets.config import PyFileConfigLoader

from course import ROOT
from course.assemble.assembler import Assembler
from course.banks.bank import Answer, bank
from course.banks.play import blanked
from course.judging.verdict import Failure, Verdict
from course.notebook import kind_of
from course.pages.mistakes import Mistake, read_record, tests_of
from labkit.notebook import INTEGRATION, REPORT, VERDICT

BLANK = "left as it was"
NOVEL = "wrong in a way no bank knows"
REMARKS = (
    "Your notebook lacks the cell given-helpers; the original one was used.",
    "Cell {} did not end within 30 seconds: is there a loop that never ends?",
    "The file torch.py was left out: it would have hidden the library `torch`.",
)


@functools.cache
def source_of(name: str) -> NotebookNode:
    return Assembler(name).build()


@functools.cache
def record_of(name: str) -> dict[tuple[str, str], Mistake]:
    return {(mistake.exercise, mistake.label): mistake for mistake in read_record(ROOT, name)}


def said_of(name: str, exercise: str, label: str, seed: str) -> dict[str, dict]:
    """`{test cell: what the judge would write down}` for the tests that a bank's answer fails, in a way by the seed."""
    ways = record_of(name)[exercise, label].outcomes
    return {test: asdict(failure) for test, failure in ways[int(seed) % len(ways)].items()}


def judged(name: str, answers: Mapping[str, str], seed: str = "7") -> NotebookNode:
    """The graded notebook of a student; `answers` maps exercises to labels of the bank, to BLANK or to NOVEL."""
    notebook = copy.deepcopy(source_of(name))
    exercises = tests_of(notebook)
    said: dict[str, dict] = {}
    for exercise, label in answers.items():
        own = [test for test, e in exercises.items() if e == exercise]
        if label == BLANK:
            words = asdict(Failure(None, False, "", "NotImplementedError", ""))
            said |= dict.fromkeys([*own, f"test-{INTEGRATION}"], words)
        elif label == NOVEL:
            novel = "a result that no bank has seen: is the <b>unit</b> right?"
            said[own[-1]] = asdict(Failure(None, True, novel, "…", novel))
        else:
            said = {**said_of(name, exercise, label, seed), **said}
    for cell in notebook.cells:
        if kind_of(cell) == "exercise" and cell.cell_type == "code":
            left = answers.get(cell.id.removeprefix("exercise-")) == BLANK
            cell.source = blanked(cell.source) if left else blanked(cell.source).replace("raise", "pass  #")
        test = cell.metadata.get("nbgrader", {}).get("grade_id")
        if test in exercises:
            points = cell.metadata.nbgrader.points
            failed = said.get(test)
            verdict = Verdict(test, exercises[test], points, 0 if failed else points, **(failed or {}))
            cell.metadata[VERDICT] = asdict(verdict)
    notebook.metadata[REPORT] = {"remarks": [], "seconds": 1.0, "failure": None}
    return notebook


def make_course(root: Path, name: str, students: Sequence[str]) -> NbGraderAPI:
    """A course at `root` whose gradebook knows the assignment and the students, who have handed in nothing."""
    folder = root / "course" / "source" / name
    folder.mkdir(parents=True)
    shutil.copy(ROOT / "course" / "nbgrader_config.py", root / "course")
    nbformat.write(source_of(name), folder / f"{name}.ipynb")
    settings = PyFileConfigLoader("nbgrader_config.py", path=str(root / "course")).load_config()
    with Gradebook(settings.CourseDirectory.db_url, "llm") as gradebook:
        gradebook.add_assignment(name, duedate=datetime.datetime(2026, 11, 1))
        gradebook.add_notebook(name, name)
        for cell in source_of(name).cells:
            marks = cell.metadata.get("nbgrader", {})
            if marks.get("grade"):
                gradebook.add_grade_cell(marks.grade_id, name, name, max_score=marks.points, cell_type="code")
            elif marks.get("solution"):
                gradebook.add_solution_cell(marks.grade_id, name, name)
        for student in students:
            gradebook.add_student(student)
    return NbGraderAPI(config=settings)


def hand_in(api: NbGraderAPI, name: str, student: str, notebook: NotebookNode | None, days_late: int = 0) -> None:
    """Put a submission into the course: a graded one, or one that waits for grading where there is no notebook."""
    root = Path(api.coursedir.root) / "course"
    submitted = root / "submitted" / student / name
    submitted.mkdir(parents=True)
    handed_in = datetime.datetime(2026, 11, 1) + datetime.timedelta(days=days_late)
    (submitted / "timestamp.txt").write_text(f"{handed_in:%Y-%m-%d %H:%M:%S} UTC")
    if notebook is None:
        return
    folder = root / "autograded" / student / name
    folder.mkdir(parents=True)
    nbformat.write(notebook, folder / f"{name}.ipynb")
    with api.gradebook as gradebook:
        gradebook.add_submission(name, student, timestamp=handed_in)
        for cell in notebook.cells:
            if (verdict := cell.metadata.get(VERDICT)) and cell.metadata.get("nbgrader", {}).get("grade"):
                grade = gradebook.find_grade(verdict["cell"], name, name, student)
                grade.auto_score = verdict["earned"]
                grade.needs_manual_grade = False
        gradebook.db.commit()


def make_class(root: Path, name: str, size: int) -> NbGraderAPI:
    """A class of `size` students who have handed in `name`, most of it right; some are late, blank or not graded."""
    draw = random.Random(4)
    people = [f"student-{n:02}" for n in range(1, size + 1)]
    api = make_course(root, name, [*people, "absent-1", "absent-2"])
    by_exercise: dict[str, list[Answer]] = {}
    for answer in bank("wrong", name):
        by_exercise.setdefault(answer.exercise, []).append(answer)
    for n, student in enumerate(people):
        skill = draw.betavariate(4, 1.4)
        answers = {}
        for position, (exercise, wrong) in enumerate(by_exercise.items()):
            if draw.random() < skill + 0.25 * (1 - position / len(by_exercise)):
                continue
            popularity = [1 / (1 + k) for k in range(len(wrong))]
            answers[exercise] = draw.choices([a.label for a in wrong], popularity)[0]
            answers[exercise] = draw.choices([answers[exercise], BLANK, NOVEL], [10, 1 + position / 2, 0.6])[0]
        if n % 29 == 28:
            answers = dict.fromkeys(by_exercise, BLANK)
        notebook = judged(name, answers, seed=str(100 + n % 2))
        report = notebook.metadata[REPORT]
        report["seconds"] = round(draw.gammavariate(6, 0.5), 2)
        if n % 9 == 5:
            report["remarks"] = [draw.choice(REMARKS).format(draw.randrange(30))]
        hand_in(api, name, student, None if n % 23 == 22 else notebook, days_late=2 if n % 17 == 3 else 0)
    return api


if __name__ == "__main__":
    make_class(Path(sys.argv[2]), sys.argv[1], int(sys.argv[3]))
