"""Given and exercise cells: each import from the assignment's own solutions gives way to the definition itself."""

import ast

from course.assemble.definitions import Definitions
from course.assemble.errors import shown
from course.assemble.names import ALWAYS_THERE, Names
from course.assemble.source import MARKS, Cell
from course.assemble.syntax import free_names, import_statement, last_line


class Inliner:
    """Puts the definitions of one solutions module in the place of their imports."""

    def __init__(self, module: str, definitions: Definitions, names: Names):
        self.module, self.definitions, self.names = module, definitions, names

    def inline(self, cell: Cell) -> str:
        """The cell with each import from this topic's solutions replaced by the definitions."""
        lines, tree = cell.source.splitlines(), ast.parse(cell.source)
        for node in tree.body:
            if isinstance(node, ast.Import) and any(a.name.split(".")[0] == "solutions" for a in node.names):
                cell.refuse("write `from solutions.<topic> import <name>`", node.lineno)
        ours = [n for n in tree.body if isinstance(n, ast.ImportFrom) and n.module == self.module]
        if cell.kind == "exercise":
            other = next((n for n in tree.body if n not in ours), None)
            if other is not None or not ours:
                line = other.lineno if other is not None else None
                what = f"an exercise cell holds only `from {self.module} import <name>`; the rest goes in a given cell"
                cell.refuse(what, line)
        if not ours:
            return cell.source
        definitions = self.definitions
        for node in ours:
            for alias in node.names:
                bound = definitions.binds.get(alias.name)
                if alias.asname:
                    cell.refuse(f"import `{alias.name}` under its own name", node.lineno)
                if bound is None or isinstance(bound, ast.Import | ast.ImportFrom):
                    cell.refuse(
                        f"{shown(definitions.path)} does not define `{alias.name}`; correct the name", node.lineno
                    )
                if alias.name in self.names.have:
                    cell.refuse(f"`{alias.name}` is already in an earlier cell; import it once", node.lineno)
                self.names.have.add(alias.name)
        for node in reversed(ours):
            # In the module's own order, so that a definition follows what it needs at once.
            names = sorted((a.name for a in node.names), key=lambda name: definitions.binds[name].lineno)
            texts: dict[int, str] = {}
            for name in names:
                if cell.kind == "exercise":
                    given = cell.options.get("given_methods", "").split()
                    self.bring_imports(cell, name, definitions.shown_text(name, given), node.lineno)
                    own = self.needed(cell, name, definitions.text_of(name), node.lineno)
                    text = definitions.exercise_text(name, given, own)
                else:
                    text = definitions.text_of(name)
                    self.bring_imports(cell, name, text, node.lineno)
                if mark := next((m for m in MARKS if m in definitions.text_of(name)), None):
                    definitions.refuse(definitions.binds[name], f"`{mark}` is written by the assembler; take it out")
                texts[definitions.binds[name].lineno] = text
            blocks = ast.FunctionDef | ast.ClassDef
            gap = "\n\n\n" if any(isinstance(definitions.binds[n], blocks) for n in names) else "\n"
            space = [""] * (len(gap) - 1)
            before, after = lines[: node.lineno - 1], lines[last_line(node) :]
            before += space if before and before[-1].strip() else []
            after = (space if after and after[0].strip() else []) + after
            lines = [*before, gap.join(texts.values()), *after]
        return "\n".join(lines).strip("\n")

    def bring_imports(self, cell: Cell, name: str, text: str, line: int) -> None:
        """Note the imports that the text of a definition needs, so that they come by themselves."""
        self.names.imports |= self.needed(cell, name, text, line)

    def needed(self, cell: Cell, name: str, text: str, line: int) -> dict[str, str]:
        """The imports that the text of a definition needs and that are not in the notebook, by the name they bind.

        Refuse if it needs anything else that is not there.
        """
        definitions, found = self.definitions, {}
        for needed in sorted(free_names(text) - {name}):
            bound = definitions.binds.get(needed)
            if isinstance(bound, ast.Import | ast.ImportFrom):
                statement = import_statement(bound, needed)
                already = self.names.imports.get(needed) or self.names.own_imports.get(needed)
                if already is None and needed in self.names.have:
                    already = "something else"
                if already not in (None, statement):
                    cell.refuse(f"`{name}` needs `{statement}`, but here `{needed}` is {already}; rename it", line)
                if already is None:
                    found[needed] = statement
            elif needed not in self.names.have and needed not in ALWAYS_THERE:
                where = f" ({shown(definitions.path)}:{bound.lineno})" if bound is not None else ""
                cell.refuse(f"`{name}` needs `{needed}`{where}; import it in an earlier given or exercise cell", line)
        return found
