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
MISTAKES = "mistakes"  # and the one by which they take words for what each mistake gives
CHECKS = {n.name: n for n in ast.parse(inspect.getsource(checks)).body if isinstance(n, ast.FunctionDef)}


def functions(name: str) -> dict[str, ast.FunctionDef]:
    """The functions of an assembled notebook's code cells, as they stand there, hidden tests among them."""
    cells = [ast.parse(c.source) for c in Assembler(name).build().cells if c.cell_type == "code"]
    return {n.name: n for tree in cells for n in tree.body if isinstance(n, ast.FunctionDef)}


Message = tuple[ast.FunctionDef, int, ast.expr | None]
"""The function in which a message stands, its line, and the expression that makes it."""


def messages(function: ast.FunctionDef, others: dict[str, ast.FunctionDef]) -> Iterator[Message]:
    """What a test says where it fails: its assertions' messages, the hints it gives helpers, and what helpers say."""
    for node in ast.walk(function):
        match node:
            case ast.Assert(msg=message):
                yield function, node.lineno, message
            case ast.Raise(exc=ast.Call(args=[message, *_])):
                yield function, node.lineno, message
            case ast.Call(func=ast.Name(id=helper), args=arguments) if helper in others:
                for known in (k.value for k in node.keywords if k.arg == MISTAKES):
                    for table in tables(known, others):
                        computed = [ast.unparse(key) for key in table.keys if isinstance(key, ast.JoinedStr)]
                        assert not computed, (
                            f"{function.name}: a reader is told words that stand as they are: {computed}"
                        )
                        yield from ((function, node.lineno, key) for key in table.keys)
                names = [a.arg for a in others[helper].args.args]
                if HINT in names:
                    given = dict(zip(names, arguments, strict=False)) | {k.arg: k.value for k in node.keywords if k.arg}
                    own = [n.msg for n in ast.walk(others[helper]) if isinstance(n, ast.Assert)]
                    own += [n.exc for n in ast.walk(others[helper]) if isinstance(n, ast.Raise) and n.exc]
                    for words in own or [None]:  # a helper may add words to the hint
                        parts = [part for part in (given.get(HINT), words) if part is not None]
                        yield function, node.lineno, ast.Tuple(parts)
                elif helper.startswith("check"):
                    yield from messages(others[helper], others)


def tables(known: ast.expr, others: dict[str, ast.FunctionDef]) -> list[ast.Dict]:
    """The dicts that make up a table of mistakes: written there, returned by a helper, or both joined by |."""
    match known:
        case ast.Dict():
            return [known]
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return [*tables(left, others), *tables(right, others)]
        case ast.Call(func=ast.Name(id=helper)) if helper in others:
            returned = [n.value for n in ast.walk(others[helper]) if isinstance(n, ast.Return)]
            return [table for value in returned if value for table in tables(value, others)]
    raise AssertionError(f"a reader cannot see which mistakes these are: {ast.unparse(known)}")


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
    said = {f.name: list(messages(f, known)) for f in hidden}
    assert [test for test, found in said.items() if not found] == [], "a hidden test that says nothing"
    bare = [
        f"{test}: {f.name}, line {line}"
        for test, found in said.items()
        for f, line, message in found
        if not hints(constants(message, f))
    ]
    assert bare == []
