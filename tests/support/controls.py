"""The book's controls, found in their folders."""

from importlib import import_module
from pathlib import Path

from anywidget import AnyWidget

from labkit import widgets

FOLDERS = sorted(path.parent.name for path in Path(widgets.__file__).parent.glob("*/__init__.py"))


def control(folder: str) -> type[AnyWidget]:
    """The one control that a folder holds."""
    module = import_module(f"labkit.widgets.{folder}")
    (found,) = (
        each
        for each in vars(module).values()
        if isinstance(each, type) and issubclass(each, AnyWidget) and each.__module__ == module.__name__
    )
    return found


CONTROLS = [control(folder) for folder in FOLDERS]
