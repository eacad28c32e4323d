"""nbgrader's settings for a student on a hub: which course, where its exchange lies, who the student is."""

import os

c = get_config()  # handed in by whoever loads this file

c.CourseDirectory.course_id = "llm"
c.CourseDirectory.student_id = os.environ["JUPYTERHUB_USER"]
c.Exchange.root = os.environ["COURSE_EXCHANGE"]

# `nbgrader validate` counts what a cell writes on stderr as a failure; grading and the Validate button do not.
c.Execute.extra_arguments = ["--IPKernelApp.exec_lines=import sys; sys.stderr = sys.stdout"]
c.Execute.timeout = 60  # seconds for one cell
