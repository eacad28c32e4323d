"""The package as Colab and Binder install it: built into a wheel, away from the repository, and whole."""

import json
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from course import ROOT
from tests.support.controls import CONTROLS

PACKAGES = ("labkit", "solutions")
IMPORT_ALL = """
import importlib, json, pkgutil, sys
sys.path[:0] = sys.argv[1:]
names = []
for package in ("labkit", "solutions"):
    names.append(package)
    names += [each.name for each in pkgutil.walk_packages(importlib.import_module(package).__path__, package + ".")]
print(json.dumps({name: importlib.import_module(name).__file__ for name in names}))
"""
SHOW_CONTROLS = """
import importlib, sys
count, *rest = sys.argv[1:]
sys.path[:0] = rest[int(count):]
for name in rest[:int(count)]:
    module, _, control = name.rpartition(".")
    control = getattr(importlib.import_module(module), control)
    print(name, "export default" in str(control._esm), ".lk {" in str(control._css))
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy as building leaves files behind, and installed into a folder of its own."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    for package in PACKAGES:
        shutil.copytree(ROOT / package, source / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", "LICENSE-TEXT"):
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    offline = ["--no-deps", "--no-index"]
    build = [*pip, "wheel", *offline, "--no-build-isolation", "--wheel-dir", str(folder), str(source)]
    subprocess.run(build, check=True, cwd=folder)
    (wheel,) = folder.glob("*.whl")
    target = folder / "target"
    subprocess.run([*pip, "install", *offline, "--target", str(target), str(wheel)], check=True, cwd=folder)
    return target


def run(code: str, installed: Path, *arguments: str) -> str:
    """Run `code` where only the installed package and its dependencies are seen.

    Without the site module, whose .pth files lead to the repository, and without the current folder.
    """
    dependencies = dict.fromkeys((sysconfig.get_path("purelib"), sysconfig.get_path("platlib")))
    command = [sys.executable, "-I", "-S", "-c", code, *arguments, str(installed), *dependencies]
    return subprocess.run(command, check=True, capture_output=True, text=True, cwd=installed.parent).stdout


def files(folder: Path) -> set[str]:
    return {
        path.relative_to(folder).as_posix()
        for package in PACKAGES
        for path in (folder / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_wheel_holds_every_file(installed: Path) -> None:
    assert files(installed) == files(ROOT)


def test_every_module_is_imported_from_it(installed: Path) -> None:
    found = json.loads(run(IMPORT_ALL, installed))
    assert all(Path(path).is_relative_to(installed) for path in found.values())
    modules = (path for path in files(ROOT) if path.endswith(".py"))
    assert set(found) == {name.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for name in modules}


def test_every_control_brings_its_script_and_its_style(installed: Path) -> None:
    names = [f"{control.__module__}.{control.__name__}" for control in CONTROLS]
    shown = run(SHOW_CONTROLS, installed, str(len(names)), *names)
    assert shown.splitlines() == [f"{name} True True" for name in names]
