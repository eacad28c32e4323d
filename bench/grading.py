"""Grading a class: ours against plain nbgrader, in one run: `python -m bench.grading`.

On the small assignment (bench/small), the same honest submissions are graded by nbgrader with its own settings, one
after another in one process, and by ours, isolated and judged from outside; every grade has to be equal, cell by cell.
Ours is one fresh command from the submissions to the gradebook. Cold counts all of it; warm counts from the moment when
every lane has brought one result, so that the start of the processes is left out.

On the real assignments ours is compared with the limit, on whole solutions: the processor time of the notebook's own
cells, run in one process that has imported everything before, divided by the cores.

Processor seconds are the whole machine's, so nothing else should run beside this.
"""

import argparse
import functools
import json
import math
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from bench.small import ROOT as SMALL
from course import ROOT
from course.assemble.assembler import assemble
from course.banks.play import blanked
from course.grading import autograde, open_course, settings
from course.judging.assignment import Assignment
from course.judging.grader import ONE_THREAD, cores
from course.judging.lanes import judge_many, lanes_here
from course.judging.submission import receive

WORKERS = 2
REPEATS = 3
REAL = ("tokenizer", "gpt")

# What students of the small assignment write, beside the reference and nothing: exercise -> (the reference's, theirs).
VARIANTS = {
    "exercise-softmax": [("(x - x.amax(-1, keepdim=True)).exp()", "x.exp()"), ("e.sum(-1,", "e.sum(0,")],
    "exercise-layer-norm": [(" + self.eps", ""), ("x.mean(-1, keepdim=True)", "x.mean(-1, keepdim=True).detach()")],
    "exercise-attention": [(" / q.shape[-1] ** 0.5", ""), (".triu(1)", ".triu(0)")],
    "exercise-bigram": [("self.head(self.embedding(ids))", "self.head(self.embedding(ids)).detach()")],
}


# ------------------------------------------------------------------------------------------------------- a class's work


def submission(source: NotebookNode, number: int, variants: Mapping[str, list[tuple[str, str]]]) -> NotebookNode:
    """What the student of this number hands in: the solution, with each exercise changed or left blank at times.

    Where there are no variants it is the whole solution, told from the others by a line.
    """
    notebook = nbformat.from_dict(json.loads(json.dumps(source)))
    draw = random.Random(number)
    for cell in notebook.cells:
        if not cell.id.startswith("exercise-") or number == 0:
            continue
        if not variants:
            cell.source += f"\n# {number}"
            continue
        kind = draw.random()
        if kind < 0.1:
            cell.source = blanked(cell.source)
        elif kind < 0.3:
            before, after = draw.choice(variants[cell.id])
            assert before in cell.source, f"{cell.id} has no {before!r}"
            cell.source = cell.source.replace(before, after)
    return notebook


def lay_out(name: str, root: Path, count: int) -> None:
    """A course at `root` with one assignment, in the gradebook, and `count` submissions."""
    home = SMALL if name == "small" else ROOT
    (root / "course").mkdir(parents=True)
    shutil.copytree(home / "solutions", root / "solutions", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "course" / "nbgrader_config.py", root / "course")
    assemble(name, home, to=root / "course" / "source" / name / f"{name}.ipynb")
    source = nbformat.read(root / "course" / "source" / name / f"{name}.ipynb", as_version=4)
    outcome = open_course(root).generate_assignment(name)
    if not outcome["success"]:
        raise SystemExit(f"{name} could not be entered into the gradebook:\n{outcome['log']}")
    for number in range(count):
        folder = root / "course" / "submitted" / f"s{number:04}" / name
        folder.mkdir(parents=True)
        nbformat.write(submission(source, number, VARIANTS if name == "small" else {}), folder / f"{name}.ipynb")


def grades(root: Path, name: str) -> dict[str, dict[str, float | None]]:
    """`{student: {test cell: points}}` in the gradebook of the course at `root`."""
    with open_course(root).gradebook as gradebook:
        return {
            handed_in.student.id: {g.name: g.auto_score for g in handed_in.notebooks[0].grades}
            for handed_in in gradebook.assignment_submissions(name)
        }


def machine_seconds() -> float:
    """Processor seconds that the whole machine has spent so far."""
    user, nice, system, _, _, interrupts, soft, *_ = map(
        int, Path("/proc/stat").read_text().splitlines()[0].split()[1:]
    )
    return (user + nice + system + interrupts + soft) / os.sysconf("SC_CLK_TCK")


# --------------------------------------------------------------------------------- what is measured, in fresh processes


def measure_plain(root: str, name: str, count: int) -> dict[str, Any]:
    """nbgrader with its own settings, one submission after another in one process."""
    from nbgrader.apps.api import NbGraderAPI
    from traitlets.config import Config

    config = Config()
    config.CourseDirectory = settings(Path(root)).CourseDirectory
    api = NbGraderAPI(config=config)
    api.log_level = 50
    spent, start = machine_seconds(), time.monotonic()
    for number in range(count):
        outcome = api.autograde(name, f"s{number:04}", force=True)
        if not outcome["success"]:
            raise SystemExit(outcome["log"])
    return {"wall": time.monotonic() - start, "cpu": machine_seconds() - spent}


def measure_ours(root: str, name: str, count: int) -> dict[str, Any]:
    """The whole command; the moment of each result, in seconds since the process of this measurement began."""
    times = []
    for result in autograde(open_course(Path(root)), name).results():
        if result.problem:
            raise SystemExit(f"{result.student}: {result.problem}")
        times.append(time.monotonic())
    if len(times) != count:
        raise SystemExit(f"{len(times)} of {count} submissions were graded")
    return {"times": times}


def measure_cells(root: str, name: str, count: int) -> dict[str, Any]:
    """Processor seconds of the solved notebook's own cells, in forks of a process that has imported what they need."""
    import importlib

    from IPython.core.interactiveshell import InteractiveShell

    from course.judging.assignment import modules_of
    from course.judging.grader import ALWAYS_NEEDED

    source = nbformat.read(Path(root, "course", "source", name, f"{name}.ipynb"), as_version=4)
    for module in (*ALWAYS_NEEDED, *modules_of(source), "matplotlib.pyplot"):
        importlib.import_module(module)
    spent = []
    for _ in range(count):
        child = os.fork()
        if child == 0:
            quiet = os.open(os.devnull, os.O_WRONLY)
            os.dup2(quiet, 1)
            os.dup2(quiet, 2)
            shell = InteractiveShell.instance(colors="nocolor")
            good = all(shell.run_cell(c.source).success for c in source.cells if c.cell_type == "code")
            os._exit(0 if good else 1)
        _, status, used = os.wait4(child, 0)
        if status:
            raise SystemExit(f"a cell of {name} fails in one process")
        spent.append(used.ru_utime + used.ru_stime)
    return {"cpu": statistics.median(spent)}


def measure_judging(root: str, name: str, count: int, scheduler: str | None = None) -> dict[str, Any]:
    """Judging alone, on this machine or by a Dask scheduler's workers."""
    assignment = Assignment.load(Path(root), name)
    folders = [Path(root, "course", "submitted", f"s{n:04}", name) for n in range(count)]
    jobs = ((n, receive(folder, assignment.notebook, name), n) for n, folder in enumerate(folders))
    return {"times": [time.monotonic() for _ in judge_many(assignment, jobs, scheduler=scheduler)]}


MEASURES = {
    "plain": measure_plain,
    "ours": measure_ours,
    "cells": measure_cells,
    "judging": measure_judging,
}


def in_fresh_process(measure: str, *arguments: Any) -> dict[str, Any]:
    """The measurement's result with `wall` and `cpu`: seconds of the whole process, and of the machine meanwhile."""
    command = [sys.executable, "-m", "bench.grading", "--measure", json.dumps([measure, *arguments])]
    spent, start = machine_seconds(), time.monotonic()
    run = subprocess.run(command, env=os.environ | ONE_THREAD, cwd=ROOT, capture_output=True, text=True)
    whole = {"wall": time.monotonic() - start, "cpu": machine_seconds() - spent, "start": start}
    if run.returncode:
        raise SystemExit(f"measuring {measure} {arguments} failed:\n{run.stderr[-3000:]}")
    return whole | json.loads(run.stdout.splitlines()[-1])


# ------------------------------------------------------------------------------------------------------- the tables


def warm_rate(times: list[float]) -> float:
    """Results a second once every lane has brought one."""
    lanes = min(lanes_here(), len(times) // 2)
    return (len(times) - lanes) / (times[-1] - times[lanes - 1])


def row(what: str, per_minute: float, cpu: float | None, note: str = "") -> None:
    print(f"{what:<44} {per_minute:9.1f} {'' if cpu is None else f'{cpu:9.2f}':>9}  {note}".rstrip(), flush=True)


def head(title: str) -> None:
    print(f"\n{title}\n{'':<44} {'a minute':>9} {'CPU-s':>9}", flush=True)


@functools.cache
def folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="bench-grading-"))


def small(submissions: int) -> None:
    """Ours against plain nbgrader."""
    head(f"small assignment, {submissions} submissions, {cores()} cores")
    name, plain_root, root = "small", folder() / "plain", folder() / "ours"
    lay_out(name, plain_root, submissions)
    lay_out(name, root, submissions)
    plain = in_fresh_process("plain", str(plain_root), name, submissions)
    plain_rate = submissions / plain["wall"]
    row("plain nbgrader, serial, in one process", 60 * plain_rate, plain["cpu"] / submissions)
    ours = in_fresh_process("ours", str(root), name, submissions)
    cold, warm = submissions / ours["wall"], warm_rate(ours["times"])
    row("ours, cold: the whole command", 60 * cold, ours["cpu"] / submissions, f"{cold / plain_rate:.1f}x (bar 10x)")
    row("ours, warm", 60 * warm, None, f"{warm / plain_rate:.1f}x (bar 15x)")
    theirs, mine = grades(plain_root, name), grades(root, name)
    different = [(s, c) for s in theirs for c in theirs[s] if mine.get(s, {}).get(c) != theirs[s][c]]
    count = sum(map(len, theirs.values()))
    scores = len({sum(v or 0 for v in cells.values()) for cells in theirs.values()})
    print(f"grades: {count}, {scores} different totals, {len(different)} unlike nbgrader's")
    if different or len(mine) != submissions:
        raise SystemExit(f"grades differ: {different[:5]}")


def with_dask(submissions: int) -> None:
    """Two local Dask workers against the local lanes; judging alone."""
    import dask
    from distributed import LocalCluster

    root = folder() / "dask"
    lay_out("small", root, submissions)
    head(f"judging alone, small assignment, {submissions} submissions, warm")
    local = warm_rate(in_fresh_process("judging", str(root), "small", submissions)["times"])
    row("local lanes", 60 * local, None)
    dask.config.refresh(paths=[str(ROOT / "course" / "deploy" / "dask.yaml")])  # as course/judging/cluster.py advises
    threads = math.ceil(lanes_here() / WORKERS)
    with LocalCluster(n_workers=WORKERS, threads_per_worker=threads, protocol="tcp", dashboard_address=None) as workers:
        run = in_fresh_process("judging", str(root), "small", submissions, workers.scheduler_address)
    dask = warm_rate(run["times"])
    row(f"Dask, {WORKERS} workers of {threads} threads", 60 * dask, None, f"{dask / local:.2f} of local (bar 0.90)")


def real(name: str, submissions: int) -> None:
    """Ours against the limit."""
    root = folder() / name
    lay_out(name, root, submissions)
    head(f"{name}, {submissions} submissions, {cores()} cores")
    cells = in_fresh_process("cells", str(root), name, REPEATS)["cpu"]
    limit = cores() / cells
    row("limit: the cells' own processor time", 60 * limit, cells)
    ours = in_fresh_process("ours", str(root), name, submissions)
    rate = warm_rate(ours["times"])
    row("ours, warm", 60 * rate, ours["cpu"] / submissions, f"{limit / rate:.2f} of the limit's time (bar 1.3)")
    row("ours, cold: the whole command", 60 * submissions / ours["wall"], None)


def linear(counts: tuple[int, ...] = (10, 100, 1000)) -> None:
    """The cost of a submission as there are more."""
    head("small assignment, by the number of submissions")
    for count in counts:
        root = folder() / f"linear-{count}"
        lay_out("small", root, count)
        ours = in_fresh_process("ours", str(root), "small", count)
        row(f"{count} submissions, warm", 60 * warm_rate(ours["times"]), ours["cpu"] / count)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--assignment", choices=["small", *REAL], help="only this one")
    parser.add_argument("--submissions", type=int, default=60, help="of the small assignment (default 60)")
    parser.add_argument("--linear", action="store_true", help="only: 10, 100 and 1,000 submissions (long)")
    parser.add_argument("--dask", action="store_true", help="only: Dask against the local lanes")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.measure:
        measure, *rest = json.loads(options.measure)
        print(json.dumps(MEASURES[measure](*rest)))
        return
    try:
        if options.linear:
            linear()
            return
        if options.dask:
            with_dask(options.submissions)
            return
        if options.assignment in (None, "small"):
            small(options.submissions)
        if options.assignment is None:
            with_dask(options.submissions)
        for name in REAL:
            if options.assignment in (None, name):
                real(name, max(12, options.submissions // 3))
    finally:
        shutil.rmtree(folder(), ignore_errors=True)


if __name__ == "__main__":
    main()
