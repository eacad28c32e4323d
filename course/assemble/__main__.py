"""`python -m course.assemble`: assemble the assignments, and with --release write the students' notebooks."""

import argparse
import sys
from pathlib import Path

from course import ROOT
from course.assemble.assembler import Assembler, assemble
from course.assemble.errors import AssemblyError
from course.assemble.release import release
from course.assemble.source import assignments


def main(arguments: list[str] | None = None, root: Path = ROOT) -> int:
    """Assemble the named assignments, or all; with --release, write the students' notebooks too."""
    parser = argparse.ArgumentParser(prog="python -m course.assemble", description=main.__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help="assignments; all when none is named")
    parser.add_argument("--release", action="store_true", help="write exercises/ as well, through nbgrader")
    options = parser.parse_args(arguments)
    try:
        for name in options.names or assignments(root):
            notebook = assemble(name, root)
            if options.release:
                release(name, Assembler(name, root).build(), root / "exercises" / name / f"{name}.ipynb")
            course = notebook.metadata.course
            print(f"{name}: {course.exercises} exercises, {course.points} points")
    except AssemblyError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
