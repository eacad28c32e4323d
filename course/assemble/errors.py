"""What assembling says to an author."""

from pathlib import Path

from course import ROOT, CourseError


class AssemblyError(CourseError):
    """The assignment cannot be assembled: one sentence with the file, the place and the remedy."""


def shown(path: Path) -> str:
    """A path as an author would type it."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)
