"""What the outcomes of a bank's answers were made from, as digests: when one changes, that answer is played again.

A digest covers the answer with its bank's helpers, the released code that runs before and in the exercise's tests, what
of `solutions` and `labkit` they reach, the words that judging puts failures into, and the pins of the libraries they
import. Comments, prose, other exercises' tests and private tests have no part in it.
"""

import ast
import hashlib
import json
import re
from pathlib import Path

from nbformat import NotebookNode

from course import ROOT
from course.banks.bank import bank_texts
from course.notebook import kind_of, test_cells
from course.reach import Reach, bare, statements
from labkit.notebook import INTEGRATION, facts

OURS = ("solutions", "labkit")
# How an answer is played and how its failures are put into words.
WORDING = ("course/banks/play.py", "course/notebook.py", "course/judging/messages.py", "labkit/testing/*.py")
# The assembler's own cells, which name private tests too; what they tell of a test stands in its metadata.
OPENING, IMPORTS = "given-course-", "given-course-imports"


def digests(root: Path, name: str, source: NotebookNode) -> dict[tuple[str, str], str]:
    """`{(exercise, label): SHA-256 in hex}` for each wrong answer of the assignment's bank.

    `root` holds `tests/` and `solutions/`; `source` is the assembled notebook, with private tests or without.
    """
    reach = Reach(root, OURS, without="labkit.testing")  # that is part of WORDING
    wording = [bare(p.read_text("utf-8")) for pattern in WORDING for p in sorted(ROOT.glob(pattern))]
    pins = dict(re.findall(r"(?m)^([\w.-]+)==(\S+)", (ROOT / "requirements.txt").read_text("utf-8")))
    exercises: dict[str, str] = {}
    found = {}
    for text in bank_texts(root / "tests" / "topics" / name / "wrong.py"):
        if text.exercise not in exercises:
            exercises[text.exercise] = _tested(source, text.exercise)
        parts = [bare("\n".join(text.support)), bare(text.code), exercises[text.exercise]]
        parts += reach.of(parts, [(facts(source).get("reference", ""), lent) for lent in _lent(source, text.exercise)])
        imported = set(re.findall(r"(?m)^\s*(?:import|from) (\w+)", "\n".join(parts)))
        parts += [f"{library}=={pins[library]}" for library in sorted(imported & set(pins))]
        digest = hashlib.sha256(json.dumps([*wording, *parts]).encode())
        found[text.exercise, text.label] = digest.hexdigest()
    return found


def _tested(source: NotebookNode, exercise: str) -> str:
    """The code that decides what the tests of an exercise say: all but other tests, run cells and unused imports."""
    tests = {test.id: test for test in test_cells(source)}
    pieces: list[str] = []
    imports = ""
    for cell in source.cells:
        if cell.cell_type != "code" or kind_of(cell) == "run" or facts(cell).get("private"):
            continue
        if cell.id == IMPORTS:
            imports = cell.source
        elif cell.id in tests:
            test = tests[cell.id]
            of_it = test.exercise in (exercise, INTEGRATION)
            pieces += [text for node, text in statements(cell.source) if of_it or not _is_test(node)]
            if of_it:
                pieces.append(json.dumps([test.exercise, test.replaces, test.lends], sort_keys=True))
        elif not cell.id.startswith(OPENING):
            pieces.append(cell.source)
    code = bare("\n".join(pieces))
    names = {node.id for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Name)}
    used = [text for node, _ in statements(imports) if (text := _part(node, names))]
    return "\n".join([*used, code])


def _lent(source: NotebookNode, exercise: str) -> list[str]:
    cells = [test for test in test_cells(source) if test.exercise in (exercise, INTEGRATION) and not test.private]
    return sorted({name for test in cells for name in test.lends})


def _is_test(node: ast.stmt) -> bool:
    return isinstance(node, ast.With) or (isinstance(node, ast.FunctionDef) and node.name.startswith("test_"))


def _part(node: ast.stmt, names: set[str]) -> str:
    """What an import binds of `names`, as a statement; empty where it binds none."""
    if not isinstance(node, ast.Import | ast.ImportFrom):
        return ""
    kept = [alias for alias in node.names if (alias.asname or alias.name.split(".")[0]) in names]
    alone = ast.Import(kept) if isinstance(node, ast.Import) else ast.ImportFrom(node.module, kept, node.level)
    return ast.unparse(alone) if kept else ""
