"""Names in the notebook that is being assembled: what is bound so far, by what, and what a name leads to."""

import ast
import builtins

from course.assemble.source import Cell
from course.assemble.syntax import bound_names, free_names, import_statement

# What a notebook's kernel offers beside the builtins.
ALWAYS_THERE = frozenset(dir(builtins)) | {"__name__", "display", "get_ipython"}


class Names:
    """The names that cells bind, noted cell by cell; `owner` says which exercise asks for a name."""

    def __init__(self, owner: dict[str, str]):
        self.owner = owner
        self.have: set[str] = set()  # bound by given, exercise and test cells so far
        self.shown_only: set[str] = set()  # bound by run cells alone
        self.reads: dict[str, set[str]] = {}  # name -> the names that its binding reads
        self.imports: dict[str, str] = {}  # name -> the import statement that a definition needs
        self.own_imports: dict[str, str] = {}  # name -> the import statement in a given cell

    def check(self, cell: Cell, source: str) -> None:
        """Refuse a name that neither this cell nor an earlier one binds."""
        there = self.have | ALWAYS_THERE | set(self.imports)
        for name in sorted(free_names(source) - there):
            reads = (n for n in ast.walk(ast.parse(cell.source)) if isinstance(n, ast.Name) and n.id == name)
            line = next((n.lineno for n in reads), None)
            if name not in self.shown_only:
                cell.refuse(f"no earlier cell defines `{name}`; define or import it in a given cell above", line)
            elif cell.kind != "run":
                cell.refuse(f"`{name}` is defined only in a run cell; move it to a given cell", line)

    def note(self, cell: Cell, source: str) -> None:
        """Note what a cell binds; refuse what means something else already."""
        for node in ast.parse(source).body:
            names = bound_names(node)
            if cell.kind == "run":
                self.shown_only |= names
                continue
            text = ast.get_source_segment(source, node) or ""
            for name in names:
                if cell.kind != "exercise" and name in self.owner:
                    cell.refuse(f"`{name}` is what exercise {self.owner[name]} asks for; use another name", node.lineno)
                if isinstance(node, ast.Import | ast.ImportFrom):
                    statement = import_statement(node, name)
                    if self.imports.get(name, statement) != statement:
                        cell.refuse(f"`{name}` means `{self.imports[name]}` in the solutions; rename it here")
                    self.own_imports[name] = statement
                self.have.add(name)
                self.reads[name] = free_names(text) - {name}

    def reach(self, names: set[str]) -> set[str]:
        """Every name that `names` lead to through the notebook's own definitions."""
        seen, todo = set(), list(names)
        while todo:
            name = todo.pop()
            if name not in seen:
                seen.add(name)
                todo += self.reads.get(name, ())
        return seen
