"""Hidden tests of the assignments as students read them: each of their messages has words of its author."""

import ast
import inspect
from collections.abc import Iterator

import pytest

from course.assemble.assembler import Assembler
from course.assemble.source import assignments
from course.notebook import is_hidden
from labkit.testing import checks
from tests.banks.test_banks import hints

HINT = "hint"  # the parameter by which helpers take the author's words
CHECKS = {n.name: n for n in ast.parse(inspect.getsource(checks)).body if isinstance(n, ast.FunctionDef)}


def functions(name: str) -> dict[str, ast.FunctionDef]:
    """The functions of an assembled notebook's code cells, as they stand there, hidden tests among them."""
    cells = [ast.parse(c.source) for c in Assembler(name).build().cells if c.cell_type == "code"]
    return {n.name: n for tree in cells for n in tree.body if isinstance(n, ast.FunctionDef)}


def messages(function: ast.FunctionDef, others: dict[str, ast.FunctionDef]) -> Iterator[tuple[int, ast.expr | None]]:
    """What a test says where it fails: messages of its assertions, and hints that it gives to helpers."""
    for node in ast.walk(function):
        match node:
            case ast.Assert(msg=message):
                yield node.lineno, message
            case ast.Raise(exc=ast.Call(args=[message, *_])):
                yield node.lineno, message
            case ast.Call(func=ast.Name(id=helper), args=arguments) if helper in others:
                names = [a.arg for a in others[helper].args.args]
                if HINT in names:
                    given = dict(zip(names, arguments, strict=False)) | {k.arg: k.value for k in node.keywords if k.arg}
                    yield node.lineno, given.get(HINT)


def constants(node: ast.expr | None, function: ast.FunctionDef) -> str:
    """The constant texts in a message, and in what its names were bound to before."""
    if node is None:
        return ""
    texts = []
    for part in ast.walk(node):
        match part:
            case ast.Constant(value=str(text)):
                texts.append(text)
            case ast.Name(id=name) if name != function.name:
                bound = [
                    n.value
                    for n in ast.walk(function)
                    if isinstance(n, ast.Assign)
                    and n.lineno < part.lineno
                    and any(isinstance(t, ast.Name) and t.id == name for t in n.targets)
                ]
                texts += [
                    constants(value, function)
                    for value in bound[-1:]
                    if isinstance(value, ast.Constant | ast.JoinedStr)
                ]
    return " ".join(texts)


@pytest.mark.parametrize("name", assignments())
def test_every_message_of_a_hidden_test_has_words(name: str):
    known = functions(name) | CHECKS
    hidden = [f for f in known.values() if is_hidden(f.name)]
    assert hidden
    said = [(f, line, message) for f in hidden for line, message in messages(f, known)]
    assert {f.name for f, _, _ in said} == {f.name for f in hidden}, "a hidden test that says nothing"
    bare = [f"{f.name}, line {line}" for f, line, message in said if not hints(constants(message, f))]
    assert bare == []
