"""The spool: the folder of one device where segments wait until a store has them.

    consent/v1/<id>.json     consent records, also published
    recordings/<recording>/  journals in progress; the recorder's alone
    outbox/segments/v1/…     sealed, not confirmed by a store
    sent/segments/v1/…       confirmed by a store; kept until the room is needed
    conflicts/segments/v1/…  damaged, or another content in the store: for a person, each with a .json that says why
    publisher.lock           one publisher at a time

A segment is in the outbox, in `sent` or in `conflicts`, under the name that its content gives, and always whole: a file
is written under a temporary name, flushed to the disk, and then renamed. So every method may be cut off at any
instruction, by a kill or by the power, and be called again. Recorder and publisher use one spool at the same time.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import stat
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from taskreel.capture.disk import make_folders
from taskreel.io.consent import CONSENT_PREFIX, ConsentRecord
from taskreel.io.names import SEGMENTS_PREFIX, SegmentName, SegmentNameError

OUTBOX, SENT, CONFLICTS, LOCK = "outbox", "sent", "conflicts", "publisher.lock"
_TEMPORARY = ".tmp"


class SpoolBusyError(RuntimeError):
    """Another publisher is at work on the spool; the message names its process."""


class Spool:
    """A spool at a folder. All methods raise `OSError` if the disk fails, and then have lost nothing."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def open(self) -> Self:
        """Make the folder, its owner's alone, and remove what writers that were killed left half-written."""
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        there = self.root.stat()
        if there.st_mode & 0o007 and there.st_uid == os.geteuid():  # it was there before
            self.root.chmod(stat.S_IMODE(there.st_mode) & ~0o007)
        for part in (OUTBOX, CONFLICTS, CONSENT_PREFIX):
            for path in (self.root / part).rglob(f".*{_TEMPORARY}"):
                _remove_if_left(path)
        return self

    # ------------------------------------------------------------------------------------------- what is written

    def seal(self, name: SegmentName, data: bytes) -> Path:
        """Put a segment into the outbox, on the disk for good; where it lies. One that is there or sent is left.

        Raises `ValueError` if the content is not what the name says.
        """
        if not _is_content_of(name, data):
            raise ValueError(f"{name.file}: the content is not of this name")
        for part in (OUTBOX, SENT):  # in this order: the publisher may be moving it
            path = self.path_of(part, name)
            with contextlib.suppress(FileNotFoundError):
                if path.read_bytes() == data:
                    _sync(path)
                    self._sync_folders(path)
                    return path
        return self._write(self.path_of(OUTBOX, name), data)

    def keep_consent(self, record: ConsentRecord) -> Path:
        """Write a consent record, whatever was there under its id."""
        return self._write(self.root / record.path, record.to_json())

    def mark_sent(self, name: SegmentName, *, keep: bool = True) -> None:
        """A store has confirmed the segment: it leaves the outbox, to `sent` or (not `keep`) for good."""
        path = self.path_of(OUTBOX, name)
        with contextlib.suppress(FileNotFoundError):
            if keep:
                self._move(path, self.path_of(SENT, name))
            else:
                os.unlink(path)
                _sync(path.parent)

    def set_aside(self, name: SegmentName, reason: str) -> Path:
        """Move a segment from the outbox to `conflicts`, with a .json beside it that says why; where it lies then."""
        path = self.path_of(OUTBOX, name)
        target = _free(self.path_of(CONFLICTS, name))
        why = json.dumps({"segment": str(name), "reason": reason}, indent=2) + "\n"
        self._write(target.with_name(f"{target.name}.json"), why.encode())
        self._move(path, target)
        return target

    def _write(self, target: Path, data: bytes) -> Path:
        """Give a file its name once it is whole and on the disk."""
        while True:
            make_folders(target.parent)
            temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}{_TEMPORARY}")
            with _locked_file(temporary) as descriptor:
                if not os.fstat(descriptor).st_nlink:
                    continue  # taken for left over, between being made and being locked
                _write_all(descriptor, data)
                os.fsync(descriptor)
                os.rename(temporary, target)
            self._sync_folders(target)
            return target

    def _move(self, path: Path, target: Path) -> None:
        """Rename a file to another folder; in both, the change is on the disk afterwards."""
        make_folders(target.parent)
        os.rename(path, target)
        self._sync_folders(target)
        _sync(path.parent)

    def _sync_folders(self, path: Path) -> None:
        """All folders above a file, up to the spool: each may be new, made by this one or by one that was killed."""
        for folder in path.parents:
            _sync(folder)
            if folder == self.root:
                break

    # --------------------------------------------------------------------------------------------- what is there

    def path_of(self, part: str, name: SegmentName) -> Path:
        """Where a segment lies in `OUTBOX`, `SENT` or `CONFLICTS`."""
        return self.root / part / str(name)

    def unsent(self) -> list[SegmentName]:
        """The segments in the outbox, the oldest first, those of a recording in order."""
        return sorted(self.segments(OUTBOX), key=_age)

    def unsent_bytes(self) -> int:
        """What the segments in the outbox hold together."""
        return sum(size for path, size in _sizes(self.root / OUTBOX) if not _is_temporary(path))

    def set_aside_count(self) -> int:
        """How many files wait in `conflicts` for a person."""
        folder = self.root / CONFLICTS
        return sum(1 for path in folder.rglob("*.parquet*") if path.suffix != ".json" and not _is_temporary(path))

    def consent_records(self) -> list[Path]:
        """The files of consent records, sorted."""
        return sorted(path for path in (self.root / CONSENT_PREFIX).glob("*.json") if not path.name.startswith("."))

    def segments(self, part: str) -> Iterator[SegmentName]:
        """The segments in `OUTBOX` or `SENT`, in no order."""
        for path in (self.root / part / SEGMENTS_PREFIX).glob("day=*/participant=*/*.parquet"):
            with contextlib.suppress(SegmentNameError):
                yield SegmentName.parse(path.relative_to(self.root / part).as_posix())

    # ------------------------------------------------------------------------------------------------------ room

    def size_bytes(self) -> int:
        """What all files of the spool hold together."""
        return sum(size for _, size in _sizes(self.root))

    def has_room(self, quota_bytes: int, needed_bytes: int = 0) -> bool:
        """Whether so much more fits into the quota."""
        return self.size_bytes() + needed_bytes <= quota_bytes

    def make_room(self, quota_bytes: int, needed_bytes: int = 0) -> list[SegmentName]:
        """Remove the oldest sent segments, as many as it takes to have room; those that were removed.

        What is not sent is never removed: ask `has_room` afterwards.
        """
        removed: list[SegmentName] = []
        excess_bytes = self.size_bytes() + needed_bytes - quota_bytes
        for name in sorted(self.segments(SENT), key=_age):
            if excess_bytes <= 0:
                break
            path = self.path_of(SENT, name)
            with contextlib.suppress(FileNotFoundError):
                excess_bytes -= path.stat().st_size
                os.unlink(path)
                removed.append(name)
        return removed

    # ------------------------------------------------------------------------------------------------------ lock

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Be the only publisher of this spool; the kernel lets the lock go however the process ends.

        Raises `SpoolBusyError`.
        """
        descriptor = os.open(self.root / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                owner = os.pread(descriptor, 20, 0).decode(errors="replace").strip() or "unknown"
                raise SpoolBusyError(f"{self.root}: another publisher is at work (process {owner})") from None
            with contextlib.suppress(OSError):  # a full disk is the more reason to publish
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
            yield
        finally:
            os.close(descriptor)


def _age(name: SegmentName) -> tuple[int, str, int, SegmentName]:
    return name.first_ms, name.recording, name.first_seq, name


def _is_content_of(name: SegmentName, data: bytes) -> bool:
    return hashlib.sha256(data).hexdigest().startswith(name.sha)


def _sizes(folder: Path) -> Iterator[tuple[Path, int]]:
    for parent, _, files in os.walk(folder):
        for file in files:
            path = Path(parent, file)
            with contextlib.suppress(FileNotFoundError):  # moved or removed meanwhile
                yield path, path.lstat().st_size


def _free(path: Path) -> Path:
    """This path, or with a number behind it: what a person has not looked at yet is never written over."""
    number, free = 1, path
    while free.exists():
        number += 1
        free = path.with_name(f"{path.name}.{number}")
    return free


# ----------------------------------------------------------------------------------------- files that survive a crash


@contextlib.contextmanager
def _locked_file(temporary: Path) -> Iterator[int]:
    """A new file; locked as long as it is written, so that nobody takes it for left over. Gone if that fails."""
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    finally:
        os.close(descriptor)


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _is_temporary(path: Path) -> bool:
    return path.name.startswith(".") and path.suffix == _TEMPORARY


def _remove_if_left(temporary: Path) -> None:
    """Nobody holds the lock of a file whose writer is gone."""
    with contextlib.suppress(FileNotFoundError, BlockingIOError), open(temporary, "r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.unlink(temporary)


def _sync(path: Path) -> None:
    """Have a file's content, or a folder's names, on the disk for good."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
