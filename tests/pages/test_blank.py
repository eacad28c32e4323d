"""One meaning of "blank" on both pages that are made of a graded submission."""

from datetime import datetime
from pathlib import Path

import pytest
from bs4 import BeautifulSoup

from course.pages.analytics import mistakes_made, page, read_class
from tests.support.graded import STUB, Course, autograded

ANSWERS = {
    "as it was released": (STUB, True),
    "a stub with a comment": (f"# no idea yet\n    {STUB}  # hm", True),
    "half of an answer": (f"y = 2 * x\n    {STUB}", False),
}


@pytest.mark.parametrize(("body", "blank"), ANSWERS.values(), ids=ANSWERS)
def test_a_blank_exercise_is_blank_for_the_student_and_for_the_instructor(
    tmp_path: Path, body: str, blank: bool
) -> None:
    course = Course(tmp_path)
    notebook = autograded(blank=("quad",))
    (cell,) = (cell for cell in notebook.cells if cell.id == "exercise-quad")
    cell.source = cell.source.replace(STUB, body)
    course.grade("ann", notebook)
    theirs = BeautifulSoup(course.feedback("ann"), "html.parser")
    assert [entry.get_text() for entry in theirs.select("li.exercise.blank .name")] == ["quad"] * blank
    assert ("You have not written this one yet" in theirs.get_text()) == blank
    results = read_class(course.api, "doubling")
    (mistakes,) = mistakes_made(results, [])
    assert (mistakes.exercise, mistakes.untouched) == ("quad", ["ann"] * blank)
    ours = BeautifulSoup(page(results, [], None, datetime(2026, 11, 21)), "html.parser")
    (row,) = (row for row in ours.select("tr") if row.select_one("td.name") and "quad" in row.td.get_text())
    assert row.select_one("[data-label='left blank']").get_text() == str(int(blank))
    assert ("left it blank" in ours.get_text()) == blank
