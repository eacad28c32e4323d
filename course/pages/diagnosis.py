"""How well visible tests diagnose: what a student reads first of each known mistake, and whether it tells them apart.

    python -m course.pages.diagnosis          # every topic; writes bench/diagnosis.md
    python -m course.pages.diagnosis gpt      # one, with the messages that several mistakes share

A wrong answer of the bank is seen when a visible test fails. It is diagnosed when no wrong answer to the same exercise
that has another label draws the same first message, where every number, value and piece of quoted code counts as the
same: else figures alone would make every message differ. Both ways to read it count: the notebook shows all of it,
`labkit.check` its first lines. What was played is the record of mistakes, so nothing is played here.
"""

import argparse
import re
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from course import ROOT, CourseError
from course.assemble.assembler import Assembler
from course.assemble.source import assignments
from course.banks.bank import bank
from course.judging.verdict import Failure
from course.pages.mistakes import bank_of, read_record, tests_of
from labkit.files import write_whole
from labkit.notebook import first_lines

BAR = 0.8
"""The share of a topic's wrong answers that are diagnosed, at least."""

_QUOTED = r"`[^`\n]*`|\"[^\"\n]*\"|(?<!\w)b?'[^'\n]*'(?!\w)"
_BRACKETS = r"\[[^\[\]\n]*\]|\{[^{}\n]*\}|\([^()\n]*\d[^()\n]*\)"
_NUMBER = r"[-+]?(?<![A-Za-z_])\d[\d_,]*(?:\.\d+)?(?:e[-+]?\d+)?%?|\b(?:inf|nan|None|True|False)\b"


def masked(message: str) -> str:
    """A message with a gap for every number, value and piece of quoted code."""
    text = re.sub(r"(?m)^It arose in .*$", "It arose in your code", message)
    text = re.sub(_QUOTED, "_", text)
    before = ""
    while before != text:
        before, text = text, re.sub(_BRACKETS, "_", text)
    return re.sub(r"_(?:(?:, | and |\s)_)+", "_", re.sub(_NUMBER, "_", text))


@dataclass(frozen=True)
class Seen:
    """What a student reads first of a wrong answer: the whole message, and what `labkit.check` shows of it."""

    exercise: str
    label: str
    message: str | None
    """None where no visible test fails."""

    @property
    def readings(self) -> tuple[str, str] | None:
        return None if self.message is None else (masked(self.message), masked("\n".join(first_lines(self.message))))


def first_failure(failures: Mapping[str, Failure], order: Iterable[str]) -> Failure | None:
    """The first visible failure, test cells taken in `order`."""
    return next((failures[test] for test in order if test in failures and not failures[test].hidden), None)


def seen(root: Path, name: str) -> list[Seen]:
    """What the record says of each wrong answer of a topic that is not fitted to the visible inputs."""
    fitted = {(answer.exercise, answer.label) for answer in bank("wrong", name) if answer.fitted}
    order = list(tests_of(Assembler(name, root).build(), private=False))
    found = []
    for mistake in read_record(root, name):
        if (mistake.exercise, mistake.label) not in fitted:
            failure = first_failure(mistake.outcomes[0], order)  # visible tests know no seed
            found.append(Seen(mistake.exercise, mistake.label, failure.message if failure else None))
    return found


def shared(found: Iterable[Seen]) -> dict[tuple[str, str], list[Seen]]:
    """`{(exercise, masked message): the mistakes that draw it}`, where several do, either way it is read."""
    groups: dict[tuple[str, str], dict[str, Seen]] = {}
    for one in found:
        for reading in set(one.readings or ()):
            groups.setdefault((one.exercise, reading), {})[one.label] = one
    return {key: list(group.values()) for key, group in groups.items() if len(group) > 1}


def diagnosed(found: list[Seen]) -> list[Seen]:
    """The mistakes whose first message nothing else draws."""
    alike = {(one.exercise, one.label) for group in shared(found).values() for one in group}
    return [one for one in found if one.message is not None and (one.exercise, one.label) not in alike]


def page(root: Path, names: Iterable[str]) -> str:
    """The figures of topics, as a page."""
    rows = []
    for name in names:
        found = seen(root, name)
        unseen = sum(one.message is None for one in found)
        share = len(diagnosed(found)) / len(found)
        rows.append(f"| {name} | {len(found)} | {len(found) - unseen} | {len(diagnosed(found))} | {share:.0%} |")
    head = ["| topic | wrong answers | seen by visible tests | diagnosed | share |", "| --- | --: | --: | --: | --: |"]
    text = (
        "# What visible tests say of known mistakes\n\n"
        "Written by `make mistakes` from the records of what tests say of the banks' wrong answers, but for those\n"
        "that are fitted to the visible inputs. One is diagnosed when no other to the same exercise draws the same\n"
        "first message, with every number, value and piece of quoted code taken for the same.\n\n"
    )
    return text + "\n".join([*head, *rows]) + "\n"


def report(root: Path, name: str) -> str:
    """What is left to do for a topic: mistakes that no visible test sees, and messages that several draw."""
    found = seen(root, name)
    lines = [f"{name}: {len(diagnosed(found))} of {len(found)} wrong answers are diagnosed"]
    lines += [f"  unseen: {one.exercise}: {one.label}" for one in found if one.message is None]
    for (exercise, message), group in shared(found).items():
        lines.append(f"  {len(group)} in {exercise} read: {message!r}")
        lines += [f"      {one.label}" for one in group]
    counts = Counter(one.exercise for one in found if one not in diagnosed(found))
    return "\n".join([*lines, "  left, by exercise: " + ", ".join(f"{e} {n}" for e, n in counts.most_common())])


def main() -> None:
    """Run the command; a mistake of the person who typed it ends in one sentence."""
    parser = argparse.ArgumentParser(
        prog="python -m course.pages.diagnosis", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("topics", nargs="*", help="all, where none is named")
    names = parser.parse_args().topics
    try:
        for name in names:
            bank_of(ROOT, name)
            print(report(ROOT, name))
    except CourseError as refusal:
        sys.exit(str(refusal))
    write_whole(ROOT / "bench" / "diagnosis.md", page(ROOT, assignments()).encode())
    print((ROOT / "bench" / "diagnosis.md").read_text())


if __name__ == "__main__":
    main()
