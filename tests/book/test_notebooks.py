"""Every chapter and every solved assignment, run a second time with another number of threads: the outputs are equal.

The first run of a chapter is the book's build. The first run of an assignment happens here in every run of the tests,
serves its score as well, and is kept in _build/solved. The second runs are proofs: made when what they depend on has
changed (tests/support/proofs.py), one of each again in every long run. What they cost is written to _build/costs.
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
from nbclient import NotebookClient
from nbgrader.utils import determine_grade, is_grade

from book.execute import ENVIRONMENT
from course.assemble.assembler import assemble
from tests.support import proofs, site
from tests.support.proofs import Proof

CHAPTER_SECONDS = 600  # as in _config.yml: a hung cell, on a busy machine too
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


@pytest.mark.parametrize("name", site.chapters())
def test_a_chapter_runs(name: str):
    """Also the first run that the build of the book takes over; what it prints there, tests/book/test_book.py reads."""
    notebook = nbformat.read(site.executed(name), as_version=4)
    printed = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert printed
    assert [output for output in printed if output.output_type == "error" or output.get("name") == "stderr"] == []


def says_the_same_again(proof: Proof) -> None:
    """Run a chapter or a solved assignment a second time and compare."""
    if proof.kind == "chapter":
        run_again(site.executed(proof.name), CHAPTER_SECONDS)
    else:
        run_again(SOLVED / f"{proof.name}.ipynb", solved(proof.name).metadata.course.seconds)


@pytest.mark.proof
@pytest.mark.parametrize("name", site.chapters())
def test_a_chapter_says_the_same_again(name: str):
    with (proof := proofs.chapter(name)).proving():
        says_the_same_again(proof)


@pytest.mark.proof
@pytest.mark.parametrize("name", site.topics())
def test_a_solved_assignment_says_the_same_again(name: str):
    with (proof := proofs.solved(name)).proving():
        says_the_same_again(proof)


@pytest.mark.long
def test_one_chapter_of_the_record_says_the_same_again():
    says_the_same_again(proofs.chapter(proofs.one_of(site.chapters())))


@pytest.mark.long
def test_one_solved_assignment_of_the_record_says_the_same_again():
    says_the_same_again(proofs.solved(proofs.one_of(site.topics())))
