"""Grades as Canvas and Moodle import them, from a real gradebook in a temporary folder."""

import argparse
import csv
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_notebook
from nbgrader.api import Gradebook
from nbgrader.apps.api import NbGraderAPI
from traitlets.config import Config, PyFileConfigLoader

from course import ROOT
from course.gradebook.exports import (
    CannotExport,
    CanvasExport,
    MoodleExport,
    SpreadsheetExport,
    add_commands,
    export_command,
    harmless,
    number,
)

POINTS = {"test-norm": 4, "test-mask": 3, "essay": 3}
SCORES = {
    "ann": {"test-norm": 4, "test-mask": 3, "essay": 3},
    "bob": {"test-norm": 4, "test-mask": 0, "essay": 2.5},
    "cyd": {"test-norm": 0, "test-mask": 0, "essay": 0},
}
CANVAS = (
    "\ufeffStudent,ID,SIS User ID,SIS Login ID,Section,Quiz (11),GPT from parts (12),Total (read only)\n"
    ",,,,,Manual Posting,,\n"
    '"    Points Possible",,,,,5.00,20.00,(read only)\n'
    '"Árni, Ann",101,S1,ANN,"Mon, early",-1,,7.5\n'
    '"=HYPERLINK(""x"")",102,S2,bob,Mon,4,1,5\n'
    "Dan,103,S3,dan,Tue,3,2,5\n"
    "Eve,104,S4,eve,Tue,3,9,5\n"
    '"Student, Test",999,,8f2b,Mon,,,\n'
)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A course folder: a gradebook with ann, bob (late), cyd, and dan, who handed nothing in; and a roster."""
    tmp_path = tmp_path_factory.mktemp("template")
    (tmp_path / "course" / "source" / "gpt").mkdir(parents=True)
    shutil.copy(ROOT / "course" / "nbgrader_config.py", tmp_path / "course")
    source = new_notebook(metadata={"course": {"title": "GPT from parts"}})
    nbformat.write(source, tmp_path / "course" / "source" / "gpt" / "gpt.ipynb")
    (tmp_path / "roster.csv").write_text(CANVAS, encoding="utf-8")
    settings(tmp_path)  # they put nbgrader's tools on the path
    with Gradebook(f"sqlite:///{tmp_path}/course/gradebook.db", "llm") as gradebook:
        for name in ("gpt", "tokenizer"):
            gradebook.add_assignment(name)
            gradebook.add_notebook(name, name)
        for cell, points in POINTS.items():
            gradebook.add_grade_cell(cell, "gpt", "gpt", max_score=points, cell_type="code")
        for student in (*SCORES, "dan"):
            gradebook.add_student(student, email=f"{student}@example.org" if student != "cyd" else None)
        for student, scores in SCORES.items():
            gradebook.add_submission("gpt", student)
            for cell, score in scores.items():
                grade = gradebook.find_grade(cell, "gpt", "gpt", student)
                if cell == "essay":
                    grade.manual_score = score
                else:
                    grade.auto_score = score
                grade.needs_manual_grade = False
        gradebook.add_submission("gpt", "dan")  # as an extension does before there is anything to grade
        gradebook.find_submission_notebook("gpt", "gpt", "bob").late_submission_penalty = 1.25
        gradebook.find_submission_notebook("gpt", "gpt", "cyd").late_submission_penalty = 1
        gradebook.find_grade("essay", "gpt", "gpt", "cyd").needs_manual_grade = True
        gradebook.db.commit()
    return tmp_path


@pytest.fixture
def course(template: Path, tmp_path: Path) -> Path:
    """A copy of the course folder."""
    return Path(shutil.copytree(template, tmp_path / "copy"))


@pytest.fixture
def gradebook(course: Path) -> Iterator[Gradebook]:
    with Gradebook(f"sqlite:///{course}/course/gradebook.db", "llm") as opened:
        yield opened


def settings(course: Path) -> Config:
    return PyFileConfigLoader("nbgrader_config.py", path=str(course / "course")).load_config()


def canvas(course: Path, gradebook: Gradebook, **options: object) -> tuple[CanvasExport, list[dict[str, str]]]:
    options = {"roster": str(course / "roster.csv"), "assignment": ["gpt"]} | options
    exporter = CanvasExport(config=settings(course), to=str(course / "out.csv"), **options)
    exporter.export(gradebook)
    with (course / "out.csv").open(encoding="utf-8-sig", newline="") as file:
        return exporter, list(csv.DictReader(file))


def test_canvas_gets_its_own_file_back_with_the_scores(course: Path, gradebook: Gradebook) -> None:
    exporter, rows = canvas(course, gradebook)
    scores = {row["SIS Login ID"]: row["GPT from parts (12)"] for row in rows}
    # ann by title and in capitals; bob 4 + 2.5 less 1.25; dan keeps what Canvas has, and eve is nobody of ours
    assert scores == {"": "20.00", "ANN": "10", "bob": "5.25", "dan": "2", "eve": "9", "8f2b": ""}
    before = list(csv.DictReader(CANVAS.removeprefix("\ufeff").splitlines()))
    for old, new in zip(before, rows, strict=True):
        for column in old.keys() - {"GPT from parts (12)", "Student"}:
            assert new[column] == old[column], column
    assert rows[3]["Student"] == """'=HYPERLINK("x")"""
    assert (course / "out.csv").read_bytes().startswith(b"\xef\xbb\xbf")
    assert "gpt: Canvas counts 20.00 points and the gradebook 10" in " ".join(exporter.remarks)


def test_canvas_says_whom_it_could_not_match(course: Path, gradebook: Gradebook) -> None:
    exporter, _ = canvas(course, gradebook)
    told = "\n".join(exporter.remarks)
    assert "1 student of the roster is not in the gradebook; their rows stay as they are: eve." in told
    assert "1 student of the gradebook is not in the roster's column 'SIS Login ID' and left out: cyd." in told
    assert "gpt: 1 student has no graded submission; their cells stay: dan." in told
    assert "gpt: 1 submission waits for a person to grade a part, and the points so far are written: cyd." in told


def test_canvas_gets_a_new_column_where_it_has_none(course: Path, gradebook: Gradebook) -> None:
    roster = course / "roster.csv"
    roster.write_text(CANVAS.replace("GPT from parts", "Another"), encoding="utf-8")
    exporter, rows = canvas(course, gradebook)
    assert list(rows[0])[-1] == "gpt"
    assert [row["gpt"] for row in rows] == ["", "10", "10", "5.25", "", "", ""]
    assert [row["Another (12)"] for row in rows] == ["", "20.00", "", "1", "2", "9", ""]
    assert not any("counts" in sentence for sentence in exporter.remarks)


def test_canvas_with_semicolons_and_decimal_commas(course: Path, gradebook: Gradebook) -> None:
    text = "Student;ID;Login;Section;gpt (12)\n    Points Possible;;;;10,00\nAnn;1;ann;A;\nBob;2;bob;A;\n"
    (course / "roster.csv").write_text(text, encoding="utf-8")
    canvas(course, gradebook, by="Login")
    out = (course / "out.csv").read_text(encoding="utf-8")
    assert out == text.replace("ann;A;", "ann;A;10").replace("bob;A;", "bob;A;5,25")


@pytest.mark.parametrize("login", ["=ann", "+ann", "-ann", "@ann"])
def test_canvas_gets_every_identity_as_it_was(course: Path, gradebook: Gradebook, login: str) -> None:
    (course / "roster.csv").write_text(CANVAS.replace("S1,ANN", f"@S1,{login}"), encoding="utf-8")
    gradebook.find_student("ann").id = login
    gradebook.db.commit()
    _, rows = canvas(course, gradebook)
    assert (rows[2]["SIS User ID"], rows[2]["SIS Login ID"]) == ("@S1", login)


def test_canvas_may_be_matched_by_another_column(course: Path, gradebook: Gradebook) -> None:
    (course / "roster.csv").write_text(CANVAS.replace("S2,bob", "bob,x"), encoding="utf-8")
    _, rows = canvas(course, gradebook, by="SIS User ID")
    assert rows[3]["GPT from parts (12)"] == "5.25"


@pytest.mark.parametrize(
    ("roster", "sentence"),
    [
        (b"", "has no column 'Student'"),
        (b"Name,Grade\nann,3\n", "has no column 'Student'"),
        (b"Student,ID,Section\nann,3,A\n", "has no column 'SIS Login ID'"),
        ("Student,SIS Login ID\nÁrni,ann\n".encode("latin-1"), "is not UTF-8 text"),
        (b"Student,SIS Login ID,gpt (1),gpt (2)\nAnn,ann,,\n", r"several columns for gpt: 'gpt \(1\)', 'gpt \(2\)'"),
    ],
)
def test_canvas_refuses_what_canvas_did_not_write(
    course: Path, gradebook: Gradebook, roster: bytes, sentence: str
) -> None:
    (course / "roster.csv").write_bytes(roster)
    (course / "out.csv").write_text("what was there before")
    with pytest.raises(CannotExport, match=sentence):
        canvas(course, gradebook)
    assert (course / "out.csv").read_text() == "what was there before"
    assert not list(course.glob(".out*"))


def test_canvas_needs_a_roster(course: Path, gradebook: Gradebook) -> None:
    with pytest.raises(CannotExport, match="name the file with --roster"):
        canvas(course, gradebook, roster="")


def moodle(course: Path, gradebook: Gradebook, **options: object) -> tuple[MoodleExport, list[dict[str, str]]]:
    exporter = MoodleExport(config=settings(course), to=str(course / "out.csv"), **({"assignment": ["gpt"]} | options))
    exporter.export(gradebook)
    with (course / "out.csv").open(encoding="utf-8", newline="") as file:
        return exporter, list(csv.DictReader(file))


def test_moodle_gets_a_row_for_each_graded_student(course: Path, gradebook: Gradebook) -> None:
    _, rows = moodle(course, gradebook)
    assert {row["username"]: row["gpt (points of 10)"] for row in rows} == {"ann": "10", "bob": "5.25", "cyd": "0"}
    assert rows[0]["feedback"] == "10 of 10 points."
    assert rows[1]["feedback"] == (
        "5.25 of 10 points. 1.25 were taken off for a late submission. "
        "Tests that lost points: mask (0 of 3), essay (2.5 of 3)."
    )


def test_moodle_by_email(course: Path, gradebook: Gradebook) -> None:
    exporter, rows = moodle(course, gradebook, by="email")
    assert [row["email"] for row in rows] == ["ann@example.org", "bob@example.org"]
    assert "1 graded student has no email in the gradebook and no row: cyd." in exporter.remarks


def test_moodle_writes_no_formula(course: Path, gradebook: Gradebook) -> None:
    gradebook.find_student("bob").email = "=cmd|' /C calc'!A0"
    gradebook.db.commit()
    exporter, rows = moodle(course, gradebook, by="email")
    assert [row["email"] for row in rows] == ["ann@example.org"]
    assert any("would start a formula in a spreadsheet; no row was written: bob." in s for s in exporter.remarks)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"assignment": []}, "holds one assignment .* the gradebook has gpt, tokenizer"),
        ({"assignment": ["gtp"]}, "knows no assignment gtp: it has gpt, tokenizer"),
        ({"by": "shoe size"}, "knows no student by 'shoe size': use username, idnumber, email"),
    ],
)
def test_moodle_refuses(course: Path, gradebook: Gradebook, options: dict, sentence: str) -> None:
    with pytest.raises(CannotExport, match=sentence):
        moodle(course, gradebook, **options)


def test_a_spreadsheet_gets_whole_rows_without_formulas(course: Path, gradebook: Gradebook) -> None:
    gradebook.add_student("@eve", last_name='O"Hara, the elder\nof two', first_name="=1+1", email="+e@example.org")
    ann = gradebook.find_student("ann")
    ann.last_name, ann.first_name = "-Ångström", None
    gradebook.db.commit()
    exporter = SpreadsheetExport(config=settings(course), to=str(course / "grades.csv"), assignment=["gpt"])
    exporter.export(gradebook)
    with (course / "grades.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["student_id"]: row for row in csv.DictReader(file)}
    eve = rows["'@eve"]
    assert (eve["last_name"], eve["first_name"], eve["email"]) == (
        'O"Hara, the elder\nof two',
        "'=1+1",
        "'+e@example.org",
    )
    assert [eve[name] for name in ("timestamp", "raw_score", "late_submission_penalty", "score")] == [""] * 4
    assert (rows["ann"]["last_name"], rows["ann"]["first_name"]) == ("'-Ångström", "")
    assert [rows["bob"][name] for name in ("raw_score", "late_submission_penalty", "score", "max_score")] == [
        "6.5",
        "1.25",
        "5.25",
        "10.0",
    ]
    assert rows["cyd"]["score"] == "0.0", "graded, and nothing earned"
    assert rows["dan"]["score"] == "", "only an extension so far"


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("=1+1", "'=1+1"),
        ("+44 1", "'+44 1"),
        ("@x", "'@x"),
        ("  =1", "'  =1"),
        ("\t=1", "'\t=1"),
        ("-", "'-"),
        ("-1.5", "-1.5"),
        ("-1,5", "-1,5"),
        ("Ann-Marie = x", "Ann-Marie = x"),
        ("", ""),
    ],
)
def test_text_is_no_formula(text: str, want: str) -> None:
    assert harmless(text) == want


def test_numbers_are_short() -> None:
    assert [number(x) for x in (31.0, 31.5, 31 + 1 / 3, 0.0, 100.0)] == ["31", "31.5", "31.33", "0", "100"]


@pytest.mark.parametrize(
    ("exporter", "options", "line"),
    [
        ("CanvasExport", ["--CanvasExport.roster=../roster.csv"], '"Árni, Ann",101,S1,ANN,"Mon, early",-1,10,7.5'),
        ("MoodleExport", ["--MoodleExport.by=email", "--assignment", "['gpt']"], "ann@example.org,10,10 of 10 points."),
    ],
)
def test_nbgraders_own_command(course: Path, exporter: str, options: list[str], line: str) -> None:
    command = [sys.executable, "-m", "nbgrader", "export", f"--exporter=course.gradebook.exports.{exporter}", *options]
    # nbgrader looks for the class before it reads the settings that would lead it to the repository
    done = subprocess.run(
        [*command, "--to", "out.csv"],
        cwd=course / "course",
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert line in (course / "course" / "out.csv").read_text(encoding="utf-8").splitlines()


def test_nbgraders_own_export_writes_no_formula_either(course: Path, gradebook: Gradebook) -> None:
    gradebook.find_student("dan").last_name = "=1+1"
    gradebook.db.commit()
    line = [sys.executable, "-m", "nbgrader", "export", "--to", "out.csv"]
    subprocess.run(line, cwd=course / "course", env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True)
    with (course / "course" / "out.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["student_id"]: row for row in csv.DictReader(file) if row["assignment"] == "gpt"}
    assert (rows["dan"]["last_name"], rows["dan"]["score"]) == ("'=1+1", "")


def command(course: Path, *typed: str) -> None:
    """What `python -m course.grading export` does with these words, on that course."""
    parser = argparse.ArgumentParser()
    add_commands(parser.add_subparsers())
    arguments = parser.parse_args(["export", *typed])
    assert arguments.run is export_command
    arguments.run(NbGraderAPI(config=settings(course)), arguments)


def test_the_command(course: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = course / "grades.csv"
    command(course, "--to", str(out))
    assert "All grades are in" in capsys.readouterr().out
    rows = {row["student_id"]: row for row in csv.DictReader(out.open()) if row["assignment"] == "gpt"}
    # penalties are brought up to date first, and this course has no rule that takes off any
    assert (rows["bob"]["score"], rows["dan"]["score"]) == ("6.5", "")
    options = ["--assignment", "gpt", "--roster", str(course / "roster.csv"), "--to", str(out)]
    command(course, "--format", "canvas", *options)
    assert "not in the roster's column 'SIS Login ID' and left out: cyd." in capsys.readouterr().out
    with pytest.raises(CannotExport, match="holds one assignment"):
        command(course, "--format", "moodle", "--to", str(out))
