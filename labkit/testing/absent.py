"""What stands where a library is absent while grading, until something uses it."""

from typing import Any, NoReturn


class Absent:
    """A library, or a name imported from one: any use of it raises what its import raised."""

    def __init__(self, message: str):
        self._message = message

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise ModuleNotFoundError(self._message)

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):  # what looks through a namespace asks for such names
            raise AttributeError(name)
        self._refuse()

    __call__ = __getitem__ = __iter__ = __contains__ = __len__ = __bool__ = __enter__ = __or__ = __ror__ = _refuse
    __mro_entries__ = __instancecheck__ = __subclasscheck__ = _refuse
