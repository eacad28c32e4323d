"""What the course page asks of the student's own server.

    GET  course                    the page
    GET  course/open/<name>        fetch the assignment, if it is not there, and open it: a link for books and mails
    GET  course/feedback/<name>    fetch the newest released feedback and show it
    GET  course/api/assignments    {"title": ..., "assignments": [Standing, ...]}, or {"error": sentence}
    POST course/api/submit/<name>  submit; {"message": sentence, "assignment": Standing}, or {"error": sentence}
    POST assignments/validate      what nbgrader's Validate buttons ask, answered by `labkit.check`

The two links change nothing that is there: what a student has is never written over. Submitting is a POST, which
Jupyter answers only with the page's own token (XSRF).
"""

import asyncio
import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from jupyter_server.base.handlers import APIHandler, JupyterHandler
from jupyter_server.utils import url_path_join
from tornado import web

from .assignments import Student, StudentError
from .validate import TEMPLATES, table

HERE = Path(__file__).parent
FILES = {"page.css": "text/css", "page.js": "text/javascript"}
STUDENT = "course_page_student"
NAME = r"([\w.-]+)"

Result = TypeVar("Result")


class Handler(JupyterHandler):
    """A handler that knows the student, and asks nbgrader outside the server's own thread."""

    turn = asyncio.Lock()  # two presses of a button are two requests, and one folder

    async def ask(self, method: Callable[..., Result], *arguments: Any) -> Result:
        async with self.turn:
            return await asyncio.to_thread(method, *arguments)

    @property
    def student(self) -> Student:
        student: Student = self.settings[STUDENT]
        return student

    @property
    def content_security_policy(self) -> str:
        """All that the page shows comes from this server, and nobody may frame it."""
        return (
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )

    def show(self, error: str = "", status: int = 200) -> None:
        """The page, with a sentence on what went wrong."""
        self.set_status(status)
        page = TEMPLATES.get_template("page.html")
        self.finish(
            page.render(base_url=self.base_url, xsrf=self.xsrf_token.decode(), error=error, book=self.student.book)
        )


class CoursePage(Handler):
    """The page itself."""

    @web.authenticated
    def get(self) -> None:
        self.show()


class PageFile(Handler):
    """The page's style and script."""

    @web.authenticated
    def get(self, name: str) -> None:
        self.set_header("Content-Type", f"{FILES[name]}; charset=utf-8")
        self.finish((HERE / name).read_bytes())


class Open(Handler):
    """Fetches an assignment and opens it."""

    @web.authenticated
    async def get(self, name: str) -> None:
        try:
            notebook = await self.ask(self.student.fetch, name)
        except StudentError as error:
            self.show(str(error), 409)
            return
        self.redirect(url_path_join(self.base_url, "lab/tree", quote(str(notebook.relative_to(self.student.home)))))


class Feedback(Handler):
    """Fetches feedback and shows it, where Jupyter shows a student's files: nothing in it may act as the student."""

    @web.authenticated
    async def get(self, name: str) -> None:
        try:
            page = await self.ask(self.student.feedback, name)
        except StudentError as error:
            self.show(str(error), 409)
            return
        self.redirect(url_path_join(self.base_url, "files", quote(str(page.relative_to(self.student.home)))))


class Api(Handler, APIHandler):
    """Answers in JSON."""

    def refuse(self, error: StudentError) -> None:
        self.set_status(409)
        self.finish({"error": str(error)})


class Assignments(Api):
    """Lists the assignments."""

    @web.authenticated
    async def get(self) -> None:
        try:
            standings = await self.ask(self.student.standings)
        except StudentError as error:
            self.refuse(error)
            return
        self.finish({"title": self.student.course().title, "assignments": [asdict(each) for each in standings]})


class Submit(Api):
    """Submits an assignment."""

    @web.authenticated
    async def post(self, name: str) -> None:
        try:
            message = await self.ask(self.student.submit, name)
            standing = await self.ask(self.student.standing, name)
        except StudentError as error:
            self.refuse(error)
            return
        self.finish({"message": message, "assignment": asdict(standing)})


class Validate(Api):
    """Answers nbgrader's Validate buttons; its dialog shows the `error` of each cell that `failed` as it comes."""

    running = asyncio.Lock()

    @web.authenticated
    async def post(self) -> None:
        asked = self.get_argument("path", None) or (self.get_json_body() or {}).get("path", "")
        home = self.student.home.resolve()
        path = (home / asked).resolve()
        if not path.is_relative_to(home):
            raise web.HTTPError(403, "That path lies outside your home.")
        try:
            due = (await self.ask(self.student.standing, path.stem)).due
        except StudentError:
            due = None
        async with self.running:
            # Not asyncio.to_thread, which hands the server's own event loop to whatever runs a kernel in the thread.
            loop = asyncio.get_running_loop()
            result = await loop.run_in_executor(None, table, path, due.text if due else "")
        self.finish({"success": True, "value": {"failed": [{"source": "", "error": result}]}})


def add_handlers(application: Any, root_dir: str) -> None:
    """Serve the course page of the student who works in `root_dir`."""
    application.settings[STUDENT] = Student(Path(root_dir), os.environ.get("COURSE_BOOK", ""))
    handlers = [
        (r"/course/?", CoursePage),
        (r"/course/(page\.css|page\.js)", PageFile),
        (rf"/course/open/{NAME}", Open),
        (rf"/course/feedback/{NAME}", Feedback),
        (r"/course/api/assignments", Assignments),
        (rf"/course/api/submit/{NAME}", Submit),
        (r"/assignments/validate", Validate),
    ]
    base = application.settings["base_url"]
    application.add_handlers(".*$", [(url_path_join(base, path), handler) for path, handler in handlers])
