"""Warm processes and lanes: killed ones are replaced, what they did is done again, and nothing is left running."""

import functools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from distributed import Client, LocalCluster
from nbformat import NotebookNode
from nbformat.v4 import new_notebook

from course import ROOT, sandbox
from course.assemble.assembler import assemble
from course.banks.play import blanked
from course.judging import cluster, grader, lanes
from course.judging.assignment import Assignment, GraderError, modules_of
from course.judging.grader import Grader
from course.judging.lanes import in_lanes
from course.judging.submission import Received, receive
from course.notebook import graded_cell
from course.sandbox import SandboxError
from labkit.notebook import REPORT
from tests.support import stand_in
from tests.support.sandboxed import needs_sandbox
from tests.support.stand_in import NAME, NoSandbox, facts, submission
from tests.support.toy import ROOT as TOY

PATIENCE = 60  # seconds that a condition may take on a busy machine


@pytest.fixture(scope="module")
def warm() -> Iterator[Grader]:
    """A running grader with stand-ins; what a test kills, the grader replaces."""
    with stand_in.stand_in(stand_in.assignment()) as running:
        yield running


def eventually(condition: Callable[[], Any]) -> Any:
    """The condition's value as soon as it is true."""
    end = time.monotonic() + PATIENCE
    while not (value := condition()):
        assert time.monotonic() < end, "it did not come about"
        os.sched_yield()
    return value


def has_ended(pid: int) -> bool:
    """Whether a process has ended, collected by its parent or not."""
    try:
        return "Z (zombie)" in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True


def in_background(work: Callable[[], Any]) -> Callable[[], Any]:
    """Run in a thread; what is returned waits for its result."""
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(work()))
    thread.start()

    def result() -> Any:
        thread.join(PATIENCE)
        assert results, "it did not end"
        return results[0]

    return result


def points(judged: Any) -> tuple[int, int]:
    return sum(v.earned for v in judged.verdicts), sum(v.points for v in judged.verdicts)


# ------------------------------------------------------------------------------------------------------------ judging


def test_a_judge_is_a_fork_of_the_warm_process(warm: Grader) -> None:
    first, second = (facts(warm.judge(submission(), seed=5)) for _ in range(2))
    assert first["parent"] == second["parent"] and first["pid"] != second["pid"]
    assert has_ended(first["pid"])
    assert first["reference"] == {"earlier": "def earlier(): ..."}


def test_the_judge_has_what_the_tests_import_and_one_thread(warm: Grader) -> None:
    told = facts(warm.judge(submission(), seed=5))
    assert {"torch", "torch._dynamo", "colorsys"} <= set(told["modules"])
    assert told["environment"]["OMP_NUM_THREADS"] == "1"
    assert told["environment"]["TOKENIZERS_PARALLELISM"] == "false"


def test_sets_have_the_same_order_in_every_judge(warm: Grader) -> None:
    with stand_in.stand_in(stand_in.assignment()) as another:
        hashes = [facts(grader.judge(submission(), seed=5))["hash of a word"] for grader in (warm, another)]
    assert hashes[0] == hashes[1]


def test_random_numbers_depend_on_the_seed_alone(warm: Grader) -> None:
    one, two, again = (facts(warm.judge(submission(), seed=s))["drawn"] for s in (5, 2**62 + 6, 5))
    assert one == again
    assert one[0] != two[0] and one[1] != two[1]


def test_imports_are_found_in_given_and_test_cells_at_any_depth() -> None:
    assert modules_of(stand_in.assignment().notebook) == ["colorsys", "chunk"]


def test_what_an_oracle_imports_when_it_is_called_is_imported_beforehand() -> None:
    cell = graded_cell("given", "oracles", "from labkit.testing.oracles import library_chunks")
    assert modules_of(new_notebook(cells=[cell])) == ["labkit.testing.oracles", "tokenizers"]


# ----------------------------------------------------------------------------------------------------------- failures


def test_a_judge_that_is_killed_once_is_repeated(warm: Grader, tmp_path: Path) -> None:
    judged = warm.judge(submission("die", unless=tmp_path / "once"), seed=1)
    assert facts(judged)["seed"] == 1


def test_a_submission_that_kills_every_judge_gets_no_points_and_a_reason(warm: Grader) -> None:
    judged = warm.judge(submission("die"), seed=1)
    assert points(judged) == (0, 3)
    assert judged.notebook.metadata[REPORT]["failure"] == judged.remarks[0]
    assert "its judge was ended (3 attempts)" in judged.remarks[0]
    assert facts(warm.judge(submission(), seed=1))["seed"] == 1


def test_a_fault_of_the_judge_is_recorded(warm: Grader) -> None:
    judged = warm.judge(submission("fail"), seed=1)
    assert points(judged) == (0, 3)
    assert "ZeroDivisionError: the judge's own mistake" in judged.remarks[0]


def test_a_judge_that_never_ends_is_ended(warm: Grader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grader, "MARGIN", 1.0)
    monkeypatch.setattr(warm, "crowding", 0.0)
    pid = tmp_path / "pid"
    assert points(warm.judge(submission("hang"), seed=1)) == (0, 3)
    judged = warm.judge(submission("hang", unless=pid), seed=1)
    eventually(lambda: has_ended(int(pid.read_text())))
    assert facts(judged)["seed"] == 1, "the second attempt ended in time"


@pytest.mark.parametrize("who", ["the warm process", "the sandbox"])
def test_a_warm_process_that_is_killed_is_replaced(warm: Grader, tmp_path: Path, who: str) -> None:
    pid = tmp_path / "pid"
    pair = warm._running()
    result = in_background(lambda: warm.judge(submission("hang", unless=pid), seed=7))
    judge = int(eventually(lambda: pid.exists() and pid.read_text()))
    if who == "the warm process":
        os.kill(pair.process.pid, signal.SIGKILL)
        eventually(lambda: has_ended(judge))
    else:
        pair.sandbox.process.kill()
        pair.sandbox.process.wait()
        os.kill(judge, signal.SIGKILL)
    assert facts(result())["seed"] == 7
    assert warm._running() is not pair


class DiesInStarting(NoSandbox):
    """Is killed, or has the warm process beside it killed, before it is ready."""

    def __init__(self, grader: Grader, kill: str):
        super().__init__(grader.assignment.room)
        self.kill = kill
        if kill == "the warm process":
            os.kill(grader._opening.process.pid, signal.SIGKILL)

    def wait(self) -> None:
        if self.kill == "the sandbox":
            self.process.kill()
            raise SandboxError("The sandbox was killed.")


@pytest.mark.parametrize("who", ["the warm process", "the sandbox"])
def test_what_is_killed_while_it_starts_is_started_again(who: str) -> None:
    def dying(times: int) -> Grader:
        kills = [who] * times
        started = stand_in.stand_in(
            stand_in.assignment(),
            sandbox=lambda room, isolated: DiesInStarting(started, kills.pop() if kills else "nobody"),
        )
        return started

    with dying(1) as running:
        assert facts(running.judge(submission(), seed=1))["seed"] == 1
    with dying(grader.ATTEMPTS) as hopeless, pytest.raises(GraderError, match=r"\(3 attempts\)"):
        hopeless.judge(submission(), seed=1)


def test_what_was_judged_while_the_sandbox_died_is_judged_again(warm: Grader, monkeypatch: pytest.MonkeyPatch) -> None:
    pair = warm._running()
    ask = pair.ask

    def ask_and_end_the_sandbox(*arguments: Any) -> Any:
        judged = ask(*arguments)
        pair.sandbox.process.kill()
        pair.sandbox.process.wait()
        return judged

    monkeypatch.setattr(pair, "ask", ask_and_end_the_sandbox)
    judged = warm.judge(submission(), seed=3)
    assert facts(judged)["parent"] != pair.process.pid


def test_a_judge_that_cannot_be_imported_is_a_sentence() -> None:
    with (
        Grader(stand_in.assignment(), judge="tests.support.stand_in:nobody", sandbox=NoSandbox) as broken,
        pytest.raises(GraderError, match=r"did not start: AttributeError.*nobody"),
    ):
        broken.judge(submission(), seed=1)


def test_a_module_that_starts_threads_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "restless.py").write_text(
        "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(grader, "ALWAYS_NEEDED", ("restless",))
    with (
        stand_in.stand_in(stand_in.assignment()) as broken,
        pytest.raises(GraderError, match="importing restless starts threads"),
    ):
        broken.judge(submission(), seed=1)


def test_other_code_is_refused() -> None:
    other = grader.replace(stand_in.assignment(), code="0")
    with pytest.raises(GraderError, match="install the same release"), stand_in.stand_in(other):
        pass


def test_a_missing_assignment_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(GraderError, match="no assembled assignment 'nothing'"):
        grader.Assignment.load(tmp_path, "nothing")


# ---------------------------------------------------------------------------------------------------- the whole chain


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Assignment:
    """The toy assignment, with a data file and a folder of such."""
    needs_sandbox()
    root = tmp_path_factory.mktemp("toy")
    shutil.copytree(TOY / "solutions", root / "solutions")
    assemble("toy", TOY, to=root / "course" / "source" / "toy" / "toy.ipynb")
    (root / "course" / "source" / "toy" / "words.txt").write_text("given")
    (root / "course" / "source" / "toy" / "data").mkdir()
    (root / "course" / "source" / "toy" / "data" / "more.txt").write_text("given")
    return Assignment.load(root, "toy")


def handed_in(
    toy: Assignment, tmp_path: Path, change: Callable[[NotebookNode], None] = lambda notebook: None, **files: str
) -> Received:
    """The solved toy notebook, changed, and a folder `data` with some files."""
    notebook = nbformat.reads(toy.source, as_version=4)
    change(notebook)
    folder = Path(tempfile.mkdtemp(dir=tmp_path))
    nbformat.write(notebook, folder / "toy.ipynb")
    for name, text in files.items():
        (folder / "data").mkdir(exist_ok=True)
        (folder / "data" / f"{name}.txt").write_text(text)
    return receive(folder, toy.notebook, "toy", toy.data)


def leave_blank(notebook: NotebookNode) -> None:
    for cell in notebook.cells:
        if cell.id.startswith("exercise-"):
            cell.source = blanked(cell.source)


def read_the_data(notebook: NotebookNode) -> None:
    notebook.cells.append(nbformat.v4.new_code_cell("print(open('words.txt').read(), open('data/more.txt').read())"))


def test_real_judges_in_the_real_sandbox(toy: Assignment, tmp_path: Path) -> None:
    jobs = [
        ("solved", handed_in(toy, tmp_path), 1),
        ("blank", handed_in(toy, tmp_path, leave_blank), 2),
        ("reads", handed_in(toy, tmp_path, read_the_data), 3),
        ("brings", handed_in(toy, tmp_path, read_the_data, more="given"), 4),
    ]
    judged = dict(lanes.judge_many(toy, jobs, lanes=2))
    assert {key: points(j) for key, j in judged.items()} == {
        "solved": (12, 12),
        "blank": (0, 12),
        "reads": (12, 12),
        "brings": (12, 12),
    }
    for key in ("reads", "brings"):
        assert judged[key].notebook.cells[-1].outputs[0].text == "given given\n"
    assert [j.remarks for j in judged.values()] == [[]] * 4


def test_without_a_sandbox_when_asked(toy: Assignment, tmp_path: Path) -> None:
    ((_, judged),) = lanes.judge_many(toy, [(0, handed_in(toy, tmp_path, read_the_data), 1)], lanes=1, isolated=False)
    assert points(judged) == (12, 12)
    assert judged.notebook.cells[-1].outputs[0].text == "given given\n"


def test_a_sandbox_that_is_killed_costs_a_retry(toy: Assignment, tmp_path: Path) -> None:
    with Grader(toy) as running:
        received = handed_in(toy, tmp_path)
        first = running.judge(received, seed=1)
        pair = running._running()
        pair.sandbox.process.kill()
        again = running.judge(received, seed=1)
        assert running._running() is not pair
    assert again.verdicts == first.verdicts and points(again) == (12, 12)


def test_a_judge_whose_sandbox_is_gone_starts_no_trial_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is ended at any moment, and a trial's folder would stay."""
    monkeypatch.setattr(sandbox, "why_not", lambda: pytest.fail("a trial"))
    with pytest.raises(SandboxError, match="No kernel could be started"):
        sandbox.connect(tmp_path / "socket").start_kernel()


# -------------------------------------------------------------------------------------------------------------- lanes


def test_lanes_take_no_more_than_they_need_and_each_job_once(warm: Grader) -> None:
    taken: list[int] = []

    def jobs() -> Iterator[tuple[int, Any, int]]:
        for number in range(30):
            taken.append(number)
            yield number, submission(), number

    lanes = in_lanes(warm, jobs(), 3)
    done = [next(lanes)]
    assert len(taken) <= 6
    done += lanes
    assert sorted(key for key, _ in done) == list(range(30))
    assert all(facts(judged)["seed"] == key for key, judged in done)


def test_marks_do_not_depend_on_lanes(warm: Grader) -> None:
    jobs = [(n, submission(), n // 2) for n in range(12)]
    drawn = {key: facts(judged)["drawn"] for key, judged in in_lanes(warm, jobs, 4)}
    assert all(drawn[n] == drawn[n + 1] for n in range(0, 12, 2))


def test_ending_early_leaves_nothing_running(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    running = stand_in.stand_in(stand_in.assignment())
    with running:
        lanes = in_lanes(running, [(0, submission(), 0), (1, submission("hang", unless=pid), 1)], 2)
        next(lanes)
        judge = int(eventually(lambda: pid.exists() and pid.read_text()))
        pair = running._running()
        lanes.close()
        assert has_ended(pair.process.pid)
        eventually(lambda: has_ended(judge))
    with pytest.raises(GraderError, match="stopped"):
        running.judge(submission(), seed=1)


COMMAND = """
import signal
import sys
from dataclasses import replace
from pathlib import Path
from course.judging.lanes import in_lanes
from tests.support.stand_in import assignment, stand_in, submission
signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs the tests may ignore it
with stand_in(replace(assignment(), data={"words.txt": b"given"})) as grader:
    pair = grader._running()
    print(pair.process.pid, pair.sandbox.process.pid, pair.folder, flush=True)
    list(in_lanes(grader, [(0, submission("hang", unless=Path(sys.argv[1])), 0)], 1))
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_command_that_is_ended_leaves_nothing_running(tmp_path: Path, how: signal.Signals) -> None:
    pid = tmp_path / "pid"
    command = [sys.executable, "-c", COMMAND, str(pid)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        *pids, folder = process.stdout.readline().split()
        warm, sandbox = map(int, pids)
        judge = int(eventually(lambda: pid.exists() and pid.read_text()))
        assert (Path(folder) / "words.txt").read_bytes() == b"given"
        process.send_signal(how)
        process.wait(PATIENCE)
    for each in (warm, judge, sandbox):
        eventually(functools.partial(has_ended, each))
    eventually(lambda: not Path(folder).exists())


# --------------------------------------------------------------------------------------------------------------- Dask


@pytest.fixture(scope="module")
def two_workers() -> Iterator[LocalCluster]:
    with LocalCluster(
        n_workers=2, threads_per_worker=2, processes=True, protocol="tcp", host="127.0.0.1", dashboard_address=None
    ) as local:
        yield local


def on_cluster(local: LocalCluster, jobs: Any, **options: Any) -> Iterator[Any]:
    assignment = stand_in.assignment()
    make = functools.partial(Grader, assignment, isolated=False, judge=NAME, sandbox=NoSandbox, **options)
    return cluster.judge_on_cluster(assignment, jobs, local.scheduler_address, make)


def test_a_worker_that_is_killed_costs_a_retry(two_workers: LocalCluster, tmp_path: Path) -> None:
    """One worker judges a submission that hangs there and only there, and is killed."""
    pid = tmp_path / "pid"
    jobs = [(n, submission("hang", unless=pid) if n == 3 else submission(), n) for n in range(12)]
    results = on_cluster(two_workers, jobs)
    done = [next(results)]
    judge = int(eventually(lambda: pid.exists() and pid.read_text()))
    warm = int(Path(f"/proc/{judge}/stat").read_text().split()[3])
    worker = int(Path(f"/proc/{warm}/stat").read_text().split()[3])
    os.kill(worker, signal.SIGKILL)
    done += results
    assert sorted(key for key, _ in done) == list(range(12))
    assert all(facts(judged)["seed"] == key for key, judged in done)
    for each in (judge, warm):
        eventually(functools.partial(has_ended, each))


def test_the_end_of_a_run_closes_the_workers_graders(two_workers: LocalCluster) -> None:
    told = [facts(judged) for _, judged in on_cluster(two_workers, [(n, submission(), n) for n in range(8)])]
    for warm in {t["parent"] for t in told}:
        eventually(functools.partial(has_ended, warm))
    with Client(two_workers.scheduler_address, set_as_default=False) as client:
        plugins = client.run(lambda dask_worker: [p for p in dask_worker.plugins if p.startswith("course-")])
    assert list(plugins.values()) == [[], []]


def test_a_worker_with_other_code_refuses(two_workers: LocalCluster) -> None:
    other = grader.replace(stand_in.assignment(), code="0")
    make = functools.partial(Grader, other, judge=NAME, sandbox=NoSandbox)
    with pytest.raises(GraderError, match="install the same release"):
        list(cluster.judge_on_cluster(other, [(0, submission(), 0)], two_workers.scheduler_address, make))


def test_real_judges_on_workers(two_workers: LocalCluster, toy: Assignment, tmp_path: Path) -> None:
    jobs = [(n, handed_in(toy, tmp_path), n) for n in range(4)]
    judged = dict(lanes.judge_many(toy, jobs, scheduler=two_workers.scheduler_address))
    assert {key: points(j) for key, j in judged.items()} == dict.fromkeys(range(4), (12, 12))


def test_nobody_at_the_address_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "PATIENCE", 0.5)
    with pytest.raises(GraderError, match=r"No Dask scheduler answers at tcp://127\.0\.0\.1:9 "):
        list(lanes.judge_many(stand_in.assignment(), [], scheduler="tcp://127.0.0.1:9"))
