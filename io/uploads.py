"""Sending files to a store over a line that may be slow, may break, and may be taken away.

`Store.create` is for jobs beside their store. Here each block of bytes is metered, each request is repeated as the
caller says, and `send` returns only after the store has confirmed the checksum. Its errors say what to do next:

- `ContentConflictError`: another content lies under the name. For a person.
- `RefusedError`: nothing can be sent until a person changes something. Do not try again soon.
- `UnavailableError`: all tries of a request failed. Try again later.
- `UnconfirmedError`: the store does not hold what was sent, or says so. Send it anew.

Messages name the place, the status and the remedy; never what a server wrote, nor the address of an upload, which is
as good as a key.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from taskreel.io.stores import ContentConflictError, GcsStore, LocalStore, Store, StoreError

Meter = Callable[[int], None]
"""Called before so many bytes are sent; it may wait, and may raise to end the upload."""

Repeat = Callable[[Callable[[], Any]], Callable[[], Any]]
"""A decorator that repeats a request which failed. What it gives up on it has to raise as it came."""

BLOCK_BYTES = 16_384
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ENOMEM, errno.EINTR, errno.EAGAIN, errno.ETIMEDOUT}


class RefusedError(StoreError):
    """The place takes nothing from this account or machine."""


class UnavailableError(StoreError):
    """The place did not do its work for now; `retry_after_s` is how long it asked to be left alone."""

    def __init__(self, message: str, retry_after_s: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class UnconfirmedError(StoreError):
    """What the store holds, by its own word, is not what was sent."""


def unmetered(count: int) -> None:
    """As fast as it goes."""


def once(request: Callable[[], Any]) -> Callable[[], Any]:
    """No second try."""
    return request


@dataclass(frozen=True)
class SendOptions:
    """How to send. `timeout_s` is for the store to connect, and to answer once it has the bytes."""

    meter: Meter = unmetered
    repeat: Repeat = once
    timeout_s: float = 30.0


class Uploads(ABC):
    """Where files are sent to."""

    @abstractmethod
    def send(self, name: str, data: bytes) -> bool:
        """Create a file; False if the same content was there. Raises what the module's docstring lists."""


def uploads_to(store: Store, options: SendOptions | None = None) -> Uploads:
    """The way to send files to a store; connects to nothing yet."""
    options = options or SendOptions()
    if isinstance(store, GcsStore):
        from taskreel.io.gcs_uploads import GcsUploads

        return GcsUploads(store, options)
    if isinstance(store, LocalStore):
        return FolderUploads(store, options)
    raise TypeError(f"no way is known to send to a {type(store).__name__}")


class FolderUploads(Uploads):
    """Copies into a folder. A file has its name once it was flushed to the disk and read back."""

    def __init__(self, store: LocalStore, options: SendOptions) -> None:
        self._store = store
        self._meter = options.meter

    def send(self, name: str, data: bytes) -> bool:
        """See `Uploads.send`."""
        try:
            return self._send(name, data)
        except (ContentConflictError, UnconfirmedError):
            raise
        except OSError as error:
            raise self._told(name, error) from error

    def _send(self, name: str, data: bytes) -> bool:
        with self._store.staged() as staged:
            self._fill(staged.path, data)
            if staged.sha256() != hashlib.sha256(data).hexdigest():
                raise UnconfirmedError(f"{self._store.url_of(name)}: what was read back is not what was written")
            is_new = staged.publish(name)
        self._settle(self._store.root / name)
        return is_new

    def _fill(self, path: str, data: bytes) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            for start in range(0, len(data), BLOCK_BYTES):
                block = memoryview(data)[start : start + BLOCK_BYTES]
                self._meter(len(block))
                while block:
                    block = block[os.write(descriptor, block) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _settle(self, path: Path) -> None:
        """The file, which may be another's, and all folders up to the root's parent are on the disk for good."""
        root = self._store.root.absolute()
        path = path.absolute()
        for item in (path, *path.parents):
            if item == root.parent:
                break
            _sync(item)
        with contextlib.suppress(PermissionError):  # then the root is not of our making
            _sync(root.parent)

    def _told(self, name: str, error: OSError) -> StoreError:
        cause = error if error.errno else error.__cause__
        number = cause.errno if isinstance(cause, OSError) else None
        reason = os.strerror(number) if number else str(error)
        if number in _FULL:
            return UnavailableError(f"{self._store.url_of(name)}: cannot be written now: {reason}")
        return RefusedError(f"{self._store.url}: cannot be written: {reason}. Choose another place or allow it")


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
