"""Real text that every Python brings with it: its own documentation and its own source.

Nothing is downloaded. Two kinds of document make up the prose:

- `topics/<name>`: the language reference behind `help()`, from `pydoc_data.topics`;
- `docstrings/<module>`: all docstrings of one module of the standard library.

A paragraph that occurs more than once stays only in the first document that holds it. Documents are then split by a
hash of their name, so that no held-out paragraph was trained on, whatever the Python version. The text does change
between versions: a figure measured on it belongs to one version.
"""

import ast
import functools
import hashlib
import os
import sysconfig
import tokenize
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

Split = Literal["train", "heldout"]

HELD_OUT_OF_256 = 13  # a document whose hash begins with a byte below this is held out: about one in twenty
NOT_THE_LIBRARY = {"site-packages", "dist-packages", "test", "tests", "idle_test", "pydoc_data", "lib2to3"}


@functools.cache
def documents() -> dict[str, str]:
    """Text of every document by name: topics first, then docstrings, each in order of name.

    About 2.5 MB. Reading the standard library takes a few seconds; the result is kept for the next call.
    """
    return dict(_documents())


@functools.cache
def text(split: Split, max_bytes: int | None = None) -> str:
    """Documents of one split joined by blank lines, cut to at most `max_bytes` bytes of UTF-8.

    A cut text begins with the topics; while they last, the standard library is not even read.

    Raises:
        ValueError: `split` is neither "train" nor "heldout", or `max_bytes` is negative.
    """
    _check(split, max_bytes)
    pairs = documents().items() if max_bytes is None else _documents()
    return _join((body for name, body in pairs if split_of(name) == split), max_bytes)


@functools.cache
def source_code(max_bytes: int, split: Split = "train") -> str:
    """Source files of the standard library in a fixed shuffled order, cut to at most `max_bytes` bytes of UTF-8.

    A module's source is in the split that its docstrings are in: what trains on source has not seen held-out prose.

    Raises:
        ValueError: `split` is neither "train" nor "heldout", or `max_bytes` is negative.
    """
    _check(split, max_bytes)
    modules = sorted(((name, path) for name, path in _modules() if split_of(name) == split), key=lambda m: _hash(m[0]))
    return _join((_read(path) for _, path in modules), max_bytes)


def split_of(name: str) -> Split:
    """The split that the document called `name` belongs to."""
    return "heldout" if _hash(name)[0] < HELD_OUT_OF_256 else "train"


def _hash(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()


def _check(split: str, max_bytes: int | None) -> None:
    if split not in ("train", "heldout"):
        raise ValueError(f'split must be "train" or "heldout", not {split!r}')
    if max_bytes is not None and max_bytes < 0:
        raise ValueError(f"max_bytes must not be negative, got {max_bytes}")


def _join(bodies: Iterable[str], max_bytes: int | None) -> str:
    """Bodies joined by blank lines, no more of them read than are needed, never cut inside a character."""
    parts: list[str] = []
    size = 0
    for body in bodies:
        if max_bytes is not None and size >= max_bytes:
            break
        parts.append(body)
        size += len(body.encode()) + 2
    whole = "\n\n".join(parts)
    return whole if max_bytes is None else whole.encode()[:max_bytes].decode(errors="ignore")


def _documents() -> Iterator[tuple[str, str]]:
    """Documents with no paragraph that an earlier one holds; spacing does not make a paragraph another one."""
    seen: set[str] = set()
    for name, body in _raw_documents():
        kept = []
        for paragraph in body.split("\n\n"):
            words = " ".join(paragraph.split())
            if words and words not in seen:
                seen.add(words)
                kept.append(paragraph.strip("\n"))
        if kept:
            yield name, "\n\n".join(kept)


def _raw_documents() -> Iterator[tuple[str, str]]:
    from pydoc_data.topics import topics

    for name in sorted(topics):
        yield f"topics/{name}", topics[name]
    for name, path in _modules():
        yield name, "\n\n".join(_docstrings(_read(path)))


def _modules() -> Iterator[tuple[str, Path]]:
    """Document names and files of the standard library, without its tests and without what is installed beside it."""
    library = Path(sysconfig.get_path("stdlib"))
    found = []
    for folder, subfolders, files in os.walk(library):
        subfolders[:] = [name for name in subfolders if name not in NOT_THE_LIBRARY]
        found += [Path(folder, name) for name in files if name.endswith(".py")]
    named = (("docstrings/" + ".".join(path.relative_to(library).with_suffix("").parts), path) for path in found)
    yield from sorted(named)


def _read(path: Path) -> str:
    """A source file's text; empty for the few files that are broken on purpose."""
    try:
        with tokenize.open(path) as file:
            return file.read()
    except (SyntaxError, UnicodeDecodeError):
        return ""


def _docstrings(source: str) -> Iterator[str]:
    """The module's docstring, then those of its classes and functions in the order of the source."""
    try:
        nodes: list[ast.AST] = [ast.parse(source)]
    except (SyntaxError, ValueError):
        return
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield ast.get_docstring(node) or ""
        # Definitions stand in statements only, and expressions are most of a tree.
        nodes += [child for child in reversed(list(ast.iter_child_nodes(node))) if isinstance(child, ast.stmt)]
