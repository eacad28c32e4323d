"""Run and test cells as the notebook has them."""

import ast
import re

from course.assemble.source import Cell
from course.assemble.syntax import last_line
from course.notebook import answers_line, is_hidden

HINT = re.compile(r"\s*(<details><summary>(?:Hint|Another hint)\b.*?</details>)", re.DOTALL)


def hints_apart(prose: str) -> tuple[str, list[str]]:
    """A text without its folded hints, and these."""
    return HINT.sub("", prose).strip(), HINT.findall(prose)


def run_text(cell: Cell) -> str:
    """A run cell without its guard."""
    body = ast.parse(cell.source).body
    guard = body[0] if len(body) == 1 else None
    if not isinstance(guard, ast.If) or guard.orelse or ast.unparse(guard.test) != "__name__ == '__main__'":
        cell.refuse('a run cell is one `if __name__ == "__main__":` block')
    # Lines inside a string of several lines belong to the string: they keep their indentation.
    in_text: set[int] = set()
    for node in ast.walk(guard):
        if isinstance(node, ast.Constant | ast.JoinedStr) and last_line(node) > node.lineno:
            in_text |= set(range(node.lineno + 1, last_line(node) + 1))
    numbered = list(enumerate(cell.source.splitlines(), 1))[guard.lineno :]
    return "\n".join(line if n in in_text else line.removeprefix("    ") for n, line in numbered).strip("\n")


def functions_of(cell: Cell, have: set[str]) -> list[ast.FunctionDef]:
    """The test functions of a test cell; `have` are the names that earlier cells bind."""
    found = []
    for node in ast.parse(cell.source).body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "solutions":
            cell.refuse("a test takes nothing from solutions; import it in a given cell", node.lineno)
        plain = ast.FunctionDef | ast.ClassDef | ast.Import | ast.ImportFrom | ast.Assign | ast.AnnAssign
        if not isinstance(node, plain):
            what = "ends in an expression" if isinstance(node, ast.Expr) else "runs code"
            cell.refuse(f"the test cell {what}; keep only definitions, their calls are added for you", node.lineno)
        if not (isinstance(node, ast.FunctionDef) and node.name.startswith("test_")):
            continue
        arguments = node.args
        if any(
            [
                arguments.posonlyargs,
                arguments.args,
                arguments.kwonlyargs,
                arguments.vararg,
                arguments.kwarg,
                node.decorator_list,
            ]
        ):
            cell.refuse(
                f"`{node.name}` takes an argument, a fixture or a decorator; the notebook calls it with none",
                node.lineno,
            )
        found.append(node)
    for inner in ast.walk(ast.parse(cell.source)):
        if isinstance(inner, ast.Assert) and inner.msg is None:
            cell.refuse("an assert has no message; name the likely mistake", inner.lineno)
    if not found:
        cell.refuse("it holds no `def test_...():`")
    for node in found:
        if cell.private and not is_hidden(node.name):
            cell.refuse(f"`{node.name}` is private; end its name in _hidden", node.lineno)
        if node.name in have:
            cell.refuse(f"another cell has a `{node.name}` already; rename it", node.lineno)
    return found


def names_in_sight(cells: list[Cell]) -> set[str]:
    """Names that students' part of the cells leads to: not those of helpers that only hidden tests call."""
    reads: dict[str, set[str]] = {}  # a test cell's helper -> the names in it
    todo: list[str] = []
    for cell in cells:
        for node in ast.parse(cell.source).body if cell.kind != "prose" else ():
            names = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
            if cell.kind != "test" or not isinstance(node, ast.FunctionDef | ast.ClassDef):
                todo += names
            elif not node.name.startswith("test_"):
                reads[node.name] = names
            elif not is_hidden(node.name):
                todo += names
    seen: set[str] = set()
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            todo += reads.get(name, ())
    return seen


def test_text(cell: Cell, functions: list[ast.FunctionDef], in_sight: set[str]) -> str:
    """The test cell: its functions, then their calls; what is hidden stands between nbgrader's marks.

    A helper is hidden too unless it is `in_sight`. A cell with visible tests opens with a line that JupyterLab shows
    while the cell is folded.
    """
    hidden = [f.name for f in functions if is_hidden(f.name)]
    visible = [f.name for f in functions if not is_hidden(f.name)]
    lines, last = cell.source.splitlines(), 0
    out: list[str] = []
    shown = False
    for node in ast.parse(cell.source).body:
        block = lines[last : last_line(node)]
        last = last_line(node)
        name = getattr(node, "name", None)
        if name is None or name in visible or name in in_sight:
            while out and not shown and not block[0].strip():  # under nothing but what is hidden
                out.insert(-1, block.pop(0))
            shown = True
        else:
            # With the blank lines before it, so that none pile up where it is taken out.
            block = ["### BEGIN HIDDEN TESTS", *block, "### END HIDDEN TESTS"]
        out += block
    opening = answers_line(cell.of, cell.name)
    if visible:
        calls = [f"    {name}()" for name in visible]
        if hidden:
            calls += [
                "    ### BEGIN HIDDEN TESTS",
                *(f"    {name}()" for name in hidden),
                "    ### END HIDDEN TESTS",
            ]
        title = f"# Test {cell.name}: run this cell; unfold it to read what it checks."  # all one sees of it folded
        while out and not out[0].strip():
            del out[0]
        out = [title, *out, "", "", opening, *calls]
    else:
        told = f"# Hidden tests of {cell.of} run here when the assignment is graded."
        out = [
            *([*out, "", "", told] if shown else [told, *out]),
            "### BEGIN HIDDEN TESTS",
            "",
            "",
            opening,
            *(f"    {name}()" for name in hidden),
            "### END HIDDEN TESTS",
        ]
    return "\n".join(out + lines[last:]).strip("\n")


test_text.__test__ = False  # type: ignore[attr-defined]  # pytest takes it for a test
