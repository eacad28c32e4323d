"""Students' notebooks of an assignment: solved, blank, and with the answers of its banks."""

import ast
import copy
import re
from collections.abc import Iterator

from nbformat import NotebookNode

from course import ROOT
from course.banks.bank import AnswerText, bank_texts
from course.banks.play import blanked
from course.notebook import kind_of
from labkit.notebook import name_of

OURS = ("course", "solutions", "tests")


def solved(source: NotebookNode) -> NotebookNode:
    """The notebook of a student who wrote what the reference has."""
    notebook = copy.deepcopy(source)
    for cell in notebook.cells:
        lines = cell.source.splitlines()
        cell.source = "\n".join(line for line in lines if "# BEGIN " not in line and "# END " not in line)
    return notebook


def blank(source: NotebookNode) -> NotebookNode:
    """The notebook of a student who wrote nothing."""
    notebook = solved(source)
    for cell, original in zip(notebook.cells, source.cells, strict=True):
        if kind_of(cell) == "exercise":
            cell.source = blanked(original.source)
    return notebook


def variants(name: str, source: NotebookNode) -> Iterator[tuple[str, NotebookNode]]:
    """Every variant with its label: "solved", "blank", "wrong 1" with each exercise's first wrong answer, and so on.

    Together they hold every answer of the banks.
    """
    yield "solved", solved(source)
    yield "blank", blank(source)
    for kind in ("wrong", "right"):
        of: dict[str, list[str]] = {}
        for text in bank_texts(ROOT / "tests" / "topics" / name / f"{kind}.py"):
            of.setdefault(text.exercise, []).append(_in_a_cell(text))
        for number in range(max(map(len, of.values()))):
            notebook = solved(source)
            for cell in notebook.cells:
                texts = of.get(name_of(cell), [])
                if kind_of(cell) == "exercise" and number < len(texts):
                    cell.source = with_answer(cell.source, texts[number])
            yield f"{kind} {number + 1}", notebook


def _in_a_cell(text: AnswerText) -> str:
    """An answer with what its bank offers it, except imports that a student's notebook may not have."""
    imports = (re.match(r"(?:from|import) (\w+)", statement) for statement in text.support)
    support = [s for s, found in zip(text.support, imports, strict=True) if found is None or found[1] not in OURS]
    return "\n".join([*support, text.code])


def with_answer(exercise: str, answer: str) -> str:
    """An exercise's cell with the reference's answer and then another, which may use the reference's."""
    defined = [node.name for node in ast.parse(exercise).body if hasattr(node, "name")]

    def theirs(match: re.Match[str]) -> str:
        return f"reference_{match[1]}" if match[1] in defined else match[1]

    kept = [f"reference_{name} = {name}" for name in defined]
    return "\n".join([exercise, *kept, re.sub(r"\b(?:solutions\.\w+|reference)\.(\w+)", theirs, answer)])
