"""A page of submissions whose answers are alike, for the instructor: it changes no mark.

Compared is what each student wrote into the exercises, all of it together, by the fingerprints of winnowing (Schleimer,
Wilkerson and Aiken 2003, "Winnowing: Local Algorithms for Document Fingerprinting"; the library is copydetect): names,
comments, spacing and order make no difference. What the release gave, and what many students wrote, is left out.
Short answers to the same task are alike by nature, so two submissions are listed only if most of what remains agrees.
"""

import argparse
import datetime
import io
import itertools
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from copydetect import CodeFingerprint, compare_files
from nbformat import NotebookNode
from nbgrader.apps.api import NbGraderAPI

from course.judging.released import blank_answers
from course.pages.analytics import graded_notebook, source_of
from course.pages.render import render
from course.pages.sanitize import plain
from labkit.files import write_whole
from labkit.notebook import is_exercise, name_of

LISTED = 0.6
"""The share of a submission's own code that must agree, of both. Different right answers reach .3 (tests/pages)."""
LEAST = 250
"""Characters of filtered code that must agree: three or four short functions."""
LENGTH, WINDOW = 25, 8
"""Characters of a fingerprint; of a run of so many fingerprints one is kept, as copydetect proposes."""
MANY = 4
"""What so many students and a quarter of the class wrote is common."""


@dataclass(frozen=True)
class Pair:
    """Two submissions that are alike."""

    students: tuple[str, str]
    share: float
    """Of the own code of the one that agrees more, as a percentage."""
    answers: list[tuple[str, str, str]]
    """`(exercise, what the first wrote, what the second wrote)`, where these agree."""


def answers_of(notebook: NotebookNode) -> dict[str, str]:
    """What a student wrote, by exercise."""
    found: dict[str, str] = {}
    for cell in notebook.cells:
        if is_exercise(cell) and cell.cell_type == "code":
            found[name_of(cell)] = "\n".join(filter(None, (found.get(name_of(cell)), cell.source)))
    return found


def pairs(answers: Mapping[str, Mapping[str, str]], released: str) -> list[Pair]:
    """The pairs of students whose answers are alike, those most alike first.

    `answers` holds what each student wrote, by exercise; `released` what the exercises' cells held before.
    """
    given = _fingerprint(released, window=1).hashes
    whole = {student: _fingerprint("\n".join(texts.values()), given) for student, texts in answers.items()}
    wrote = Counter(hash for found in whole.values() for hash in found.hashes)
    common = [hash for hash, count in wrote.items() if count >= max(MANY, len(answers) / 4)]
    left_out = [*given, *common]
    whole = {student: _fingerprint("\n".join(texts.values()), left_out) for student, texts in answers.items()}
    found = []
    for one, other in itertools.combinations(sorted(whole), 2):
        agree, shares, _ = compare_files(whole[one], whole[other])
        if agree >= LEAST and min(shares) >= LISTED:
            alike = list(_alike(answers[one], answers[other], given))
            found.append(Pair((one, other), 100 * min(1.0, max(shares)), alike))
    return sorted(found, key=lambda pair: -pair.share)


def _alike(one: Mapping[str, str], other: Mapping[str, str], given: list[int]) -> Iterator[tuple[str, str, str]]:
    """The exercises whose answers agree."""
    for exercise in one.keys() & other.keys():
        left, right = (_fingerprint(answers[exercise], given) for answers in (one, other))
        agree, shares, _ = compare_files(left, right)
        if agree and min(shares) >= LISTED:
            yield exercise, one[exercise], other[exercise]


def _fingerprint(code: str, left_out: list[int] | tuple[()] = (), window: int = WINDOW) -> CodeFingerprint:
    return CodeFingerprint("answers.py", LENGTH, window, boilerplate=list(left_out), fp=io.StringIO(code))


def page(title: str, compared: int, found: list[Pair], moment: datetime.datetime) -> str:
    """The page as HTML."""
    values = {"title": title, "compared": compared, "pairs": found, "listed": LISTED, "moment": moment}
    return render("alike", values, {"plain": plain}, style="analytics")


def alike_command(api: NbGraderAPI, arguments: argparse.Namespace) -> None:
    """Write the page and say where it is."""
    name = arguments.assignment
    source = source_of(api, name)
    graded = {student: graded_notebook(api, name, student) for student in api.get_autograded_students(name)}
    answers = {student: answers_of(notebook) for student, notebook in graded.items() if notebook is not None}
    found = pairs(answers, "\n".join(blank_answers(source).values()))
    path = arguments.to or Path(f"{name}-alike.html")
    title = str(source.metadata.get("course", {}).get("title", name))
    write_whole(path, page(title, len(answers), found, datetime.datetime.now()).encode())
    listed = f"{len(found)} pair{'' if len(found) == 1 else 's'}"
    print(f"Of {len(answers)} graded submissions {listed} are alike. It changes no mark; the page is {path}.")


def add_commands(subparsers: argparse._SubParsersAction) -> None:
    """Add `alike` to the grading command."""
    command = subparsers.add_parser("alike", help="write a page of submissions that are alike, for the instructor")
    command.add_argument("assignment", nargs="?")
    command.add_argument("--to", type=Path, help="the file to write (NAME-alike.html)")
    command.set_defaults(run=alike_command)
