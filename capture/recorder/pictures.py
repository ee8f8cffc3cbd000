"""The pictures of a recording in progress, beside its journals: one file each, by the key that its source gave it.

They stay until the recording is over and sealed, since a screen that comes back costs no new picture. A file is one
line of JSON (hash, dhash, width, height) and the encoded picture.
"""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from taskreel.capture.disk import sync_file
from taskreel.capture.sources.protocol import Picture
from taskreel.io.kinds import picture_hash


@dataclass(frozen=True)
class StoredPicture:
    """A picture and what the event table says of one."""

    hash: str
    dhash: int
    width_px: int
    height_px: int
    data: bytes


class PictureFolder:
    """The folder of a recording's pictures."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._unsynced: deque[Path] = deque()

    def write(self, key: str, picture: Picture) -> int:
        """Keep a picture; one that is there already stays as it is. Returns the bytes that it took.

        A power cut before the next `sync` loses it: its hash says so, and its events become gaps.
        """
        path = self._path(key)
        if path.exists():
            return 0
        facts = [picture_hash(picture.data), picture.dhash, picture.width_px, picture.height_px]
        self._folder.mkdir(mode=0o700, exist_ok=True)
        temporary = path.with_suffix(".tmp")
        try:
            temporary.write_bytes(json.dumps(facts).encode() + b"\n" + picture.data)
            temporary.replace(path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        self._unsynced.append(path)
        return len(picture.data)

    def sync(self) -> None:
        """Have the disk keep what was written. From another thread: events do not wait for it."""
        while self._unsynced:
            sync_file(self._unsynced.popleft())

    def has(self, key: str) -> bool:
        """Whether a picture is there."""
        return self._path(key).exists()

    def read(self, key: str) -> StoredPicture | None:
        """A picture; None if it is not there or is not what was written."""
        try:
            line, _, data = self._path(key).read_bytes().partition(b"\n")
            hash_, dhash, width_px, height_px = json.loads(line)
            picture = StoredPicture(hash_, dhash, width_px, height_px, data)
        except (FileNotFoundError, ValueError, TypeError):
            return None
        return picture if picture_hash(data) == picture.hash else None

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}.picture"
