"""Execute chapters side by side, into the cache from which the build takes them.

The build itself executes one page after another. What fails here it executes again and reports with the page's name.
"""

import logging
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml
from jupyter_cache import get_cache
from jupyter_cache.executors import load_executor
from myst_nb.core.read import myst_nb_reader_plugin
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parents[1]
BOOK = ROOT / "book"
READER = {"name": "myst_nb_md", "type": "plugin"}
# One thread: sums come out in the same order on every machine.
ENVIRONMENT = {"PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1"}


def contents() -> list[str]:
    """The names of the book's pages, in the order of its table of contents."""
    toc = yaml.safe_load((BOOK / "_toc.yml").read_text(encoding="utf-8"))
    parts = [chapter["file"] for part in toc.get("parts", ()) for chapter in part["chapters"]]
    return [toc["root"], *parts]


def chapters() -> list[str]:
    """The names of the pages that carry code, in order."""
    pages = {name: BOOK / f"{name}.md" for name in contents()}
    return [name for name, path in pages.items() if path.exists() and "{code-cell}" in path.read_text(encoding="utf-8")]


def page_notebook(name: str) -> NotebookNode:
    """A page as the notebook that is executed."""
    return myst_nb_reader_plugin(str(BOOK / f"{name}.md"))


def execute(cache: Path, pages: Sequence[str] = ()) -> None:
    """Execute those of `pages`, or of all chapters, that `cache` does not hold, as many at a time as there are cores.

    In a process of its own, since the kernels inherit its environment, and its stderr, on which each warns that it
    listens to this machine.
    """
    command = [sys.executable, "-m", "book.execute", str(cache), *pages]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | ENVIRONMENT, stderr=subprocess.PIPE, text=True)
    if done.returncode:  # the build executes all pages then, one after another
        print(done.stderr, file=sys.stderr)


def main(folder: str, *pages: str) -> None:
    """What `execute` runs."""
    cache = get_cache(folder)
    records = [cache.add_nb_to_project(str(BOOK / f"{name}.md"), read_data=READER).pk for name in pages or chapters()]
    missing = cache.list_unexecuted(filter_pks=records)
    if not missing:
        return
    names = ", ".join(Path(record.uri).stem for record in missing)
    print(f"Executing {names}: {os.cpu_count()} at a time ...", flush=True)
    quiet = logging.getLogger(__name__)
    quiet.setLevel(logging.CRITICAL)  # the build reports what fails
    timeout = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["execute"]["timeout"]
    result = load_executor("local-parallel", cache, quiet).run_and_cache(filter_pks=records, timeout=timeout)
    for page in result.excepted + result.errored:
        print(f"{Path(page).stem} failed or took too long: the build tries again and says why.", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
