"""Stand-ins for the judge and the sandbox, so that the tests of the grader can make them fail as they please.

The grader's warm process imports `judge` by name. What it does stands in the submission's first cell, as JSON:
`{"do": "die", "unless": "/a/file"}` dies unless the file exists, and makes the file before.
"""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy
import torch
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_notebook

from course.judging.assignment import Assignment, code_fingerprint
from course.judging.grader import Grader
from course.judging.submission import Received
from course.judging.verdict import Judged
from course.sandbox import Room

NAME = "tests.support.stand_in:judge"


class NoSandbox:
    """Stands for a sandbox: a process that does nothing, so that it can be killed."""

    socket = Path("nowhere")

    def __init__(self, room: Room, *, isolated: bool = True):
        self.process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)

    def wait(self) -> None:
        """It is ready at once."""

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


def judge(
    clean: NotebookNode,
    source: NotebookNode,
    kernel: Callable[[], Any],
    *,
    seed: int,
    seconds: float,
    reference: Mapping[str, str],
    crowding: float = 1.0,
    **more: Any,
) -> Judged:
    order = json.loads(clean.cells[0].source)
    already = order.get("unless")
    if not (already and Path(already).exists()):
        if already:
            Path(already).write_text(str(os.getpid()))
        match order["do"]:
            case "die":
                os.kill(os.getpid(), signal.SIGKILL)
            case "fail":
                raise ZeroDivisionError("the judge's own mistake")
            case "hang":
                threading.Event().wait()
    facts = {
        "pid": os.getpid(),
        "parent": os.getppid(),
        "seed": seed,
        "seconds": seconds * crowding,
        "drawn": [float(torch.rand(())), float(numpy.random.rand())],
        "hash of a word": hash("word"),
        "files": order.get("files", []),
        "environment": dict(os.environ),
        "modules": sorted(sys.modules),
        "reference": dict(reference),
    }
    return Judged(clean, [], [json.dumps(facts)])


def facts(judged: Judged) -> dict[str, Any]:
    """What the stand-in reported of itself."""
    return json.loads(judged.remarks[0])


def submission(do: str = "report", unless: Path | None = None) -> Received:
    order = {"do": do} | ({"unless": str(unless)} if unless else {})
    return Received(new_notebook(cells=[new_code_cell(json.dumps(order))]), {"a.txt": b"\x00a"}, [], "0" * 64, True)


def assignment(seconds: float = 60.0) -> Assignment:
    test = new_code_cell("import colorsys\ndef test():\n    import chunk\n", id="test-sum")
    test.metadata["nbgrader"] = {"grade": True, "grade_id": "test-sum", "points": 3, "solution": False}
    source = new_notebook(cells=[test])
    return Assignment(
        name="stand-in",
        source=json.dumps(source),
        reference={"earlier": "def earlier(): ..."},
        room=Room("stand-in", (), (), (), None, seconds=seconds),
        seconds=seconds,
        version="1",
        data={},
        code=code_fingerprint(()),
    )


def stand_in(assignment: Assignment, **options: Any) -> Grader:
    """A grader with both stand-ins."""
    return Grader(assignment, **{"judge": NAME, "sandbox": NoSandbox, "isolated": False} | options)
