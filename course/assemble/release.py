"""The students' notebook: nbgrader's release step makes it of an assembled one; what it may not show is looked for."""

import functools
import tempfile
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from course import ROOT
from course.assemble.assembler import write
from course.assemble.errors import AssemblyError
from course.assemble.source import MARKS


@functools.cache
def _empty_gradebook() -> bytes:
    """A gradebook without anything in it, which takes nbgrader two seconds to make."""
    from nbgrader.api import Gradebook

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "gradebook.db"
        Gradebook(f"sqlite:///{path.as_posix()}", "course").close()
        return path.read_bytes()


def released(name: str, notebook: NotebookNode) -> NotebookNode:
    """The students' notebook that nbgrader's release step makes of an assembled one.

    It runs in a folder of its own with a gradebook of its own, so that looking changes nothing.
    """
    # These take two seconds to import, and assembling does not need them.
    from nbgrader.apps.api import NbGraderAPI
    from traitlets.config import PyFileConfigLoader

    config = PyFileConfigLoader("nbgrader_config.py", path=str(ROOT / "course")).load_config()
    with tempfile.TemporaryDirectory() as folder:
        here = config.CourseDirectory
        here.root, here.source_directory, here.release_directory = folder, "source", "release"
        here.db_url = f"sqlite:///{Path(folder).as_posix()}/gradebook.db"
        (Path(folder) / "gradebook.db").write_bytes(_empty_gradebook())
        write(notebook, Path(folder) / "source" / name / f"{name}.ipynb")
        result = NbGraderAPI(config=config).generate_assignment(name)
        path = Path(folder) / "release" / name / f"{name}.ipynb"
        if not result["success"] or not path.is_file():
            reason = (result["error"] or result["log"] or "").strip().splitlines()
            raise AssemblyError(f"{name}: nbgrader could not release it: {reason[-1] if reason else 'no reason given'}")
        return nbformat.read(path, as_version=4)


def is_telling(line: str) -> bool:
    """Whether a stripped line says something on its own; `return x` and the head of a loop may stand anywhere."""
    return len(line) >= 32 and not line.endswith(":")


def secret_lines(notebook: NotebookNode) -> set[str]:
    """Lines of an assembled notebook that students may not see: of solutions and of hidden tests, stripped.

    Only telling lines count, and no imports. A line that a hidden test shares with a visible one is no secret.
    """
    answers: set[str] = set()
    hidden: set[str] = set()
    public: set[str] = set()
    for cell in notebook.cells:
        lines = public
        for line in cell.source.splitlines():
            if "### BEGIN " in line or "### END " in line:
                lines = answers if "BEGIN SOLUTION" in line else hidden if "BEGIN HIDDEN" in line else public
            if is_telling(line.strip()) and not line.strip().startswith(("import ", "from ")):
                lines.add(line.strip())
    return answers | (hidden - public)


def check_released(name: str, notebook: NotebookNode, secret: set[str]) -> None:
    """Refuse a released notebook in which a mark, or a line that nbgrader should have taken out, is left."""
    for cell in notebook.cells:
        for line in cell.source.splitlines():
            where = f"exercises/{name}/{name}.ipynb: cell {cell.id}"
            if mark := next((m for m in MARKS if m in line), None):
                raise AssemblyError(
                    f"{where}: nbgrader left `{mark}` in it; check that each mark has its partner in "
                    f"course/source/{name}/{name}.ipynb and that course/nbgrader_config.py keeps nbgrader's own marks."
                )
            if line.strip() in secret:
                raise AssemblyError(
                    f"{where}: it shows `{line.strip()}`, which is part of a solution or a hidden test; "
                    f"say it another way in course/assignments/{name}.py."
                )


def release(name: str, notebook: NotebookNode, to: Path) -> NotebookNode:
    """Write the students' notebook of an assembled one to `to`, checked."""
    public = released(name, notebook)
    check_released(name, public, secret_lines(notebook))
    write(public, to)
    return public
