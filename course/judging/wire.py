"""Dataclasses as JSON, for what is kept on disk and what crosses between processes; bytes and notebooks among it."""

from typing import Any, TypeVar

import msgspec
import nbformat
from nbformat import NotebookNode

T = TypeVar("T")


def encode(value: Any) -> bytes:
    """JSON of dataclasses, containers, text, numbers, bytes (base64) and notebooks."""
    return msgspec.json.encode(value)


def decode(data: bytes | str, cls: type[T]) -> T:
    """What `encode` wrote.

    Raises:
        ValueError: it is no JSON, or not of this class.
    """
    return msgspec.json.decode(data, type=cls, dec_hook=_notebook)


def convert(value: Any, cls: type[T]) -> T:
    """An object of a class from plain containers, as JSON has them.

    Raises:
        ValueError: they do not fit.
    """
    return msgspec.convert(value, cls, dec_hook=_notebook)


def _notebook(cls: type, value: Any) -> Any:
    if cls is NotebookNode:
        return nbformat.from_dict(value)
    raise NotImplementedError(cls)
