"""nbgrader's formgrader, made fit for submissions that mean harm and for a course that runs without the sandbox.

A Jupyter server extension that takes the place of nbgrader's own (course/deploy/instructor names it): the same pages at
the same addresses. It escapes what goes into them, such as students' names; serves a file that a student handed in so
that it cannot act in the instructor's name; and says on every page when grading runs without the sandbox. How a
submission itself is shown is configured in course/nbgrader_config.py, for nbgrader's own formgrader too.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jinja2 import BaseLoader, Environment, FileSystemLoader
from jupyter_server.utils import url_path_join
from nbgrader.server_extensions.formgrader import handlers
from nbgrader.server_extensions.formgrader.formgrader import FormgradeExtension

from course.harmless import WITHOUT_SANDBOX

BANNER = Path(__file__).parent / "templates" / "banner.html.j2"
# What lies below a submission's page and is not one of formgrader's own pages.
FILES = r"/formgrader/submissions/((?!components/)[^/]+/(?!(?:next|prev)(?:_incorrect)?/?$).+)"


class WithBanner(FileSystemLoader):
    """Loads nbgrader's templates and puts the banner at the top of every page."""

    def get_source(self, environment: Environment, template: str) -> tuple[str, str, Callable[[], bool]]:
        source, path, is_current = super().get_source(environment, template)
        return source.replace("<body>", f"<body>\n{BANNER.read_text(encoding='utf-8')}", 1), path, is_current


class SubmittedFile(handlers.SubmissionFilesHandler):
    """A file that a student handed in, served in a sandbox of the browser: no script, no cookies, no forms."""

    @property
    def content_security_policy(self) -> str:
        return f"{super().content_security_policy}; default-src 'none'; img-src 'self'; sandbox"


class Formgrader(FormgradeExtension):
    """nbgrader's extension with the differences that this module's docstring lists."""

    def init_tornado_settings(self, webapp: Any) -> None:
        super().init_tornado_settings(webapp)
        without = os.environ.get(WITHOUT_SANDBOX) == "1"
        loader: BaseLoader = (WithBanner if without else FileSystemLoader)([handlers.template_path])
        webapp.settings["nbgrader_jinja2_env"] = Environment(loader=loader, autoescape=True)

    def init_handlers(self, webapp: Any) -> None:
        # The first handler that matches answers.
        webapp.add_handlers(".*$", [(url_path_join(webapp.settings["base_url"], FILES), SubmittedFile)])
        super().init_handlers(webapp)


def _load_jupyter_server_extension(server: Any) -> None:
    formgrader = Formgrader(parent=server)
    formgrader.root_dir = server.root_dir
    formgrader.log = server.log
    formgrader.initialize([])
    formgrader.init_tornado_settings(server.web_app)
    formgrader.init_handlers(server.web_app)


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "course.formgrader"}]
