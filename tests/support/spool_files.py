"""Segments for tests of the spool and the publisher, and disks that fail at a chosen call."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from taskreel.capture.spool import CONFLICTS, OUTBOX, SENT, Spool
from taskreel.io.consent import ConsentRecord
from taskreel.io.names import SegmentName

START_MS = 1_767_603_600_000
PLACES = (OUTBOX, SENT, CONFLICTS)


def a_segment(number: int = 0, size_bytes: int = 1000, recording: str = "r1") -> tuple[SegmentName, bytes]:
    """The numbered one of a recording, one a minute. Not Parquet: a publisher must not care."""
    data = random.Random(f"{recording}{number}").randbytes(size_bytes)
    first_ms = START_MS + number * 60_000
    sha = hashlib.sha256(data).hexdigest()[:12]
    return SegmentName("p1", recording, number * 100, number * 100 + 99, first_ms, first_ms + 59_000, sha), data


def spool_with(root: Path, *numbers: int, size_bytes: int = 1000) -> Spool:
    spool = Spool(root).open()
    for number in numbers:
        spool.seal(*a_segment(number, size_bytes))
    return spool


def consent(consent_id: str = "c1", **values: Any) -> ConsentRecord:
    return ConsentRecord(consent_id, "p1", regions=("us",), **values)


def contents(root: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def broken_names(root: Path) -> list[str]:
    """Files that have a segment's name but not its content."""
    found = ((path, hashlib.sha256(path.read_bytes()).hexdigest()) for path in root.rglob("*.parquet"))
    return [path.name for path, sha256 in found if path.stem.rpartition("_")[2] != sha256[:12]]


CALLS = ("open", "write", "fsync", "rename", "mkdir", "unlink", "link", "ftruncate", "pwrite")


@contextmanager
def every_call(before: Callable[[str], None]) -> Iterator[None]:
    """Call `before` with the name of each call of the system that changes a disk; it may raise, or end the process."""
    places: list[tuple[Any, str]] = [(os, name) for name in CALLS] + [(fcntl, "flock")]
    true = {(module, name): getattr(module, name) for module, name in places}

    def shim(module: Any, name: str) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            before(name)
            return true[module, name](*args, **kwargs)

        return call

    for module, name in places:
        setattr(module, name, shim(module, name))
    try:
        yield
    finally:
        for (module, name), function in true.items():
            setattr(module, name, function)


@contextmanager
def disk_that_fails(at: int, number: int = errno.ENOSPC, *, for_good: bool = False) -> Iterator[list[str]]:
    """The call with this number (from 0) fails, or it and all after it; the calls that there were so far."""
    calls: list[str] = []

    def before(name: str) -> None:
        calls.append(name)
        if len(calls) == at + 1 or (for_good and len(calls) > at):
            raise OSError(number, os.strerror(number))

    with every_call(before):
        yield calls


def killed_at(at: int, work: Callable[[], object]) -> bool:
    """Do the work in a child that dies before the call with this number; whether it got that far."""
    child = os.fork()
    if not child:
        count = 0

        def before(name: str) -> None:
            nonlocal count
            if count == at:
                os._exit(9)
            count += 1

        try:
            with every_call(before):
                work()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
