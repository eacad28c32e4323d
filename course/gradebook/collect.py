"""nbgrader's collect, with what a class server needs: only what a student made counts, and no link is followed."""

import shutil
from datetime import datetime
from pathlib import Path
from typing import Any

from nbgrader.exchange.default import ExchangeCollect
from nbgrader.utils import ignore_patterns


class CollectOwned(ExchangeCollect):
    """nbgrader's collect, which only warns of a submission made in another student's name; this one leaves it out.

    It does so where `check_owner` is set, that is where every student is an operating-system user of their own. In any
    case it copies no symbolic link: one could point at whatever the instructor may read, such as the solutions. And a
    folder with a name that is no submission's stops nobody else's from being collected.
    """

    src_records: list[dict[str, Any]]

    def init_src(self) -> None:
        super().init_src()
        self.src_records = [record for record in self.src_records if record["username"] and self._is_own(record)]

    def _path_to_record(self, path: str) -> dict[str, Any]:
        try:
            record: dict[str, Any] = super()._path_to_record(path)
        except ValueError:
            self.log.error("Left out %s: its name is not that of a submission.", path)
            record = {"username": "", "filename": Path(path).name, "timestamp": datetime.min}
        return record

    def _sort_by_timestamp(self, records: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The newest first; what somebody else made counts only where there is nothing of the student's own."""
        own = [record for record in records if self._is_own(record)]
        newest_first: list[dict[str, Any]] = super()._sort_by_timestamp(own or records)
        return newest_first

    def _is_own(self, record: dict[str, Any]) -> bool:
        import pwd  # absent on Windows, where there is no exchange either

        path = Path(self.inbound_path, record["filename"])
        if not self.check_owner:
            return not path.is_symlink()
        try:
            owner = pwd.getpwuid(path.lstat().st_uid).pw_name
        except KeyError:
            owner = "nobody known"
        if owner != record["username"] or path.is_symlink():
            self.log.error("Left out %s: it is in the name of %s but made by %s.", path, record["username"], owner)
            return False
        return True

    def do_copy(self, src: str, dest: str, log: Any = None) -> None:
        if self.get_size(src) > 1000 * self.coursedir.max_dir_size:
            raise RuntimeError(f"{src} is larger than {self.coursedir.max_dir_size} kB.")
        ignore = ignore_patterns(
            exclude=self.coursedir.ignore,
            include=self.coursedir.include,
            max_file_size=self.coursedir.max_file_size,
            log=self.log,
        )
        shutil.copytree(src, dest, symlinks=True, ignore=ignore)
        for path in Path(dest).rglob("*"):
            if path.is_symlink():
                self.log.error("Left out %s: it is a symbolic link.", path)
                path.unlink()
