"""Every attack in one batch with honest submissions between them, through the whole of grading, in the sandbox."""

import ctypes
import json
import shutil
import sysconfig
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import nbformat
import psutil
import pytest

import labkit
from course.assemble.assembler import assemble
from course.judging.assignment import Assignment
from course.judging.lanes import judge_many
from course.judging.submission import Received, receive
from course.judging.verdict import Judged
from tests.attacks import ROOT
from tests.attacks.attack import Attack
from tests.attacks.corpus import ATTACKS, HONEST
from tests.attacks.leaving import TRACE
from tests.support.sandboxed import needs_sandbox

SEED = 20261121
ATTACKS_BETWEEN = 8
"""How many attacks stand between two honest submissions."""


@dataclass(frozen=True)
class Outcome:
    attack: Attack
    received: Received
    judged: Judged

    def earned(self) -> dict[str, int]:
        points: dict[str, int] = {}
        for verdict in self.judged.verdicts:
            points[verdict.exercise] = points.get(verdict.exercise, 0) + verdict.earned
        return {exercise: earned for exercise, earned in points.items() if earned}

    def told(self) -> list[str]:
        """All that the student may read."""
        return [*self.received.remarks, *self.judged.remarks, *(v.message for v in self.judged.verdicts)]


def batch() -> dict[str, Attack]:
    """All attacks by name; the honest ones come again and again."""
    mixed: dict[str, Attack] = {}
    for number, attack in enumerate(ATTACKS):
        if number % ATTACKS_BETWEEN == 0:
            honest = HONEST[number // ATTACKS_BETWEEN % len(HONEST)]
            mixed[f"{honest.name}-{number}"] = honest
        mixed[attack.name] = attack
    return mixed


BATCH = batch()


def traces() -> list[str]:
    """Whatever the leaving attacks left where the next student, or this course, would meet it."""
    folders = [Path(p) for p in ("/", "/tmp", "/var/tmp", "/dev", "/dev/shm", "/run", "/home", "/etc", Path.home())]
    folders += [
        Path(tempfile.gettempdir()),
        Path.cwd(),
        Path(labkit.__file__).parent,
        *map(Path, sysconfig.get_paths().values()),
    ]
    folders += [folder / "__pycache__" for folder in folders] + [Path.home() / ".ipython/profile_default/startup"]
    names = (TRACE, f"{TRACE}.pth", f"{TRACE}.pyc", f"00-{TRACE}.py", "usercustomize.py")
    found = [str(folder / name) for folder in folders for name in names if (folder / name).exists()]
    found += [f"process {p.pid}" for p in psutil.process_iter() if TRACE in " ".join(_command(p))]
    if TRACE in Path("/proc/net/unix").read_text() or ctypes.CDLL(None).shmget(0x1EF7, 0, 0) != -1:
        found.append("a socket or shared memory")
    return found


def _command(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []


@dataclass(frozen=True)
class Batch:
    outcomes: dict[str, Outcome]
    in_order: list[str]
    left: list[str]
    """What was left on this machine when the batch was done."""


@pytest.fixture(scope="module")
def graded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Batch]:
    needs_sandbox()
    root = tmp_path_factory.mktemp("course")
    for folder in ("course/assignments", "solutions"):
        shutil.copytree(ROOT / folder, root / folder)
    assemble("attacked", root)
    assignment = Assignment.load(root, "attacked")
    received = {}
    for name, attack in BATCH.items():
        folder = root / "submitted" / name / "attacked"
        folder.mkdir(parents=True)
        attack.hand_in(folder)
        received[name] = receive(folder, assignment.notebook, "attacked")
    mine = psutil.Process()
    before = {child.pid for child in mine.children(recursive=True)}
    with tempfile.TemporaryDirectory() as folder:  # not pytest's, whose path is too long for a socket's
        patch = pytest.MonkeyPatch()
        patch.setattr(tempfile, "tempdir", folder)
        patch.setenv("COURSE_CANARY", "a secret of the instructor's")
        try:
            jobs = [(name, one, SEED) for name, one in received.items()]
            judged = dict(judge_many(assignment, jobs))
        finally:
            patch.undo()
        left = [str(path) for path in Path(folder).iterdir()]
    children = [child for child in mine.children(recursive=True) if child.pid not in before]
    _, alive = psutil.wait_procs(children, timeout=20)
    left += [f"process {child.pid} {_command(child)}" for child in alive]
    outcomes = {name: Outcome(BATCH[name], received[name], one) for name, one in judged.items()}
    yield Batch(outcomes, list(judged), left + traces())


def test_there_are_enough_of_them() -> None:
    assert len({attack.name for attack in ATTACKS}) == len(ATTACKS) >= 45
    assert all(attack.tries for attack in ATTACKS)


@pytest.mark.parametrize("name", BATCH)
def test_attack(graded: Batch, name: str) -> None:
    attack, outcome = BATCH[name], graded.outcomes[name]
    told = outcome.told()
    assert outcome.earned() == {k: v for k, v in (attack.gets or attack.earns).items() if v}, told
    for words in attack.says:
        assert any(words in sentence for sentence in told), (words, told)
    lost = [v for v in outcome.judged.verdicts if v.earned < v.points]
    assert all(v.message for v in lost), "points were lost without a reason"
    kept = json.dumps([c.outputs for c in outcome.judged.notebook.cells if c.cell_type == "code" and not is_test(c)])
    for words in attack.never:
        assert words not in kept
        assert not any(words in sentence for sentence in told)


@pytest.mark.parametrize("name", BATCH)
def test_what_is_kept_is_small_and_harmless(graded: Batch, name: str) -> None:
    notebook = graded.outcomes[name].judged.notebook
    nbformat.validate(notebook)
    assert len(nbformat.writes(notebook)) < 3_000_000
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            assert set(output.get("data", {})) <= {"text/plain", "image/png"}


def is_test(cell: nbformat.NotebookNode) -> bool:
    return bool(cell.metadata.get("nbgrader", {}).get("grade"))


def test_nothing_is_left(graded: Batch) -> None:
    assert graded.left == []


def test_the_control_is_seen() -> None:
    """The search for leftovers finds one."""
    path = Path(tempfile.gettempdir()) / TRACE
    path.touch()
    try:
        assert str(path) in traces()
    finally:
        path.unlink()
