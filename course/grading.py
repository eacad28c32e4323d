"""The grading step, in one place.

`nbgrader autograde`, formgrader's button and `python -m course.grading autograde` all run the preprocessors below, because
course/nbgrader_config.py names them. They add to nbgrader's own execution: a time limit for the whole notebook, a grading
seed that a student cannot know beforehand and a regrade repeats, and that a warning costs no mark.
"""

import hashlib
import hmac
import os
import secrets
import time
from pathlib import Path
from typing import Any

import nbformat
from nbconvert.exporters.exporter import ResourcesDict
from nbformat import NotebookNode
from nbgrader.coursedir import CourseDirectory
from nbgrader.preprocessors import Execute, NbGraderPreprocessor
from traitlets.config import Config, PyFileConfigLoader

ROOT = Path(__file__).resolve().parents[1]

DEFAULT_SECONDS = 60
"""The time limit of a notebook whose header names none."""


def settings(root: Path = ROOT) -> Config:
    """nbgrader's settings for the course that lies at `root` (its course/nbgrader_config.py).

    Raises:
        FileNotFoundError: there is no course at `root`.
    """
    folder = root / "course"
    return PyFileConfigLoader("nbgrader_config.py", path=str(folder)).load_config()


def secret(folder: Path) -> bytes:
    """The course's grading secret, made on first use in `folder` and readable by its owner only."""
    path = folder / "secret"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        draft = folder / f".secret-{os.getpid()}"
        draft.touch(mode=0o600)
        draft.write_text(secrets.token_hex(32))
        try:
            os.link(draft, path)  # fails if another process was first, whose secret then stands
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_bytes()


def grading_seed(submission: Path, secret: bytes) -> int:
    """The seed of a submission's hidden tests: the same for the same bytes, unknown to who lacks the secret."""
    content = hashlib.sha256(submission.read_bytes()).digest()
    return int.from_bytes(hmac.digest(secret, content, "sha256")[:8], "big")


class RunSubmission(Execute):
    """nbgrader's execution with a time limit for the whole notebook and the submission's grading seed."""

    def preprocess(
        self, nb: NotebookNode, resources: ResourcesDict, **kwargs: Any
    ) -> tuple[NotebookNode, ResourcesDict]:
        names = resources["nbgrader"]
        course = CourseDirectory(config=self.config)
        folders = [
            Path(course.format_path(step, student, names["assignment"]))
            for step, student in ((course.source_directory, "."), (course.submitted_directory, names["student"]))
        ]
        source, submission = (folder / f"{names['notebook']}.ipynb" for folder in folders)
        # The limit is read from the instructor's notebook: the student's copy of the metadata is theirs to change.
        limit = nbformat.read(source, as_version=4).metadata.get("course", {}).get("seconds", DEFAULT_SECONDS)
        self._deadline = time.monotonic() + limit
        self.timeout_func = self._time_for_cell
        self._seed = grading_seed(submission, secret(Path(course.root) / "course" / "run"))
        return super().preprocess(nb, resources, **kwargs)

    def _time_for_cell(self, cell: NotebookNode) -> int:
        """Half of what is left, so that an endless loop in one exercise leaves time to judge the others."""
        return max(1, int((self._deadline - time.monotonic()) / 2))

    def start_new_kernel(self, **kwargs: Any) -> None:
        super().start_new_kernel(env={**os.environ, "COURSE_GRADING_SEED": str(self._seed)}, **kwargs)


class DropStderr(NbGraderPreprocessor):
    """Forgets what cells wrote on stderr: nbgrader would give 0 points for a library's warning or a progress bar."""

    def preprocess_cell(
        self, cell: NotebookNode, resources: ResourcesDict, cell_index: int
    ) -> tuple[NotebookNode, ResourcesDict]:
        if cell.cell_type == "code":
            cell.outputs = [o for o in cell.outputs if not (o.output_type == "stream" and o.name == "stderr")]
        return cell, resources
