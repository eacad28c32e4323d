"""What formgrader shows above a submission: whose it is, what time was granted, and which known mistakes it makes."""

import html
from pathlib import Path

import nbformat
from nbconvert.exporters.exporter import ResourcesDict
from nbconvert.preprocessors import Preprocessor
from nbformat import NotebookNode
from nbgrader.api import Gradebook, MissingEntry
from nbgrader.coursedir import CourseDirectory

from course.gradebook.audit import local_length
from course.gradebook.term import read as read_term
from course.pages.feedback import Likely, lasting, likely_mistakes, when
from course.pages.sanitize import plain

LONGEST = 300


class Above(Preprocessor):
    """Hands formgrader's page sentences about a submission, escaped. It comes before what strips the notebook bare."""

    def preprocess(self, nb: NotebookNode, resources: ResourcesDict) -> tuple[NotebookNode, ResourcesDict]:
        course = CourseDirectory(parent=self)
        name, student = resources["notebook_id"], resources["student"]
        sentences = _times(course, name, student)
        path = Path(course.format_path(course.source_directory, ".", name)) / f"{name}.ipynb"
        if path.is_file():
            likely = likely_mistakes(nb, nbformat.read(path, as_version=4), Path(course.root), name)
            sentences += [_named(exercise, found) for exercise, found in sorted(likely.items())]
        resources["above"] = [html.escape(plain(sentence, LONGEST)) for sentence in sentences]
        return nb, resources


def _times(course: CourseDirectory, name: str, student: str) -> list[str]:
    """Whose it is, when it came, and how long they had."""
    zone = read_term(Path(course.root)).every.zone
    with Gradebook(course.db_url, course.course_id) as gradebook:
        try:
            submission = gradebook.find_submission(name, student)
        except MissingEntry:
            return [student]
        of = " ".join(filter(None, (submission.student.first_name, submission.student.last_name)))
        came = f", handed in {when(submission.timestamp, zone)}" if submission.timestamp is not None else ""
        sentences = [f"{of} ({student}){came}" if of else f"{student}{came}"]
        due, granted = submission.assignment.duedate, submission.extension
        if due is not None and granted:
            length = lasting(local_length(due, granted, zone))
            sentences.append(f"An extension of {length} was granted: due {when(due + granted, zone)}")
        return sentences


def _named(exercise: str, likely: Likely) -> str:
    return f"{exercise}: {likely.lead[0].lower()}{likely.lead[1:]}: {likely.words}"
