"""An nbgrader course and what runs it."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
"""The course's folder: the repository that this package lies in."""


class CourseError(Exception):
    """What a person asked for cannot be done: one sentence that says what happened and what to do."""
