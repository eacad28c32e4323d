"""nbgrader's two steps that bring one student their feedback; its own take a student's name for a pattern of names.

`[a]` is a name as good as any, and grading takes it for one. Of several students each is brought theirs in turn.
"""

import glob
from pathlib import Path
from typing import Any

from nbgrader.apps.api import NbGraderAPI
from nbgrader.converters.base import NbGraderException
from nbgrader.converters.generate_feedback import GenerateFeedback
from nbgrader.exchange.default import ExchangeReleaseFeedback
from nbgrader.utils import capture_log, temp_attrs
from traitlets.config import LoggingConfigurable


class _Write(GenerateFeedback):
    """Writes the pages of the one student that the course's settings name."""

    def init_notebooks(self) -> None:
        folder = Path(self._format_source(self.coursedir.assignment_id, self.coursedir.student_id))
        notebooks = sorted(str(path) for path in folder.glob("*.ipynb"))
        if not notebooks:
            self.log.error("There is no graded notebook in %s.", folder)
            raise NbGraderException(f"There is no graded notebook in {folder}.")
        self.assignments = {str(folder): notebooks}


class _Release(ExchangeReleaseFeedback):
    """Releases the pages of the one student that the course's settings name."""

    def init_src(self) -> None:
        course = self.coursedir
        self.src_path = glob.escape(
            course.format_path(course.feedback_directory, course.student_id, course.assignment_id)
        )


def write_feedback(api: NbGraderAPI, assignment: str, student: str) -> dict[str, Any]:
    """As `NbGraderAPI.generate_feedback` does it for one student: whether that went well, and the log."""
    return _done(_Write, api, assignment, student, force=True)


def release_feedback(api: NbGraderAPI, assignment: str, student: str) -> dict[str, Any]:
    """As `NbGraderAPI.release_feedback` does it for one student: whether that went well, and the log."""
    return _done(_Release, api, assignment, student)


def _done(
    step: type[LoggingConfigurable], api: NbGraderAPI, assignment: str, student: str, **settings: Any
) -> dict[str, Any]:
    with temp_attrs(api.coursedir, assignment_id=assignment, student_id=student):
        outcome: dict[str, Any] = capture_log(step(coursedir=api.coursedir, parent=api, **settings))
    return outcome
