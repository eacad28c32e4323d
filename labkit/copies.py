"""A student's copy of an assignment: where it lies, and how it is read."""

from collections.abc import Iterator
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from labkit.notebook import NotebookError


def _places() -> Iterator[Path]:
    """Folders that may hold `exercises/`: where the command runs, the folders above, and the course's own last."""
    here = Path.cwd()
    yield from (here, *here.parents, Path(__file__).resolve().parents[1])


def nearby(name: str) -> Iterator[Path]:
    """Where a copy of assignment `name` may lie that was fetched from a hub, or downloaded."""
    here = Path.cwd()
    yield from (here / name / f"{name}.ipynb", here / f"{name}.ipynb")


def in_exercises(name: str) -> Iterator[Path]:
    """Where assignment `name` may lie in a clone of the course, the nearest first."""
    return (place / "exercises" / name / f"{name}.ipynb" for place in _places())


def existing() -> str:
    """The names of the assignments, as part of a sentence."""
    for place in _places():
        names = sorted(p.stem for p in place.glob("exercises/*/*.ipynb") if p.stem == p.parent.name)
        if names:
            return ", ".join(names)
    return "none; run this in the course's folder, the one with exercises/ in it"


def read(path: Path) -> NotebookNode:
    """The notebook at `path`, with the line ends of this course; raises NotebookError where none can be read."""
    try:
        notebook = nbformat.read(path, as_version=4)
        for cell in notebook.cells:
            cell.source = cell.source.replace("\r\n", "\n")
    except FileNotFoundError:
        raise NotebookError(f"There is no notebook {path}. Give the name of an assignment: {existing()}.") from None
    except Exception as error:  # its readers trip in many ways over what is no notebook
        reason = str(error).strip().splitlines()[0][:100] if str(error).strip() else type(error).__name__
        raise NotebookError(
            f"{path} is not a readable notebook ({reason}): download the assignment again and copy your answers over, "
            "cell by cell."
        ) from None
    return notebook
