"""nbgrader's collect, with what a class server needs: only what a student made counts, at the time when they made it,
and nothing that one hands in stops the others' from being collected."""

import os
import shutil
import stat
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from nbgrader.exchange.default import ExchangeCollect
from nbgrader.utils import ignore_patterns

from course.gradebook.store import MAX_DEPTH, MAX_TIMESTAMP, below, plain_files, read_plain
from course.gradebook.writer import time_of

CLOCK = timedelta(minutes=5)
"""What handing in may take: the student's own process writes the time down first and copies then."""


class CollectOwned(ExchangeCollect):
    """nbgrader's collect, which only warns of a submission made in another student's name; this one leaves it out.

    It does so where `check_owner` is set, that is where every student is an operating-system user of their own. There
    the system also knows since when each file has been as it is: that time counts where the one that the student's
    process wrote into the folder's name differs from it. The copy's timestamp.txt always says the time that counts.

    Only folders and plain files are copied: a link could point at whatever the instructor may read, such as the
    solutions. Each submission is collected for itself. What is left out is logged as an error, and the grading command
    prints it.
    """

    src_records: list[dict[str, Any]]

    def init_src(self) -> None:
        super().init_src()
        self.src_records = [record for record in self.src_records if record["username"] and self._is_own(record)]

    def _path_to_record(self, path: str) -> dict[str, Any]:
        try:
            record: dict[str, Any] = super()._path_to_record(path)
            moment = unchanged_since(Path(path)) if self.check_owner else record["timestamp"]
        except ValueError:
            self.log.error("Left out %s: its name is not that of a submission.", path)
        except OSError as error:
            self.log.error("Left out %s: it cannot be read (%s).", path, error.strerror)
        else:
            if abs(moment - record["timestamp"]) > CLOCK:
                self.log.error("%s was last changed at %s UTC; that time counts.", path, f"{moment:%Y-%m-%d %H:%M}")
                record["timestamp"] = moment
            return record
        return {"username": "", "filename": Path(path).name, "timestamp": datetime.min}

    def _sort_by_timestamp(self, records: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The newest first; what somebody else made counts only where there is nothing of the student's own."""
        own = [record for record in records if self._is_own(record)]
        newest_first: list[dict[str, Any]] = super()._sort_by_timestamp(own or records)
        return newest_first

    def _is_own(self, record: dict[str, Any]) -> bool:
        path = Path(self.inbound_path, record["filename"])
        if not self.check_owner:
            return not path.is_symlink()
        owner = made_by(path)
        if owner != record["username"] or path.is_symlink():
            self.log.error("Left out %s: it is in the name of %s but made by %s.", path, record["username"], owner)
            return False
        return True

    def copy_files(self) -> None:
        for record in self.src_records:
            self.src_records = [record]
            path = Path(self.inbound_path, record["filename"])
            # Before nbgrader removes what it collected of this student earlier.
            if not path.is_dir():
                self.log.error("Left out %s: it is not a folder.", path)
            elif sum(file.lstat().st_size for file in plain_files(path)) > 1000 * self.coursedir.max_dir_size:
                self.log.error("Left out %s: it is larger than %d MB.", path, self.coursedir.max_dir_size // 1000)
            else:
                try:
                    super().copy_files()
                except OSError as error:
                    self.log.error("Left out %s: it could not be copied (%s).", path, _first_of(error))

    def do_copy(self, src: str, dest: str, log: Any = None) -> None:
        try:
            shutil.copytree(src, dest, symlinks=True, ignore=self._left_out(Path(src)))
            moment = self._path_to_record(src)["timestamp"]
            stamp = Path(dest, "timestamp.txt")
            if time_of(read_plain(stamp, MAX_TIMESTAMP) or b"") != moment:
                draft = Path(dest, ".timestamp")
                draft.write_text(f"{moment:%Y-%m-%d %H:%M:%S.%f} UTC")
                draft.replace(stamp)
        except OSError:
            shutil.rmtree(dest, ignore_errors=True)  # or the next command would take it for collected
            raise

    def _left_out(self, submission: Path) -> Callable[[str, list[str]], list[str]]:
        """For `shutil.copytree`: what of a folder is not copied, by nbgrader's settings and because of what it is."""
        by_settings = ignore_patterns(
            exclude=self.coursedir.ignore,
            include=self.coursedir.include,
            max_file_size=self.coursedir.max_file_size,
            log=self.log,
        )

        def ignore(folder: str, names: list[str]) -> list[str]:
            ignored = set(by_settings(folder, names))
            for name in names:
                path = Path(folder, name)
                if name not in ignored and (reason := _unfit(path, submission)):
                    self.log.error("Left out %s: it %s.", path, reason)
                    ignored.add(name)
            return sorted(ignored)

        return ignore


def made_by(path: Path) -> str:
    """The user whose file or folder it is."""
    import pwd  # absent on Windows, where there is no exchange either

    try:
        return pwd.getpwuid(path.lstat().st_uid).pw_name
    except (KeyError, OSError):
        return "nobody known"


def _unfit(path: Path, submission: Path) -> str | None:
    """Why something in a submission cannot be copied."""
    try:
        mode = path.lstat().st_mode
    except OSError:
        return "cannot be read"
    if stat.S_ISLNK(mode):
        return "is a symbolic link"
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        return "is a pipe, a socket or a device"
    if stat.S_ISDIR(mode) and len(path.relative_to(submission).parts) > MAX_DEPTH:
        return f"lies in {MAX_DEPTH} folders, one in another"
    return None if os.access(path, os.R_OK | (os.X_OK if stat.S_ISDIR(mode) else 0)) else "cannot be read"


def _first_of(error: OSError) -> str:
    """What `copytree` says first: it goes on after an error and raises all of them at the end."""
    return str(error.args[0][0][2]) if isinstance(error, shutil.Error) and error.args[0] else str(error)


def unchanged_since(submission: Path) -> datetime:
    """Since when a submission has been as it is, in UTC without a zone as nbgrader's times are.

    It is the latest change of status (ctime) of the folder and all that lies in it, which the system keeps and no user
    can set.
    """
    changed = [submission.lstat().st_ctime, *(status.st_ctime for _, status in below(submission))]
    return datetime.fromtimestamp(max(changed), UTC).replace(tzinfo=None)
