"""Cells that run a student's answers to show something, and what they say where an answer is not written yet."""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def unless_blank() -> Iterator[None]:
    """Run what is inside; where that calls an answer that is still blank, say in a sentence what to write first.

    The same where it uses a name that an earlier cell has yet to make. A name that is missing inside an answer is a
    mistake of the student's, and is raised.
    """
    try:
        yield
    except NameError as error:
        _, _, *deeper = traceback.walk_tb(error.__traceback__)
        if deeper:
            raise
        print(f"`{error.name}` is not there yet: an earlier cell makes it. Run the cells above, then this cell again.")
    except NotImplementedError as error:
        if str(error):  # not the bare one that a blank answer raises
            raise
        *_, (frame, _) = traceback.walk_tb(error.__traceback__)
        name = frame.f_code.co_qualname
        print(f"`{name}` is not written yet. Write it in its cell above, run that, and then run this cell again.")
