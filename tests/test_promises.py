"""The page on grading names a test for each promise: each of them must be there."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from course import ROOT

TEXT = (ROOT / "book" / "grading.md").read_text(encoding="utf-8")
CITED = re.findall(r"`(tests/[\w/]+(?:\.py)?/?)(?:::(\w+))?`", TEXT)
PROMISES = re.findall(r"^(\d+)\. (.+?)(?=^\d+\. |^\n?^[A-Z#])", TEXT, re.MULTILINE | re.DOTALL)


@cache
def functions(path: Path) -> set[str]:
    return {node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize(("file", "name"), sorted(set(CITED)))
def test_what_the_page_cites_is_there(file: str, name: str) -> None:
    path = ROOT / file
    assert path.exists(), f"book/grading.md cites {file}, which is not there"
    if name:
        assert name in functions(path), f"book/grading.md cites {name}, which is not in {file}"


def test_each_promise_is_numbered_and_names_a_test() -> None:
    assert [int(number) for number, _ in PROMISES] == list(range(1, len(PROMISES) + 1))
    assert len(PROMISES) >= 15
    for number, text in PROMISES:
        assert re.search(r"`tests/[\w/]*test_\w+\.py", text), f"promise {number} names no test"


def test_every_file_and_command_that_the_page_names_is_there() -> None:
    from course.grading import parser

    for file in re.findall(r"`((?:course|labkit|solutions)/[\w./]+)`", TEXT):
        if not file.startswith(("course/submitted", "course/private", "course/term.toml")):  # the instructor's own
            assert (ROOT / file).exists(), f"book/grading.md names {file}, which is not there"
    commands = re.findall(r"python -m course\.grading ([^`#\n]+)", TEXT)
    assert len(commands) > 4
    for command in commands:
        parser().parse_args(command.split())
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for target in re.findall(r"make (\w[\w-]*)[ `]", TEXT):
        if target not in {"sure"}:
            assert target in targets, f"book/grading.md names `make {target}`"
