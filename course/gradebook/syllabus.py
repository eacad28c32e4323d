"""What students may know of the course as a whole: its assignments in the book's order, and when each is due.

Students read neither the book's contents nor term.toml nor the gradebook. So whenever due dates are brought up to date
(`course.gradebook.term.update`), this is written into the exchange, beside what is released there, and the students'
course page (course/deploy/student/course_page) reads it:

    {"title": "Inside Language Models", "zone": "Europe/Amsterdam", "assignments": [
        {"name": "gpt", "chapter": "GPT, part by part", "due": "2026-12-01T22:59:00+00:00", "rules": "..."}]}

A due date may be null, and so may a chapter's heading, where the book has no such page. It holds nothing of a single
student: an extension is told to the student whom it was given to.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any

import yaml

from course.assemble.chapter import Chapter
from labkit.files import write_whole

FILE = "syllabus.json"


@dataclass(frozen=True)
class Entry:
    """One assignment, as everybody may know it."""

    name: str
    chapter: str | None
    due: str | None
    rules: str


def write(course: Path, root: Path, zone: tzinfo, assignments: Mapping[str, tuple[datetime | None, str]]) -> None:
    """Write the syllabus into a course's folder of the exchange, where there is one.

    Args:
        course: the folder of the exchange that holds `outbound`.
        root: where the instructor's course lies.
        zone: the time zone in which students read their due dates.
        assignments: name -> when it is due, and the rules that hold for it, as a sentence.
    """
    if not (course / "outbound").is_dir():
        return
    order = {name: place for place, name in enumerate(_files(_yaml(root / "book" / "_toc.yml")))}
    entries = []
    for name in sorted(assignments, key=lambda name: (order.get(name, len(order)), name)):
        due, rules = assignments[name]
        chapter = Chapter.of(name, root)
        entries.append(Entry(name, chapter.title if chapter else None, due.isoformat() if due else None, rules))
    title = (_yaml(root / "_config.yml") or {}).get("title", "")
    content = {"title": title, "zone": str(zone), "assignments": [asdict(entry) for entry in entries]}
    path = course / FILE
    write_whole(path, json.dumps(content, indent=1).encode())
    path.chmod(0o644)  # whatever the instructor's umask is: students read it


def _yaml(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else None


def _files(node: Any) -> Iterator[str]:
    """The pages that a table of contents names, in its order."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "file":
                yield value
            else:
                yield from _files(value)
    elif isinstance(node, list):
        for each in node:
            yield from _files(each)
