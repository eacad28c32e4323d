"""What a command prints, on any terminal."""

import io
import sys


def print_everything() -> None:
    """From here on this process prints any text: what the terminal's encoding lacks comes out as a backslash escape."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
