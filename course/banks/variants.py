"""Students' notebooks of an assignment: solved, blank, and with the answers of its banks."""

import ast
import copy
import re
from collections.abc import Iterator

from nbformat import NotebookNode

from course import ROOT
from course.banks.bank import bank
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
        for exercise, text in answers(kind, name):
            of.setdefault(exercise, []).append(text)
        for number in range(max(map(len, of.values()))):
            notebook = solved(source)
            for cell in notebook.cells:
                texts = of.get(name_of(cell), [])
                if kind_of(cell) == "exercise" and number < len(texts):
                    cell.source = with_answer(cell.source, texts[number])
            yield f"{kind} {number + 1}", notebook


def answers(kind: str, name: str) -> list[tuple[str, str]]:
    """`(exercise, text)` of a bank's answers; the text holds what the bank's module offers them too."""
    text = (ROOT / "tests" / "topics" / name / f"{kind}.py").read_text(encoding="utf-8")
    support, definitions = [], []
    for node in ast.parse(text).body:
        segment = ast.get_source_segment(text, node) or ""
        decorators = [ast.unparse(decorator) for decorator in getattr(node, "decorator_list", ())]
        answering = [decorator for decorator in decorators if decorator.startswith(f"{kind}(")]
        # A segment begins after its decorators.
        segment = "\n".join([*(f"@{decorator}" for decorator in decorators if decorator not in answering), segment])
        if answering:
            definitions += [segment] * len(answering)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            module = node.module if isinstance(node, ast.ImportFrom) else node.names[0].name
            if (module or "").split(".")[0] not in OURS:
                support.append(segment)
        else:
            support.append(segment)
    entries = bank(kind, name)
    assert len(entries) == len(definitions)
    return [
        (entry.exercise, "\n".join([*support, definition, *_renamed(entry.name, entry.answer.__name__)]))
        for entry, definition in zip(entries, definitions, strict=True)
    ]


def _renamed(name: str, defined: str) -> list[str]:
    return [] if name == defined else [f"{name} = {defined}"]


def with_answer(exercise: str, answer: str) -> str:
    """An exercise's cell with the reference's answer and then another, which may use the reference's."""
    defined = [node.name for node in ast.parse(exercise).body if hasattr(node, "name")]

    def theirs(match: re.Match[str]) -> str:
        return f"reference_{match[1]}" if match[1] in defined else match[1]

    kept = [f"reference_{name} = {name}" for name in defined]
    return "\n".join([exercise, *kept, re.sub(r"\b(?:solutions\.\w+|reference)\.(\w+)", theirs, answer)])
