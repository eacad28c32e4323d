"""The reference's own parts as source text, cut out of `solutions/<topic>.py`.

A test may lend the student's code earlier exercises in the reference's version (`lends` of a test cell). Where the
student's code runs, the reference cannot be imported; the judge sends what a part needs and no more.
"""

from pathlib import Path

from nbformat import NotebookNode

from course.notebook import test_cells
from course.reach import definitions
from labkit.notebook import facts


def references(source: NotebookNode, root: Path) -> dict[str, str]:
    """`{name: source}` for every part that a test of this source notebook lends; `root` holds `solutions/`."""
    wanted = {name for cell in test_cells(source) for name in cell.lends}
    module = facts(source).get("reference", "")
    return definitions(root.joinpath(*module.split(".")).with_suffix(".py"), wanted) if wanted else {}
