"""Bring a notebook you have worked in up to the corrected release: `python -m labkit.renew tokenizer`.

Takes your notebook (`tokenizer/tokenizer.ipynb` or `tokenizer.ipynb` here, or the path you give) and the newest release
(`exercises/tokenizer/tokenizer.ipynb` of the course's folder, or `--release FILE`), and writes the release with your
answers, your predictions and your own cells in it. The file as it was stays beside it, with the date in its name. If
you work inside a clone's `exercises/` itself, save the new release elsewhere first:

    git fetch && git show origin/main:exercises/tokenizer/tokenizer.ipynb > new.ipynb
    python -m labkit.renew exercises/tokenizer/tokenizer.ipynb --release new.ipynb
"""

import argparse
import re
import sys
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from labkit.copies import in_exercises, nearby, read
from labkit.files import write_whole
from labkit.notebook import COURSE, NotebookError, answer_cells, is_exercise, is_untouched, key_of, marks_of
from labkit.terminal import print_everything

# The line of a prediction, as the assignments write it.
GUESS = re.compile(r"^(?P<start>\s*(?P<name>\w+)\s*=\s*)(?P<value>.+?)(?P<end>\s*# your guess.*)$", re.MULTILINE)
# How the course names its cells that carry no mark of nbgrader's.
UNMARKED = re.compile(r"(prose|run|task)-")


@dataclass(frozen=True)
class Renewed:
    """The new notebook, the remarks on it, and whether it differs from the old one."""

    notebook: NotebookNode
    remarks: list[str]
    changed: bool


def renew(old: NotebookNode, new: NotebookNode) -> Renewed:
    """The release `new` with what the student wrote in `old`; neither is changed.

    The course's cells are the release's. A student's answer replaces the blank exercise, a prediction the blank guess,
    and own cells follow the cell that they followed. What has no place any more becomes an own cell or gets a remark.
    """
    return _Renewal(old, new).run()


@dataclass
class _Renewal:
    old: NotebookNode
    new: NotebookNode
    remarks: list[str] = field(default_factory=list)
    own: dict[str | None, list[NotebookNode]] = field(default_factory=dict)  # by the course's cell they follow

    def __post_init__(self) -> None:
        self.ids = {cell.id for cell in self.new.cells}
        # The line of each prediction that is asked for, also where a student's own line has lost the remark.
        names = "|".join(m["name"] for cell in self.new.cells for m in GUESS.finditer(cell.source)) or "(?!)"
        self.line = re.compile(rf"^[ \t]*(?P<name>{names})[ \t]*=[ \t]*(?P<value>[^#\n]*[^#\s]).*$", re.MULTILINE)

    def run(self) -> Renewed:
        current = {key_of(cell): cell for cell in self.new.cells}
        theirs, predictions = self.sort(current)
        if not theirs:
            raise NotebookError("The two notebooks have no cell in common: they are not of the same assignment.")
        added: list[str] = []
        corrected: list[str] = []
        rewritten = 0
        cells = list(self.own.get(None, ()))
        for key, released in current.items():
            cell, student = nbformat.from_dict(released), theirs.get(key)
            if student is None:
                added += [key] if released.cell_type == "code" else []
            elif is_exercise(released):
                cells += self.answer(cell, student)
            elif released.cell_type == "code" and not marks_of(released):
                cell.source = _with_predictions(released.source, predictions)
                if self.blank(student.source) != self.blank(released.source):
                    self.remarks.append(
                        f"The cell {key} differs from yours by more than your predictions: the new one is in place, "
                        "and yours stands below it as text."
                    )
                    self.own.setdefault(key, []).insert(0, _as_text("What this cell was before:", student.source))
            elif student.source.strip() != released.source.strip():
                if not marks_of(released):
                    rewritten += 1
                elif marks_of(student).get("checksum") == marks_of(released).get("checksum", ""):
                    self.remarks.append(f"You had changed {key}, which is the course's; its own text is back.")
                elif not key.startswith("given-course-"):  # what the assembler writes is nothing to read again
                    corrected.append(key)
            cells += [cell, *self.own.get(key, ())]
        if corrected:
            self.remarks.append(f"Corrected: {', '.join(corrected)}.")
        if added:
            self.remarks.append(f"New, or put back where you had deleted it: {', '.join(added)}.")
        if rewritten:
            self.remarks.append(
                f"The course's text changed in {rewritten} of its cells. What you may have written into them is in the "
                "old file only."
            )
        asked = {m["name"] for cell in self.new.cells for m in GUESS.finditer(cell.source)}
        for name in sorted(predictions.keys() - asked):
            self.remarks.append(
                f"Your prediction `{name} = {predictions[name]}` is no longer asked for and was left out."
            )
        notebook = nbformat.v4.new_notebook(cells=cells, metadata=nbformat.from_dict(self.new.metadata))
        notebook.nbformat_minor = 5
        nbformat.validate(notebook)
        changed = _texts(notebook) != _texts(self.old) or self.old.metadata.get(COURSE) != self.new.metadata[COURSE]
        return Renewed(notebook, self.remarks, changed)

    def sort(self, current: dict[str, NotebookNode]) -> tuple[dict[str, NotebookNode], dict[str, str]]:
        """The student's version of each of the course's cells, and their predictions; the others go to `own`."""
        theirs: dict[str, NotebookNode] = {}
        predictions: dict[str, str] = {}
        notes = {_note_id(key) for key in current}
        present = {key_of(cell) for cell in self.old.cells}
        unmarked = {self.blank(c.source): k for k, c in current.items() if not marks_of(c) and k not in present}
        answers = answer_cells(self.old.cells, {key for key, cell in current.items() if is_exercise(cell)})
        place: str | None = None
        for cell in self.old.cells:
            key = key_of(cell)
            if not marks_of(cell) and key not in current:
                key = unmarked.get(self.blank(cell.source), key)  # Jupyter gives a cell that was moved another id
            if key in current and key not in theirs and answers.get(key, cell) is cell:
                theirs[key], place = cell, key
                if not marks_of(cell):
                    predictions |= self.predictions(cell.source)
            elif key in notes:
                continue  # from an earlier renewal; it is written again where it is still needed
            elif is_exercise(cell):
                if key not in current:
                    kept = "" if is_untouched(cell) else "; your answer is kept as a cell of your own"
                    self.remarks.append(f"The exercise {_name(key)} is no longer in the assignment{kept}.")
                if not is_untouched(cell):
                    self.keep(cell, place)
            elif marks_of(cell) or UNMARKED.match(key):
                if key in current and cell.source.strip() != current[key].source.strip():
                    self.keep(cell, place)  # a copy that the student made to try things
                elif key not in current and cell.cell_type == "code":
                    self.remarks.append(f"The cell {key} is no longer in the assignment.")
                    predictions |= self.predictions(cell.source)
            else:
                self.keep(cell, place)
        return theirs, predictions

    def blank(self, source: str) -> str:
        """A cell's text without its predictions."""
        return GUESS.sub(r"\g<name>", self.line.sub(r"\g<name>", source)).strip()

    def predictions(self, source: str) -> dict[str, str]:
        """What a student wrote for each prediction of a cell: `{name: expression}`, blank ones left out."""
        found = {m["name"]: m["value"].strip() for line in (GUESS, self.line) for m in line.finditer(source)}
        return {name: value for name, value in found.items() if value != "None"}

    def keep(self, cell: NotebookNode, place: str | None) -> None:
        """Make it one of the student's own cells, after the course's cell `place`."""
        copy = nbformat.from_dict(cell)
        for mark in ("nbgrader", "deletable", "editable"):
            copy.metadata.pop(mark, None)
        if copy.get("id", "") in ("", *self.ids):
            copy["id"] = nbformat.v4.new_markdown_cell().id
        self.ids.add(copy.id)
        self.own.setdefault(place, []).append(copy)

    def answer(self, cell: NotebookNode, student: NotebookNode) -> list[NotebookNode]:
        """Put the student's answer into a blank exercise `cell`; what goes before it if its task has changed."""
        released, key = cell.source, key_of(cell)
        if is_untouched(student):
            if student.source.strip() != released.strip():
                self.remarks.append(f"The task of {_name(key)} was corrected; you had not begun it.")
            return []
        cell.source = student.source
        before, after = marks_of(student).get("checksum"), marks_of(cell).get("checksum")
        if before is None or before == after or student.source.strip() == released.strip():
            return []
        self.remarks.append(
            f"The task of {_name(key)} was corrected: your answer is kept as it was, and the new text stands above it. "
            "Compare the two."
        )
        note = _as_text(f"The corrected text of the exercise {_name(key)}:", released)
        note["id"] = _note_id(key)
        return [note]


def _name(key: str) -> str:
    return key.removeprefix("exercise-")


def _note_id(key: str) -> str:
    return f"new-{key}"


def _with_predictions(source: str, predictions: dict[str, str]) -> str:
    return GUESS.sub(lambda m: f"{m['start']}{predictions.get(m['name'], m['value'])}{m['end']}", source)


def _as_text(title: str, source: str) -> NotebookNode:
    """A cell that shows code and does not run it."""
    fence = "`" * max(3, *(len(run) + 1 for run in re.findall("`+", source)), 3)
    return nbformat.v4.new_markdown_cell(f"{title}\n\n{fence}python\n{source}\n{fence}")


def _texts(notebook: NotebookNode) -> list[tuple[str, str]]:
    return [(cell.cell_type, cell.source) for cell in notebook.cells]


# -------------------------------------------------------------------------------------------------------- the command


def find(name: str, release: Path | None) -> tuple[Path, Path]:
    """The student's notebook and the new release that a person means."""
    path = Path(name)
    if path.suffix != ".ipynb":
        mine = [*nearby(name), *(in_exercises(name) if release else ())]
        path = next((p for p in mine if p.is_file()), mine[0])
    name = path.stem
    if release is None:
        release = next((p for p in in_exercises(name) if p.is_file()), None)
    if release is None:
        raise NotebookError(
            f"There is no exercises/{name}/{name}.ipynb here: name the new release with --release FILE."
        )
    if path.is_file() and release.is_file() and path.samefile(release):
        raise NotebookError(
            f"Your notebook and the new release are the same file, {path}: save the new release under another name and "
            "give it with --release FILE."
        )
    return path, release


def write(notebook: NotebookNode, path: Path, now: datetime) -> Path:
    """Replace the file at `path`, keeping it as it was beside it; returns where that copy lies."""
    copy = path.with_name(f"{path.stem}.{now:%Y-%m-%d-%H%M%S}.ipynb")
    with copy.open("xb") as file:
        file.write(path.read_bytes())
    write_whole(path, (nbformat.writes(notebook) + "\n").encode())
    return copy


def main(arguments: list[str] | None = None) -> int:
    """Bring a notebook you have worked in up to the corrected release, with your answers kept."""
    parser = argparse.ArgumentParser(prog="python -m labkit.renew", description=main.__doc__)
    parser.add_argument("assignment", help="its name (tokenizer) or the path of your notebook")
    parser.add_argument("--release", type=Path, help="the new release; exercises/ of the course when not given")
    options = parser.parse_args(arguments)
    print_everything()
    try:
        path, release = find(options.assignment, options.release)
        old, new = read(path), read(release)
        if COURSE not in new.metadata:
            raise NotebookError(f"{release} is not an assignment of this course.")
        renewed = renew(old, new)
        if not renewed.changed:
            print(f"{path} is the newest release already; nothing was changed.")
            return 0
        copy = write(renewed.notebook, path, datetime.now())
    except NotebookError as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        print(f"A file cannot be used: {error}. Your notebook was not changed.", file=sys.stderr)
        return 1
    print(f"{path} is the new release, with your answers. The file as it was: {copy}")
    print("\n".join(f"- {sentence}" for sentence in renewed.remarks))
    return 0


if __name__ == "__main__":
    sys.exit(main())
