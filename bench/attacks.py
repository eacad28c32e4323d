"""The attacks of tests/attacks through plain nbgrader and through ours: `python -m bench.attacks`.

Plain nbgrader runs with its own settings, one submission at a time in a process of its own that is ended after
three minutes. What would reach beyond its folder there, or take the whole machine, is not tried with it. The table
goes to bench/attacks.md.
"""

import argparse
import contextlib
import multiprocessing
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
from nbgrader.api import MissingEntry
from nbgrader.apps.api import NbGraderAPI
from rich.progress import track
from traitlets.config import Config

from course.assemble.assembler import assemble
from course.judging.assignment import Assignment
from course.judging.grader import ONE_THREAD, cores
from course.judging.lanes import judge_many
from course.judging.submission import receive
from tests.attacks import POINTS, ROOT, leaving, reading
from tests.attacks.attack import Attack
from tests.attacks.corpus import ATTACKS, HONEST

RESULT = Path(__file__).parent / "attacks.md"
LONGEST = 180
"""Seconds for one submission in plain nbgrader."""
NOT_TRIED = {attack.name for module in (leaving, reading) for attack in module.ATTACKS} | {
    *("memory", "forks", "threads", "disk", "ignores-signals", "closes-its-sockets", "endless-output"),
    *("gigantic-tensor", "long-exception", "library-on-disk", "library-by-its-binary", "finds-the-solution"),
}
"""What a machine without a sandbox would suffer from."""


def hand_in(folder: Path, attack: Attack) -> Path:
    path = folder / "submitted" / attack.name / "attacked"
    path.mkdir(parents=True)
    attack.hand_in(path)
    return path


# ------------------------------------------------------------------------------------------------------ plain nbgrader


def plain_course(root: Path) -> Config:
    """A course with nbgrader's own settings, the assignment released and nothing submitted."""
    config = Config()
    config.CourseDirectory.root = str(root)
    config.CourseDirectory.db_url = f"sqlite:///{root}/gradebook.db"
    assemble("attacked", ROOT, root / "source" / "attacked" / "attacked.ipynb")
    outcome = NbGraderAPI(config=config).generate_assignment("attacked")
    if not outcome["success"]:
        raise RuntimeError(outcome["log"])
    return config


def _autograde(config: Config, student: str) -> None:
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    outcome = NbGraderAPI(config=config).autograde("attacked", student)
    sys.exit(0 if outcome["success"] else 1)


def plain(config: Config, attack: Attack) -> str:
    """Points in plain nbgrader, or what went wrong."""
    if attack.name in NOT_TRIED:
        return "not tried"
    hand_in(Path(config.CourseDirectory.root), attack)
    process = multiprocessing.get_context("spawn").Process(target=_autograde, args=(config, attack.name))
    process.start()
    process.join(LONGEST)
    if process.exitcode is None:
        for one in [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
        process.join()
        return "does not end"
    if process.exitcode:
        return "fails, no grade"
    with NbGraderAPI(config=config).gradebook as gradebook:
        try:
            grades = gradebook.find_submission("attacked", attack.name).notebooks[0].grades
        except (MissingEntry, IndexError):
            return "no grade"
        if any(grade.auto_score is None for grade in grades):
            return "no grade"
        return f"{sum(grade.auto_score for grade in grades):g}"


# ---------------------------------------------------------------------------------------------------------------- ours


def ours(root: Path, attacks: list[Attack]) -> Mapping[str, int]:
    """Points of each attack, all graded in one batch."""
    for folder in ("course/assignments", "solutions"):
        shutil.copytree(ROOT / folder, root / folder)
    assemble("attacked", root)
    assignment = Assignment.load(root, "attacked")
    jobs = [(a.name, receive(hand_in(root, a), assignment.notebook, "attacked"), 1) for a in attacks]
    return {name: sum(v.earned for v in judged.verdicts) for name, judged in judge_many(assignment, jobs)}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="the attacks through plain nbgrader and through ours")
    parser.add_argument("names", nargs="*", help="only the attacks with these names; nothing is written then")
    names = parser.parse_args(arguments).names
    os.environ.update(ONE_THREAD)
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    attacks = [a for a in [*HONEST, *ATTACKS] if not names or a.name in names]
    with tempfile.TemporaryDirectory() as folder:
        config = plain_course(Path(folder) / "plain")
        with ThreadPoolExecutor(cores()) as pool:
            graded = track(pool.map(lambda a: plain(config, a), attacks), "plain nbgrader", total=len(attacks))
            theirs = dict(zip((a.name for a in attacks), graded, strict=True))
        own = ours(Path(folder) / "ours", attacks)
    rows = ["| attack | tries | earns | plain nbgrader | ours |", "| --- | --- | --- | --- | --- |"]
    for attack in attacks:
        due = sum(attack.earns.values())
        gap = ", a known gap" if attack.unguarded else ""
        rows.append(f"| {attack.name} | {attack.tries} | {due} | {theirs[attack.name]} | {own[attack.name]}{gap} |")
    print("\n".join(rows))
    wrong = {
        "plain nbgrader": sum(theirs[a.name] not in ("not tried", f"{sum(a.earns.values())}") for a in attacks),
        "ours": sum(own[a.name] != sum(a.earns.values()) for a in attacks),
    }
    summary = (
        f"A solved notebook has {sum(POINTS.values())} points. Of {len(attacks)} submissions, plain nbgrader gives "
        f"{wrong['plain nbgrader']} a mark that they do not earn, or none; ours {wrong['ours']}."
    )
    print(summary)
    if not names:
        title, *rest = (__doc__ or "").strip().splitlines()
        RESULT.write_text("\n".join([f"# {title}", *rest, "", summary, "", *rows, ""]), encoding="utf-8")


if __name__ == "__main__":
    main()
