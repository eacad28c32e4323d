"""The instructor's commands: release, grade, give feedback, export.

    python -m course.grading publish --students alice bob   # put the assignments into the exchange
    python -m course.grading autograde gpt                  # collect and grade what is new
    python -m course.grading autograde gpt --student alice  # judge alice's submission again
    python -m course.grading feedback gpt                   # write feedback and release it
    python -m course.grading export --to grades.csv         # all grades

Grading itself is in `course.gradebook.autograde`; formgrader's button runs this command (`course.pages.formgrader`),
and `nbgrader autograde` takes the same steps, because course/nbgrader_config.py names them
(`course.gradebook.preprocessors`).
"""

import argparse
import importlib.util
import io
import re
import sys
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

if __name__ == "__main__" and importlib.util.find_spec("nbgrader") is None:
    sys.exit(
        f"{sys.executable} lacks the course's packages: use the Python of its environment, as in "
        "`.venv/bin/python -m course.grading`, which `make setup` makes."
    )

from nbgrader.api import MissingEntry
from nbgrader.apps.api import NbGraderAPI
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SAWarning, SQLAlchemyError
from traitlets import TraitError
from traitlets.config import Config, PyFileConfigLoader

from course import ROOT, CourseError
from course.gradebook import exports, term
from course.gradebook.autograde import Result, Run, submitted
from course.gradebook.preprocessors import alone, is_isolated
from course.gradebook.store import Store
from course.gradebook.term import update
from course.gradebook.writer import enter
from course.judging.assignment import Assignment
from course.pages import alike, analytics
from course.pages.one_student import release_feedback, write_feedback


class Refusal(CourseError):
    """One sentence for the person who typed the command: what happened and what to do."""


def settings(root: Path = ROOT) -> Config:
    """nbgrader's settings for the course that lies at `root` (its course/nbgrader_config.py).

    Raises:
        FileNotFoundError: there is no course at `root`.
    """
    folder = root / "course"
    return PyFileConfigLoader("nbgrader_config.py", path=str(folder)).load_config()


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


def missing_assignment(api: NbGraderAPI, command: str) -> Refusal:
    """What to say to somebody who named no assignment."""
    names = sorted(api.get_source_assignments())
    if not names:
        return Refusal("No assignment is assembled yet: run `make exercises` first.")
    return Refusal(f"Say which assignment, as in `make {command} ASSIGNMENT={names[0]}`; there are {', '.join(names)}.")


def publish(api: NbGraderAPI, students: Iterable[str] = ()) -> list[str]:
    """Put every assignment into the gradebook and the exchange, and the students into the gradebook.

    Returns the assignments. Their students' notebooks in exercises/ are left as they are.

    Raises:
        Refusal: nothing is assembled, or nbgrader cannot release it.
        CannotGrade: another command is writing to the gradebook.
    """
    names = sorted(api.get_source_assignments())
    if not names:
        raise Refusal("No assignment is assembled yet: run `make exercises` first.")
    with api.gradebook as gradebook:
        for student in students:
            gradebook.update_or_create_student(student)
    api.config.ExchangeReleaseAssignment.force = True
    root = Path(api.coursedir.root)
    with alone(Store(root).run):  # a run that is under way would meet cells that it does not know
        update(api)  # notes what people gave for cells that may go now
        for name in names:
            enter(api, Assignment.load(root, name))
            _must(api.release_assignment(name), f"{name} could not be released")
    return names


def collect(api: NbGraderAPI, assignment: str) -> list[str]:
    """Copy the newest submissions from the exchange, where there is one; return what was left out, in sentences."""
    if not Path(api.exchange_root, api.course_id, "inbound").is_dir():
        return []
    outcome = api.collect(assignment)
    _must(outcome, f"{assignment} could not be collected")
    return _complaints(outcome.get("log", ""))


def autograde(
    api: NbGraderAPI,
    assignment: str,
    student: str | None = None,
    *,
    among: Iterable[str] | None = None,
    scheduler: str | None = None,
    isolated: bool = True,
) -> Run:
    """What grades all that is new, or one student's submission again; its `results` do the work.

    `among` names the students whose submissions are looked at, where not all are; `scheduler` is the address of a Dask
    scheduler whose workers judge, in place of this machine.

    Raises:
        Refusal: there is no such assignment or no such submission.
        GraderError: the assignment cannot be read.
    """
    check_assignment(api, assignment)
    students = submitted(api, assignment)
    if not students:
        raise Refusal(f"Nobody has submitted {assignment!r}: there is nothing in course/submitted/*/{assignment}.")
    if student is not None and student not in students:
        raise Refusal(f"{student} has not submitted {assignment!r}; {', '.join(students)} did.")
    loaded = Assignment.load(Path(api.coursedir.root), assignment)
    return Run(
        api,
        loaded,
        [student] if student is not None else students if among is None else among,
        again=student is not None,
        scheduler=scheduler,
        isolated=isolated,
    )


def feedback(api: NbGraderAPI, assignment: str, student: str | None = None) -> tuple[int, int]:
    """Write and release the feedback of all graded submissions, or of one; return how many were (written, released).

    A submission that came as a file, not through the exchange, has nowhere to be released to; its page is only written.

    Raises:
        Refusal: there is no such assignment, nothing of it is graded, or pages could not be written; the others are.
    """
    check_assignment(api, assignment)
    graded = api.get_autograded_students(assignment)
    if student is not None and student not in graded:
        raise Refusal(f"{student}'s submission of {assignment!r} is not graded yet: run the autograde command first.")
    if not graded:
        raise Refusal(f"No submission of {assignment!r} is graded yet: run the autograde command first.")
    released, failed = 0, []
    todo = [student] if student is not None else sorted(graded)
    for name in todo:
        folder = Path(api.coursedir.format_path(api.coursedir.feedback_directory, name, assignment))
        try:
            _must(write_feedback(api, assignment, name), f"The feedback for {name} could not be written")
            if (folder / "submission_secret.txt").exists():
                _must(release_feedback(api, assignment, name), f"The feedback for {name} could not be released")
                released += 1
        except Refusal as refusal:
            failed.append(str(refusal))
    if failed:
        raise Refusal("\n".join([*failed, f"The other pages are written: {len(todo) - len(failed)}."]))
    return len(todo), released


def reason(outcome: dict[str, Any]) -> str:
    """Why nbgrader failed, in one line, from the log of one of `NbGraderAPI`'s commands."""
    text = f"{outcome.get('error', '')}\n{outcome.get('log', '')}"
    errors = re.findall(r"^\s*(?:\[\w+\] )?((?:\w+\.)*\w+(?:Error|Exception))(?::? (.*))?$", text, re.MULTILINE)
    errors = [(name, message) for name, message in errors if not name.endswith("NbGraderException")]
    if errors:
        name, message = errors[-1]
        return f"{name.split('.')[-1]}: {message}"
    complaints = _complaints(text)
    return complaints[0] if complaints else "nbgrader gave no reason"


def _complaints(log: str) -> list[str]:
    """What nbgrader logs as errors."""
    return list(dict.fromkeys(re.findall(r"^\[ERROR\] (.+)$", log, re.MULTILINE)))


def _must(outcome: dict[str, Any], what: str) -> None:
    if not outcome["success"]:
        raise Refusal(f"{what}: {reason(outcome)}.")


# ------------------------------------------------------------------------------------------------------- what is shown


def table(results: Iterable[Result]) -> str:
    """The results, a line each."""
    rows = [("student", "points", "seconds", "")]
    for r in sorted(results, key=lambda r: r.student):
        points = "not graded" if r.score is None else f"{r.score:g} of {r.max_score:g}"
        rows.append((r.student, points, f"{r.seconds:.1f}", r.remark or ""))
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    return "\n".join(
        f"{student:<{widths[0]}}  {points:>{widths[1]}}  {seconds:>{widths[2]}}  {remark}".rstrip()
        for student, points, seconds, remark in rows
    )


class _Rate(ProgressColumn):
    """Submissions a minute."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed * 60:.0f} a minute" if task.speed else "")


def shown(run: Run) -> Iterator[Result]:
    """The run's results, shown as they come: a moving line on a terminal, else a line for each."""
    console = Console(stderr=True)
    if not console.is_terminal:
        for result in run.results():
            print(f"{result.student} ... {'not graded' if result.problem else 'graded'}", flush=True)
            yield result
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[failed]} failed"),
        _Rate(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("Grading", total=run.total, failed=0)
        failed = 0
        for result in run.results():
            failed += bool(result.problem)
            progress.update(task, total=run.total - run.unchanged, advance=1, failed=failed)
            yield result


def autograde_command(api: NbGraderAPI, arguments: argparse.Namespace) -> None:
    """Collect, grade and print the table; refuse at the end if a submission could not be graded."""
    name = arguments.assignment
    isolated = is_isolated(arguments.without_sandbox)
    check_assignment(api, name)
    for sentence in collect(api, name):
        print(sentence)
    run = autograde(api, name, arguments.student, scheduler=arguments.scheduler, isolated=isolated)
    results = []
    try:
        for result in shown(run):
            results.append(result)
    finally:
        if results:
            print(f"\n{table(results)}")
        for sentence in run.notices:
            print(sentence)
    if not results:
        print(f"Every submission of {name} is graded already; --student NAME grades one again.")
    if results and not isolated:
        print("These were judged without the sandbox: students' code could read and change what you can.")
    failed = sorted(result.student for result in results if result.problem)
    if failed:
        raise Refusal(
            f"Not graded: {', '.join(failed)}; the table says why. Their points are as they were, the others' grades "
            "are saved, and the same command tries these again."
        )


def feedback_command(api: NbGraderAPI, arguments: argparse.Namespace) -> None:
    """Write and release feedback; late penalties are brought up to date first."""
    update(api, [arguments.assignment])
    written, released = feedback(api, arguments.assignment, arguments.student)
    print(f"Feedback for {written} submissions written to course/feedback, {released} of them released.")


def publish_command(api: NbGraderAPI, arguments: argparse.Namespace) -> None:
    """Release every assignment and enter the due dates."""
    names = publish(api, arguments.students)
    update(api, names)
    print(f"Released: {', '.join(names)}.")


def gradebook_name(api: NbGraderAPI) -> str:
    """The gradebook, for a sentence: its file, or its address without the password."""
    url = make_url(api.coursedir.db_url)
    return str(url.database) if url.drivername.startswith("sqlite") else url.render_as_string(hide_password=True)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m course.grading", description="Release, grade, give feedback, export."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text, run in (
        ("autograde", "collect what was submitted and grade what is new", autograde_command),
        ("feedback", "write feedback for what is graded and release it", feedback_command),
    ):
        command = commands.add_parser(name, help=text)
        command.add_argument("assignment", nargs="?")
        command.add_argument("--student", help="only this student's submission, even if it is graded already")
        command.set_defaults(run=run)
    command = commands.choices["autograde"]
    command.add_argument("--scheduler", metavar="ADDRESS", help="judge on the workers of this Dask scheduler")
    command.add_argument(
        "--without-sandbox", action="store_true", help="run students' code with your own rights, where bwrap cannot run"
    )
    command = commands.add_parser("publish", help="put the assignments into the exchange")
    command.add_argument("--students", nargs="*", default=[], help="add these students to the gradebook")
    command.set_defaults(run=publish_command)
    for module in (term, analytics, alike, exports):
        module.add_commands(commands)
    return parser


def main() -> None:
    """Run the command; everything that goes wrong ends in one sentence."""
    arguments = parser().parse_args()
    # nbgrader 0.9.6 draws these from SQLAlchemy 2 at every submission; what it then does is right.
    warnings.filterwarnings("ignore", category=SAWarning)
    gradebook = "The gradebook"
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a name that this terminal cannot show stops nothing
    try:
        api = open_course()
        gradebook = f"The gradebook {gradebook_name(api)}"
        of_a_student = arguments.command == "audit" and arguments.student
        if getattr(arguments, "assignment", "") is None and not of_a_student:
            raise missing_assignment(api, arguments.command)
        arguments.run(api, arguments)
    except CourseError as refusal:
        sys.exit(str(refusal))
    except (ImportError, TraitError) as error:
        sys.exit(f"A part that course/nbgrader_config.py names cannot be used: {error}. Nothing is lost.")
    except KeyboardInterrupt:
        sys.exit("Interrupted; what was graded before is saved, and the same command goes on from there.")
    except SQLAlchemyError as error:
        sys.exit(
            f"{gradebook} cannot be used: {error.__cause__ or error}. "
            "What was graded before is saved; when that is mended, the same command goes on from there."
        )
    except OSError as error:
        sys.exit(f"A file cannot be used: {error}. When that is mended, the same command goes on from there.")


if __name__ == "__main__":
    main()
