"""What a student handed in, made into a notebook that can be graded.

A submission folder may hold anything. `receive` reads it without following links, within bounds of size and number,
and puts the student's answers into the instructor's notebook: the instructor's cells, their order, metadata, points and
ids always win, the student's exercise cells and own cells stay, and nothing else of the file does. It raises for
nothing that a student can do; what it repaired or left out it says in sentences.

`SubmissionExporter` gives nbgrader's own commands the same door.
"""

import copy
import hashlib
import importlib.machinery
import itertools
import json
import os
import stat
import sys
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

import nbformat
from nbconvert.exporters import NotebookExporter
from nbformat import NotebookNode
from nbgrader.utils import compute_checksum

from course.judging.elsewhere import answers_elsewhere
from course.judging.lean import MAX_TOKENS, TooManyTokens, without_outputs
from course.judging.released import blank_answers, blank_exercises, released_cells
from labkit.notebook import MAX_CELL, MAX_NOTEBOOK, MAX_TEXT, REPORT, facts

MAX_READ = 100 * 2**20
"""Bytes of a notebook file, outputs and all; nbgrader collects no more."""
MAX_BRACKETS = 1_000_000
"""Lists and objects in a notebook file without its outputs: each takes about 64 bytes once it is read."""
MAX_OWN_CELLS = 1_000
MAX_FILE = 2 * 2**20
MAX_FILES_TOGETHER = 8 * 2**20
MAX_FILES = 100
MAX_ENTRIES = 1_000
"""Files and folders that are looked at."""
MAX_DEPTH = 8
MAX_NAME = 100
MAX_REMARKS = 30

# nbgrader's own notes in a submission's folder.
_NOTES = ("timestamp.txt", "submission_secret.txt")
_ARCHIVES = (".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".7z", ".rar")
_CODE = (".py", ".pyc", ".pyw", ".pyd", ".so")
# What Python or this course would import first; the standard library and installed packages are looked up.
_OURS = frozenset(("course", "labkit", "solutions", "sitecustomize", "usercustomize"))
_MARKS = ("grade", "solution", "locked", "task", "points")
_TYPES = ("code", "markdown", "raw")
ANSWERED_ELSEWHERE = "# The answer to this exercise stands in another cell."
_CLEAR = "clear its outputs (Edit, Clear Outputs of All Cells), save it and submit it again"
_AGAIN = "open it in Jupyter, run all cells, save it and submit it again"


@dataclass(frozen=True)
class Received:
    """A submission, ready to be judged."""

    notebook: NotebookNode
    """The instructor's notebook with the student's answers and own cells; no outputs; nbformat 4.5."""
    files: dict[str, bytes]
    """Other files of the submission that the student's kernel gets, by relative name."""
    remarks: list[str]
    """What was repaired or left out, in sentences that the student can act on."""
    digest: str
    """SHA-256, in hex, of what was submitted."""
    readable: bool
    """False: there was no notebook to read, and `notebook` is the blank one."""


def receive(folder: Path, source: NotebookNode, name: str, data: Mapping[str, bytes] = {}) -> Received:
    """Read the submission that lies in `folder`.

    `source` is the instructor's notebook, with solutions and hidden tests, and `name` the assignment's: the notebook
    is expected as `<name>.ipynb`. Test cells of the result are the source's whole, hidden tests included. `data` are
    the assignment's own files, by relative name: nothing of the submission takes their place.
    """
    remarks = _Remarks()
    handed_in = _read_folder(folder, name, data, remarks)
    cells = _cells(handed_in.notebook, remarks) if handed_in.notebook is not None else None
    notebook = _merged(cells or [], source, remarks if cells is not None else _Remarks())
    nbformat.validate(notebook)
    if handed_in.unread and cells is not None:
        _remark_on_unread(handed_in, notebook, blank_answers(source), remarks)
    return Received(notebook, handed_in.files, remarks.shown(), handed_in.digest, cells is not None)


class _Remarks:
    """Sentences for the student: each once, and not without end."""

    def __init__(self) -> None:
        self.sentences: dict[str, None] = {}

    def add(self, sentence: str) -> None:
        self.sentences[sentence] = None

    def put_first(self, sentence: str) -> None:
        self.sentences = {sentence: None} | self.sentences

    def shown(self) -> list[str]:
        shown = list(self.sentences)
        if len(shown) > MAX_REMARKS:
            shown[MAX_REMARKS:] = [f"There are {len(shown) - MAX_REMARKS} more remarks of this kind."]
        return shown


def _shown(text: str) -> str:
    """A name that a student chose, short and printable."""
    plain = "".join(c if c.isprintable() else "?" for c in text)
    return plain if len(plain) <= 60 else plain[:57] + "..."


# ------------------------------------------------------------------------------------------------------- the folder


@dataclass
class _HandedIn:
    """What a submission's folder holds."""

    notebook: bytes | None = None
    path: str = ""
    """The notebook's, in the folder."""
    unread: list[str] = field(default_factory=list)
    """Other notebooks, and archives, in which the student's work may lie too."""
    files: dict[str, bytes] = field(default_factory=dict)
    digest: str = ""


class _TooMany(Exception):
    """The folder holds more than is looked at."""


def _read_folder(folder: Path, name: str, data: Mapping[str, bytes], remarks: _Remarks) -> _HandedIn:
    """The notebook and the other files, with a digest of all that was looked at."""
    digest = hashlib.sha256()
    try:
        entries = list(_entries(folder, remarks))
    except _TooMany:
        remarks.add(
            f"Your submission holds more than {MAX_ENTRIES:,} files, or folders deeper than {MAX_DEPTH}; only the "
            "notebook was read. Submit the notebook and the few files that it needs."
        )
        entries = [(f"{name}.ipynb", kind)] if (kind := _status(folder / f"{name}.ipynb")) else []
    except OSError:
        entries = []
    found = _HandedIn()
    archives = [path for path, _ in entries if path.lower().endswith(_ARCHIVES)]
    notebooks = [entry for entry in entries if entry[0].endswith(".ipynb")]
    path = _choose_notebook(notebooks, archives, name, remarks)
    if path is not None:
        found.path = path
        found.unread = [p for p, status in notebooks if p != path and stat.S_ISREG(status.st_mode)] + archives
        found.notebook = _read_file(folder / path, MAX_READ)
        _note(digest, path, found.notebook)
        if found.notebook is None:
            remarks.add(
                f"Your notebook {_shown(path)} cannot be read or is larger than {MAX_READ // 2**20} MB, so there "
                f"is nothing to grade. To mend it, {_CLEAR}."
            )
    together = 0
    given = {given.split("/")[0] for given in data}
    for path, status in entries:
        if path.endswith(".ipynb") or path in _NOTES:
            continue
        content, problem = None, _problem(path, status)
        if problem is None:
            content = _read_file(folder / path, MAX_FILE)
            if content is None:
                problem = "cannot be read"
            elif (library := _shadowed(path)) is not None:
                problem = f"has the name of a library, {library}, which Python would no longer find: rename it"
            elif len(found.files) == MAX_FILES or together + len(content) > MAX_FILES_TOGETHER:
                problem = f"is more than the {MAX_FILES} files, or {MAX_FILES_TOGETHER // 2**20} MB, that are taken"
        _note(digest, path, content)
        if path.split("/")[0] in given:
            if content is None or content != data.get(path):
                remarks.add(f"Your file {_shown(path)} lies where the assignment's own files are; those were used.")
        elif problem is None and content is not None:
            found.files[path] = content
            together += len(content)
        else:
            remarks.add(f"Your file {_shown(path)} {problem}. It was left out.")
    found.digest = digest.hexdigest()
    return found


def _remark_on_unread(handed_in: _HandedIn, notebook: NotebookNode, blank: dict[str, str], remarks: _Remarks) -> None:
    """Say which other notebooks and archives were not read, first of all where the graded notebook is blank."""
    listed = ", ".join(map(_shown, handed_in.unread[:5])) + (", ..." if handed_in.unread[5:] else "")
    graded = _shown(handed_in.path)
    if blank_exercises(notebook, blank) == set(blank):
        remarks.put_first(
            f"You wrote no answer in {graded}, which was graded. Beside it lies what was not read: {listed}. If your "
            f"work is in there, submit it as {PurePosixPath(graded).name}."
        )
    else:
        remarks.add(f"Only {graded} was graded. Beside it lies what was not read: {listed}.")


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.lstat()
    except OSError:
        return None


def _entries(folder: Path, remarks: _Remarks) -> Iterator[tuple[str, os.stat_result]]:
    """Relative path and status of all that is no folder, sorted; hidden names and Python's caches are passed over.

    Links are never followed, the submission's own folder included. A folder in it that may not be read is left out.
    """
    if not stat.S_ISDIR(folder.lstat().st_mode):
        return
    seen = 0
    todo = [("", 0)]
    while todo:
        prefix, depth = todo.pop()
        try:
            with os.scandir(folder / prefix) as listing:
                inside = [(e.name, e.stat(follow_symlinks=False)) for e in itertools.islice(listing, MAX_ENTRIES + 1)]
        except OSError:
            if not prefix:
                raise
            remarks.add(f"Your folder {_shown(prefix.removesuffix('/'))} cannot be read. It was left out.")
            continue
        seen += len(inside)
        if seen > MAX_ENTRIES or depth > MAX_DEPTH:
            raise _TooMany
        for name, status in sorted(inside, key=lambda entry: os.fsencode(entry[0])):
            if name.startswith(".") or name == "__pycache__":
                continue
            path = prefix + name
            is_folder = stat.S_ISDIR(status.st_mode)
            if is_folder:
                todo.append((path + "/", depth + 1))
            if not is_folder or path.endswith(".ipynb"):
                yield path, status


def _choose_notebook(
    notebooks: Sequence[tuple[str, os.stat_result]], archives: Sequence[str], name: str, remarks: _Remarks
) -> str | None:
    """The path of the notebook to grade: the one with the assignment's name, or the only one."""
    expected = f"{name}.ipynb"
    for path, status in notebooks:
        if not stat.S_ISREG(status.st_mode):
            remarks.add(f"Your {_shown(path)} is {_kind(status)}, not a file. It was left out.")
    files = [path for path, status in notebooks if stat.S_ISREG(status.st_mode)]
    named = [path for path in files if PurePosixPath(path).name == expected]
    if expected in files:
        return expected
    candidates = named or files
    if len(candidates) == 1:
        remarks.add(f"{expected} is missing; {_shown(candidates[0])} was graded. Keep the notebook's name next time.")
        return candidates[0]
    if candidates:
        listed = ", ".join(map(_shown, candidates[:5]))
        remarks.add(
            f"{expected} is missing and there are {len(candidates)} other notebooks ({listed}), so nothing was graded. "
            f"Give the one that counts the name {expected} and submit again."
        )
    elif archives:
        remarks.add(
            f"Your submission is an archive, {_shown(archives[0])}, which was not opened, so nothing was graded. "
            f"Unpack it and submit the file {expected} itself."
        )
    else:
        remarks.add(f"Your submission has no notebook: {expected} is missing. Submit it again with that file.")
    return None


def _kind(status: os.stat_result) -> str:
    if stat.S_ISLNK(status.st_mode):
        return "a link"
    return "a folder" if stat.S_ISDIR(status.st_mode) else "a pipe or a device"


def _problem(path: str, status: os.stat_result) -> str | None:
    """Why a file is not taken, from its name and status alone."""
    if not stat.S_ISREG(status.st_mode):
        return f"is {_kind(status)}, which is not followed: submit the file itself"
    if len(path) > MAX_NAME:
        return f"has a name of more than {MAX_NAME} characters: shorten it"
    if not path.isprintable() or set(path) & set('\\:*?"<>|'):
        return "has characters in its name that not every system knows: use letters and digits"
    if status.st_size > MAX_FILE:
        return f"is larger than {MAX_FILE // 2**20} MB"
    return None


def _read_file(path: Path, limit: int) -> bytes | None:
    """A plain file's content, or None if it is no plain file, larger than `limit` bytes or may not be read."""
    try:
        # Without waiting: opening a pipe would block until somebody writes to it.
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    with open(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            return None
        try:
            content = file.read(limit + 1)
        except OSError:
            return None
    return content if len(content) <= limit else None


def _note(digest: Any, path: str, content: bytes | None) -> None:
    name = os.fsencode(path)
    size = -1 if content is None else len(content)
    digest.update(f"{len(name)} {size} ".encode() + name + (content or b""))


def _shadowed(path: str) -> str | None:
    """The library that a file, lying in the notebook's folder, would take the place of."""
    if not path.endswith(_CODE):
        return None
    name = path.split("/")[0].split(".")[0]
    return name if _is_library(name) else None


@lru_cache(maxsize=4096)
def _is_library(name: str) -> bool:
    if name in _OURS or name in sys.stdlib_module_names or name in sys.builtin_module_names:
        return True
    installed = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    return importlib.machinery.PathFinder.find_spec(name, sorted(installed)) is not None


# ------------------------------------------------------------------------------------------------------ the notebook


@dataclass(frozen=True)
class _Cell:
    """One cell of the student's file: what of it counts."""

    kind: str
    text: str
    grade_id: str | None
    identity: str | None
    marks: dict[str, Any]


def _cells(content: bytes, remarks: _Remarks) -> list[_Cell] | None:
    """The cells of a notebook file, of any version of the format; None if it is no notebook."""
    try:
        root = _json(content, remarks)
    except _Unreadable as unreadable:
        remarks.add(str(unreadable))
        return None
    raw = root.get("cells") if isinstance(root, dict) else None
    if isinstance(root, dict) and not isinstance(raw, list) and isinstance(root.get("worksheets"), list):
        # Up to format 3, cells lay in worksheets.
        sheets = [sheet.get("cells") for sheet in root["worksheets"] if isinstance(sheet, dict)]
        raw = [cell for sheet in sheets if isinstance(sheet, list) for cell in sheet]
        remarks.add("Your notebook is in an old format; it was read, but save it with a newer Jupyter next time.")
    if not isinstance(raw, list):
        remarks.add(f"Your file is not a notebook: it has no list of cells. If it should be one, {_AGAIN}.")
        return None
    cells, damaged = [], []
    room = MAX_TEXT
    for number, item in enumerate(raw, 1):
        cell = _cell(item)
        if cell is None:
            damaged.append(str(number))
        elif len(cell.text) > min(MAX_CELL, room):
            remarks.add(
                f"Cell {number} of your notebook was left out: a cell may have {MAX_CELL:,} characters and all of them "
                f"together {MAX_TEXT:,}."
            )
        else:
            room -= len(cell.text)
            cells.append(cell)
    if damaged:
        listed = ", ".join(damaged[:10]) + (", ..." if damaged[10:] else "")
        remarks.add(f"Your notebook has cells that are damaged and were left out, by their number: {listed}.")
    return cells


class _Unreadable(Exception):
    """A sentence for the student: why the file is no notebook."""


def _json(content: bytes, remarks: _Remarks) -> Any:
    """The file's JSON, without outputs."""
    encoding = json.detect_encoding(content)  # type: ignore[attr-defined]
    if not encoding.startswith("utf-8"):
        content, encoding = content.decode(encoding, "replace").encode(), "utf-8"
    try:
        content = without_outputs(content)
    except TooManyTokens:
        raise _Unreadable(f"Your notebook holds outputs of more than {MAX_TOKENS:,} parts: {_CLEAR}.") from None
    if len(content) > MAX_NOTEBOOK:
        raise _Unreadable(
            f"Your notebook is larger than {MAX_NOTEBOOK // 2**20} MB even without its outputs, so it was not read: "
            "keep data in files beside it, and submit again."
        )
    try:
        text, whole = content.decode(encoding), True
    except UnicodeDecodeError:
        text, whole = content.decode(encoding, "replace"), False
    if text.count("[") + text.count("{") > MAX_BRACKETS:
        raise _Unreadable(f"Your notebook holds more than {MAX_BRACKETS:,} lists besides its outputs: {_AGAIN}.")
    try:
        root = json.loads(text)
    except RecursionError:
        where = "it is nested too deeply"
    except json.JSONDecodeError as error:
        where = f"it is damaged at line {error.lineno}"
    except ValueError:
        where = "it holds a number that is too long"
    else:
        if not whole:
            remarks.add("Your notebook held bytes that are no text; they were replaced by \ufffd. Save it as UTF-8.")
        return root
    if "\n<<<<<<< " in text:
        where += ", and holds the marks of an unfinished merge (<<<<<<<)"
    raise _Unreadable(f"Your notebook could not be read: {where}. To repair it, {_AGAIN}.")


def _cell(item: Any) -> _Cell | None:
    if not isinstance(item, dict):
        return None
    kind = item.get("cell_type")
    text = item.get("source", item.get("input", ""))
    if isinstance(text, list) and all(isinstance(line, str) for line in text):
        text = "".join(text)
    if not isinstance(text, str):
        return None
    if kind == "heading":  # of format 3
        kind, text = "markdown", f"# {text}"
    if kind not in _TYPES:
        return None
    metadata = item.get("metadata")
    marks = metadata.get("nbgrader") if isinstance(metadata, dict) else None
    marks = marks if isinstance(marks, dict) else {}
    grade_id, identity = marks.get("grade_id"), item.get("id")
    return _Cell(
        kind,
        # JSON can hold half of a character, which no file can. Line ends are the editor's, not the student's.
        text.encode("utf-8", "replace").decode("utf-8").replace("\r\n", "\n"),
        grade_id if isinstance(grade_id, str) else None,
        identity if isinstance(identity, str) else None,
        marks,
    )


# ---------------------------------------------------------------------------------------------------------- merging


def _merged(cells: list[_Cell], source: NotebookNode, remarks: _Remarks) -> NotebookNode:
    """The source's notebook with the student's cells in it."""
    blank = released_cells(source)
    graded = {c.metadata.nbgrader.grade_id: c for c in blank if _is_graded(c)}
    free = {c.id: c for c in blank if not _is_graded(c)}
    known = [_known_as(cell, graded, free) for cell in cells]
    chosen = _chosen(cells, known, graded, remarks)
    texts = [c.text if c.kind == "code" or key in graded else None for c, key in zip(cells, known, strict=True)]
    elsewhere = answers_elsewhere(texts, known, chosen, blank)
    own: dict[str | None, list[_Cell]] = {}
    place: str | None = None
    order = []
    for number, (cell, key) in enumerate(zip(cells, known, strict=True)):
        if key is not None and chosen.get(key) == number:
            place = key
            order.append(key)
        elif key in graded and _is_untouched(cell, graded[key]):
            continue
        else:
            own.setdefault(place, []).append(cell)
            if key is None and cell.grade_id is not None:
                remarks.add(
                    f"The cell that is marked {_shown(cell.grade_id)} is none of this assignment; it counts as a cell "
                    "of your own and earns no points."
                )
    positions = [list((*graded, *free)).index(k) for k in order if k in graded]
    if positions != sorted(positions):
        remarks.add("The assignment's cells were moved; they were put back in their order.")
    merged = _Merged(remarks)
    merged.add_own(own.get(None, []))
    for original, released in zip(source.cells, blank, strict=True):
        key = released.metadata.nbgrader.grade_id if _is_graded(released) else released.id
        student = cells[chosen[key]] if key in chosen else None
        if key in graded:
            if key in elsewhere.after:
                remarks.add(
                    f"Your answer to {key} stands in a cell of your own after its tests, which ran without it. Move it "
                    f"into the cell {key}, or above the tests, and submit again."
                )
            merged.add_graded(original, released, student, elsewhere=key in elsewhere.before)
        elif student is not None:
            merged.add(student.kind, student.text, key, dict(original.metadata))
        merged.add_own(own.get(key, []))
    notebook = nbformat.v4.new_notebook(cells=merged.cells, metadata=copy.deepcopy(source.metadata))
    notebook.nbformat_minor = 5
    return notebook


def _is_graded(cell: NotebookNode) -> bool:
    return "grade_id" in cell.metadata.get("nbgrader", {})


def _is_exercise(cell: NotebookNode) -> bool:
    return bool(cell.metadata.nbgrader.solution)


def _known_as(cell: _Cell, graded: dict[str, NotebookNode], free: dict[str, NotebookNode]) -> str | None:
    """The source's cell that this one is, by its mark, or by its id where there is none."""
    if cell.grade_id is not None:
        return cell.grade_id if cell.grade_id in graded else None
    return cell.identity if cell.identity in graded or cell.identity in free else None


def _is_untouched(cell: _Cell, released: NotebookNode) -> bool:
    return cell.text.strip() in ("", released.source.strip())


def _chosen(
    cells: list[_Cell], known: list[str | None], graded: dict[str, NotebookNode], remarks: _Remarks
) -> dict[str, int]:
    """For each cell of the source that the student has, the number of the copy that counts."""
    copies: dict[str, list[int]] = {}
    for number, key in enumerate(known):
        if key is not None:
            copies.setdefault(key, []).append(number)
    chosen = {}
    for key, numbers in copies.items():
        chosen[key] = numbers[0]
        if len(numbers) == 1 or key not in graded:
            continue
        changed = [n for n in numbers if not _is_untouched(cells[n], graded[key])]
        chosen[key] = changed[0] if changed and _is_exercise(graded[key]) else numbers[0]
        remarks.add(
            f"Your notebook has {len(numbers)} cells marked {key}; the first one that you changed counts as the "
            "answer, the others run after it as cells of your own."
            if _is_exercise(graded[key])
            else f"Your notebook has {len(numbers)} cells marked {key}; the assignment's own is used."
        )
    return chosen


class _Merged:
    """The cells of the clean notebook, as they are put together."""

    def __init__(self, remarks: _Remarks) -> None:
        self.remarks = remarks
        self.cells: list[NotebookNode] = []
        self.own = 0

    def add(self, kind: str, text: str, identity: str, metadata: dict[str, Any]) -> None:
        make = getattr(nbformat.v4, f"new_{kind}_cell")
        self.cells.append(make(text, id=identity, metadata=copy.deepcopy(metadata)))

    def add_own(self, cells: list[_Cell]) -> None:
        for cell in cells:
            self.own += 1
            if self.own > MAX_OWN_CELLS:
                self.remarks.add(f"Only the first {MAX_OWN_CELLS:,} cells of your own were taken.")
                return
            self.add(cell.kind, cell.text, f"own-{self.own}", {})

    def add_graded(
        self, original: NotebookNode, released: NotebookNode, student: _Cell | None, elsewhere: bool
    ) -> None:
        """A cell of the assignment: the student's text if it is an exercise, the instructor's otherwise.

        `elsewhere`: another cell of the student holds the answer, so this one must not define anything.
        """
        name = original.metadata.nbgrader.grade_id
        text = original.source
        if _is_exercise(original):
            text = released.source if student is None else student.text
        if elsewhere:
            text = ANSWERED_ELSEWHERE
        self.add(original.cell_type, text, original.id, original.metadata)
        if student is None and facts(original).get("private"):
            return  # no student has it (course/private)
        if elsewhere:
            self.remarks.add(
                f"Your answer to {name} stands in another cell, which was graded. Write it into the cell {name}, so "
                "that nobody misses it."
            )
            if student is None:
                return
        if student is None:
            self.remarks.add(
                f"Your notebook lacks the cell {name}; "
                + ("an empty one was put in its place." if _is_exercise(original) else "it was put back.")
            )
            return
        if student.kind != original.cell_type:
            self.remarks.add(f"The cell {name} was turned into {student.kind}; it counts as {original.cell_type}.")
        ours = original.metadata.nbgrader
        other_text = not _is_exercise(original) and not _same_text(student.text, original.source, released.source)
        other_marks = any(key in student.marks and student.marks[key] != ours.get(key) for key in _MARKS)
        if (other_text or other_marks) and _is_as_released(student):
            self.remarks.add(
                f"The cell {name} was corrected after you got the assignment; the corrected one was used. "
                "To have it too: python -m labkit.renew"
            )
            return
        if other_text:
            self.remarks.add(f"You changed the cell {name}, which is given; grading uses the assignment's own.")
        if other_marks:
            self.remarks.add(f"The points or locks of the cell {name} were changed; the assignment's own hold.")


def _is_as_released(cell: _Cell) -> bool:
    """Whether a cell is as some release had it, by the checksum that came with it; this decides a remark, no more."""
    # Plain values only: what is nested in them may be nested without end.
    marks = {key: value for key, value in cell.marks.items() if isinstance(value, str | int | float)}
    made = nbformat.from_dict({"cell_type": cell.kind, "source": cell.text, "metadata": {"nbgrader": marks}})
    try:
        return bool(compute_checksum(made) == cell.marks.get("checksum"))
    except (AttributeError, KeyError, TypeError, ValueError):  # marks that somebody else wrote
        return False


def _same_text(text: str, *others: str) -> bool:
    return text.strip() in [other.strip() for other in others]


# ------------------------------------------------------------------------------------------------- nbgrader's own door


class SubmissionExporter(NotebookExporter):
    """nbgrader's Autograde reads notebooks through this: a submitted one is received, an autograded one read as usual.

    What was repaired stands in the notebook's metadata, under `REPORT`, `remarks`.
    """

    def from_filename(
        self, filename: str, resources: dict[str, Any] | None = None, **kw: Any
    ) -> tuple[Any, dict[str, Any]]:
        names = (resources or {}).get("nbgrader")
        course = getattr(self.parent, "coursedir", None)
        if resources is None or names is None or course is None:
            return super().from_filename(filename, resources, **kw)
        assignment, name = names["assignment"], names["notebook"]
        folder = Path(course.format_path(course.submitted_directory, names["student"], assignment))
        if Path(os.path.abspath(filename)).parent != folder:
            return super().from_filename(filename, resources, **kw)
        origin = Path(course.format_path(course.source_directory, ".", assignment)) / f"{name}.ipynb"
        received = receive(folder, nbformat.read(origin, as_version=4), name)
        received.notebook.metadata[REPORT] = {"remarks": received.remarks}
        resources["metadata"] = {"name": name, "path": str(folder)}
        return self.from_notebook_node(received.notebook, resources, **kw)
