"""Whatever a cell does to the kernel it runs in, it costs that cell: the rest of the notebook is judged."""

import pytest

from course.judging import conversation
from labkit.notebook import REPORT
from tests.support.outside import SETUP, earned, exercise, graded, handed_in, judged, notebook

OTHER = exercise("other", "def other(x):\n    return x")
OTHER_TEST = graded("other", "def test_other():\n    assert other(3) == 3, 'the same'")
OTHER_HIDDEN = graded("other-any", "def test_other_any_hidden():\n    assert other(4) == 4, 'the same'", of="other")
DOUBLE = exercise("double", "def double(x):\n    return 2 * x")
DOUBLE_TEST = graded(
    "double", "def test_double():\n    for i in range(5):\n        assert double(i) == 2 * i, 'twice the number'"
)
TOY = notebook(SETUP, OTHER, OTHER_TEST, OTHER_HIDDEN, DOUBLE, DOUBLE_TEST)

UNREADABLE = "Cell 4 left Python in a state in which its outputs can no longer be read."
ENDED = "Cell 4 ended Python itself"
FOR_EVER = "\n".join(
    ["import threading", "def f():", "    while True: {}", "for _ in range(4): threading.Thread(target=f).start()"]
)
# A cell of the student's own, and the remark that it draws.
CELLS = {
    "the event loop stopped": ("import asyncio\nasyncio.get_event_loop().stop()", None),
    "the event loop stopped later": ("import asyncio\nl = asyncio.get_event_loop()\nl.call_soon(l.stop)", None),
    "the output channel closed": ("get_ipython().kernel.iopub_socket.close()", UNREADABLE),
    "the output thread ended": ("get_ipython().kernel.iopub_thread.close()", UNREADABLE),
    "no idle status": ("get_ipython().kernel._publish_status = lambda *a, **k: None", UNREADABLE),
    "left": ("exit()", ENDED),
    "ended": ("import os\nos._exit(3)", ENDED),
    "threads that never rest": (FOR_EVER.format("pass"), None),
    "threads that print for ever": (FOR_EVER.format("print('x' * 1000)"), None),
}


@pytest.mark.parametrize("name", CELLS)
def test_a_cell_that_harms_the_kernel_costs_nothing_else(name, monkeypatch):
    monkeypatch.setattr(conversation, "HEARD_SECONDS", 1.0)
    code, remark = CELLS[name]
    result = judged(TOY, handed_in(TOY, after={"exercise-other": [code]}), seconds=30)
    assert earned(result) == {"other": 1, "other-any": 1, "double": 1}
    assert result.notebook.metadata[REPORT]["failure"] is None
    assert len(result.remarks) == (remark is not None)
    assert all(said.startswith(remark) for said in result.remarks)
