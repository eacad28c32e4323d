"""Whatever a cell does to the kernel it runs in, it costs that cell: the rest of the notebook is judged."""

import json

import pytest

from course.judging import conversation, wire
from course.judging.conversation import Outputs
from course.judging.verdict import Judged
from labkit.notebook import REPORT
from tests.support.outside import SETUP, earned, exercise, graded, handed_in, judged, notebook, verdicts

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


def test_half_a_surrogate_pair_is_written_out_wherever_a_student_s_side_gives_it():
    half = "\\ud800"
    source = notebook(
        SETUP,
        exercise("shout", f"def shout(x):\n    return '{half}' + x"),
        graded("shout", "def test_shout():\n    assert shout('a') == 'A', f'upper case, not {shout(chr(97))}'"),
        exercise("fail", f"Broken = type('{half}', (Exception,), {{}})\ndef fail(x):\n    raise Broken('{half}')"),
        graded("fail", "def test_fail():\n    fail(1)"),
        exercise("key", f"def key(x):\n    return {{'{half}': 1}}"),
        graded("key", "def test_key():\n    assert key(1)['a'], 'a key'"),
        OTHER,
        OTHER_TEST,
    )
    result = judged(source)
    assert wire.decode(wire.encode(result), Judged).verdicts == result.verdicts
    assert earned(result) == {"shout": 0, "fail": 0, "key": 0, "other": 1}
    assert verdicts(result)["shout"].message == r"upper case, not \ud800a"


SHOWN = [
    {"msg_type": "stream", "content": {"name": "stdout", "text": "a\ud800"}},
    {"msg_type": "display_data", "content": {"data": {"text/plain": "a\ud800"}}},
    {"msg_type": "error", "content": {"ename": "E\ud800", "evalue": "a\ud800", "traceback": ["a\ud800"]}},
]


@pytest.mark.parametrize("message", SHOWN, ids=lambda message: message["msg_type"])
def test_half_a_surrogate_pair_in_an_output_is_written_out(message):
    outputs = Outputs(1000)
    outputs.add(message)
    text = json.dumps(outputs.cells, ensure_ascii=False)
    text.encode("utf-8")
    assert r"a\\ud800" in text
