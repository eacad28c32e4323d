"""What the outcomes of a bank's answers were made from, as digests: when one changes, that answer is played again.

A digest covers the answer with its bank's helpers, the released code that runs before and in the exercise's tests, what
of `solutions` and `labkit` they reach, the words that judging puts failures into, and the pins of the libraries they
import. Comments, prose, other exercises' tests and private tests have no part in it.
"""

import ast
import functools
import hashlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from nbformat import NotebookNode

from course import ROOT
from course.banks.bank import bank_texts
from course.banks.reach import bare, statements
from course.judging.reference import reference
from course.notebook import kind_of, test_cells
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
    used = [text for node, text in statements(imports) if names & _bound(node)]
    return "\n".join([*used, code])


def _lent(source: NotebookNode, exercise: str) -> list[str]:
    cells = [test for test in test_cells(source) if test.exercise in (exercise, INTEGRATION) and not test.private]
    return sorted({name for test in cells for name in test.lends})


def _is_test(node: ast.stmt) -> bool:
    return isinstance(node, ast.With) or (isinstance(node, ast.FunctionDef) and node.name.startswith("test_"))


def _bound(node: ast.stmt) -> set[str]:
    names = node.names if isinstance(node, ast.Import | ast.ImportFrom) else []
    return {alias.asname or alias.name.split(".")[0] for alias in names}


class Reach:
    """Finds what code reaches in our own packages, below `root`: definitions, with what these reach in turn.

    Modules whose names begin with one of `without` are passed over.
    """

    def __init__(self, root: Path, packages: tuple[str, ...], without: str | tuple[str, ...]):
        self.root, self.packages, self.without = root, packages, without
        self.read: dict[tuple[str, str], str] = {}

    def of(self, texts: list[str], named: Iterable[tuple[str, str]] = ()) -> list[str]:
        """The definitions that some code reaches, and those that are named as (module, name), in a fixed order."""
        found: dict[tuple[str, str], str] = {}
        waiting = [*named, *(use for text in texts for use in self.uses(text))]
        while waiting:
            use = waiting.pop()
            if use not in found and not ".".join(use).startswith(self.without):
                found[use] = self.definition(*use)
                waiting += self.uses(found[use])
        return [text for _, text in sorted(found.items())]

    def uses(self, text: str) -> Iterator[tuple[str, str]]:
        """(module, name) for each definition that code uses; of a module that it uses otherwise the whole."""
        for package, name, attributes in _uses(text, self.packages):
            if attributes and self.root.joinpath(*package.split("."), f"{name}.py").is_file():
                yield from ((f"{package}.{name}", attribute) for attribute in attributes)
            else:
                yield package, name

    def definition(self, module: str, name: str) -> str:
        if (module, name) not in self.read:
            self.read[module, name] = self._definition(module, name)
        return self.read[module, name]

    def _definition(self, module: str, name: str) -> str:
        path = self.root.joinpath(*module.split("."))
        if path.with_suffix(".py").is_file():
            return bare(reference(path.with_suffix(".py"), [name]).get(name, ""))
        whole = path / f"{name}.py"  # `from solutions import gpt`
        return bare(whole.read_text("utf-8")) if whole.is_file() else ""


@functools.lru_cache(maxsize=4096)
def _uses(text: str, packages: tuple[str, ...]) -> tuple[tuple[str, str, tuple[str, ...]], ...]:
    """(module, name, attributes) for what code names of our packages; no attributes where it is used without them."""
    tree = ast.parse(text)
    found: list[tuple[str, str, tuple[str, ...]]] = []
    names = Counter(node.id for node in ast.walk(tree) if isinstance(node, ast.Name))
    dotted: dict[str, list[str]] = defaultdict(list)
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(id=name), attr=attribute):
                dotted[name].append(attribute)
    for node in ast.walk(tree):
        match node:
            case ast.ImportFrom(module=str(module), names=aliases) if module.split(".")[0] in packages:
                for alias in aliases:
                    bound = alias.asname or alias.name
                    attributes = dotted[bound] if len(dotted[bound]) == names[bound] else []
                    found.append((module, alias.name, tuple(sorted(set(attributes)))))
            case ast.Attribute(value=ast.Attribute(value=ast.Name(id=package), attr=module), attr=name):
                if package in packages:
                    found.append((f"{package}.{module}", name, ()))
    return tuple(found)
