"""Cells that run a student's answers to show something, and what they say where an answer is not written yet."""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def unless_blank() -> Iterator[None]:
    """Run what is inside; where that calls an answer that is still blank, say in a sentence what to write first."""
    try:
        yield
    except NotImplementedError as error:
        if str(error):  # not the bare one that a blank answer raises
            raise
        *_, (frame, _) = traceback.walk_tb(error.__traceback__)
        name = frame.f_code.co_qualname
        print(f"`{name}` is not written yet. Write it in its cell above, run that, and then run this cell again.")
