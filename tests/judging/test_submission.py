"""Receiving: whatever lies in a submission's folder, a notebook that can be graded comes out; repairs are told."""

import copy
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nbformat import NotebookNode
from nbgrader.apps.api import NbGraderAPI
from traitlets.config import Config

from course.assemble.assembler import Assembler
from course.judging import lean, wire
from course.judging import submission as door
from course.judging.released import released_cells
from course.judging.submission import Received, receive
from labkit.notebook import REPORT
from tests.support.toy import ROOT as TOY

SOURCE = Assembler("toy", TOY).build()
BLANK = nbformat.v4.new_notebook(cells=released_cells(SOURCE), metadata=SOURCE.metadata)
PRISTINE = json.loads(nbformat.writes(BLANK))
ANSWER = "def centre(x):\n    return x - x.mean(-1, keepdim=True)"


def test_the_blank_form_is_what_nbgrader_releases() -> None:
    assert not any("SECRET" in c.source or "_hidden" in c.source for c in BLANK.cells)
    assert sum("raise NotImplementedError()" in c.source for c in BLANK.cells) == 4


Edit = Callable[[dict[str, Any]], Any]


@pytest.fixture
def hand_in(tmp_path: Path) -> Callable[..., Received]:
    """Receive a submission: bytes or text of toy.ipynb, or a function that edits an answered notebook."""

    def act(content: bytes | str | Edit | None, name: str = "toy.ipynb") -> Received:
        folder = tmp_path / "submission"
        folder.mkdir(exist_ok=True)
        if callable(content):
            notebook = json.loads(nbformat.writes(BLANK))
            at(notebook, "exercise-centre")["source"] = ANSWER
            content = json.dumps(content(notebook) or notebook)
        if content is not None:
            (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
        return receive(folder, SOURCE, "toy")

    return act


def at(notebook: dict[str, Any], identity: str) -> dict[str, Any]:
    return next(c for c in notebook["cells"] if c["id"] == identity)


def own(text: str, **more: Any) -> dict[str, Any]:
    return {"cell_type": "code", "source": text, "metadata": {}, "outputs": [], "execution_count": None} | more


def check(received: Received) -> None:
    """The promises that hold whatever was handed in."""
    nbformat.validate(received.notebook)
    assert json.loads(nbformat.writes(received.notebook))  # it can be written
    marked = [c for c in received.notebook.cells if "nbgrader" in c.metadata]
    ours = [c for c in SOURCE.cells if "nbgrader" in c.metadata]
    assert [(c.id, c.cell_type, c.metadata) for c in marked] == [(c.id, c.cell_type, c.metadata) for c in ours]
    for theirs, our in zip(marked, ours, strict=True):
        if not our.metadata.nbgrader.solution:
            assert theirs.source == our.source
    assert received.notebook.metadata == SOURCE.metadata
    assert not any(c.get("outputs") or c.get("attachments") for c in received.notebook.cells)
    assert all(0 < len(r) < 400 and r.isprintable() for r in received.remarks)
    assert len(received.remarks) <= door.MAX_REMARKS + 1


def answer(received: Received, identity: str = "exercise-centre") -> str:
    return str(next(c.source for c in received.notebook.cells if c.id == identity))


def told(received: Received, *words: str) -> None:
    for word in words:
        assert any(word in r for r in received.remarks), (word, received.remarks)


def texts(received: Received) -> list[str]:
    return [c.source for c in received.notebook.cells if c.id.startswith("own-")]


# -------------------------------------------------------------------------------------------------- the good submission


def test_a_good_submission_is_taken_whole(hand_in: Callable[..., Received]) -> None:
    def edit(notebook: dict[str, Any]) -> None:
        cell = at(notebook, "test-centre")
        cell["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "seen"}]
        notebook["cells"].insert(notebook["cells"].index(cell), own("mine = 1"))

    received = hand_in(edit)
    check(received)
    assert received.readable
    assert received.remarks == []
    assert answer(received) == ANSWER
    ids = [c.id for c in received.notebook.cells]
    assert ids[ids.index("own-1") - 1] == "exercise-centre"
    assert "_hidden" in answer(received, "test-centre-axes")
    assert [i for i in ids if i != "own-1"] == [c.id for c in SOURCE.cells]


def test_it_travels_as_json(hand_in: Callable[..., Received], tmp_path: Path) -> None:
    (tmp_path / "submission").mkdir()
    (tmp_path / "submission" / "numbers.bin").write_bytes(bytes(range(256)))
    received = hand_in(lambda n: None)
    again = wire.decode(wire.encode(received), Received)
    assert again == received
    assert again.files == {"numbers.bin": bytes(range(256))}
    assert isinstance(again.notebook.cells[0], NotebookNode)


def test_the_digest_is_the_contents(hand_in: Callable[..., Received], tmp_path: Path) -> None:
    first = hand_in(lambda n: None).digest
    (tmp_path / "submission" / "timestamp.txt").write_text("2026-11-20 10:00:00 UTC")
    assert hand_in(lambda n: None).digest == first
    (tmp_path / "submission" / "a.txt").write_text("a")
    with_file = hand_in(lambda n: None).digest
    (tmp_path / "submission" / "a.txt").write_text("b")
    assert len({first, with_file, hand_in(lambda n: None).digest, hand_in("broken").digest}) == 4


def test_what_the_student_did_to_free_cells_stays(hand_in: Callable[..., Received]) -> None:
    def edit(notebook: dict[str, Any]) -> None:
        next(c for c in notebook["cells"] if c["id"].startswith("run-"))["source"] = "guess = 3"
        notebook["cells"] = [c for c in notebook["cells"] if not c["id"].startswith("prose-centre-axes")]

    received = hand_in(edit)
    check(received)
    assert received.remarks == []
    assert "guess = 3" in [c.source for c in received.notebook.cells]


# ------------------------------------------------------------------------------------------------------ no notebook


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "damaged at line 1"),
        ('{"cells": [', "damaged at line 1"),
        ('{"cells": []}<<<', "damaged"),
        ('{"cells": [\n<<<<<<< HEAD\n', "unfinished merge"),
        ("[" * 100_000, "nested too deeply"),
        ('{"cells": ' + "9" * 5000 + "}", "too long"),
        ("[" * (door.MAX_BRACKETS + 1), "more than 1,000,000 lists"),
        ("[]", "no list of cells"),
        ("null", "no list of cells"),
        ('"cells"', "no list of cells"),
        ("{}", "no list of cells"),
        ('{"cells": {"a": 1}}', "no list of cells"),
        ('{"worksheets": 3}', "no list of cells"),
        (b"\x89PNG\r\n\x1a\n\x00", "damaged"),
        (b" " * (door.MAX_NOTEBOOK + 1), "larger than 16 MB even without its outputs"),
        (b" " * (door.MAX_READ + 1), "larger than 100 MB"),
        (None, "toy.ipynb is missing"),
    ],
)
def test_no_notebook(hand_in: Callable[..., Received], content: bytes | str | None, words: str) -> None:
    received = hand_in(content)
    check(received)
    assert not received.readable
    assert [c.source for c in received.notebook.cells if "exercise" in c.id] == [
        c.source for c in BLANK.cells if "exercise" in c.id
    ]
    told(received, words)
    assert len(received.remarks) == 1


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    (tmp_path / "link").symlink_to(tmp_path)
    for path in (tmp_path / "file", tmp_path / "absent", tmp_path / "link"):
        received = receive(path, SOURCE, "toy")
        check(received)
        assert not received.readable


def test_a_notebook_with_another_name(hand_in: Callable[..., Received], tmp_path: Path) -> None:
    notebook = copy.deepcopy(BLANK)
    next(c for c in notebook.cells if c.id == "exercise-centre").source = ANSWER
    received = hand_in(nbformat.writes(notebook), "Toy (1).ipynb")
    assert received.readable
    assert answer(received) == ANSWER
    told(received, "Toy (1).ipynb was graded")
    (tmp_path / "submission" / "other.ipynb").write_text("{}")
    received = hand_in(None)
    assert not received.readable
    told(received, "2 other notebooks (Toy (1).ipynb, other.ipynb)")
    (tmp_path / "submission" / "toy").mkdir()
    shutil.copy(tmp_path / "submission" / "Toy (1).ipynb", tmp_path / "submission" / "toy" / "toy.ipynb")
    received = hand_in(None)
    assert answer(received) == ANSWER
    told(received, "toy/toy.ipynb was graded")


@pytest.mark.parametrize("make", ["folder", "link", "pipe"])
def test_no_file_where_the_notebook_should_be(hand_in: Callable[..., Received], tmp_path: Path, make: str) -> None:
    path = tmp_path / "submission" / "toy.ipynb"
    path.parent.mkdir()
    (tmp_path / "theirs.ipynb").write_text(nbformat.writes(SOURCE))
    if make == "folder":
        path.mkdir()
    elif make == "link":
        path.symlink_to(tmp_path / "theirs.ipynb")
    else:
        os.mkfifo(path)
    received = hand_in(None)
    check(received)
    assert not received.readable
    told(received, {"folder": "a folder", "link": "a link", "pipe": "a pipe or a device"}[make], "is missing")


@pytest.mark.parametrize("name", ["work.zip", "work.tar.gz", "work.RAR"])
def test_an_archive_is_named(hand_in: Callable[..., Received], tmp_path: Path, name: str) -> None:
    (tmp_path / "submission").mkdir()
    (tmp_path / "submission" / name).write_bytes(b"PK")
    received = hand_in(None)
    assert not received.readable
    told(received, f"Your submission is an archive, {name}, which was not opened, so nothing was graded. Unpack it")


def test_what_lies_beside_the_notebook_is_named_first_of_all_where_that_is_blank(
    hand_in: Callable[..., Received], tmp_path: Path
) -> None:
    (tmp_path / "submission").mkdir()
    (tmp_path / "submission" / "toy-Copy1.ipynb").write_text("{}")
    received = hand_in(lambda n: None)
    assert answer(received) == ANSWER
    told(received, "Only toy.ipynb was graded. Beside it lies what was not read: toy-Copy1.ipynb.")
    (tmp_path / "submission" / "work.zip").write_bytes(b"PK")

    def blank(notebook: dict[str, Any]) -> None:
        at(notebook, "exercise-centre")["source"] = ["# a remark\n", *at(PRISTINE, "exercise-centre")["source"]]
        at(notebook, "given-setup")["source"] = "changed = 1"

    received = hand_in(blank)
    assert received.remarks[0] == (
        "You wrote no answer in toy.ipynb, which was graded. Beside it lies what was not read: toy-Copy1.ipynb, "
        "work.zip. If your work is in there, submit it as toy.ipynb."
    )


# ------------------------------------------------------------------------------------------------------------- outputs


@pytest.mark.parametrize(
    "size",
    [
        {"outputs": [{"output_type": "stream", "name": "stdout", "text": ['[1, 2], {"a\\n'] * 900_000}]},
        {"outputs": [{"output_type": "display_data", "data": {"image/png": "i" * 17_000_000}, "metadata": {}}]},
        {"attachments": {"shot.png": {"image/png": "i" * 17_000_000}}},
    ],
)
def test_outputs_and_attachments_weigh_nothing(hand_in: Callable[..., Received], size: dict[str, Any]) -> None:
    def edit(notebook: dict[str, Any]) -> None:
        at(notebook, "exercise-centre").update(size)
        text = 'key = \'"outputs": [\'  # no outputs, nor is \\"outputs\\": []'
        notebook["cells"].append(own(text))
        notebook["metadata"]["widgets"] = {"state": {"[": "[" * 1_000_001}}

    received = hand_in(edit)
    check(received)
    assert received.remarks == []
    assert answer(received) == ANSWER
    assert texts(received) == ['key = \'"outputs": [\'  # no outputs, nor is \\"outputs\\": []']


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'{"cells": [{"outputs": ' + b"[" * 2 * lean.MAX_TOKENS, "outputs of more than 1,000,000 parts"),
        (b'{"cells": [\n{"outputs": [\n"' + b"\\" * 1_000_000, "damaged at line 3"),
        (b'{"cells": [\n{"outputs": [\n{},\n{}], "source": x', "damaged at line 4"),
    ],
)
def test_hostile_outputs_are_bounded(hand_in: Callable[..., Received], content: bytes, words: str) -> None:
    received = hand_in(content)
    assert not received.readable
    told(received, words)


def test_windows_line_ends_are_no_changes(hand_in: Callable[..., Received]) -> None:
    def edit(notebook: dict[str, Any]) -> None:
        for cell in notebook["cells"]:
            cell["source"] = "".join(cell["source"]).replace("\n", "\r\n")

    received = hand_in(edit)
    check(received)
    assert received.remarks == []
    assert answer(received) == ANSWER


# --------------------------------------------------------------------------------------------------- damaged notebooks


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_byte_order_marks(hand_in: Callable[..., Received], encoding: str) -> None:
    notebook = copy.deepcopy(BLANK)
    next(c for c in notebook.cells if c.id == "exercise-centre").source = ANSWER + "  # ä�"
    received = hand_in(nbformat.writes(notebook).encode(encoding))
    assert answer(received) == ANSWER + "  # ä�"
    assert received.remarks == []


def test_bytes_that_are_no_text(hand_in: Callable[..., Received]) -> None:
    notebook = nbformat.writes(BLANK).encode().replace(b"YOUR CODE HERE", b"\xff\xfe", 1)
    received = hand_in(notebook)
    check(received)
    assert received.readable
    told(received, "Save it as UTF-8")


def test_half_characters_and_nan(hand_in: Callable[..., Received]) -> None:
    def edit(notebook: dict[str, Any]) -> None:
        at(notebook, "exercise-centre")["source"] = "'\ud800'"
        at(notebook, "exercise-centre")["metadata"]["nbgrader"]["points"] = float("nan")
        notebook["metadata"] = {"kernelspec": {"name": "bash"}, "course": {"seconds": 1e9}, "x": float("inf")}

    received = hand_in(edit)
    check(received)
    assert answer(received) == "'?'"
    told(received, "points or locks of the cell exercise-centre")


def test_old_formats(hand_in: Callable[..., Received]) -> None:
    """Format 3 keeps cells in worksheets, their text as `input`, and has cells for headings."""
    notebook = json.loads(nbformat.writes(BLANK))
    at(notebook, "exercise-centre")["source"] = ANSWER
    cells = [
        {"cell_type": c["cell_type"], "metadata": c["metadata"]}
        | ({"input": c["source"], "language": "python"} if c["cell_type"] == "code" else {"source": c["source"]})
        for c in notebook["cells"]
    ]
    cells.append({"cell_type": "heading", "level": 2, "source": ["My ", "notes"], "metadata": {}})
    sheets = {"nbformat": 3, "nbformat_minor": 0, "metadata": {}, "worksheets": [{"cells": cells}, 7, {"cells": 1}]}
    received = hand_in(json.dumps(sheets))
    check(received)
    assert answer(received) == ANSWER
    assert "# My notes" in texts(received)
    told(received, "old format")


@pytest.mark.parametrize(
    "cell",
    [
        7,
        None,
        [],
        "text",
        {},
        {"cell_type": "code", "source": 3},
        {"cell_type": "code", "source": ["a", 3]},
        {"cell_type": "spreadsheet", "source": ""},
        {"cell_type": ["code"], "source": ""},
        {"cell_type": "code", "source": {"a": "b"}},
    ],
)
def test_a_damaged_cell_costs_itself_only(hand_in: Callable[..., Received], cell: Any) -> None:
    def edit(notebook: dict[str, Any]) -> None:
        notebook["cells"].insert(0, cell)

    received = hand_in(edit)
    check(received)
    assert answer(received) == ANSWER
    assert received.remarks == ["Your notebook has cells that are damaged and were left out, by their number: 1."]


def test_odd_metadata(hand_in: Callable[..., Received]) -> None:
    def edit(notebook: dict[str, Any]) -> None:
        for number, value in enumerate([7, [], "x", {"nbgrader": 3}, {"nbgrader": {"grade_id": ["a"]}}, None]):
            notebook["cells"].append(own(f"odd = {number}", metadata=value, id={"a": 1}))
        tags = {"tags": ["raises-exception"], "nbgrader": {"grade_id": "bonus", "grade": True, "points": 99}}
        notebook["cells"].append(own("bonus = 1", metadata=tags))

    received = hand_in(edit)
    check(received)
    assert texts(received) == [*(f"odd = {n}" for n in range(6)), "bonus = 1"]
    assert all(not c.metadata for c in received.notebook.cells if c.id.startswith("own-"))
    told(received, "The cell that is marked bonus is none of this assignment")


def test_bounds(hand_in: Callable[..., Received], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "MAX_OWN_CELLS", 5)

    def edit(notebook: dict[str, Any]) -> None:
        notebook["cells"] += [own(f"n = {n}") for n in range(9)]
        notebook["cells"].insert(0, own("#" * (door.MAX_CELL + 1)))
        notebook["cells"] += [7] * 50
        for number in range(40):
            marks = {"nbgrader": {"grade_id": f"unknown {number}" + "x" * number * 1000}}
            notebook["cells"].append(own("", metadata=marks))

    received = hand_in(edit)
    check(received)
    assert texts(received) == [f"n = {n}" for n in range(5)]
    assert len(received.remarks) == door.MAX_REMARKS + 1
    told(received, "Cell 1 of your notebook was left out", "damaged and were left out, by their number", "more remarks")
    told(hand_in(lambda notebook: notebook["cells"].extend(own(str(n)) for n in range(6))), "Only the first 5 cells")
    assert answer(received) == ANSWER


# ------------------------------------------------------------------------------------------- cells of the assignment


def test_missing_cells_are_put_back(hand_in: Callable[..., Received]) -> None:
    def edit(notebook: dict[str, Any]) -> None:
        gone = ("exercise-chunks", "test-centre-axes", "given-setup")
        notebook["cells"] = [c for c in notebook["cells"] if c["id"] not in gone]

    received = hand_in(edit)
    check(received)
    assert "raise NotImplementedError()" in answer(received, "exercise-chunks")
    told(
        received,
        "lacks the cell exercise-chunks; an empty one was put in its place",
        "lacks the cell test-centre-axes; it was put back",
        "lacks the cell given-setup; it was put back",
    )


def test_an_empty_notebook_is_a_blank_one(hand_in: Callable[..., Received]) -> None:
    received = hand_in('{"cells": []}')
    check(received)
    assert received.readable
    assert not any("BEGIN SOLUTION" in c.source for c in received.notebook.cells)


def test_moved_cells_go_back_and_own_cells_follow_what_they_followed(hand_in: Callable[..., Received]) -> None:
    def edit(notebook: dict[str, Any]) -> None:
        cells = notebook["cells"]
        chunks = at(notebook, "exercise-chunks")
        cells.remove(chunks)
        cells[0:0] = [own("first = 1"), chunks, own("after = 'chunks'")]

    received = hand_in(edit)
    check(received)
    sources = {c.source: n for n, c in enumerate(received.notebook.cells)}
    ids = [c.id for c in received.notebook.cells]
    assert sources["first = 1"] == 0
    assert ids[sources["after = 'chunks'"] - 1] == "exercise-chunks"
    told(received, "put back in their order")


def test_marks_nested_without_end(hand_in: Callable[..., Received]) -> None:
    def edit(notebook: dict[str, Any]) -> None:
        at(notebook, "test-centre")["source"] = "pass"
        at(notebook, "test-centre")["metadata"]["nbgrader"] |= {"checksum": "x", "deep": "HERE"}

    notebook = json.loads(nbformat.writes(BLANK))
    edit(notebook)
    # as deep as a file may be that can still be read at all
    for depth in (900, 700, 500, 300):
        received = hand_in(json.dumps(notebook).replace('"HERE"', "[" * depth + "]" * depth))
        check(received)
        if received.readable:
            told(received, "changed the cell test-centre")


def test_changed_cells_of_the_instructor(hand_in: Callable[..., Received]) -> None:
    def edit(notebook: dict[str, Any]) -> None:
        at(notebook, "given-setup")["source"] = "import fake as torch"
        test = at(notebook, "test-centre")
        test["source"] = "pass"
        test["metadata"]["nbgrader"] |= {"points": 1000, "locked": False, "grade": False}
        at(notebook, "test-chunks")["cell_type"] = "markdown"
        at(notebook, "exercise-centre")["cell_type"] = "raw"

    received = hand_in(edit)
    check(received)
    told(
        received,
        "changed the cell given-setup",
        "changed the cell test-centre",
        "points or locks of the cell test-centre",
        "test-chunks was turned into markdown",
        "exercise-centre was turned into raw",
    )
    assert answer(received) == ANSWER


def test_the_first_copy_that_was_changed_counts(hand_in: Callable[..., Received]) -> None:
    def edit(notebook: dict[str, Any]) -> None:
        exercise = at(notebook, "exercise-centre")
        where = notebook["cells"].index(exercise)
        blank = json.loads(nbformat.writes(BLANK))
        untouched = at(blank, "exercise-centre") | {"id": "copied"}
        empty = untouched | {"source": " \n"}
        later = untouched | {"source": "def more(): pass", "id": "again"}
        notebook["cells"][where : where + 1] = [empty, untouched, exercise, later, untouched]
        notebook["cells"].append(at(notebook, "test-centre") | {"source": "pass"})

    received = hand_in(edit)
    check(received)
    assert answer(received) == ANSWER
    assert texts(received) == ["def more(): pass", "pass"]
    ids = [c.id for c in received.notebook.cells]
    assert ids[ids.index("exercise-centre") + 1] == "own-1"
    told(received, "has 5 cells marked exercise-centre", "has 2 cells marked test-centre")


def test_cells_without_marks_are_known_by_their_id(hand_in: Callable[..., Received]) -> None:
    def edit(notebook: dict[str, Any]) -> None:
        for cell in notebook["cells"]:
            cell["metadata"] = {}

    received = hand_in(edit)
    check(received)
    assert answer(received) == ANSWER
    assert received.remarks == []


def test_own_markdown_keeps_no_attachments(hand_in: Callable[..., Received]) -> None:
    def edit(notebook: dict[str, Any]) -> None:
        attached = {"a.svg": {"image/svg+xml": "<svg onload='alert(1)'/>"}}
        note = {"cell_type": "markdown", "source": "note", "metadata": {}, "attachments": attached}
        notebook["cells"].append(note)

    received = hand_in(edit)
    check(received)
    assert texts(received) == ["note"]


# ------------------------------------------------------------------------------------------------------- other files


def test_files(hand_in: Callable[..., Received], tmp_path: Path) -> None:
    folder = tmp_path / "submission"
    (folder / "data").mkdir(parents=True)
    (folder / "labkit").mkdir()
    (folder / "helpers.py").write_text("x = 1")
    (folder / "random.csv").write_text("1,2")
    (folder / "data" / "random.py").write_text("no library at this depth")
    for name in (
        "torch.py",
        "random.py",
        "labkit/notebook.py",
        "sitecustomize.py",
        "numpy.cpython-311.so",
        "nbgrader.pyc",
    ):
        (folder / name).write_text("")
    for name in ("a\nb", "a" * 120, "back\\slash", os.fsdecode(b"\xff"), "‮txt.exe"):
        (folder / name).write_text("")
    (folder / ".hidden").write_text("")
    (folder / "timestamp.txt").write_text("")
    (folder / "big.bin").write_bytes(b"0" * (door.MAX_FILE + 1))
    (folder / "passwords").symlink_to("/etc/passwd")
    (folder / "root").symlink_to("/")
    os.mkfifo(folder / "pipe")
    received = hand_in(lambda n: None)
    check(received)
    assert set(received.files) == {"helpers.py", "random.csv", "data/random.py"}
    told(
        received,
        "Your file torch.py has the name of a library, torch,",
        "Your file labkit/notebook.py has the name of a library, labkit,",
        "sitecustomize.py",
        "numpy.cpython-311.so",
        "nbgrader.pyc",
        "big.bin is larger than 2 MB",
        "passwords is a link",
        "root is a link",
        "pipe is a pipe or a device",
        "a?b has characters",
        "shorten it",
        "back\\slash",
        "?txt.exe",
    )
    assert answer(received) == ANSWER


def test_thousands_of_files(hand_in: Callable[..., Received], tmp_path: Path) -> None:
    folder = tmp_path / "submission"
    folder.mkdir()
    for number in range(door.MAX_ENTRIES + 1):
        (folder / f"{number}.txt").touch()
    received = hand_in(lambda n: None)
    assert answer(received) == ANSWER
    assert received.files == {}
    told(received, "more than 1,000 files")


def test_deep_folders_and_many_files(hand_in: Callable[..., Received], tmp_path: Path) -> None:
    folder = tmp_path / "submission"
    folder.joinpath(*"abcdefghijkl").mkdir(parents=True)
    told(hand_in(lambda n: None), "folders deeper than 8")
    shutil.rmtree(folder / "a")
    for number in range(door.MAX_FILES + 1):
        (folder / f"{number}.txt").touch()
    received = hand_in(lambda n: None)
    assert len(received.files) == door.MAX_FILES
    told(received, "more than the 100 files")


def test_a_folder_that_may_not_be_read_costs_itself_only(
    hand_in: Callable[..., Received], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "submission"
    for name in ("closed", "open"):
        (folder / name).mkdir(parents=True)
        (folder / name / "words.txt").write_text(name)
    scandir = os.scandir

    def may_not_be_read(path: Path) -> Any:  # root may read everything
        if path == folder / "closed":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", may_not_be_read)
    received = hand_in(lambda n: None)
    assert answer(received) == ANSWER
    assert received.files == {"open/words.txt": b"open"}
    assert received.remarks == ["Your folder closed cannot be read. It was left out."]


# ---------------------------------------------------------------------------------------------------------- properties

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
words = st.sampled_from(
    [
        *("cells", "cell_type", "source", "metadata", "nbgrader", "grade_id", "id", "input", "worksheets", "outputs"),
        *("code", "markdown", "raw", "heading", "exercise-centre", "test-centre", "given-setup", "own-1", "points"),
    ]
)
lookalikes = st.recursive(
    values | words,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=6),
    max_leaves=20,
)
bounded = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def received_from(folder: Path, value: Any) -> Received:
    (folder / "toy.ipynb").write_text(json.dumps(value))
    return receive(folder, SOURCE, "toy")


@bounded
@given(value=lookalikes)
def test_any_json_is_received(tmp_path: Path, value: Any) -> None:
    check(received_from(tmp_path, value))


@bounded
@given(data=st.data())
def test_any_change_of_a_notebook_is_received(tmp_path: Path, data: st.DataObject) -> None:
    """Parts of a valid notebook are replaced, removed, doubled or swapped, anywhere in it."""
    notebook = json.loads(nbformat.writes(BLANK))
    for _ in range(data.draw(st.integers(1, 6))):
        holder: Any = notebook
        while True:
            keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
            if not keys:
                break
            key = data.draw(st.sampled_from(keys))
            if isinstance(holder[key], dict | list) and holder[key] and data.draw(st.integers(0, 3)):
                holder = holder[key]
                continue
            change = data.draw(st.sampled_from(["replace", "remove", "double", "swap"]))
            if change == "replace":
                holder[key] = data.draw(lookalikes)
            elif change == "remove":
                del holder[key]
            elif isinstance(holder, list) and change == "double":
                holder.insert(data.draw(st.integers(0, len(holder))), copy.deepcopy(holder[key]))
            else:
                other = data.draw(st.sampled_from(keys))
                holder[key], holder[other] = holder[other], holder[key]
            break
    check(received_from(tmp_path, notebook))


# ------------------------------------------------------------------------------------------- nbgrader's own command


@pytest.fixture
def course(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[NbGraderAPI, Path]:
    """A course whose nbgrader reads submissions through SubmissionExporter; everything else is nbgrader's own."""
    # nbgrader makes its database with the command `alembic`, which lies beside Python
    monkeypatch.setenv("PATH", os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    folder = tmp_path / "course" / "source" / "toy"
    folder.mkdir(parents=True)
    graded = {"grade": True, "solution": False, "locked": True, "schema_version": 3, "task": False}
    exercise = graded | {"grade": False, "solution": True, "locked": False, "grade_id": "exercise-double"}
    test = graded | {"grade_id": "test-double", "points": 3}
    notebook = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_code_cell(
                "def double(x):\n    ### BEGIN SOLUTION\n    return 2 * x\n    ### END SOLUTION",
                id="exercise-double",
                metadata={"nbgrader": exercise},
            ),
            nbformat.v4.new_code_cell("assert double(2) == 4, 'twice'", id="test-double", metadata={"nbgrader": test}),
        ],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
    )
    nbformat.write(notebook, folder / "toy.ipynb")
    config = Config()
    config.CourseDirectory.root = str(tmp_path / "course")
    config.CourseDirectory.db_url = f"sqlite:///{tmp_path}/gradebook.db"
    config.Autograde.exporter_class = "course.judging.submission.SubmissionExporter"
    api = NbGraderAPI(config=config)
    outcome = api.generate_assignment("toy")
    assert outcome["success"], outcome
    return api, tmp_path / "course"


def test_nbgraders_autograde_takes_the_same_door(course: tuple[NbGraderAPI, Path]) -> None:
    api, root = course
    released = nbformat.read(root / "release" / "toy" / "toy.ipynb", as_version=4)
    solved = copy.deepcopy(released)
    solved.cells[0].source = "def double(x):\n    return x + x"
    twice = copy.deepcopy(solved)
    twice.cells += [copy.deepcopy(c) for c in solved.cells]
    for number, cell in enumerate(twice.cells):
        cell.id = f"c{number}"
    no_test = copy.deepcopy(solved)
    del no_test.cells[1]
    submissions = {
        "broken": '{"cells": [',
        "solved": nbformat.writes(solved),
        "twice": nbformat.writes(twice),
        "without": nbformat.writes(no_test),
    }
    for student, text in submissions.items():
        folder = root / "submitted" / student / "toy"
        folder.mkdir(parents=True)
        (folder / "toy.ipynb").write_text(text)
        outcome = api.autograde("toy", student)
        assert outcome["success"], outcome
    with api.gradebook as gradebook:
        scores = {s: gradebook.find_submission("toy", s).score for s in submissions}
    assert scores == {"broken": 0, "solved": 3, "twice": 3, "without": 3}
    reports = {
        s: nbformat.read(root / "autograded" / s / "toy" / "toy.ipynb", as_version=4).metadata[REPORT].remarks
        for s in submissions
    }
    assert "could not be read" in reports["broken"][0]
    assert reports["solved"] == []
    assert "2 cells marked exercise-double" in reports["twice"][0]
    assert "lacks the cell test-double" in reports["without"][0]
