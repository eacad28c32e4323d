"""What tests that judge an effect measure over 20 seeds: `python -m bench.effects` writes bench/effects.md.

A bench that measures such an effect notes it in `bench/records/<its name>.json`, from which the page is made. The
title, the text and the bars of a record are written by hand; its figures, their date and the digest of what they were
measured on by `note`.
"""

import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from datetime import date
from importlib.metadata import version
from pathlib import Path

from course import ROOT
from course.banks.mutants import NOT_REACHED
from course.reach import PACKAGES, Reach, bare, without_docstrings
from labkit.files import write_whole
from tests.support.proofs import digest_of, pins

RECORDS = Path(__file__).parent / "records"
PAGE = Path(__file__).parent / "effects.md"
SEEDS = 20
HEADING = """\
# Effects that tests judge, and their spread

A test that trains a model asks for less than the least of 20 seeds gave, and for more than the same test gives when the
effect is missing; both by at least four standard deviations. This page is made from the records in `bench/records/`,
which the benches write: `python -m bench.effects`.
"""
COLUMNS = ("effect", "bar", "mean", "standard deviation", "least", "most", "deviations from the bar")


def note(name: str, measured: Mapping[str, Sequence[float]]) -> None:
    """Put new figures of a full run into the record of a bench, and write the page.

    measured: for each row of the record, what each seed gave.

    Raises:
        ValueError: a row has no place in the record, or was not measured over 20 seeds.
    """
    path = RECORDS / f"{name}.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    rows = {row["effect"]: row for row in record["rows"]}
    for effect, values in measured.items():
        if effect not in rows or len(values) != SEEDS:
            known = f"{path.name} has rows of {SEEDS} seeds: {', '.join(rows)}"
            raise ValueError(f"{effect!r} was measured over {len(values)} seeds, and {known}")
        rows[effect] |= figures(values, rows[effect])
    made_on = "{}.{}, torch {}, one thread".format(*sys.version_info[:2], version("torch"))
    record |= {"date": date.today().isoformat(), "python": made_on, "digest": digest(name)}
    write_whole(path, (json.dumps(record, indent=2, ensure_ascii=False) + "\n").encode())
    write_page()


def digest(name: str) -> str:
    """Of what a bench's figures depend on: its code, what of the house that reaches, the checkpoints and the pins.

    Docstrings have no part in it: those of answers are the text of their exercises.
    """
    code = (ROOT / "bench" / f"{name}.py").read_text(encoding="utf-8")
    definitions = Reach(ROOT, PACKAGES, NOT_REACHED).of([code])
    return digest_of([*map(bare, map(without_docstrings, [code, *definitions])), *pins()])


def figures(values: Sequence[float], row: Mapping) -> dict[str, str]:
    """The figures of a row, with as many decimals as it has; how far the nearest bar is, in standard deviations."""
    decimals = len(row["mean"].partition(".")[2])
    mean, deviation = statistics.mean(values), statistics.stdev(values)
    found = {"mean": mean, "standard deviation": deviation, "least": min(values), "most": max(values)}
    away = min((abs(mean - bar) / deviation for bar in row["bars"]), default=None)
    return {name: f"{figure:.{decimals}f}" for name, figure in found.items()} | (
        {} if away is None else {"deviations from the bar": f"{away:.1f}"}
    )


def page() -> str:
    """The page that the records make, a section for each in the order of their names."""
    sections = [HEADING]
    for path in sorted(RECORDS.glob("*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        made = f"Made by `{record['command']}`, {record['date']} (Python {record['python']})."
        table = [COLUMNS, ["---"] * len(COLUMNS)]
        for row in record["rows"]:
            bar = " to ".join(map(str, row["bars"]))
            table.append([f"{row['side']} {bar}".strip() if name == "bar" else row.get(name, "") for name in COLUMNS])
        lines = [f"| {' | '.join(cells)} |".replace("  ", " ") for cells in table]
        title = f"## {path.stem}: {record['title']}"
        sections.append("\n\n".join([title, *record["text"], made, "\n".join(lines)]) + "\n")
    return "\n".join(sections)


def write_page() -> None:
    """Write bench/effects.md."""
    write_whole(PAGE, page().encode())


if __name__ == "__main__":
    write_page()
