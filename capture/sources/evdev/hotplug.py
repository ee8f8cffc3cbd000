"""Which devices have come to a folder. It is listed each second: a few files, and nothing that could be missed."""

from __future__ import annotations

from pathlib import Path

LIST_EVERY_US = 1_000_000

_Identity = tuple[int, int]


class Arrivals:
    """The devices event* of a folder that were not there before, or whose permissions have changed.

    udev makes a device first and lets others read it a moment later: so one that could not be opened comes again once
    its inode has changed, and not before.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[Path, _Identity] = {}

    def new(self) -> list[Path]:
        """The devices that came since the last call, in order of their numbers."""
        there = dict(self._listed())
        new = [path for path, identity in there.items() if self._known.get(path) != identity]
        self._known = there
        return sorted(new, key=lambda path: (len(path.name), path.name))

    def forget(self, path: Path) -> None:
        """A device was lost: if there is one of this name, it is another, and comes again."""
        self._known.pop(path, None)

    def _listed(self) -> list[tuple[Path, _Identity]]:
        listed = []
        for path in self._folder.glob("event*"):
            try:
                status = path.stat()
            except OSError:
                continue  # gone in between
            listed.append((path, (status.st_ino, status.st_ctime_ns)))
        return listed
