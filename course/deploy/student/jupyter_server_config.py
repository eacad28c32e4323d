"""Jupyter's settings for a student on a hub."""

import sys
from pathlib import Path

c = get_config()  # handed in by Jupyter

# The course page (course_page/) lies beside this file: on a class server in a copy, as students cannot read the course.
sys.path.append(str(Path(__file__).resolve().parent))
c.ServerApp.jpserver_extensions = {
    "course_page": True,
    "nbgrader.server_extensions.formgrader": False,
    "nbgrader.server_extensions.course_list": False,
    "nbgrader.server_extensions.validate_assignment": False,  # the course page's own answers the button
}
c.ServerApp.default_url = "/course"
