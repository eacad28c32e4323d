"""nbgrader's settings for this course: every nbgrader command, formgrader and `course.grading` read this file.

Run nbgrader's own commands from the folder `course/`, where it finds this file by itself. All folders are computed from
where the file lies, so that a copy of the repository is a course of its own.
"""

import os
import sys
from pathlib import Path

c = get_config()  # handed in by whoever loads this file
root = Path(__file__).resolve().parents[1]

# formgrader and the nbgrader command start in other folders; the grading step is found through the repository's root.
if str(root) not in sys.path:
    sys.path.insert(0, str(root))

# nbgrader makes its database with the command `alembic`, which lies beside Python where no environment is activated.
tools = str(Path(sys.executable).parent)
if tools not in os.environ["PATH"].split(os.pathsep):
    os.environ["PATH"] = os.pathsep.join([tools, os.environ["PATH"]])

c.CourseDirectory.course_id = "llm"
c.CourseDirectory.root = str(root)
# A file beside this one, or what the environment names, such as postgresql+psycopg2://user:password@host/course.
c.CourseDirectory.db_url = os.environ.get("COURSE_DATABASE") or f"sqlite:///{root / 'course' / 'gradebook.db'}"
c.CourseDirectory.source_directory = "course/source"
c.CourseDirectory.release_directory = "exercises"
c.CourseDirectory.submitted_directory = "course/submitted"
c.CourseDirectory.autograded_directory = "course/autograded"
c.CourseDirectory.feedback_directory = "course/feedback"
c.CourseDirectory.source_with_tests_directory = "course/run/source_with_tests"
c.CourseDirectory.solution_directory = "course/run/solution"

# Where students and the instructor exchange files: in the course's own folder, where every hub user is one
# operating-system user, or in the place that a class server names (course/deploy), where each student is another.
exchange = os.environ.get("COURSE_EXCHANGE")
c.Exchange.root = exchange or str(root / "course" / "run" / "exchange")
c.ExchangeCollect.check_owner = exchange is not None
c.ExchangeFactory.collect = "course.gradebook.collect.CollectOwned"

# Students' code runs in the sandbox and tests beside it (course/judging/grader.py); nbgrader's step that runs both is
# left out.
c.Autograde.exporter_class = "course.judging.submission.SubmissionExporter"
# What a submission brings goes no further than that exporter, so the ids and metadata that follow are the instructor's
# own, which nbgrader checked when the assignment was entered.
c.Autograde.sanitize_preprocessors = [
    "nbgrader.preprocessors.ClearOutput",
    "nbgrader.preprocessors.OverwriteKernelspec",
    "nbgrader.preprocessors.OverwriteCells",
]
c.Autograde.autograde_preprocessors = [
    "course.gradebook.preprocessors.TakeJudgement",
    "nbgrader.preprocessors.LimitOutput",
    "nbgrader.preprocessors.SaveAutoGrades",
    "nbgrader.preprocessors.AssignLatePenalties",
    "course.gradebook.preprocessors.NoteGrades",
]
c.NotebookExporter.optimistic_validation = True  # the notebook is validated after the last step, not after each

# Feedback: the gradebook's scores and comments, and our own page (course/pages/feedback.py).
c.GenerateFeedback.preprocessors = ["course.pages.feedback.Grades"]
c.GenerateFeedback.exporter_class = "course.pages.feedback.FeedbackExporter"

# formgrader shows a submission through nbconvert's HTMLExporter: nothing of a student's may run there, nor any page ask
# another server for anything. Above it stand its author, their extension and the mistakes that it likely makes.
c.HTMLExporter.preprocessors = ["course.pages.above.Above", "course.pages.sanitize.Harmless"]
c.HTMLExporter.filters = {"markdown2html": "course.pages.sanitize.prose"}
c.HTMLExporter.template_file = str(root / "course" / "pages" / "templates" / "formgrade.html.j2")

c.ExportApp.plugin_class = "course.gradebook.exports.SpreadsheetExport"

# Late penalties by course/term.toml.
c.AssignLatePenalties.plugin_class = "course.gradebook.term.LatePenalty"
