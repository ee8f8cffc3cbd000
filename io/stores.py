"""Where files lie: a folder or a `gs://` prefix, behind one small interface.

Files are created once, under a name that follows from their content, and never renamed or changed; only the card
is replaced. So a retried or zombie worker writes the same object, and needs no lock.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache, cached_property
from io import FileIO
from pathlib import Path
from typing import IO, Any, Protocol

from taskreel.io.times import us_from_iso

EMULATOR = "STORAGE_EMULATOR_HOST"
_SHA_CHUNK_BYTES = 1 << 20
_READ_TRIES = 3
_PROBE = ".taskreel-may-write"
"""The name of an upload that is begun and never done."""
_NO_EXTRA = "gs:// needs the extra `gcp`: pip install 'taskreel[gcp]'"
UNKNOWN_ACCOUNT = (
    "the store does not know this account, or its login has ended (401). "
    "Run `gcloud auth application-default login`, or name a key file in GOOGLE_APPLICATION_CREDENTIALS"
)
_NEW_S = 3600
"""An object this new needs no new time, and most that are there already were sent a moment ago by a retried upload."""


class StoreError(OSError):
    """A store that cannot be used as asked; the message names the place and the remedy."""


class ContentConflictError(StoreError):
    """Another content already lies under a name that is made from the content."""


@dataclass(frozen=True, order=True)
class Entry:
    """A file in a store: its name below the store's root, its size, and since when it is there by the store's time."""

    name: str
    size_bytes: int
    created_us: int = field(default=0, compare=False)


class Staged(Protocol):
    """A file that is being written and has no name yet. Dropped without a trace unless it is published."""

    @property
    def path(self) -> str:
        """A local path to write to; it may be a link to an unnamed file."""

    def sha256(self) -> str:
        """The sha256 of what has been written, as hex digits."""

    def publish(self, name: str) -> bool:
        """Give the file its name; False if the same content is already there."""


class Store(ABC):
    """Files below a root. Names are relative, with forward slashes."""

    url: str
    """The root, as a person would write it."""
    is_remote: bool
    """Whether a request takes long enough for reading ahead to pay: on a folder, threads cost 10 % of the speed."""

    @abstractmethod
    def files(self, prefix: str = "") -> Iterator[Entry]:
        """All files whose name begins with `prefix`, sorted by name."""

    @abstractmethod
    def folders(self, prefix: str) -> list[str]:
        """The names (ending in a slash) of the folders right below the folder `prefix`, sorted."""

    @abstractmethod
    def read(self, name: str) -> bytes:
        """A whole file; raises `FileNotFoundError`."""

    @abstractmethod
    def read_range(self, name: str, offset: int, length: int) -> bytes:
        """Some bytes of a file; raises `FileNotFoundError`, or `StoreError` if it is shorter."""

    @abstractmethod
    def create(self, name: str, data: bytes) -> bool:
        """Create a file; False if the same content is there, `ContentConflictError` if another is."""

    @abstractmethod
    def replace(self, name: str, data: bytes) -> None:
        """Write a file, whatever is there."""

    @abstractmethod
    def delete(self, name: str) -> None:
        """Remove a file; one that is not there is no error."""

    @abstractmethod
    def size_bytes(self, name: str) -> int | None:
        """The size of a file, None if it is not there."""

    @abstractmethod
    def modified_us(self, name: str) -> int | None:
        """When a file was written, or last written again with the same content; None if it is not there."""

    def now_us(self) -> int:
        """What time it is at the store, microseconds UTC. The time that decides what is late; never a device's."""
        return time.time_ns() // 1000

    @abstractmethod
    def check_access(self, *, writes: bool) -> None:
        """Raise `StoreError` unless it can be read, and written if `writes`, as far as can be known. Writes nothing."""

    @abstractmethod
    def staged(self) -> contextlib.AbstractContextManager[Staged]:
        """A new file without a name."""

    @abstractmethod
    def table_url(self, name: str) -> str:
        """The place of a Delta table, as `deltalake` wants it."""

    def table_options(self) -> dict[str, str]:
        """`storage_options` of `deltalake` for tables in this store."""
        return {}

    def url_of(self, name: str) -> str:
        """A file's full place, for people."""
        return f"{self.url.rstrip('/')}/{name}"


def open_store(url: str) -> Store:
    """The store at a folder or a `gs://bucket/prefix`; makes nothing and sends nothing."""
    if url.startswith("gs://"):
        return _gcs_store(url.rstrip("/"))
    if "://" in url:
        raise StoreError(f"{url}: a folder or a gs:// place is expected")
    return LocalStore(url)


@cache
def _gcs_store(url: str) -> GcsStore:
    return GcsStore(url)


class LocalStore(Store):
    """A folder of this machine."""

    is_remote = False

    def __init__(self, root: str) -> None:
        self.url = root
        self.root = Path(root)

    def files(self, prefix: str = "") -> Iterator[Entry]:
        """See `Store.files`."""
        folder, _, start = prefix.rpartition("/")
        top = self.root / folder
        names = []
        for path, subfolders, files in os.walk(top):
            relative = Path(path).relative_to(self.root).as_posix()
            base = "" if relative == "." else f"{relative}/"
            if path == str(top):
                subfolders[:] = [name for name in subfolders if name.startswith(start)]
                files = [name for name in files if name.startswith(start)]
            names += [(base + name, os.path.join(path, name)) for name in files]
        for name, path in sorted(names):
            with contextlib.suppress(FileNotFoundError):
                status = os.stat(path)
                yield Entry(name, status.st_size, status.st_ctime_ns // 1000)  # nobody can set it, unlike st_mtime

    def folders(self, prefix: str) -> list[str]:
        """See `Store.folders`."""
        try:
            found = [entry.name for entry in os.scandir(self.root / prefix) if entry.is_dir()]
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(f"{prefix}{name}/" for name in found)

    def read(self, name: str) -> bytes:
        """See `Store.read`."""
        with self._open(name) as file:
            return file.read()

    def read_range(self, name: str, offset: int, length: int) -> bytes:
        """See `Store.read_range`."""
        with self._open(name) as file:
            data = os.pread(file.fileno(), length, offset)
        if len(data) != length:
            raise StoreError(f"{self.url_of(name)}: ends before byte {offset + length}")
        return data

    def _open(self, name: str) -> FileIO:
        try:
            return open(self.root / name, "rb", buffering=0)
        except NotADirectoryError as error:
            raise FileNotFoundError(f"{self.url_of(name)}: not there") from error

    def create(self, name: str, data: bytes) -> bool:
        """See `Store.create`."""
        with self.staged() as staged:
            Path(staged.path).write_bytes(data)
            return staged.publish(name)

    def replace(self, name: str, data: bytes) -> None:
        """See `Store.replace`."""
        target = self.root / name
        temporary = f"{target.parent.relative_to(self.root).as_posix()}/.{target.name}.tmp"
        self.delete(temporary)  # what a kill between the two next steps would leave
        with contextlib.suppress(ContentConflictError, FileNotFoundError):
            self.create(temporary, data)
            os.replace(self.root / temporary, target)

    def delete(self, name: str) -> None:
        """See `Store.delete`."""
        (self.root / name).unlink(missing_ok=True)

    def size_bytes(self, name: str) -> int | None:
        """See `Store.size_bytes`."""
        try:
            return (self.root / name).stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            return None

    def modified_us(self, name: str) -> int | None:
        """See `Store.modified_us`."""
        try:
            return (self.root / name).stat().st_mtime_ns // 1000
        except (FileNotFoundError, NotADirectoryError):
            return None

    def check_access(self, *, writes: bool) -> None:
        """See `Store.check_access`. A folder that is not there is judged by the one in which it would be made."""
        there = next(
            folder for folder in (self.root.absolute(), *self.root.absolute().parents) if os.path.exists(folder)
        )
        if there != self.root.absolute() and not there.is_dir():
            raise StoreError(f"{self.url}: {there} is a file, not a folder; choose another place")
        wanted = os.R_OK | os.X_OK | (os.W_OK if writes else 0)
        if there.is_dir() and not os.access(there, wanted):
            raise StoreError(f"{self.url}: no permission in {there}; choose another folder, or change its mode")

    @contextlib.contextmanager
    def staged(self) -> Iterator[Staged]:
        """See `Store.staged`. The file has no name in any folder, so a kill at any moment leaves nothing."""
        self.root.mkdir(parents=True, exist_ok=True)
        descriptor = _unnamed_file(self.root)
        try:
            yield _LocalStaged(self, descriptor)
        finally:
            os.close(descriptor)

    def table_url(self, name: str) -> str:
        """See `Store.table_url`."""
        return str((self.root / name).absolute())


@dataclass
class _LocalStaged:
    store: LocalStore
    descriptor: int

    @property
    def path(self) -> str:
        return f"/proc/self/fd/{self.descriptor}"

    def sha256(self) -> str:
        return _sha256(self.descriptor)

    def publish(self, name: str) -> bool:
        target = self.store.root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._link(target)
        except FileExistsError:
            with open(target, "rb") as present:
                if _sha256(present.fileno()) != self.sha256():
                    raise ContentConflictError(f"{target}: another content lies there already") from None
                with contextlib.suppress(PermissionError):  # of another user: then it keeps its age
                    os.utime(present.fileno())  # as new: what a killed run left may be old, and `vacuum` goes by age
            return False
        return True

    def _link(self, target: Path) -> None:
        """linkat() with AT_SYMLINK_FOLLOW, as open(2) tells for O_TMPFILE; Python needs a dir_fd to call it so."""
        folder = os.open(target.parent, os.O_PATH | os.O_DIRECTORY)
        try:
            os.link(self.path, target.name, dst_dir_fd=folder, follow_symlinks=True)
        finally:
            os.close(folder)


def _unnamed_file(folder: Path) -> int:
    try:
        return os.open(folder, os.O_TMPFILE | os.O_RDWR, 0o644)
    except OSError as error:
        raise StoreError(
            f"{folder}: cannot make an unnamed file there ({error.strerror}). taskreel needs a file system with "
            "O_TMPFILE (ext4, xfs, btrfs, tmpfs): choose another folder, or gs://"
        ) from error


def _sha256(descriptor: int) -> str:
    digest, offset, buffer = hashlib.sha256(), 0, bytearray(_SHA_CHUNK_BYTES)
    while count := os.preadv(descriptor, [buffer], offset):
        digest.update(memoryview(buffer)[:count])
        offset += count
    return digest.hexdigest()


class GcsStore(Store):
    """A prefix of a Google Cloud Storage bucket, by `google-cloud-storage` and Application Default Credentials."""

    is_remote = True

    def __init__(self, url: str) -> None:
        self.url = url
        self.bucket_name, _, prefix = url.removeprefix("gs://").partition("/")
        if not self.bucket_name:
            raise StoreError(f"{url}: names no bucket; expected gs://bucket/prefix")
        self.prefix = f"{prefix}/" if prefix else ""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return open_store, (self.url,)

    @cached_property
    def bucket(self) -> Any:
        """The client's bucket; made at first use, in the process that uses it."""
        return _gcs_client().bucket(self.bucket_name)

    def files(self, prefix: str = "") -> Iterator[Entry]:
        """See `Store.files`."""
        fields = "items(name,size,timeCreated),nextPageToken"
        with _gcs_errors(self.url_of(prefix), of_bucket=True):
            for blob in self.bucket.list_blobs(prefix=self.prefix + prefix, fields=fields):
                if not blob.name.endswith("/"):
                    yield Entry(blob.name[len(self.prefix) :], blob.size, us_from_iso(blob.time_created.isoformat()))

    def folders(self, prefix: str) -> list[str]:
        """See `Store.folders`."""
        fields = "prefixes,nextPageToken"
        with _gcs_errors(self.url_of(prefix), of_bucket=True):
            pages = self.bucket.list_blobs(prefix=self.prefix + prefix, delimiter="/", fields=fields).pages
            found = {name for page in pages for name in page.prefixes}
        return sorted(name[len(self.prefix) :] for name in found)

    def read(self, name: str) -> bytes:
        """See `Store.read`. The checksum is compared here: the client does not when it resumed a download."""
        for _ in range(_READ_TRIES):
            with _gcs_errors(self.url_of(name)):
                blob = self._blob(name)
                data = bytes(blob.download_as_bytes(raw_download=True, checksum=None))
            if blob.crc32c == _crc32c([data]):
                return data
        raise StoreError(f"{self.url_of(name)}: what came is not what the store's checksum says; run again")

    def read_range(self, name: str, offset: int, length: int) -> bytes:
        """See `Store.read_range`."""
        if not length:
            return b""
        with _gcs_errors(self.url_of(name)):
            data = bytes(
                self._blob(name).download_as_bytes(
                    start=offset, end=offset + length - 1, raw_download=True, checksum=None
                )
            )
        if len(data) != length:
            raise StoreError(f"{self.url_of(name)}: ends before byte {offset + length}")
        return data

    def create(self, name: str, data: bytes) -> bool:
        """See `Store.create`."""
        with self.staged() as staged:
            Path(staged.path).write_bytes(data)
            return staged.publish(name)

    def replace(self, name: str, data: bytes) -> None:
        """See `Store.replace`. Retried: the last writer wins, whichever try it was."""
        from google.cloud.storage.retry import DEFAULT_RETRY

        with _gcs_errors(self.url_of(name), of_bucket=True):
            self._blob(name).upload_from_string(data, checksum="crc32c", retry=DEFAULT_RETRY)

    def delete(self, name: str) -> None:
        """See `Store.delete`."""
        from google.cloud.storage.retry import DEFAULT_RETRY

        with contextlib.suppress(FileNotFoundError), _gcs_errors(self.url_of(name)):
            self._blob(name).delete(retry=DEFAULT_RETRY)

    def size_bytes(self, name: str) -> int | None:
        """See `Store.size_bytes`."""
        with _gcs_errors(self.url_of(name)):
            blob = self.bucket.get_blob(self.prefix + name)
        return None if blob is None else int(blob.size)

    def modified_us(self, name: str) -> int | None:
        """See `Store.modified_us`."""
        with _gcs_errors(self.url_of(name)):
            blob = self.bucket.get_blob(self.prefix + name)
        return None if blob is None else int(blob.updated.timestamp() * 1_000_000)

    def check_access(self, *, writes: bool) -> None:
        """See `Store.check_access`. To be allowed to write is to be allowed to begin an upload, which is then dropped.

        `testIamPermissions` of the bucket would not know of rights that are given below a prefix only.
        """
        with _gcs_errors(self.url, of_bucket=True):
            list(self.bucket.list_blobs(prefix=self.prefix, max_results=1, fields="items(name)"))
            if writes:
                session = self._blob(_PROBE).create_resumable_upload_session(if_generation_match=0)
                _gcs_client()._http.delete(session, timeout=60)

    def check_staging(self) -> None:
        """Raise `StoreError` unless Beam can stage files here: it also asks for the bucket itself."""
        self.check_access(writes=True)
        with _gcs_errors(self.url, of_bucket=True, role="storage.bucketViewer"):
            _gcs_client().get_bucket(self.bucket_name)

    @contextlib.contextmanager
    def staged(self) -> Iterator[Staged]:
        """See `Store.staged`: an unnamed file of this machine until it is uploaded."""
        with tempfile.TemporaryFile() as file:
            yield _GcsStaged(self, file)

    def table_url(self, name: str) -> str:
        """See `Store.table_url`."""
        return self.url_of(name)

    def table_options(self) -> dict[str, str]:
        """See `Store.table_options`."""
        endpoint = os.environ.get(EMULATOR)
        if not endpoint:
            return {}
        key = {
            "gcs_base_url": endpoint,
            "disable_oauth": True,
            "client_email": "",
            "private_key": "",
            "private_key_id": "",
        }
        return {"google_service_account_key": json.dumps(key), "allow_http": "true"}

    def now_us(self) -> int:
        """See `Store.now_us`: from the header `Date` of an answer, to the second."""
        from email.utils import parsedate_to_datetime

        client = _gcs_client()
        url = f"{client._connection.API_BASE_URL}/storage/v1/b/{self.bucket_name}/o?maxResults=1&fields=kind"
        with _gcs_errors(self.url):
            answer = client._http.get(url, timeout=60)
        return int(parsedate_to_datetime(answer.headers["Date"]).timestamp()) * 1_000_000

    def _blob(self, name: str) -> Any:
        return self.bucket.blob(self.prefix + name)


@dataclass
class _GcsStaged:
    store: GcsStore
    file: IO[bytes]

    @property
    def path(self) -> str:
        return f"/proc/self/fd/{self.file.fileno()}"

    def sha256(self) -> str:
        return _sha256(self.file.fileno())

    def publish(self, name: str) -> bool:
        """The precondition makes the upload safe to retry; a 412 is good news if the checksum is the same."""
        from google.api_core.exceptions import PreconditionFailed

        place = self.store.url_of(name)
        with _gcs_errors(place, of_bucket=True):
            blob = self.store._blob(name)
            try:
                with open(self.path, "rb") as source:
                    blob.upload_from_file(source, if_generation_match=0, checksum="crc32c")
            except PreconditionFailed:
                blob.reload()  # perhaps our own upload, whose answer was lost
                if blob.crc32c != _crc32c(_blocks(self.file.fileno())):
                    raise ContentConflictError(f"{place}: another content lies there already") from None
                _make_new(blob)
                return False
            if blob.crc32c != _crc32c(_blocks(self.file.fileno())):
                blob.delete(if_generation_match=blob.generation)
                raise StoreError(f"{place}: the store holds another checksum than what was sent; run again")
        return True


def _make_new(blob: Any) -> None:
    """Of an old object, change the time: what a killed run left may be old, and `vacuum` goes by age."""
    from datetime import UTC, datetime

    now = datetime.now(UTC)
    if (now - blob.updated).total_seconds() > _NEW_S:
        blob.custom_time = now
        blob.patch()


@cache
def _gcs_client() -> Any:
    """The one that all stores of this process share."""
    return new_gcs_client()


def new_gcs_client(adapter: Any = None) -> Any:
    """A client of Google Cloud Storage that sends by `adapter`, an `HTTPAdapter` (by one that keeps 64 connections)."""
    try:
        from google.cloud import storage
    except ImportError as error:
        raise StoreError(_NO_EXTRA) from error
    from google.auth.exceptions import DefaultCredentialsError
    from requests.adapters import HTTPAdapter

    # Else each client asks for the bucket once more, in a thread of its own, to label its traces.
    os.environ.setdefault("DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA", "true")
    if os.environ.get(EMULATOR):
        from google.auth.credentials import AnonymousCredentials

        client = storage.Client(project="local", credentials=AnonymousCredentials())  # type: ignore[no-untyped-call]
    else:
        try:
            client = storage.Client()
        except DefaultCredentialsError as error:
            raise StoreError("gs:// needs credentials: run `gcloud auth application-default login`") from error
    client._http.mount("http://", adapter or HTTPAdapter(pool_maxsize=64))
    client._http.mount("https://", adapter or HTTPAdapter(pool_maxsize=64))
    return client


@contextlib.contextmanager
def _gcs_errors(place: str, *, of_bucket: bool = False, role: str = "storage.objectUser") -> Iterator[None]:
    """Errors of the client as those of a store. `of_bucket`: what is not there can only be the bucket."""
    try:
        from google.api_core import exceptions
        from google.auth import exceptions as auth
    except ImportError as error:
        raise StoreError(_NO_EXTRA) from error
    try:
        yield
    except exceptions.NotFound as error:
        if of_bucket:
            raise StoreError(f"{place}: there is no such bucket (404). Create it, or mend the place") from error
        raise FileNotFoundError(f"{place}: not there") from error
    except exceptions.RequestRangeNotSatisfiable as error:
        raise StoreError(f"{place}: ends before the bytes that were asked for") from error
    except exceptions.Forbidden as error:
        raise StoreError(f"{place}: no permission (403). Grant the job's account {role}") from error
    except auth.TransportError as error:
        raise StoreError(f"{place}: no connection to where the account is checked; run again") from error
    except (exceptions.Unauthorized, auth.GoogleAuthError) as error:
        raise StoreError(f"{place}: {UNKNOWN_ACCOUNT}") from error


def _crc32c(blocks: Iterable[bytes]) -> str:
    """The checksum as GCS writes it."""
    import base64

    import google_crc32c

    checksum = google_crc32c.Checksum()
    for block in blocks:
        checksum.update(block)
    return base64.b64encode(checksum.digest()).decode()


def _blocks(descriptor: int) -> Iterator[bytes]:
    offset = 0
    while block := os.pread(descriptor, _SHA_CHUNK_BYTES, offset):
        yield block
        offset += len(block)
