"""What grading keeps on disk: finished judgements, submissions as they came, what the gradebook holds, the audit trail.

Everything lies in course/run/:

    results/<assignment>/<student>/<digest>/<version>.json.gz   the judgement of that submission, by assignment version
    results/<assignment>/<student>/<digest>/submission.tar.gz   the submission as it came
    results/<assignment>/<student>/record.json                  what the gradebook now holds of this student
    audit.jsonl                                                 each change of an automatic score, a line each
    secret                                                      what the seeds of hidden tests are drawn from

A file appears whole or not at all: it is written beside its place and moved there when it is on the disk. A file that
was damaged later is as good as absent: what it held is made again.
"""

import contextlib
import gzip
import hashlib
import hmac
import io
import json
import os
import secrets
import stat
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from course.judging import wire
from course.judging.verdict import Judged
from labkit.files import write_whole

MAX_ARCHIVE = 100 * 2**20
"""Bytes of one submission that are kept; nbgrader's exchange takes no more than this either."""

MAX_TIMESTAMP = 1000
MAX_DEPTH = 20
"""Folders within folders that are looked at: deeper down, paths become longer than the system takes."""


NEW, CHANGED, ASKED = "new submission", "assignment changed", "asked for"
"""Why automatic scores change, in the audit trail's words."""


class Damaged(Exception):
    """A kept file cannot be read; the text says which."""


@dataclass(frozen=True)
class Finished:
    """A judgement with what the gradebook's side needs of the submission it belongs to."""

    judged: Judged
    remarks: list[str] = field(default_factory=list)  # what was repaired when the submission was read
    files: dict[str, bytes] = field(default_factory=dict)  # the submission's other files

    @property
    def all_remarks(self) -> list[str]:
        """What the student is told: of reading the submission first, then of judging it."""
        return list(dict.fromkeys([*self.remarks, *self.judged.remarks]))


@dataclass(frozen=True)
class Record:
    """What the gradebook holds of one student's submission, and where it came from."""

    digest: str
    version: str
    stamp: str  # of the submitted folder, see `stamp_of`
    scores: dict[str, float | None]  # automatic score by test cell
    seconds: float
    remarks: list[str]
    time: str
    isolated: bool = True
    counts: str | None = None  # where the best submission counts: when this one was handed in, "" if nobody noted it


@dataclass(frozen=True)
class Change:
    """A line of the audit trail: an automatic score became another, or a person decided (`course.gradebook.audit`)."""

    time: str
    who: str
    student: str
    assignment: str
    cell: str
    old: float | str | None
    new: float | str | None
    why: str


class Store:
    """The kept results of the course at `root`. Reading never writes; any process may read while one writes."""

    def __init__(self, root: Path):
        self.root = root
        self.run = root / "course" / "run"
        self.audit = self.run / "audit.jsonl"

    def folder(self, assignment: str, student: str) -> Path:
        return self.run / "results" / assignment / student

    @staticmethod
    def _write(path: Path, data: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, data)

    # -- judgements

    def get(self, assignment: str, student: str, digest: str, version: str) -> Finished | None:
        """The judgement of a submission by an assignment's version, or None when there is none yet.

        Raises:
            Damaged: there is one, but its file cannot be read.
        """
        path = self.folder(assignment, student) / digest / f"{version}.json.gz"
        try:
            return wire.decode(gzip.decompress(path.read_bytes()), Finished)
        except FileNotFoundError:
            return None
        except (OSError, EOFError, zlib.error, ValueError) as error:
            raise Damaged(
                f"The kept result {path.relative_to(self.run)} was damaged ({type(error).__name__}); it was made again."
            ) from None

    def put(self, assignment: str, student: str, digest: str, version: str, finished: Finished) -> None:
        """Keep a judgement. It is on the disk when this returns."""
        data = gzip.compress(wire.encode(finished), compresslevel=1, mtime=0)
        self._write(self.folder(assignment, student) / digest / f"{version}.json.gz", data)

    # -- submissions as they came

    def archive(self, assignment: str, student: str, digest: str, submission: Path) -> None:
        """Keep a submission's folder, once; links, pipes and what is beyond `MAX_ARCHIVE` bytes are left out."""
        path = self.folder(assignment, student) / digest / "submission.tar.gz"
        if path.exists():
            return
        packed = io.BytesIO()
        left = MAX_ARCHIVE
        with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=1) as tar:
            # The time and the notebooks first: they are what counts if there is too much.
            for file in sorted(plain_files(submission), key=_importance):
                data = read_plain(file, left)
                if data is None:
                    continue
                left -= len(data)
                entry = tarfile.TarInfo(str(file.relative_to(submission)))
                entry.size, entry.mtime = len(data), int(file.lstat().st_mtime)
                tar.addfile(entry, io.BytesIO(data))
        self._write(path, packed.getvalue())

    def archived(self, assignment: str, student: str) -> list[str]:
        """Digests of the student's kept submissions, the oldest first."""
        archives = self.folder(assignment, student).glob("*/submission.tar.gz")
        return [path.parent.name for path in sorted(archives, key=lambda path: (path.stat().st_mtime_ns, path))]

    def timestamp(self, assignment: str, student: str, digest: str) -> bytes | None:
        """When a kept submission was handed in, as nbgrader's timestamp.txt says it; None where it does not say."""
        path = self.folder(assignment, student) / digest / "submission.tar.gz"
        try:
            with tarfile.open(path) as tar:
                file = tar.extractfile("timestamp.txt")
                return file.read(MAX_TIMESTAMP) if file is not None else None
        except (OSError, EOFError, KeyError, zlib.error, tarfile.TarError):
            return None

    def restore(self, assignment: str, student: str, digest: str, to: Path) -> None:
        """Unpack a kept submission into the folder `to`.

        Raises:
            Damaged: it is not there, or cannot be read.
        """
        path = self.folder(assignment, student) / digest / "submission.tar.gz"
        to.mkdir(parents=True, exist_ok=True)
        try:
            with tarfile.open(path) as tar:
                # The first releases of Python 3.11 know no filters; what lies here was written by `archive`.
                tar.extraction_filter = getattr(tarfile, "data_filter", lambda member, path: member)
                tar.extractall(to)
        except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
            raise Damaged(f"The kept submission {path.relative_to(self.run)} cannot be read: {error}.") from None

    # -- what the gradebook holds

    def record(self, assignment: str, student: str) -> Record | None:
        """What the gradebook holds of this student, or None when nothing is known."""
        try:
            return wire.decode((self.folder(assignment, student) / "record.json").read_bytes(), Record)
        except (OSError, ValueError):
            return None

    def records(self, assignment: str) -> dict[str, Record]:
        """What the gradebook holds of every student, by student."""
        folders = sorted((self.run / "results" / assignment).glob("*/record.json"))
        found = ((path.parent.name, self.record(assignment, path.parent.name)) for path in folders)
        return {student: record for student, record in found if record is not None}

    def note(self, assignment: str, student: str, record: Record, changes: Iterable[Change]) -> None:
        """Note what was written into the gradebook: the changes in the audit trail first, then the record.

        Whoever is stopped between the two writes the same lines again on the next run; none is ever missing.
        """
        self.append(changes)
        self._write(self.folder(assignment, student) / "record.json", wire.encode(record))

    def append(self, changes: Iterable[Change]) -> None:
        """Add lines to the audit trail; they are on the disk when this returns."""
        lines = b"".join(wire.encode(change) + b"\n" for change in changes)
        if lines:
            self.audit.parent.mkdir(parents=True, exist_ok=True)
            with self.audit.open("ab+") as file:
                if file.tell() and file.seek(-1, os.SEEK_END) and file.read(1) != b"\n":
                    lines = b"\n" + lines  # after one that a power cut left unfinished
                file.write(lines)
                file.flush()
                os.fsync(file.fileno())

    def changes(self) -> Iterator[Change]:
        """The audit trail, the oldest change first; a line that a power cut left unfinished is passed over."""
        if not self.audit.exists():
            return
        with self.audit.open("rb") as file:
            for line in file:
                with contextlib.suppress(ValueError):
                    yield wire.decode(line, Change)


# ---------------------------------------------------------------------------------------------------------- the seeds


def secret(folder: Path) -> bytes:
    """The course's grading secret, made on first use in `folder` and readable by its owner only."""
    path = folder / "secret"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        draft = folder / f".secret-{os.getpid()}"
        draft.touch(mode=0o600)
        draft.write_text(secrets.token_hex(32))
        try:
            os.link(draft, path)  # fails if another process was first, whose secret then stands
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_bytes()


def grading_seed(digest: str, secret: bytes) -> int:
    """The seed of a submission's hidden tests: the same for the same bytes, unknown to who lacks the secret."""
    return int.from_bytes(hmac.digest(secret, digest.encode(), "sha256")[:8], "big")


# -------------------------------------------------------------------------------------------------------------- files


def below(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """All that lies below a folder, with its status; links are not followed, nor folders deeper than `MAX_DEPTH`."""
    todo = [(folder, 0)]
    while todo:
        here, depth = todo.pop()
        found = []
        with contextlib.suppress(OSError):  # it may not be read, or has gone meanwhile
            found = [(path, path.lstat()) for path in sorted(here.iterdir())]
        yield from found
        if depth < MAX_DEPTH:
            todo += [(path, depth + 1) for path, status in found if stat.S_ISDIR(status.st_mode)]


def plain_files(folder: Path) -> Iterator[Path]:
    """The regular files below a folder, as far as `below` goes."""
    return (path for path, status in below(folder) if stat.S_ISREG(status.st_mode))


def _importance(path: Path) -> tuple[bool, bool, Path]:
    return path.name != "timestamp.txt", path.suffix != ".ipynb", path


def read_plain(path: Path, most: int) -> bytes | None:
    """A regular file's bytes, or None when it has more than `most`, is no regular file or cannot be read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        return None
    with open(descriptor, "rb") as file:
        data = file.read(most + 1)
    return data if len(data) <= most else None


def stamp_of(folder: Path) -> str:
    """A digest of the names, sizes and times of a folder's files: while it stands, nothing need be read again."""
    lines: list[Any] = []
    for path, info in sorted(below(folder), key=lambda found: found[0]):
        lines.append([os.fsencode(path.relative_to(folder)).hex(), info.st_size, info.st_mtime_ns, info.st_ctime_ns])
    return hashlib.sha256(json.dumps(lines).encode()).hexdigest()
