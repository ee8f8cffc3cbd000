"""Files that are whole or not there, also after a power cut."""

from __future__ import annotations

import os
from pathlib import Path


def write_whole(path: Path, data: bytes) -> Path:
    """Write a file that is either whole or not there, also after a power cut."""
    make_folders(path.parent)
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)
    return path


def move(path: Path, to: Path) -> None:
    """Move a file within a file system so that it is at one of the two places, also after a power cut."""
    make_folders(to.parent)
    os.replace(path, to)
    sync_folder(to.parent)
    sync_folder(path.parent)


def make_folders(folder: Path) -> None:
    """Make a folder and those above it, and have the disk keep them. Others see nothing; the group, by the umask."""
    missing = [folder, *folder.parents]
    missing = missing[: next(n for n, path in enumerate(missing) if path.exists())]
    for path in reversed(missing):
        path.mkdir(mode=0o770, exist_ok=True)
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Have the disk keep the names in a folder."""
    sync_file(folder)


def sync_file(path: Path) -> None:
    """Have the disk keep the content of a file."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
