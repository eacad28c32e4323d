"""System users made for a test, and what it takes to run the course in their names."""

import contextlib
import grp
import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may make system users and act in their names")


@contextlib.contextmanager
def users(homes: Path, groups: Mapping[str, Sequence[str]]) -> Iterator[None]:
    """The users of each group, with a home in `homes`, and the groups, for as long as a block runs.

    Users of these names that a killed run has left are made anew.
    """
    names = [name for members in groups.values() for name in members]
    new_groups = [name for name in groups if name not in {group.gr_name for group in grp.getgrall()}]
    _remove(names)
    try:
        for name in new_groups:
            subprocess.run(["groupadd", name], check=True)
        for group, members in groups.items():
            for name in members:
                home = homes / name
                command = ["useradd", "--create-home", "--home-dir", str(home), "--groups", group, name]
                subprocess.run([*command, "--shell", "/bin/bash"], check=True)
                home.chmod(0o700)
        yield
    finally:
        _remove(names)
        for name in new_groups:
            subprocess.run(["groupdel", name], check=False, capture_output=True)


def _remove(names: Sequence[str]) -> None:
    """Remove the users that there are; one whose processes run stays."""
    for name in names:
        subprocess.run(["userdel", name], check=False, capture_output=True)


def in_the_name_of(name: str, **environment: str) -> dict[str, Any]:
    """What makes a process that user's: id, group, home, and nothing else of this process's environment."""
    user = pwd.getpwnam(name)
    return {
        "user": user.pw_uid,
        "group": user.pw_gid,
        "extra_groups": [],
        "env": {"HOME": user.pw_dir, "USER": name, "PATH": "/usr/bin:/bin", **environment},
    }


def run_as(name: str, command: list[str], cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command as a system user."""
    options = in_the_name_of(name, **environment)
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, **options)


def everybody_can_read(path: Path) -> bool:
    """Whether other users reach this file: every folder above it lets them pass."""
    return all(folder.stat().st_mode & 0o001 for folder in path.resolve().parents)


def shared_python(folder: Path) -> Path:
    """A Python that all users can run and that has what the course needs (step 1 of the README).

    Where this one lies under somebody's home, a system Python of the same version gets an environment at `folder` that
    finds the packages of this one.
    """
    site = Path(next(path for path in sys.path if path.endswith("site-packages")))
    if everybody_can_read(Path(sys.executable)):
        return Path(sys.executable)
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    system = shutil.which(version, path="/usr/bin:/usr/local/bin")
    if system is None or not everybody_can_read(site):
        pytest.skip(f"other users can run neither {sys.executable} nor a {version} in /usr/bin with its packages")
    subprocess.run([system, "-m", "venv", "--without-pip", str(folder)], check=True)
    (folder / "lib" / version / "site-packages" / "course.pth").write_text(
        f"import site; site.addsitedir({str(site)!r})\n"
    )
    for name in ("share/jupyter", "etc/jupyter"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).symlink_to(Path(sys.prefix) / name)
    python = folder / "bin" / "python"
    for name in ("alembic", "configurable-http-proxy"):
        (entry,) = entry_points(group="console_scripts", name=name)
        script = folder / "bin" / name
        script.write_text(f"#!{python}\nfrom {entry.module} import {entry.attr}\n{entry.attr}()\n")
        script.chmod(0o755)
    return python
