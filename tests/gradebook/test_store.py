"""What grading keeps on disk: whole or absent, and made again when it was damaged."""

import os
import stat
from pathlib import Path

import pytest

from course.gradebook.store import Change, Damaged, Finished, Record, Store, grading_seed, secret, stamp_of, write_whole
from course.judging.submission import receive
from tests.support.toy_course import judged, load, source, submit, toy, write_source

KEY = ("toy", "ann", "d" * 64, "v" * 64)
RECORD = Record("d", "v", "s", {"test-double": 3.0}, 1.5, ["a remark"], "2026-11-21T10:00:00+00:00")


@pytest.fixture
def finished(tmp_path: Path) -> Finished:
    write_source(tmp_path, source())
    folder = submit(tmp_path, "ann", toy())
    received = receive(folder, source(), "toy")
    return Finished(judged(received, load(tmp_path)), ["Your notebook lacks a cell."], {"data/a.txt": b"\x00\xff"})


def test_a_judgement_comes_back_as_it_was(tmp_path: Path, finished: Finished) -> None:
    store = Store(tmp_path)
    assert store.get(*KEY) is None
    store.put(*KEY, finished)
    assert Store(tmp_path).get(*KEY) == finished
    assert store.get("toy", "bob", *KEY[2:]) is None
    assert store.get(*KEY[:3], "another version") is None


@pytest.mark.parametrize("damage", [lambda data: data[: len(data) // 2], lambda data: b"", lambda data: b"{}" * 99])
def test_a_damaged_judgement_is_named(tmp_path: Path, finished: Finished, damage) -> None:
    store = Store(tmp_path)
    store.put(*KEY, finished)
    (path,) = store.folder("toy", "ann").glob("*/*.json.gz")
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(Damaged, match="was damaged"):
        store.get(*KEY)
    store.put(*KEY, finished)
    assert store.get(*KEY) == finished


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_whole(path, b"old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_whole(path, b"new")
    assert [p.name for p in path.parent.iterdir()] == ["file"]
    assert path.read_bytes() == b"old"


def test_a_submission_is_kept_as_it_came(tmp_path: Path) -> None:
    folder = submit(tmp_path, "ann", "not even a notebook", time="2026-11-20 10:00:00 UTC")
    (folder / "data").mkdir()
    (folder / "data" / "räume.txt").write_bytes(b"\x00")
    (folder / "link").symlink_to("/etc/passwd")
    os.mkfifo(folder / "pipe")
    store = Store(tmp_path)
    store.archive("toy", "ann", "digest", folder)
    (folder / "toy.ipynb").write_text("changed afterwards")
    store.archive("toy", "ann", "digest", folder)
    to = tmp_path / "restored"
    store.restore("toy", "ann", "digest", to)
    assert sorted(str(p.relative_to(to)) for p in to.rglob("*") if p.is_file()) == [
        "data/räume.txt",
        "timestamp.txt",
        "toy.ipynb",
    ]
    assert (to / "toy.ipynb").read_text() == "not even a notebook"
    assert store.archived("toy", "ann") == ["digest"]
    assert store.timestamp("toy", "ann", "digest") == b"2026-11-20 10:00:00 UTC"
    with pytest.raises(Damaged):
        store.restore("toy", "ann", "no such digest", tmp_path / "other")


def test_an_archive_leaves_out_what_is_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("course.gradebook.store.MAX_ARCHIVE", 1000)
    folder = submit(tmp_path, "ann", "x" * 600)
    (folder / "a-large-file.bin").write_bytes(b"y" * 600)
    store = Store(tmp_path)
    store.archive("toy", "ann", "digest", folder)
    store.restore("toy", "ann", "digest", tmp_path / "restored")
    assert [p.name for p in (tmp_path / "restored").iterdir()] == ["toy.ipynb"]


def test_the_record_and_the_trail(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert store.records("toy") == {}
    assert list(store.changes()) == []
    change = Change("2026-11-21", "ann", "bob", "toy", "test-double", None, 3.0, "new submission")
    store.note("toy", "bob", RECORD, [change])
    store.note("toy", "zoe", RECORD, [])
    assert store.records("toy") == {"bob": RECORD, "zoe": RECORD}
    with store.audit.open("a") as file:
        file.write('{"time": "2026')  # a power cut
    assert list(store.changes()) == [change]
    store.append([change, change])
    store.append([change])
    assert list(store.changes()) == [change] * 4
    (store.folder("toy", "bob") / "record.json").write_text("{")
    assert store.records("toy") == {"zoe": RECORD}


def test_the_stamp_changes_with_the_files(tmp_path: Path) -> None:
    folder = submit(tmp_path, "ann", toy())
    before = stamp_of(folder)
    assert stamp_of(folder) == before
    submit(tmp_path, "ann", toy("return 0"))
    after = stamp_of(folder)
    assert after != before
    (folder / "more.txt").touch()
    assert stamp_of(folder) != after


def test_the_seed_needs_the_secret(tmp_path: Path) -> None:
    one, two = (secret(tmp_path / name) for name in "ab")
    assert secret(tmp_path / "a") == one
    assert stat.S_IMODE((tmp_path / "a" / "secret").stat().st_mode) == 0o600
    assert grading_seed("digest", one) == grading_seed("digest", one)
    assert len({grading_seed("digest", one), grading_seed("digest", two), grading_seed("other", one)}) == 3
