"""The grading step, in one place, and the commands around it.

`nbgrader autograde`, formgrader's button and `python -m course.grading autograde` all run the preprocessors below,
because course/nbgrader_config.py names them. They add to nbgrader's own execution: a time limit for the whole notebook,
a grading seed that a student cannot know beforehand and that a regrade repeats, and that a warning costs no mark.

    python -m course.grading publish --students alice bob   # put the assignments into the exchange
    python -m course.grading autograde gpt                  # collect and grade what is new
    python -m course.grading autograde gpt --student alice  # grade alice's submission, again if need be
    python -m course.grading feedback gpt                   # write feedback and release it
    python -m course.grading export --to grades.csv         # all grades
"""

import argparse
import hashlib
import hmac
import os
import re
import secrets
import shutil
import sys
import time
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import nbformat
from nbconvert.exporters.exporter import ResourcesDict
from nbformat import NotebookNode
from nbgrader.api import MissingEntry
from nbgrader.apps.api import NbGraderAPI
from nbgrader.coursedir import CourseDirectory
from nbgrader.exchange.default import ExchangeCollect
from nbgrader.plugins import CsvExportPlugin
from nbgrader.preprocessors import Execute, NbGraderPreprocessor
from nbgrader.utils import ignore_patterns, temp_attrs
from sqlalchemy.exc import SAWarning, SQLAlchemyError
from traitlets.config import Config, PyFileConfigLoader

ROOT = Path(__file__).resolve().parents[1]

DEFAULT_SECONDS = 60
"""The time limit of a notebook whose header names none."""


class Refusal(Exception):
    """One sentence for the person who typed the command: what happened and what to do."""


def settings(root: Path = ROOT) -> Config:
    """nbgrader's settings for the course that lies at `root` (its course/nbgrader_config.py).

    Raises:
        FileNotFoundError: there is no course at `root`.
    """
    folder = root / "course"
    return PyFileConfigLoader("nbgrader_config.py", path=str(folder)).load_config()


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


def grading_seed(submission: Path, secret: bytes) -> int:
    """The seed of a submission's hidden tests: the same for the same bytes, unknown to who lacks the secret."""
    content = hashlib.sha256(submission.read_bytes()).digest()
    return int.from_bytes(hmac.digest(secret, content, "sha256")[:8], "big")


class RunSubmission(Execute):
    """nbgrader's execution with a time limit for the whole notebook and the submission's grading seed."""

    shell_timeout_interval = 1  # seconds between looks at the clock; nbclient's 5 would round every limit up to it

    def preprocess(
        self, nb: NotebookNode, resources: ResourcesDict, **kwargs: Any
    ) -> tuple[NotebookNode, ResourcesDict]:
        names = resources["nbgrader"]
        course = CourseDirectory(config=self.config)
        folders = [
            Path(course.format_path(step, student, names["assignment"]))
            for step, student in ((course.source_directory, "."), (course.submitted_directory, names["student"]))
        ]
        source, submission = (folder / f"{names['notebook']}.ipynb" for folder in folders)
        # The limit is read from the instructor's notebook: the student's copy of the metadata is theirs to change.
        limit = nbformat.read(source, as_version=4).metadata.get("course", {}).get("seconds", DEFAULT_SECONDS)
        self._deadline = time.monotonic() + limit
        self.timeout_func = self._time_for_cell
        self._seed = grading_seed(submission, secret(Path(course.root) / "course" / "run"))
        return super().preprocess(nb, resources, **kwargs)

    def _time_for_cell(self, cell: NotebookNode) -> int:
        """Half of what is left, so that an endless loop in one exercise leaves time to judge the others."""
        return max(1, int((self._deadline - time.monotonic()) / 2))

    def start_new_kernel(self, **kwargs: Any) -> None:
        super().start_new_kernel(env={**os.environ, "COURSE_GRADING_SEED": str(self._seed)}, **kwargs)


class DropStderr(NbGraderPreprocessor):
    """Forgets what cells wrote on stderr: nbgrader would give 0 points for a library's warning or a progress bar."""

    def preprocess_cell(
        self, cell: NotebookNode, resources: ResourcesDict, cell_index: int
    ) -> tuple[NotebookNode, ResourcesDict]:
        if cell.cell_type == "code":
            cell.outputs = [o for o in cell.outputs if not (o.output_type == "stream" and o.name == "stderr")]
        return cell, resources


class CollectOwned(ExchangeCollect):
    """nbgrader's collect, which only warns of a submission made in another student's name; this one leaves it out.

    It does so where `check_owner` is set, that is where every student is an operating-system user of their own. In any
    case it copies no symbolic link: one could point at whatever the instructor may read, such as the solutions. And a
    folder with a name that is no submission's stops nobody else's from being collected.
    """

    src_records: list[dict[str, Any]]

    def init_src(self) -> None:
        super().init_src()
        self.src_records = [record for record in self.src_records if record["username"] and self._is_own(record)]

    def _path_to_record(self, path: str) -> dict[str, Any]:
        try:
            record: dict[str, Any] = super()._path_to_record(path)
        except ValueError:
            self.log.error("Left out %s: its name is not that of a submission.", path)
            record = {"username": "", "filename": Path(path).name, "timestamp": datetime.min}
        return record

    def _sort_by_timestamp(self, records: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The newest first; what somebody else made counts only where there is nothing of the student's own."""
        own = [record for record in records if self._is_own(record)]
        newest_first: list[dict[str, Any]] = super()._sort_by_timestamp(own or records)
        return newest_first

    def _is_own(self, record: dict[str, Any]) -> bool:
        import pwd  # absent on Windows, where there is no exchange either

        path = Path(self.inbound_path, record["filename"])
        if not self.check_owner:
            return not path.is_symlink()
        try:
            owner = pwd.getpwuid(path.lstat().st_uid).pw_name
        except KeyError:
            owner = "nobody known"
        if owner != record["username"] or path.is_symlink():
            self.log.error("Left out %s: it is in the name of %s but made by %s.", path, record["username"], owner)
            return False
        return True

    def do_copy(self, src: str, dest: str, log: Any = None) -> None:
        if self.get_size(src) > 1000 * self.coursedir.max_dir_size:
            raise RuntimeError(f"{src} is larger than {self.coursedir.max_dir_size} kB.")
        ignore = ignore_patterns(
            exclude=self.coursedir.ignore,
            include=self.coursedir.include,
            max_file_size=self.coursedir.max_file_size,
            log=self.log,
        )
        shutil.copytree(src, dest, symlinks=True, ignore=ignore)
        for path in Path(dest).rglob("*"):
            if path.is_symlink():
                self.log.error("Left out %s: it is a symbolic link.", path)
                path.unlink()


@dataclass(frozen=True)
class Result:
    """What became of one submission: points, or the reason why there are none."""

    student: str
    score: float | None
    max_score: float | None
    seconds: float
    problem: str | None = None


def open_course(root: Path = ROOT) -> NbGraderAPI:
    """nbgrader's own interface to the course at `root`, with the course's settings."""
    return NbGraderAPI(config=settings(root))


def check_assignment(api: NbGraderAPI, assignment: str) -> None:
    """Refuse an assignment that the course does not have or that is not in the gradebook yet."""
    sources = api.get_source_assignments()
    if not sources:
        raise Refusal("No assignment is assembled yet: run `make exercises` first.")
    if assignment not in sources:
        raise Refusal(f"There is no assignment {assignment!r}; this course has {', '.join(sorted(sources))}.")
    with api.gradebook as gradebook:
        try:
            gradebook.find_assignment(assignment)
        except MissingEntry:
            raise Refusal(
                f"The gradebook does not know {assignment!r} yet: run `python -m course.grading publish` first."
            ) from None


def publish(api: NbGraderAPI, students: Iterable[str] = ()) -> list[str]:
    """Put every assignment into the gradebook and the exchange, and the students into the gradebook.

    Returns the assignments. Their students' notebooks in exercises/ are left as they are.
    """
    names = sorted(api.get_source_assignments())
    if not names:
        raise Refusal("No assignment is assembled yet: run `make exercises` first.")
    with api.gradebook as gradebook:
        for student in students:
            gradebook.update_or_create_student(student)
    api.config.ExchangeReleaseAssignment.force = True
    for name in names:
        # nbgrader enters an assignment into the gradebook while it writes the students' version; that one is not kept.
        with temp_attrs(api.coursedir, release_directory="course/run/release"):
            _must(api.generate_assignment(name), f"{name} could not be entered into the gradebook")
        _must(api.release_assignment(name), f"{name} could not be released")
    return names


def collect(api: NbGraderAPI, assignment: str) -> None:
    """Copy the newest submissions from the exchange, where there is one."""
    if Path(api.exchange_root, api.course_id, "inbound").is_dir():
        _must(api.collect(assignment), f"{assignment} could not be collected")


def autograde(api: NbGraderAPI, assignment: str, student: str | None = None) -> Iterator[Result]:
    """Grade one student's submission, or all that were not graded since they came in; one failure stops no other.

    Raises:
        KeyboardInterrupt: somebody pressed Ctrl-C; the submission that was being graded counts as not graded.
        Refusal: there is no such assignment or no such submission.
    """
    check_assignment(api, assignment)
    submitted = api.get_submitted_students(assignment)
    if not submitted:
        raise Refusal(f"Nobody has submitted {assignment!r}: there is nothing in course/submitted/*/{assignment}.")
    if student is not None and student not in submitted:
        raise Refusal(f"{student} has not submitted {assignment!r}; {', '.join(sorted(submitted))} did.")
    todo = [student] if student is not None else sorted(submitted - api.get_autograded_students(assignment))
    for name in todo:
        start = time.monotonic()
        outcome = api.autograde(assignment, name, force=True)
        seconds = time.monotonic() - start
        if "KeyboardInterrupt" in outcome.get("error", ""):
            raise KeyboardInterrupt  # nbgrader took it for a failure of the submission
        if not outcome["success"]:
            yield Result(name, None, None, seconds, reason(outcome))
            continue
        with api.gradebook as gradebook:
            graded = gradebook.find_submission(assignment, name)
            yield Result(name, graded.score, graded.max_score, seconds)


def feedback(api: NbGraderAPI, assignment: str, student: str | None = None) -> tuple[int, int]:
    """Write and release the feedback of all graded submissions, or of one; return how many were (written, released).

    A submission that came as a file, not through the exchange, has nowhere to be released to; its page is only written.
    """
    check_assignment(api, assignment)
    graded = api.get_autograded_students(assignment)
    if student is not None and student not in graded:
        raise Refusal(f"{student}'s submission of {assignment!r} is not graded yet: run the autograde command first.")
    if not graded:
        raise Refusal(f"No submission of {assignment!r} is graded yet: run the autograde command first.")
    released = 0
    todo = [student] if student is not None else sorted(graded)
    for name in todo:
        _must(api.generate_feedback(assignment, name), f"The feedback for {name} could not be written")
        folder = Path(api.coursedir.format_path(api.coursedir.feedback_directory, name, assignment))
        if (folder / "submission_secret.txt").exists():
            _must(api.release_feedback(assignment, name), f"The feedback for {name} could not be released")
            released += 1
    return len(todo), released


def export(api: NbGraderAPI, path: Path) -> None:
    """Write all grades as CSV."""
    with api.gradebook as gradebook:
        CsvExportPlugin(config=api.config, to=str(path)).export(gradebook)


REASONS = {
    "DeadKernelError": "the notebook's Python ended before its time: it ran out of memory or called an exit function",
    "NotJSONError": "the notebook is not a readable file: it is damaged, or not a notebook",
    "ValidationError": "the notebook's structure is damaged",
    "KeyError": "the notebook's cells are damaged",
}


def reason(outcome: dict[str, Any]) -> str:
    """Why nbgrader failed, in one line, from the log of `NbGraderAPI.autograde`."""
    text = f"{outcome.get('error', '')}\n{outcome.get('log', '')}"
    errors = re.findall(r"^\s*(?:\[\w+\] )?((?:\w+\.)*\w+(?:Error|Exception))(?::? (.*))?$", text, re.MULTILINE)
    told = [(name.rpartition(".")[2], message) for name, message in errors if not name.endswith("NbGraderException")]
    if told:
        name, message = told[-1]
        return f"{REASONS[name]} ({name})" if name in REASONS else f"{name}: {message}"
    complaints = re.findall(r"^\[ERROR\] (.+)$", text, re.MULTILINE)
    return str(complaints[0]) if complaints else "nbgrader gave no reason"


def _must(outcome: dict[str, Any], what: str) -> None:
    if not outcome["success"]:
        raise Refusal(f"{what}: {reason(outcome)}.")


def table(results: Iterable[Result]) -> str:
    """The results, a line each."""
    rows = [("student", "points", "seconds", "")]
    for r in results:
        points = "failed" if r.score is None else f"{r.score:g} of {r.max_score:g}"
        rows.append((r.student, points, f"{r.seconds:.1f}", r.problem or ""))
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    return "\n".join(
        f"{student:<{widths[0]}}  {points:>{widths[1]}}  {seconds:>{widths[2]}}  {problem}".rstrip()
        for student, points, seconds, problem in rows
    )


def autograde_command(api: NbGraderAPI, arguments: argparse.Namespace) -> None:
    """Collect, grade and print the table; refuse at the end if a submission could not be graded."""
    check_assignment(api, arguments.assignment)
    collect(api, arguments.assignment)
    results = []
    try:
        for result in autograde(api, arguments.assignment, arguments.student):
            results.append(result)
            print(f"{result.student} ... {'failed' if result.problem else 'graded'}", flush=True)
    finally:
        if results:
            print(f"\n{table(results)}")
    if not results:
        print(f"Every submission of {arguments.assignment} is graded already; --student NAME grades one again.")
    failed = [result.student for result in results if result.problem]
    if failed:
        raise Refusal(f"Could not grade {', '.join(failed)}: the table says why. The others' grades are saved.")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m course.grading", description="Release, grade, give feedback, export."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (
        ("autograde", "collect what was submitted and grade what is new"),
        ("feedback", "write feedback for what is graded and release it"),
    ):
        command = commands.add_parser(name, help=text)
        command.add_argument("assignment")
        command.add_argument("--student", help="only this student's submission")
    command = commands.add_parser("publish", help="put the assignments into the exchange")
    command.add_argument("--students", nargs="*", default=[], help="add these students to the gradebook")
    command = commands.add_parser("export", help="write all grades as CSV")
    command.add_argument("--to", type=Path, default=ROOT / "grades.csv", help="the file (%(default)s)")
    arguments = parser.parse_args()
    # nbgrader 0.9.6 draws these from SQLAlchemy 2 at every submission; what it then does is right.
    warnings.filterwarnings("ignore", category=SAWarning)
    try:
        api = open_course()
        match arguments.command:
            case "autograde":
                autograde_command(api, arguments)
            case "feedback":
                written, released = feedback(api, arguments.assignment, arguments.student)
                print(f"Feedback for {written} submissions written to course/feedback, {released} of them released.")
            case "publish":
                print(f"Released: {', '.join(publish(api, arguments.students))}.")
            case "export":
                export(api, arguments.to)
                print(f"All grades are in {arguments.to}.")
    except Refusal as refusal:
        sys.exit(str(refusal))
    except KeyboardInterrupt:
        sys.exit("Interrupted; what was graded before is saved, and the same command goes on from there.")
    except SQLAlchemyError as error:
        sys.exit(f"The gradebook course/gradebook.db cannot be used: {error.__cause__ or error}. Nothing was changed.")
    except OSError as error:
        sys.exit(f"A file cannot be used: {error}.")


if __name__ == "__main__":
    main()
