"""The book's page on an assignment's topic, and the sections of it that exercises link to.

A section belongs to an exercise where the page holds its anchor, `(gpt-layer-norm)=` for the exercise `layer-norm` of
`gpt`: the heading that follows the anchor at once, or else the one that it stands under.
"""

import functools
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from course import ROOT

ANCHOR = re.compile(r"\(([a-z0-9_-]+)\)=$")
HEADING = re.compile(r"#{1,4} (.+)$")


@functools.cache
def repository() -> str:
    """The address of the project's repository, where readers find the book."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return str(project["urls"]["Repository"]).rstrip("/")


@dataclass(frozen=True)
class Chapter:
    """A page of the book: its topic, its title, and the heading at each of its anchors."""

    name: str
    title: str
    anchors: dict[str, str]

    @classmethod
    def of(cls, name: str, root: Path) -> Self | None:
        """The page of that name; None where there is none, or no heading on it."""
        page = root / "book" / f"{name}.md"
        if not page.is_file():
            return None
        anchors: dict[str, str] = {}
        waiting: list[str] = []
        title = heading = ""
        in_code = False
        for line in filter(None, map(str.rstrip, page.read_text(encoding="utf-8").splitlines())):
            if line.startswith("```"):
                in_code = not in_code
            if not in_code and (anchor := ANCHOR.match(line)):
                waiting.append(anchor[1])
                continue
            if not in_code and (found := HEADING.match(line)):
                heading = found[1]
                title = title or heading
            anchors |= dict.fromkeys(waiting, heading)
            waiting.clear()
        return cls(name, title, anchors) if title else None

    @property
    def address(self) -> str:
        return f"{repository()}/blob/main/book/{self.name}.md"

    @property
    def link(self) -> str:
        """Its title as a link."""
        return f"[{self.title}]({self.address})"

    def section(self, exercise: str) -> str:
        """A link to an exercise's section; empty where no anchor is for it."""
        heading = self.anchors.get(f"{self.name}-{exercise}", "")
        slug = re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
        return f"[{heading}]({self.address}#{slug})" if heading else ""
