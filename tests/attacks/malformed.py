"""Submissions that are no notebook, a damaged one, or one whose cells and metadata were changed."""

import copy
import json
import os
from pathlib import Path
from typing import Any

import nbformat

from tests.attacks import POINTS
from tests.attacks.attack import SOLVED, Attack, cell_of, filled, full, own, saves, source


def damaged(name: str, tries: str, content: str | bytes, says: str) -> Attack:
    return Attack(name, tries, saves(content), {}, (says,))


def edited(name: str, tries: str, edit, *says: str, earns=POINTS, files=None) -> Attack:
    """A solved notebook that was changed by `edit`."""
    notebook = filled(SOLVED)
    edit(notebook)
    return Attack(name, tries, saves(notebook, files), earns, says)


def _links_to_the_source(folder: Path) -> None:
    target = folder.parent / "source.ipynb"
    target.write_text(nbformat.writes(source()))
    (folder / "attacked.ipynb").symlink_to(target)


def _is_a_pipe(folder: Path) -> None:
    os.mkfifo(folder / "attacked.ipynb")


def _is_a_folder(folder: Path) -> None:
    (folder / "attacked.ipynb").mkdir()


def _has_odd_files(folder: Path) -> None:
    saves(filled(SOLVED), {"a\nb": "", "-rf": "", "ü" * 100: "", "x" * 200: "", "$(reboot)": ""})(folder)
    (folder / "passwords").symlink_to("/etc/passwd")
    (folder / "everything").symlink_to("/")
    os.mkfifo(folder / "pipe")
    (folder / os.fsdecode(b"\xff\xfe")).touch()


def _has_many_files(folder: Path) -> None:
    saves(filled(SOLVED), {f"{n}.txt": "" for n in range(1200)})(folder)


def _old_format() -> str:
    notebook = filled(SOLVED)
    cells = [{k: v for k, v in c.items() if k in ("cell_type", "metadata")} for c in notebook["cells"]]
    for old, new in zip(cells, notebook["cells"], strict=True):
        old["input" if new["cell_type"] == "code" else "source"] = new["source"]
    return json.dumps({"nbformat": 3, "nbformat_minor": 0, "metadata": {}, "worksheets": [{"cells": cells}]})


def _all_twice(notebook: dict[str, Any]) -> None:
    notebook["cells"] += copy.deepcopy(notebook["cells"])


def _more_points(notebook: dict[str, Any]) -> None:
    cell_of(notebook, "exercise-distance")["source"] = "def distance(a, b):\n    return 0"
    for cell in notebook["cells"]:
        if marks := cell["metadata"].get("nbgrader"):
            marks |= {"points": 1000, "locked": False, "solution": True}


def _easier_tests(notebook: dict[str, Any]) -> None:
    for cell in notebook["cells"]:
        if cell["id"].startswith("test-"):
            cell["source"] = "1000"
    cell_of(notebook, "exercise-scale")["source"] = "class Scale(torch.nn.Module):\n    pass"


def _tests_as_prose(notebook: dict[str, Any]) -> None:
    for cell in notebook["cells"]:
        if cell["id"].startswith("test-"):
            cell["cell_type"] = "markdown"


def _without(*identities: str):
    def edit(notebook: dict[str, Any]) -> None:
        notebook["cells"] = [c for c in notebook["cells"] if c["id"] not in identities]

    return edit


def _swapped_marks(notebook: dict[str, Any]) -> None:
    """Each hard exercise's mark on the easy one's cell."""
    a, b = (cell_of(notebook, f"exercise-{name}") for name in ("softmax", "distance"))
    a["metadata"], b["metadata"] = b["metadata"], a["metadata"]


def _claims_a_test(notebook: dict[str, Any]) -> None:
    marks = cell_of(notebook, "test-softmax")["metadata"]["nbgrader"] | {"grade_id": "test-bonus", "points": 50}
    notebook["cells"].append(own("1", metadata={"nbgrader": marks}))
    cell_of(notebook, "exercise-softmax")["metadata"]["nbgrader"] |= {"grade": True, "points": 50}


def _replaces_given(notebook: dict[str, Any]) -> None:
    cell_of(notebook, "given-numbers")["source"] = "def numbers(*shape, seed=0):\n    return torch.zeros(shape)"
    cell_of(notebook, "exercise-softmax")["source"] = "def softmax(x):\n    return x + 1 / x.shape[-1]"


def _split(notebook: dict[str, Any]) -> None:
    """An answer in two cells, as JupyterLab's split leaves it: both halves keep the marks."""
    cell = cell_of(notebook, "exercise-attend")
    half = copy.deepcopy(cell) | {"id": "second-half", "source": cell["source"]}
    cell["source"] = "def weights(q, k):\n    return softmax(q @ k.T)"
    half["source"] = "def attend(q, k, v):\n    return weights(q, k) @ v"
    notebook["cells"].insert(notebook["cells"].index(cell) + 1, half)


def _backwards(notebook: dict[str, Any]) -> None:
    notebook["cells"].reverse()


def _odd_sources(notebook: dict[str, Any]) -> None:
    notebook["cells"][0:0] = [own("x"), own("x") | {"source": 7}, own("x") | {"source": ["a", 3]}, 3, None]
    notebook["cells"] += [
        own("\0"),
        own("'\ud800'"),
        own("%%nosuchmagic\nx"),
        own("%%javascript\nalert(1)"),
        own("(" * 500),
    ]
    notebook["metadata"] = {"kernelspec": {"name": "bash", "language": "bash"}, "course": {"seconds": 1e9}}


ATTACKS = [
    damaged("empty-file", "hands in an empty file", "", "damaged at line 1"),
    damaged("broken-json", "hands in half of a notebook", '{"cells": [{"cell_type": "code", "sou', "damaged at line 1"),
    damaged("merge-marks", "hands in an unfinished merge", '{"cells": [\n<<<<<<< HEAD\n=======\n', "unfinished merge"),
    damaged("no-notebook", "hands in a list", "[1, 2, 3]", "no list of cells"),
    damaged("picture", "hands in a picture with the notebook's name", b"\x89PNG\r\n\x1a\n" + bytes(99), "damaged"),
    damaged("deep-json", "hands in lists inside lists", "[" * 200_000, "nested too deeply"),
    damaged("gigantic-file", "hands in 17 MB of spaces", " " * (17 * 2**20), "larger than 16 MB"),
    Attack("nothing", "hands in an empty folder", lambda folder: None, {}, ("attacked.ipynb is missing",)),
    Attack("link", "hands in a link to the source notebook", _links_to_the_source, {}, ("is a link",)),
    Attack("pipe", "hands in a pipe, which blocks who opens it", _is_a_pipe, {}, ("a pipe or a device",)),
    Attack("folder", "hands in a folder with the notebook's name", _is_a_folder, {}, ("is a folder",)),
    Attack("odd-files", "hands in links, a pipe and odd names", _has_odd_files, POINTS, ("is a link",)),
    Attack("many-files", "hands in 1,200 files", _has_many_files, POINTS, ("more than 1,000 files",)),
    Attack("old-format", "hands in a notebook of format 3", saves(_old_format()), POINTS, ("old format",)),
    edited(
        "shadows-torch",
        "hands in a torch.py",
        lambda n: None,
        "Your file torch.py has the name",
        files={"torch.py": "1/0"},
    ),
    edited(
        "shadows-the-judge",
        "hands in labkit/files.py and sitecustomize.py",
        lambda n: None,
        "Your file labkit/files.py has the name",
        "sitecustomize",
        files={"labkit/files.py": "", "labkit/__init__.py": "", "sitecustomize.py": "", "random.py": "1/0"},
    ),
    edited("all-twice", "has every cell twice", _all_twice, "has 2 cells marked test-softmax"),
    edited(
        "more-points",
        "gives every cell a thousand points and makes tests answers",
        _more_points,
        "The points or locks of the cell test-softmax were changed",
        earns=full("softmax", "scale", "attend"),
    ),
    edited(
        "easier-tests",
        "replaces the tests by a number, which nbgrader takes for partial credit",
        _easier_tests,
        "You changed the cell test-scale",
        earns=full("softmax", "distance", "attend"),
    ),
    edited("tests-as-prose", "turns the tests into markdown", _tests_as_prose, "was turned into markdown"),
    edited(
        "without-tests",
        "leaves tests out",
        _without("test-softmax", "test-distance-any", "test-integration"),
        "lacks the cell test-softmax; it was put back",
    ),
    edited(
        "without-an-answer",
        "leaves an exercise's cell out",
        _without("exercise-distance"),
        "lacks the cell exercise-distance; an empty one",
        earns=full("softmax", "scale", "attend"),
    ),
    edited(
        "without-given", "leaves the given cells out", _without("given-setup", "given-numbers"), "lacks the cell given"
    ),
    edited(
        "swapped-marks",
        "swaps the marks of two answers, so that one is defined after its tests",
        _swapped_marks,
        "put back in their order",
        earns=full("distance", "scale", "attend", "integration"),
    ),
    edited("claims-a-test", "adds a test of its own with 50 points", _claims_a_test, "marked test-bonus is none"),
    edited(
        "replaces-given",
        "changes the given helper so that the tests' inputs are easy",
        _replaces_given,
        "You changed the cell given-numbers",
        earns={"softmax": 1, "distance": 3, "scale": 3, "attend": 3},  # the visible example is met
    ),
    edited(
        "split-cell", "splits an answer into two cells with the same mark", _split, "2 cells marked exercise-attend"
    ),
    edited("backwards", "hands in the cells in reverse", _backwards, "put back in their order"),
    edited(
        "odd-sources",
        "has cells that are no cells, magics and half characters",
        _odd_sources,
        "damaged and were left out",
    ),
]
