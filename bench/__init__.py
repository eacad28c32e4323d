"""Measurements against other software, a module each, found by themselves."""

import importlib
import pkgutil
from types import ModuleType


def benches() -> dict[str, ModuleType]:
    """The modules of this package that have a `main(arguments)`, by name and in the order of their names."""
    names = sorted(found.name for found in pkgutil.iter_modules(__path__) if found.name != "__main__")
    modules = {name: importlib.import_module(f"{__name__}.{name}") for name in names}
    return {name: module for name, module in modules.items() if hasattr(module, "main")}
