"""nbgrader's formgrader, made fit for submissions that mean harm and for a course that runs without the sandbox.

A Jupyter server extension that takes the place of nbgrader's own (course/deploy/instructor names it): the same pages at
the same addresses. It escapes what goes into them, such as students' names; serves a file that a student handed in so
that it cannot act in the instructor's name; says on every page when grading runs without the sandbox; and its autograde
button runs the grading command. How a submission itself is shown is configured in course/nbgrader_config.py, for
nbgrader's own formgrader too.
"""

import asyncio
import json
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jinja2 import BaseLoader, Environment, FileSystemLoader
from jupyter_server.utils import url_path_join
from nbgrader.server_extensions.formgrader import apihandlers, handlers
from nbgrader.server_extensions.formgrader.base import check_notebook_dir, check_xsrf
from nbgrader.server_extensions.formgrader.formgrader import FormgradeExtension
from tornado import web

from course.sandbox import WITHOUT_SANDBOX

BANNER = Path(__file__).parent / "templates" / "banner.html.j2"
BUTTON = r"/formgrader/api/submission/([^/]+)/([^/]+)/autograde"
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


async def autograde(root: Path, assignment: str, student: str) -> dict[str, Any]:
    """Run the grading command of the course at `root` for one student; the answer is as `NbGraderAPI.autograde`'s."""
    command = [sys.executable, "-m", "course.grading", "autograde", f"--student={student}", "--", assignment]
    process = await asyncio.create_subprocess_exec(*command, cwd=root, stdin=DEVNULL, stdout=PIPE, stderr=PIPE)
    printed, errors = (text.decode(errors="replace").strip() for text in await process.communicate())
    if process.returncode == 0:
        return {"success": True, "log": printed}
    return {
        "success": False,
        "log": printed,
        "error": errors or f"The grading command ended with {process.returncode}.",
    }


class AutogradeButton(apihandlers.AutogradeHandler):
    """What the button asks: the command in a process of its own, so that the server goes on answering meanwhile.

    nbgrader's own handler knows nothing of the command's lock, and a submission without a notebook fails in it.
    """

    # A second press waits for its turn, where a second command would refuse.
    turn = asyncio.Lock()

    @web.authenticated
    @check_xsrf
    @check_notebook_dir
    async def post(self, assignment_id: str, student_id: str) -> None:
        async with self.turn:
            outcome = await autograde(Path(self.coursedir.root), assignment_id, student_id)
        self.write(json.dumps(outcome))


class Formgrader(FormgradeExtension):
    """nbgrader's extension with the differences that this module's docstring lists."""

    def init_tornado_settings(self, webapp: Any) -> None:
        super().init_tornado_settings(webapp)
        without = os.environ.get(WITHOUT_SANDBOX) == "1"
        loader: BaseLoader = (WithBanner if without else FileSystemLoader)([handlers.template_path])
        webapp.settings["nbgrader_jinja2_env"] = Environment(loader=loader, autoescape=True)

    def init_handlers(self, webapp: Any) -> None:
        # The first handler that matches answers.
        ours = [(FILES, SubmittedFile), (BUTTON, AutogradeButton)]
        webapp.add_handlers(".*$", [(url_path_join(webapp.settings["base_url"], path), to) for path, to in ours])
        super().init_handlers(webapp)


def _load_jupyter_server_extension(server: Any) -> None:
    formgrader = Formgrader(parent=server)
    formgrader.root_dir = server.root_dir
    formgrader.log = server.log
    formgrader.initialize([])
    formgrader.init_tornado_settings(server.web_app)
    formgrader.init_handlers(server.web_app)


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "course.pages.formgrader"}]
