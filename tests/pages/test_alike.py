"""Submissions that are alike: copies are listed, however disguised; different people's right answers are not."""

import datetime
import re

import pytest
from nbformat import NotebookNode

from course import ROOT, grading
from course.assemble.source import assignments
from course.banks.bank import bank_texts
from course.banks.variants import blank, solved
from course.notebook import kind_of
from course.pages import alike
from course.pages.alike import LISTED, answers_of, page, pairs
from labkit.notebook import name_of
from tests.pages.test_analytics import Balanced
from tests.support.graded import Course, autograded
from tests.support.made_up_class import source_of

NOW = datetime.datetime(2026, 11, 20, 10)


def written(notebook: NotebookNode) -> dict[str, str]:
    return {name_of(cell): cell.source for cell in notebook.cells if kind_of(cell) == "exercise"}


def released(name: str) -> str:
    return "\n".join(written(blank(source_of(name))).values())


def right(name: str) -> list[dict[str, str]]:
    """The reference, and the banks' first and second right answers to all exercises: what three students wrote."""
    of: dict[str, list[str]] = {}
    for text in bank_texts(ROOT / "tests" / "topics" / name / "right.py"):
        of.setdefault(text.exercise, []).append(text.code)
    return [written(solved(source_of(name)))] + [{e: codes[n] for e, codes in of.items()} for n in (0, 1)]


def disguised(answers: dict[str, str]) -> dict[str, str]:
    """A copy with every short name changed, remarks added, and the answers in another order."""
    keywords = {"def", "if", "in", "is", "or", "and", "not", "for", "as", "self", "try", "else", "with", "True", "None"}

    def renamed(match: re.Match[str]) -> str:
        return match[0] if match[0] in keywords else f"my_{match[0]}"

    new = {e: re.sub(r"(?<![\w.])[a-z]{1,3}\b(?!\()", renamed, code) + "  # mine" for e, code in answers.items()}
    return dict(reversed(new.items()))


@pytest.mark.parametrize("name", assignments())
def test_right_answers_of_different_people_are_not_listed_and_a_disguised_copy_is(name: str) -> None:
    reference, first, second = right(name)
    honest = {"ann": reference, "bob": first, "cyd": second}
    assert pairs(honest, released(name)) == []
    (found,) = pairs({**honest, "dan": disguised(first)}, released(name))
    assert found.students == ("bob", "dan")
    assert found.share > 100 * LISTED
    assert {exercise for exercise, _, _ in found.answers} <= set(first)
    assert len(found.answers) > len(first) / 2


def test_blank_and_short_submissions_are_alike_by_nature() -> None:
    stubs = written(blank(source_of("gpt")))
    name, code = next(iter(written(solved(source_of("gpt"))).items()))
    few = stubs | {name: code}
    assert pairs({"ann": stubs, "bob": stubs, "cyd": few, "dan": few}, released("gpt")) == []


def test_what_many_wrote_is_nobodys_own() -> None:
    reference, first, _ = right("gpt")
    hint = dict(list(reference.items())[:-1])  # all but one answer from a hint that the whole class saw
    klass = {f"s{n}": hint | {"own": f"def own(x):\n    return x + {n}"} for n in range(8)}
    assert pairs(klass, released("gpt")) == []
    copied = {"x": first, "y": first}
    assert [pair.students for pair in pairs(klass | copied, released("gpt"))] == [("x", "y")]


def test_the_page_warns_and_runs_nothing() -> None:
    found = [alike.Pair(("ann", "<b>bob"), 83.4, [("quad", "def quad(x):\n    return '<script>'", "pass")])]
    html = page("Doubling", 7, found, NOW)
    Balanced(html)
    assert "Being listed proves nothing and changes no mark." in html
    assert "<script>" not in html and "<b>bob" not in html
    assert "83% agrees, most of it in quad." in html
    assert "No two submissions are alike." in page("Doubling", 7, [], NOW)


def test_the_command_writes_the_page(tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture) -> None:
    course = Course(tmp_path_factory.mktemp("alike"))
    for student in ("ann", "bob"):
        course.grade(student, autograded())
    to = course.root / "alike.html"
    arguments = grading.parser().parse_args(["alike", "doubling", "--to", str(to)])
    arguments.run(course.api, arguments)
    assert "Of 2 graded submissions 0 pairs are alike." in capsys.readouterr().out
    assert "No two submissions are alike." in to.read_text()


def test_an_answer_in_two_halves_is_one() -> None:
    notebook = autograded()
    cells = [cell for cell in notebook.cells if cell.id == "exercise-quad"]
    again = NotebookNode(cells[0], source="more = 1")
    notebook.cells.append(again)
    assert answers_of(notebook)["quad"].endswith("\nmore = 1")
