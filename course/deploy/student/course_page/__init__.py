"""A student's course page: a Jupyter server extension that shows the assignments and takes a student through each.

It runs in the student's own server, with the student's own rights, on the hub of `make up` and on a class server. All
that moves files is nbgrader's own exchange; what is shown of marks is the student's own released feedback.

On a class server students cannot read the course itself, so this package uses nothing of it but `labkit`.
"""

from typing import Any

from .handlers import add_handlers


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "course_page"}]


def _load_jupyter_server_extension(server: Any) -> None:
    add_handlers(server.web_app, server.root_dir)
