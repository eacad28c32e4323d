"""Benches are found by themselves, and each can be run alone."""

import sys

import pytest

import bench
from bench.__main__ import main

MADE_UP = """
def main(arguments=None):
    print("{name}", arguments)
"""


@pytest.fixture
def two(tmp_path, monkeypatch):
    """A package of two benches and a module that is none, in place of the real ones."""
    for name in ("zeta", "alpha"):
        (tmp_path / f"{name}.py").write_text(MADE_UP.format(name=name))
        monkeypatch.delitem(sys.modules, f"bench.{name}", raising=False)
    (tmp_path / "shared.py").write_text("HELPERS = 1\n")
    monkeypatch.setattr(bench, "__path__", [str(tmp_path)])
    yield
    for name in ("zeta", "alpha", "shared"):
        sys.modules.pop(f"bench.{name}", None)
        bench.__dict__.pop(name, None)


@pytest.mark.usefixtures("two")
def test_every_bench_runs_in_the_order_of_names(capsys):
    assert main([]) == 0
    assert capsys.readouterr().out.splitlines() == ["# alpha", "alpha []", "# zeta", "zeta []"]


@pytest.mark.usefixtures("two")
def test_one_bench_runs_with_its_options(capsys):
    assert main(["zeta", "--seeds", "3"]) == 0
    assert capsys.readouterr().out == "zeta ['--seeds', '3']\n"


@pytest.mark.usefixtures("two")
def test_an_unknown_bench_is_refused(capsys):
    assert main(["gamma"]) == 2
    assert capsys.readouterr().err == "There is no bench gamma: there are alpha, zeta.\n"


def test_a_real_bench_is_found():
    assert "scale" in bench.benches() and "small" not in bench.benches()
