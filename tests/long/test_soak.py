"""A class of made-up submissions through the real command, which is killed in mid-run and run again.

COURSE_SOAK in the environment says how many; 200 when it is not set.
"""

import contextlib
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import psutil
import pytest

from course import grading
from course.assemble.assembler import assemble
from course.gradebook.store import Store, grading_seed, secret
from course.gradebook.writer import Writer, enter
from course.judging.assignment import Assignment
from course.judging.grader import Grader
from course.judging.submission import receive
from labkit.notebook import REPORT, VERDICT
from tests.attacks import POINTS, malformed
from tests.attacks import ROOT as ATTACKED
from tests.attacks.attack import SOLVED, WRONG, Attack, filled, saves
from tests.support.sandboxed import needs_sandbox
from tests.support.toy_course import copy_code

NAME = "attacked"
COUNT = int(os.environ.get("COURSE_SOAK", "200"))
SECONDS = 8
"""The time limit of a submission, so that one that loops costs little."""
PATIENCE = 1200
"""Seconds that a condition may take on a busy machine."""
KILLS = {"a judge": 0.1, "the warm process": 0.2, "the sandbox": 0.3}
"""Which worker is killed, and once which share of the submissions is graded."""
STOP = 0.5
"""Likewise for the command itself."""

pytestmark = pytest.mark.long


# ------------------------------------------------------------------------------------------------- what is handed in


def earned(answers: dict[str, str], spoiled: str = "") -> dict[str, int]:
    """The points of these answers, by exercise; the one named in `spoiled` earns none."""
    right = {name for name, text in answers.items() if text == SOLVED[name] and name != spoiled}
    if len(right) == len(SOLVED):
        right.add("integration")
    return {name: POINTS[name] for name in right}


def answers_of(draw: random.Random, always: str = "") -> dict[str, str]:
    """Answers to the exercises: mostly right, some wrong, some left blank; `always` is right."""
    answers = {}
    for name in SOLVED:
        kind = draw.random()
        if kind < 0.7 or name == always:
            answers[name] = SOLVED[name]
        elif kind < 0.9:
            answers[name] = WRONG[name]
    return answers


def _honest(draw: random.Random) -> Attack:
    answers = answers_of(draw)
    notebook = filled(answers, last=f"print({draw.random()})")
    return Attack("honest", "is as good as it is", saves(notebook), earned(answers))


def _with_cells(draw: random.Random) -> Attack:
    answers = answers_of(draw)
    notebook = filled(
        answers,
        first=f"import sys, warnings\nwarnings.warn('{draw.random()}')\nprint('mind', file=sys.stderr)",
        after={"softmax": "softmax(torch.ones(3))", "distance": "1 / 0"},
        last="def helper():\n    return softmax\nprint(torch.ones(2))",
    )
    return Attack("own cells", "has cells of its own, warnings and an error", saves(notebook), earned(answers))


def _in_distance(name: str, body: str, *says: str) -> Callable[[random.Random], Attack]:
    """The trouble is in one answer; the others earn what they earn."""

    def make(draw: random.Random) -> Attack:
        answers = answers_of(draw, always="distance")
        spoiled = answers | {"distance": f"# {draw.random()}\nimport os\ndef distance(a, b):\n    {body}"}
        return Attack(name, body, saves(filled(spoiled)), earned(answers, "distance"), says)

    return make


def _in_cell(name: str, text: str, *says: str) -> Callable[[random.Random], Attack]:
    """The trouble is in a cell of its own; every answer earns what it earns."""

    def make(draw: random.Random) -> Attack:
        answers = answers_of(draw)
        notebook = filled(answers, after={"softmax": f"# {draw.random()}\n{text}"})
        return Attack(name, text, saves(notebook), earned(answers), says)

    return make


# Whichever limit is met first: the clock's, or on cores that nobody else uses the processor's.
TOO_LONG = "did not end|more computing time"


def _shadowing(draw: random.Random) -> Attack:
    answers = answers_of(draw)
    name = draw.choice(["torch", "labkit", "random", "numpy"])
    files = {f"{name}.py": f"raise SystemExit({draw.random()})"}
    says = (f"Your file {name}.py has the name of a library",)
    return Attack("shadows", "shadows a library with a file", saves(filled(answers), files), earned(answers), says)


def _cut_off(draw: random.Random) -> Attack:
    whole = nbformat.writes(nbformat.from_dict(filled(answers_of(draw))))
    half = whole[: draw.randrange(100, len(whole) - 100)]
    return Attack("cut off", "is half a file", saves(half), {}, ("could not be read",))


def _malformed(draw: random.Random) -> Attack:
    return draw.choice(malformed.ATTACKS)


KINDS: dict[Callable[[random.Random], Attack], int] = {
    _honest: 30,
    _with_cells: 20,
    _in_distance("loops", "while True: pass", TOO_LONG): 4,
    _in_cell("loops in a cell", "while True:\n    pass", TOO_LONG): 3,
    _in_distance("dies", "os._exit(3)", "ended"): 6,
    _in_cell("dies in a cell", "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", "ended"): 5,
    _in_cell("floods", "for n in range(20):\n    print(str(n) * 2**20)"): 3,
    _shadowing: 8,
    _cut_off: 6,
    _malformed: 15,
}
"""What makes submissions, and how many of a hundred each makes."""


def class_of(count: int) -> dict[str, Attack]:
    """A submission for each student; the same ones on every run."""
    draw = random.Random(20261121)
    makers = draw.choices(list(KINDS), list(KINDS.values()), k=count)
    return {f"student-{number:04}": make(random.Random(number)) for number, make in enumerate(makers)}


# ------------------------------------------------------------------------------------------------------ the course


@dataclass(frozen=True)
class Course:
    """A copy of this course at `root` with one assignment, and the folder for its temporary files."""

    root: Path
    temporary: Path

    @property
    def store(self) -> Store:
        return Store(self.root)

    def submitted(self, student: str) -> Path:
        return self.root / "course" / "submitted" / student / NAME

    def command(self, log: Path) -> psutil.Popen:
        """The grading command, in a process of its own; what it says goes into a file."""
        line = [sys.executable, "-m", "course.grading", "autograde", NAME]
        environment = os.environ | {"TMPDIR": str(self.temporary)}
        with log.open("wb") as file:
            return psutil.Popen(line, cwd=self.root, env=environment, stdout=file, stderr=subprocess.STDOUT)

    def kept(self) -> dict[Path, tuple[int, int]]:
        """The finished judgements, with what changes when one is written anew."""
        files = self.store.run.glob(f"results/{NAME}/*/*/*.json.gz")
        return {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in files}

    def running(self) -> list[psutil.Process]:
        """The processes of the command, whoever is now their parent."""
        return [process for process in psutil.process_iter() if self.temporary.name in _told(process)]

    def left(self) -> list[psutil.Process]:
        """Those that do not end within a minute."""
        return psutil.wait_procs(self.running(), timeout=60)[1]


def _told(process: psutil.Process) -> str:
    """Where a process says which folder it has for temporary files; one in the sandbox has that mounted."""
    try:
        mounted = Path(f"/proc/{process.pid}/mountinfo").read_text()
        return f"{process.cmdline()} {process.environ().get('TMPDIR')} {mounted}"
    except (OSError, psutil.Error):  # it has ended, or is another user's
        return ""


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Course]:
    needs_sandbox()
    root = tmp_path_factory.mktemp("soak") / "copy"
    copy_code(root)
    shutil.copy(ATTACKED / "solutions" / f"{NAME}.py", root / "solutions")
    home = root / "course" / "source" / NAME
    path = home / f"{NAME}.ipynb"
    assemble(NAME, ATTACKED, to=path)
    source = nbformat.read(path, as_version=4)
    source.metadata["course"]["seconds"] = SECONDS
    nbformat.write(source, path)
    (home / "words.txt").write_text("given with the assignment")
    enter(grading.open_course(root), Assignment.load(root, NAME))
    with tempfile.TemporaryDirectory(prefix="soak-", ignore_cleanup_errors=True) as temporary:
        yield Course(root, Path(temporary))


def until(happened: Callable[[], Any], command: psutil.Popen, log: Path) -> Any:
    """What `happened` gives as soon as that is true; the command must be running until then."""
    deadline = time.monotonic() + PATIENCE
    while not (value := happened()):
        assert time.monotonic() < deadline, log.read_text()[-3000:]
        assert command.poll() is None, f"it ended early:\n{log.read_text()[-3000:]}"
        time.sleep(0.02)
    return value


def find(who: str, command: psutil.Popen) -> psutil.Process | None:
    """A worker of that kind among the command's processes."""
    with contextlib.suppress(psutil.NoSuchProcess):
        children = {child: " ".join(child.cmdline()) for child in command.children()}
        warm = [child for child, line in children.items() if "course.judging.judge_process" in line]
        if who == "the sandbox":
            return next((child for child, line in children.items() if "course.sandbox.zygote" in line), None)
        if who == "the warm process":
            return next(iter(warm), None)
        return next((judge for child in warm for judge in child.children()), None)
    return None


def alone(course: Course, students: dict[str, Attack]) -> dict[str, dict[str, float]]:
    """The points by test cell of one student of each kind, judged one after another with nothing beside."""
    examples = {attack.name: student for student, attack in students.items()}
    assignment = Assignment.load(course.root, NAME)
    found = {}
    with Grader(assignment) as grader:
        for student in examples.values():
            received = receive(course.submitted(student), assignment.notebook, NAME)
            if received.readable:
                judged = grader.judge(received, grading_seed(received.digest, secret(course.store.run)))
                found[student] = {verdict.cell: float(verdict.earned) for verdict in judged.verdicts}
    return found


def by_exercise(scores: dict[str, float | None], source: nbformat.NotebookNode) -> dict[str, float]:
    """Points by exercise; those that earn nothing are left out."""
    points: dict[str, float] = {}
    for cell, score in scores.items():
        exercise = cell.removeprefix("test-").removesuffix("-any")
        points[exercise] = points.get(exercise, 0) + (score or 0)
    assert set(scores) == {c.id for c in source.cells if c.id.startswith("test-")}
    return {exercise: score for exercise, score in points.items() if score}


# ------------------------------------------------------------------------------------------------------------ the test


def test_a_class_is_graded_though_its_graders_are_killed(
    course: Course, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    students = class_of(COUNT)
    assert COUNT < 200 or len({attack.name for attack in students.values()}) > len(KINDS)
    for student, attack in students.items():
        course.submitted(student).mkdir(parents=True)
        attack.hand_in(course.submitted(student))
    store, log = course.store, tmp_path / "log"

    def graded() -> int:
        return sum(1 for _ in store.run.glob(f"results/{NAME}/*/record.json"))

    begun = time.monotonic()
    command = course.command(log)
    try:
        for who, share in KILLS.items():
            until(lambda share=share: graded() >= share * COUNT, command, log)
            until(lambda who=who: find(who, command), command, log).kill()
        until(lambda: graded() >= STOP * COUNT, command, log)
        inside = [told for told in map(_told, course.running()) if "zygote" in told and "bwrap" not in told]
        assert inside, "the search for processes does not see into the sandbox"
    finally:
        command.kill()
        command.wait()
    assert course.left() == []
    first = time.monotonic() - begun

    kept, records, trail = course.kept(), store.records(NAME), list(store.changes())
    assert STOP * COUNT <= len(records) < COUNT
    assert len(kept) >= len(records)

    begun = time.monotonic()
    command = course.command(log)
    assert command.wait(PATIENCE) == 0, log.read_text()[-3000:]
    second = time.monotonic() - begun
    assert f"\n{next(iter(set(students) - set(records)))}  " in log.read_text()

    # Nothing that was kept was judged again, and each submission was judged once.
    now = course.kept()
    assert {path: now.get(path) for path in kept} == kept
    assert Counter(path.parents[1].name for path in now) == dict.fromkeys(students, 1)

    # Everybody has the points that they earned, and is told why they have no more.
    source = nbformat.read(course.root / "course" / "source" / NAME / f"{NAME}.ipynb", as_version=4)
    scores = {student: record.scores for student, record in store.records(NAME).items()}
    expected = {student: dict(attack.gets or attack.earns) for student, attack in students.items()}
    got = {student: by_exercise(found, source) for student, found in scores.items()}
    wrong = {s: (students[s].name, got.get(s), expected[s]) for s in students if got.get(s) != expected[s]}
    assert wrong == {}
    for student, attack in students.items():
        notebook = nbformat.read(course.root / "course" / "autograded" / student / NAME / f"{NAME}.ipynb", as_version=4)
        sentences = [*notebook.metadata[REPORT].remarks]
        sentences += [cell.metadata[VERDICT].message for cell in notebook.cells if VERDICT in cell.metadata]
        for words in attack.says:
            assert re.search(words, "\n".join(sentences)), (student, attack.name, words, sentences)
    found = alone(course, students)
    assert {student: scores[student] for student in found} == found

    # The gradebook holds the same, and the audit trail tells each score once; one line may be told again where the
    # command was killed between the trail and the record.
    with Writer(grading.open_course(course.root), Assignment.load(course.root, NAME)) as writer:
        assert writer.held_scores() == scores
    lines = Counter((c.student, c.cell) for c in store.changes() if c.cell.startswith("test-"))
    between = {(c.student, c.cell) for c in trail if c.student not in records}
    assert set(lines) == {(student, cell) for student, cells in scores.items() for cell in cells}
    assert {line for line, times in lines.items() if times > 1} <= between

    # Nothing is left, and there is nothing more to do.
    assert course.left() == []
    files = [path.relative_to(course.temporary) for path in course.temporary.rglob("*")]
    assert [path for path in files if not path.parts[0].startswith("torchinductor_")] == []  # torch's own, one for all
    assert not (store.run / "staged").exists()
    command = course.command(log)
    assert command.wait(PATIENCE) == 0
    assert "is graded already" in log.read_text()
    assert course.kept() == now

    with capsys.disabled():
        rest = COUNT - len(records)
        print(
            f"\n{COUNT} submissions: {len(records)} in {first:.0f} s until the command was killed, {rest} in "
            f"{second:.0f} s: {60 * COUNT / (first + second):.0f} a minute"
        )
