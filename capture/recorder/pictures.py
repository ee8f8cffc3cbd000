"""The pictures of a recording in progress, beside its journals: one file each, by the key that its source gave it.

They stay until the recording is over and sealed, since a screen that comes back costs no new picture. A file is one
line of JSON (hash, dhash, width, height) and the encoded picture.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from taskreel.capture.disk import write_whole
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

    def write(self, key: str, picture: Picture) -> int:
        """Keep a picture; one that is there already stays as it is. Returns the bytes that it took."""
        path = self._path(key)
        if path.exists():
            return 0
        facts = [picture_hash(picture.data), picture.dhash, picture.width_px, picture.height_px]
        write_whole(path, json.dumps(facts).encode() + b"\n" + picture.data)
        return len(picture.data)

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

    def remove(self) -> None:
        """Remove all."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}.picture"
