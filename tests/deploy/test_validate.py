"""The Validate button's table says what labkit.check reports."""

from pathlib import Path

import nbformat
import pytest
from bs4 import BeautifulSoup
from nbformat import NotebookNode
from nbformat.v4 import new_output

from course import ROOT
from course.deploy.student.course_page.validate import table
from labkit import check
from labkit.notebook import is_test

SCALE = ROOT / "exercises" / "scale" / "scale.ipynb"


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Stands for a run of the notebook: the message of each exercise whose tests fail; others pass."""
    messages: dict[str, str] = {}

    def run(notebook: NotebookNode, folder: Path) -> tuple[set[int], str | None]:
        for cell in notebook.cells:
            said = messages.get(cell.metadata.get("course", {}).get("exercise", "")) if is_test(cell) else None
            if said is not None:
                ename, value = ("NotImplementedError", "") if said == check.BLANK else ("AssertionError", said)
                cell.outputs = [new_output("error", ename=ename, evalue=value, traceback=["25 lines of it"])]
        return set(range(len(notebook.cells))), messages.get("stopped")

    monkeypatch.setattr(check, "run", run)
    return messages


def rows(html: str) -> dict[str, tuple[str, str]]:
    """Exercise -> (state, message)."""
    found = {}
    for row in BeautifulSoup(html, "html.parser").select("tbody tr"):
        message = row.select_one(".message")
        found[row.th.get_text()] = (row.select_one(".state").get_text(), message.get_text() if message else "")
    return found


def test_solved_failing_and_blank(ran: dict[str, str]) -> None:
    first, second, third, *_ = rows(table(SCALE))
    ran |= {second: "position 0 is <b>late</b>: 3 & not 4", third: check.BLANK}
    html = table(SCALE, "Tue 1 December 2026, 23:59 CET")
    shown = rows(html)
    assert shown[first] == ("solved", "")
    assert shown[second] == ("failing", "position 0 is <b>late</b>: 3 & not 4"), "what a test says is text"
    assert shown[third] == ("blank", "")
    said = BeautifulSoup(html, "html.parser").get_text()
    assert f"Fix first: {second}." in said
    assert "Due Tue 1 December 2026, 23:59 CET." in said
    assert "hidden tests, worth" in said
    assert "25 lines" not in said


def test_everything_passes(ran: dict[str, str]) -> None:
    html = table(SCALE)
    assert {state for state, _ in rows(html).values()} == {"solved"}
    assert "Every test that you can see passes: submit it on the course page." in html


def test_a_notebook_that_stopped(ran: dict[str, str]) -> None:
    ran["stopped"] = "Python stopped in cell 3: does it call exit()?"
    html = table(SCALE)
    assert "Python stopped in cell 3" in html and "submit it" not in html


def test_what_is_no_assignment_is_told_in_a_sentence(tmp_path: Path) -> None:
    mine = tmp_path / "mine.ipynb"
    nbformat.write(nbformat.v4.new_notebook(), mine)
    assert "is not an assignment of this course" in table(mine)
    assert "There is no notebook" in table(tmp_path / "<i>gone.ipynb").replace("&lt;", "<")
    assert "<i>" not in table(tmp_path / "<i>gone.ipynb")
