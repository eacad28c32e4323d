"""Every chapter and every solved assignment, run a second time with another number of threads: the outputs are equal.

The first run of a chapter is the book's build. The first run of an assignment happens here, serves its score as well,
and is kept in _build/solved. What the second run of each cost is written to _build/costs.
"""

import functools
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
from jupyter_cache import get_cache
from nbclient import NotebookClient
from nbgrader.utils import determine_grade, is_grade

from book.build import ENVIRONMENT
from course.assemble.assembler import assemble
from tests.support import site

CHAPTER_SECONDS = 180  # as in _config.yml: a hung cell
SOLVED = site.BUILD / "solved"
COSTS = site.BUILD / "costs"
# The first runs take one thread. Threads that wait in a loop would take the core that another test runs on.
AGAIN = ENVIRONMENT | {"OMP_NUM_THREADS": "2", "OMP_WAIT_POLICY": "PASSIVE", "PYTHONPATH": str(site.ROOT)}
# nbval in a process of its own, which then knows how much memory its kernel took at most.
NBVAL = """
import resource, sys, pytest
code = pytest.main(sys.argv[1:])
print("peak memory:", resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, "kB")
sys.exit(code)
"""


def run_again(notebook: Path, seconds: int) -> None:
    """Run a notebook that holds outputs, and fail where the new ones differ.

    Args:
        notebook: the executed notebook.
        seconds: the time limit of a cell; the notebook's own.
    """
    started = time.monotonic()
    done = subprocess.run(
        [
            *[sys.executable, "-c", NBVAL, "-q", "-c", os.devnull, "--rootdir", str(notebook.parent)],
            *["-p", "no:cacheprovider", "-p", "no:xdist", "--color=no", "--nbval", "--nbval-current-env"],
            *[f"--nbval-cell-timeout={seconds}", str(notebook)],
        ],
        cwd=notebook.parent,
        env=os.environ | AGAIN,
        capture_output=True,
        text=True,
        timeout=10 * seconds,
    )
    took = time.monotonic() - started
    peak = re.search(r"peak memory: (\d+) kB", done.stdout)
    COSTS.mkdir(parents=True, exist_ok=True)
    cost = {"seconds": round(took, 1), "peak_megabytes": int(peak[1]) // 1000 if peak else None}
    (COSTS / f"{notebook.parent.name}-{notebook.stem}.json").write_text(json.dumps(cost) + "\n")
    assert done.returncode == 0, f"{notebook.stem} gave other outputs the second time:\n{done.stdout[-6000:]}"


@functools.cache
def solved(name: str) -> nbformat.NotebookNode:
    """Run a solved assignment from top to bottom, and keep it in _build/solved."""
    path = SOLVED / f"{name}.ipynb"
    notebook = assemble(name, to=path)
    client = NotebookClient(
        notebook,
        timeout=notebook.metadata.course.seconds,
        kernel_name="python3",
        allow_errors=True,
        resources={"metadata": {"path": str(SOLVED)}},
    )
    client.execute(env=os.environ | ENVIRONMENT)
    nbformat.write(notebook, path)
    return notebook


def executed(name: str) -> Path:
    """A copy of a page's notebook as the build ran it; jupyter_execute lacks the numbers of its sentences."""
    cache = get_cache(site.BUILD / ".jupyter_cache")
    runs = [run for run in cache.list_cache_records() if Path(run.uri) == site.BOOK / f"{name}.md"]
    latest = max(runs, key=lambda run: run.accessed)
    copy = site.BUILD / "executed" / f"{name}.ipynb"
    copy.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(cache.get_cache_bundle(latest.pk).nb, copy)
    return copy


@pytest.mark.parametrize("name", site.chapters())
def test_a_chapter_says_the_same_again(name: str):
    site.built()
    run_again(executed(name), CHAPTER_SECONDS)


@pytest.mark.parametrize("name", site.topics())
def test_a_solved_assignment_earns_every_point(name: str):
    notebook = solved(name)
    errors = [
        f"{cell.id}: {output.ename}: {output.evalue}"
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if output.output_type == "error"
    ]
    assert errors == []
    grades = {cell.id: determine_grade(cell) for cell in notebook.cells if is_grade(cell) and cell.cell_type == "code"}
    lost = {name: grade for name, grade in grades.items() if grade[0] != grade[1]}
    assert lost == {}
    assert sum(points for _, points in grades.values()) == notebook.metadata.course.points


@pytest.mark.parametrize("name", site.topics())
def test_a_solved_assignment_says_the_same_again(name: str):
    run_again(SOLVED / f"{name}.ipynb", solved(name).metadata.course.seconds)
