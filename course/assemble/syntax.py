"""What a piece of Python binds and reads, and on which lines it stands, without running it."""

import ast
import symtable


def bound_names(node: ast.AST) -> set[str]:
    """Names that a top-level statement binds in its own scope."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {node.name}
    if isinstance(node, ast.Import | ast.ImportFrom):
        return {alias.asname or alias.name.split(".")[0] for alias in node.names}
    if isinstance(node, ast.Name):
        return {node.id} if isinstance(node.ctx, ast.Store) else set()
    if isinstance(node, ast.Lambda | ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
        return {n.target.id for n in ast.walk(node) if isinstance(n, ast.NamedExpr)}
    names = {node.name} if isinstance(node, ast.ExceptHandler) and node.name else set()
    return names.union(*(bound_names(child) for child in ast.iter_child_nodes(node)))


def free_names(source: str) -> set[str]:
    """Global names that `source` reads at any depth and does not bind itself."""
    top = symtable.symtable(source, "<cell>", "exec")
    here = {s.get_name() for s in top.get_symbols() if s.is_assigned() or s.is_imported() or s.is_namespace()}
    read = {s.get_name() for s in top.get_symbols() if s.is_referenced()}
    tables = list(top.get_children())
    while tables:
        table = tables.pop()
        tables += table.get_children()
        for symbol in table.get_symbols():
            if symbol.is_global():
                (read if symbol.is_referenced() else here).add(symbol.get_name())
    return read - here


def last_line(node: ast.stmt | ast.expr) -> int:
    return node.end_lineno or node.lineno


def first_line(node: ast.stmt) -> int:
    """First line of a definition, its decorators included."""
    return min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])


def import_statement(node: ast.Import | ast.ImportFrom, name: str) -> str:
    """The import that binds `name`, on its own."""
    alias = next(a for a in node.names if (a.asname or a.name.split(".")[0]) == name)
    alone = ast.Import([alias]) if isinstance(node, ast.Import) else ast.ImportFrom(node.module, [alias], node.level)
    return ast.unparse(alone)


def methods(node: ast.stmt) -> list[ast.FunctionDef]:
    """The functions whose bodies a student may write: the definition itself or a class's methods."""
    if isinstance(node, ast.FunctionDef):
        return [node]
    if isinstance(node, ast.ClassDef):
        return [n for n in node.body if isinstance(n, ast.FunctionDef)]
    return []
