"""Real text that every Python brings with it: its own documentation and its own source.

Nothing is downloaded. Two kinds of document make up the prose:

- `topics/<name>`: the language reference behind `help()`, from `pydoc_data.topics`;
- `docstrings/<module>`: all docstrings of one module of the standard library.

A paragraph that occurs more than once stays only in the first document that holds it. Documents are then split by a
hash of their name, so that no held-out paragraph was trained on, whatever the Python version. The text does change
between versions: a figure measured on it belongs to one version.

Your own text works in its place: `text("train", file="mine.txt")`. It is one plain text file in UTF-8, in which blank
lines stand between paragraphs; one longer than 4,000 bytes is cut, at the end of a line if it has several. Paragraphs
in a row make up documents of at least 4,000 bytes (or a twentieth of the text, if that is less), called `mine.txt/1`
and so on. Of every twenty documents in a row the fourth is held out.
"""

import ast
import functools
import hashlib
import os
import re
import sysconfig
import tokenize
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

Split = Literal["train", "heldout"]

HELD_OUT_OF_256 = 13  # a document whose hash begins with a byte below this is held out: about one in twenty
# A reader's own file: one document in so many is held out. With these sizes there is always a fourth document, and what
# is held out of the shortest file is 1,000 bytes or more.
OWN_HELD_OUT_OF = 20
DOCUMENT_BYTES = 4_000
LEAST_BYTES = 20_000
NOT_THE_LIBRARY = {"site-packages", "dist-packages", "test", "tests", "idle_test", "pydoc_data", "lib2to3"}


def documents(file: str | Path | None = None) -> dict[str, str]:
    """Text of every document by name: topics first, then docstrings, each in order of name; or those of your own file.

    About 2.5 MB. Reading the standard library takes a few seconds; the result is kept for the next call.

    Raises:
        ValueError: the file is missing, empty, no UTF-8 text or too short.
    """
    return dict(_library() if file is None else _own(file))


def text(split: Split, max_bytes: int | None = None, *, file: str | Path | None = None) -> str:
    """Documents of one split joined by blank lines, cut to at most `max_bytes` bytes of UTF-8.

    A cut text begins with the topics; while they last, the standard library is not even read. With `file`, the
    documents are those of your own text file.

    Raises:
        ValueError: `split` is neither "train" nor "heldout", `max_bytes` is negative, or the file is missing, empty,
            no UTF-8 text or too short.
    """
    _check(split, max_bytes)
    if file is None:
        return _library_text(split, max_bytes)
    numbered = enumerate(_own(file).values())
    return _join((body for i, body in numbered if (i % OWN_HELD_OUT_OF == 3) == (split == "heldout")), max_bytes)


@functools.cache
def _library() -> dict[str, str]:
    return dict(_documents(_raw_documents()))


@functools.cache
def _library_text(split: Split, max_bytes: int | None) -> str:
    pairs = _library().items() if max_bytes is None else _documents(_raw_documents())
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
    """The split that the document of Python's called `name` belongs to."""
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


def _documents(raw: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Documents with no paragraph that an earlier one holds; spacing does not make a paragraph another one."""
    seen: set[str] = set()
    for name, body in raw:
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


def _own(file: str | Path) -> dict[str, str]:
    """The documents of a reader's own file, read again if it has changed."""
    path = Path(file).expanduser()
    try:
        about = path.stat()
        return _read_own(path, about.st_mtime_ns, about.st_size)
    except FileNotFoundError:
        raise ValueError(f"there is no file {path.absolute()}: give the path of a text file") from None
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror}): give the path of a text file") from None


@functools.lru_cache(maxsize=4)
def _read_own(path: Path, changed: int, size: int) -> dict[str, str]:
    """The documents of one state of a file: `changed` and `size` only tell states apart."""
    try:
        # utf-8-sig leaves out the mark that some editors put first.
        whole = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is no plain text in UTF-8 (see byte {error.start}): save it as plain text, encoding UTF-8"
        ) from None
    if not whole.strip():
        raise ValueError(f"{path} is empty: put text in it, at least {LEAST_BYTES:,} bytes")
    paragraphs = [body for _, body in _documents(("", paragraph) for paragraph in _paragraphs(whole))]
    n_bytes = sum(len(paragraph.encode()) for paragraph in paragraphs)
    if n_bytes < LEAST_BYTES:
        raise ValueError(
            f"{path} holds {n_bytes:,} bytes of text, repeated paragraphs counted once, which is too short to train on "
            f"and to hold some out: give at least {LEAST_BYTES:,} bytes"
        )
    bodies = _packed(paragraphs, min(DOCUMENT_BYTES, n_bytes // OWN_HELD_OUT_OF))
    return {f"{path.name}/{number}": body for number, body in enumerate(bodies, 1)}


def _paragraphs(whole: str) -> Iterator[str]:
    """What stands between blank lines, none of it longer than a document is meant to be."""
    for paragraph in re.split(r"\n\s*\n", whole):
        start = 0
        while start < len(paragraph):
            piece = paragraph[start : start + DOCUMENT_BYTES].encode()[:DOCUMENT_BYTES].decode(errors="ignore")
            end = start + len(piece)
            if end < len(paragraph):
                end = paragraph.rfind("\n", start, end) + 1 or paragraph.rfind(" ", start, end) + 1 or end
            yield paragraph[start:end]
            start = end


def _packed(paragraphs: Iterable[str], least_bytes: int) -> Iterator[str]:
    """Paragraphs in a row joined to documents of at least `least_bytes`, but for the last, which may be shorter."""
    document: list[str] = []
    for paragraph in paragraphs:
        document.append(paragraph)
        if sum(len(part.encode()) for part in document) >= least_bytes:
            yield "\n\n".join(document)
            document = []
    if document:
        yield "\n\n".join(document)
