"""A small course whose submissions are graded, made by hand: what the feedback page and formgrader are shown."""

import copy
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from nbgrader.apps.api import NbGraderAPI

from course import ROOT, grading
from course.notebook import graded_cell
from labkit.notebook import REPORT, VERDICT

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="  # one pixel
STUB = "# YOUR CODE HERE\n    raise NotImplementedError()"
ANSWERS = {"double": "return 2 * x", "quad": "return double(double(x))", "eight": "return 2 * quad(x)"}
# Of none of these may a student's page hold a letter.
SECRETS = ["HIDDEN_INPUT_7341", "WANTED_VALUE_9942", "DETAIL_5518", "BEGIN HIDDEN", "hidden_helper", "reference_answer"]


def marked(kind: str, name: str, source: str, points: int | None = None, **about: Any) -> NotebookNode:
    """A cell with nbgrader's metadata, as course/assemble writes it."""
    if kind == "test":
        about = {"exercise": name.removesuffix("-any"), "visible": not name.endswith("-any")}
    return graded_cell(kind, name, source, points, about)


def exercise(name: str, uses: str = "") -> list[NotebookNode]:
    """An exercise with a visible test of 2 points and a hidden one of 1."""
    solution = f"### BEGIN SOLUTION\n    reference_answer = 0\n    {ANSWERS[name]}\n    ### END SOLUTION"
    return [
        new_markdown_cell(f"**Exercise: {name}** (difficulty 1 of 5; 3 points)", id=f"task-{name}"),
        marked(
            "exercise",
            name,
            f'def {name}(x):\n    """Twice and again."""\n    {solution}',
            defines=[name],
            uses=[uses] if uses else [],
        ),
        marked(
            "test",
            name,
            f'def test_{name}_of_two():\n    assert {name}(2) > 2, "it should grow"\n\n\n'
            f'with answers("{name}", cell="{name}"):\n    test_{name}_of_two()',
            2,
        ),
        marked(
            "test",
            f"{name}-any",
            f"# Hidden tests of {name} run here when the assignment is graded.\n### BEGIN HIDDEN TESTS\n"
            f"def hidden_helper():\n    return HIDDEN_INPUT_7341\n\n\ndef test_{name}_of_negatives_hidden():\n"
            f'    assert {name}(hidden_helper()) == WANTED_VALUE_9942, "and negatives"\n### END HIDDEN TESTS\n'
            f'### BEGIN HIDDEN TESTS\n\n\nwith answers("{name}", cell="{name}-any"):\n'
            f"    test_{name}_of_negatives_hidden()\n### END HIDDEN TESTS",
            1,
        ),
    ]


def source() -> NotebookNode:
    """The instructor's notebook: three exercises, each using the one before, and all together."""
    return new_notebook(
        cells=[
            marked(
                "given", "setup", "from labkit.testing.answers import Answers\nanswers = Answers('solutions.doubling')"
            ),
            new_markdown_cell("# Doubling\n\nWrite $2x$.", id="prose-setup-1"),
            *exercise("double"),
            *exercise("quad", "double"),
            *exercise("eight", "quad"),
            marked(
                "test",
                "integration",
                'def test_all():\n    assert eight(1) == 8, "all"\n\n\nwith answers("integration"):\n    test_all()',
                2,
            ),
            new_code_cell("print(double(1))", id="run-integration-1"),
        ],
        metadata={
            "course": {"title": "Doubling", "points": 11, "seconds": 60},
            "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
            "language_info": {"name": "python"},
        },
    )


def test_cell(nb: NotebookNode, name: str) -> NotebookNode:
    """The cell of test `name`."""
    return next(cell for cell in nb.cells if cell.id == f"test-{name}")


test_cell.__test__ = False  # type: ignore[attr-defined]


def failing(nb: NotebookNode, name: str, message: str, test: str | None = None, *, hidden: bool = False) -> None:
    """Make the verdict on test `name` a failure, and its output what the instructor sees."""
    cell = test_cell(nb, name)
    detail = f"{message} DETAIL_5518: got 3"
    cell.metadata[VERDICT] |= {"earned": 0, "test": test, "hidden": hidden, "message": message, "detail": detail}
    cell.outputs = [new_output("error", ename="AssertionError", evalue=detail, traceback=[f"AssertionError: {detail}"])]


def autograded(*, blank: tuple[str, ...] = ()) -> NotebookNode:
    """What the judge makes of a submission that solves all exercises but those in `blank`."""
    nb = copy.deepcopy(source())
    for cell in nb.cells:
        name = cell.id.partition("-")[2]
        if cell.id.startswith("exercise-"):
            body = STUB if name in blank else ANSWERS[name]
            cell.source = f'def {name}(x):\n    """Twice and again."""\n    {body}'
        elif cell.id.startswith("test-"):
            of = name.removesuffix("-any")
            cell.metadata[VERDICT] = {
                "cell": cell.id,
                "exercise": of,
                "points": cell.metadata.nbgrader.points,
                "earned": cell.metadata.nbgrader.points,
                "test": None,
                "hidden": False,
                "message": "",
                "detail": "",
                "pattern": "",
            }
            if of in blank:
                failing(nb, name, f"{of} is not written yet", f"test_{of}")
    nb.cells[-1].outputs = [new_output("stream", name="stdout", text="\x1b[32m2\x1b[0m\n")]
    nb.metadata[REPORT] = {"remarks": [], "seconds": 1.5, "failure": None}
    return nb


def hostile() -> NotebookNode:
    """A submission that tries to run script in the browser of who looks at it, or to call another server."""
    nb = autograded()
    run = "console.log(/ran/)"  # fits into attributes and addresses of every kind
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" onload="{run}"><script>{run}</script></svg>'
    nb.cells += [
        new_markdown_cell(
            f'# Mine <script>{run}</script>\n\n<img src="http://evil.invalid/a.png" onerror="{run}">\n\n{svg}\n\n'
            f"[link](javascript:{run}) <a href=\"javascript:{run}\" onclick='{run}'>raw</a> "
            f'[file](evil.html) <a href="evil.html">file</a> [site](https://example.org/)\n\n'
            f"![picture](http://evil.invalid/b.png) ![inside](attachment:x.svg)\n\n"
            f'<iframe srcdoc="<script>{run}</script>"></iframe>'
            f"<style>body {{ background: url(http://evil.invalid/c) }}</style>"
            f'<form action="http://evil.invalid/"><button>Go</button></form><details ontoggle="{run}" open>d</details>'
            f'<meta http-equiv="refresh" content="0;url=http://evil.invalid/"><base href="http://evil.invalid/">\n\n'
            f'```html"><script>{run}</script>\n</code><script>{run}</script>\n```\n\n$</code><script>{run}</script>$',
            id="mine-1",
            attachments={"x.svg": {"image/svg+xml": svg}},
        ),
        new_markdown_cell("![gone](attachment:missing.png)", id="mine-2"),
        new_code_cell(
            f"# </pre></script><script>{run}</script>",
            id="mine-3",
            metadata={"tags": [f'"><script>{run}</script>'], "alt": f'"><script>{run}</script>'},
            outputs=[
                new_output("display_data", {"text/html": f"<script>{run}</script>", "text/plain": f"<b>{run}</b>"}),
                new_output("display_data", {"image/svg+xml": svg}),
                new_output("display_data", {"application/javascript": run}),
                new_output("display_data", {"text/markdown": f"<script>{run}</script>"}),
                new_output("display_data", {"text/latex": f"$</p><script>{run}</script>$"}),
                new_output(
                    "display_data",
                    {"image/png": f'x"><script>{run}</script>'},
                    metadata={"image/png": {"width": f"1 onload={run}"}},
                ),
                new_output("display_data", {"image/png": PNG}, metadata={"image/png": {"alt": f'"><script>{run}//'}}),
                new_output("display_data", {"application/vnd.jupyter.widget-view+json": {"model_id": "</script>"}}),
                new_output(
                    "stream", name="stdout", text=f"\x1b[31m<script>{run}</script>\x1b]8;;http://evil.invalid\x07"
                ),
                new_output(
                    "error", ename=f"<script>{run}</script>", evalue="", traceback=[f"\x1b[1m<img onerror={run}>"]
                ),
            ],
        ),
        nbformat.v4.new_raw_cell(f"<script>{run}</script>", id="mine-4", metadata={"raw_mimetype": "text/html"}),
    ]
    nb.metadata["widgets"] = {
        "application/vnd.jupyter.widget-state+json": {"state": {"x": f"</script><script>{run}</script>"}}
    }
    nb.metadata["title"] = f"</title><script>{run}</script>"
    nb.metadata[REPORT]["remarks"] = [f"<script>{run}</script>"]
    failing(nb, "double", f"<script>{run}</script>", f"test_<script>{run}</script>")
    return nb


class Course:
    """A course in a folder of its own with nbgrader's gradebook; `grade` puts a graded submission into it."""

    def __init__(self, root: Path):
        self.root = root
        folder = root / "course" / "source" / "doubling"
        folder.mkdir(parents=True)
        nbformat.write(source(), folder / "doubling.ipynb")
        shutil.copy(ROOT / "course" / "nbgrader_config.py", root / "course")
        shutil.copytree(ROOT / "course" / "pages" / "templates", root / "course" / "pages" / "templates")
        self.api: NbGraderAPI = grading.open_course(root)
        outcome = self.api.generate_assignment("doubling")
        assert outcome["success"], outcome

    def grade(
        self, student: str, nb: NotebookNode, change: Callable[[Any, Any], None] | None = None, **name: str
    ) -> None:
        """Record what the verdicts in `nb` say; `change(gradebook, submission)` may add to it."""
        folder = self.root / "course" / "autograded" / student / "doubling"
        folder.mkdir(parents=True)
        nbformat.write(nb, folder / "doubling.ipynb")
        with self.api.gradebook as gradebook:
            gradebook.add_student(student, **name)
            submission = gradebook.add_submission("doubling", student)
            for cell in nb.cells:
                if VERDICT in cell.metadata:
                    grade = gradebook.find_grade(cell.metadata.nbgrader.grade_id, "doubling", "doubling", student)
                    grade.auto_score = cell.metadata[VERDICT]["earned"]
                    grade.needs_manual_grade = False
            if change is not None:
                change(gradebook, submission)
            if submission.timestamp is not None:  # nbgrader compares it with the gradebook's
                submitted = self.root / "course" / "submitted" / student / "doubling"
                submitted.mkdir(parents=True)
                (submitted / "timestamp.txt").write_text(f"{submission.timestamp} UTC")
            gradebook.db.commit()

    def feedback(self, student: str) -> str:
        """The student's page, as nbgrader's own step writes it."""
        assert grading.feedback(self.api, "doubling", student) == (1, 0)
        return (self.root / "course" / "feedback" / student / "doubling" / "doubling.html").read_text()
