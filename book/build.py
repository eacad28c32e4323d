"""Build the book: `python -m book.build`, from the repository's root.

With SOLUTIONS=1 in the environment every exercise card is followed by the reference code, for those who learn alone.

Fetches third-party scripts if they are missing (book/vendor.py), executes what has changed, the chapters side by side
(book/execute.py), and writes _build/html.
Exits with 1, naming the lines, when the build printed a warning: jupyter-book's own exit code misses some.
"""

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from book.execute import ENVIRONMENT, execute
from book.vendor import VendorError, vendor

ROOT = Path(__file__).resolve().parents[1]
# What a page's numbers depend on besides its own code.
SOURCES = (
    "solutions/**/*.py",
    "labkit/**/*.py",
    "labkit/**/*.js",
    "labkit/**/*.css",
    "labkit/*.mplstyle",
    "labkit/checkpoints/*",
    "requirements.txt",
)
# What Sphinx would not notice a change of.
LOOK = (
    "_config.yml",
    "book/_toc.yml",  # a chapter that comes becomes a link on every page that names it
    "book/_assets/*",
    "book/_ext/*.py",
    "book/_templates/**/*.html",
    "book/_vendor/fingerprint",
)
# Environment variables that the pages depend on (course_site reads them).
SETTINGS = ("COURSE_HUB", "SOLUTIONS")
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
COMPLAINT = re.compile(
    r"\b(WARNING|ERROR|CRITICAL)\b|\w*Error:|^Reason: |Exception occurred|Validation errors in config"
)
# What every kernel says on starting; its sockets are open to this machine only.
KERNEL_NOTE = "[IPKernelApp] WARNING | Kernel is running over TCP without encryption"


def fingerprint(patterns: tuple[str, ...]) -> str:
    """Return a digest of the files that `patterns` name, below the repository's root."""
    digest = hashlib.sha256()
    for pattern in patterns:
        for path in sorted(ROOT.glob(pattern)):
            digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def complaints(log: str) -> list[str]:
    """Return the lines of a build's log that say something is wrong."""
    return [line for line in log.splitlines() if COMPLAINT.search(line) and KERNEL_NOTE not in line]


def forget_what_other_code_made(folder: Path) -> str:
    """Drop the executed notebooks of `folder` if they were made with other code than today's, whose digest is returned.

    The cache knows a page's code but not the code of the packages that it calls.
    """
    code, executed = fingerprint(SOURCES), folder / "executed-with"
    if not (executed.is_file() and executed.read_text() == code):
        shutil.rmtree(folder / ".jupyter_cache", ignore_errors=True)
        executed.write_text(code)
    return code


def build(output: Path, *, fresh: bool = False) -> int:
    """Build into `output`/_build and return the exit code.

    Executed notebooks are kept in `output`/_build/.jupyter_cache.
    """
    folder = output / "_build"
    if fresh:
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    wanted = (
        forget_what_other_code_made(folder)
        + fingerprint(LOOK)
        + "".join(f"\n{name}={os.environ.get(name)}" for name in SETTINGS)
    )
    built = folder / "built-with"
    execute(folder / ".jupyter_cache")
    everything = not (built.is_file() and built.read_text() == wanted)
    built.unlink(missing_ok=True)
    command = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()", "build", "book"]
    command += ["--path-output", str(output), "-W", "-n", "--keep-going", *(["--all"] if everything else [])]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=os.environ | ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
    )
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        line = COLOUR.sub("", line)
        print(line, end="", flush=True)
        lines.append(line)
    status = process.wait()
    log = "".join(lines)
    (folder / "build.log").write_text(log, encoding="utf-8")
    found = complaints(log)
    if found:
        print("\nThe build failed. It said:")
        print("\n".join(f"  {line}" for line in found))
    if status or found:
        return 1
    built.write_text(wanted)
    return 0


def main() -> int:
    """Read the command line, build, and return the exit code."""
    parser = argparse.ArgumentParser(description="Build the book.")
    parser.add_argument("--output", type=Path, default=ROOT, help="where _build goes (default: the repository)")
    parser.add_argument("--fresh", action="store_true", help="execute everything again")
    options = parser.parse_args()
    try:
        vendor()
    except VendorError as error:
        print(f"book: {error}", file=sys.stderr)
        return 1
    return build(options.output.resolve(), fresh=options.fresh)


if __name__ == "__main__":
    sys.exit(main())
