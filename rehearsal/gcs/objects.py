"""What the stand-in stores: buckets, objects, generations, preconditions and unfinished uploads.

Rules from the Cloud Storage docs: "Request preconditions", "Object versioning" (generations), "Objects:
list", "Resumable uploads" and "XML API multipart uploads". Versioning is off: only the live generation of
an object is kept.
"""

from __future__ import annotations

import base64
import hashlib
import re
import threading
import time
import uuid
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import google_crc32c

DEFAULT_CONTENT_TYPE = "application/octet-stream"


class GcsError(Exception):
    """An error answer of the service; each of its two APIs renders it in its own way."""

    def __init__(self, status: int, code: str, message: str):
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


def no_such_object(bucket: str, name: str) -> GcsError:
    return GcsError(404, "NoSuchKey", f"No such object: {bucket}/{name}")


def precondition_failed() -> GcsError:
    return GcsError(412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold.")


@dataclass(frozen=True)
class Content:
    """The bytes of an object with their hashes, computed when first asked for and shared by all copies.

    Composed objects and those of XML multipart uploads have no MD5 ("Hashes and ETags").
    """

    data: bytes = field(repr=False)
    composite: bool = False

    @cached_property
    def crc32c(self) -> str:
        """Base64 of the big-endian CRC32C, as in the `crc32c` metadata field."""
        return base64.b64encode(google_crc32c.value(self.data).to_bytes(4, "big")).decode()

    @cached_property
    def md5(self) -> str | None:
        return None if self.composite else base64.b64encode(hashlib.md5(self.data).digest()).decode()

    def check(self, claimed: Mapping[str, str | None]) -> None:
        """Refuse content whose hash is not the one which the writer sent along ("Data validation")."""
        for name, value in claimed.items():
            actual = getattr(self, name) if name in ("crc32c", "md5") else None
            if value and actual and value != actual:
                raise GcsError(400, "BadDigest", f"Provided {name} {value!r} is not the computed {actual!r}.")


@dataclass(frozen=True)
class StoredObject:
    """One generation of an object; `fields` are the metadata which the writer chose (contentType, ...)."""

    bucket: str
    name: str
    content: Content
    generation: int
    fields: Mapping[str, Any]
    created: datetime
    updated: datetime
    metageneration: int = 1

    @property
    def data(self) -> bytes:
        return self.content.data

    @property
    def etag(self) -> str:
        """Opaque to clients; here it names the generation and the metageneration."""
        return f"{self.generation:x}-{self.metageneration:x}"

    @property
    def content_type(self) -> str:
        return self.fields.get("contentType") or DEFAULT_CONTENT_TYPE


@dataclass(frozen=True)
class Preconditions:
    """What must be true of the live object ("Request preconditions"); generation 0 means none."""

    generation_match: int | None = None
    generation_not_match: int | None = None
    metageneration_match: int | None = None
    metageneration_not_match: int | None = None

    @classmethod
    def from_query(cls, query: Mapping[str, str], prefix: str = "if") -> Preconditions:
        """JSON API: `ifGenerationMatch` and so on; with prefix "ifSource" those for the source of a copy."""
        names = ("GenerationMatch", "GenerationNotMatch", "MetagenerationMatch", "MetagenerationNotMatch")
        return cls(*(_integer(query.get(prefix + name)) for name in names))

    @classmethod
    def from_headers(cls, headers: Mapping[str, str], prefix: str = "x-goog-if-") -> Preconditions:
        """XML API: `x-goog-if-generation-match` and so on; it knows no "not match"."""
        generation, metageneration = (
            _integer(headers.get(prefix + name)) for name in ("generation-match", "metageneration-match")
        )
        return cls(generation_match=generation, metageneration_match=metageneration)

    def check(self, live: StoredObject | None, reading: bool = False) -> None:
        """Raise 412, or 304 for a read whose "not match" failed."""
        generation = live.generation if live else 0
        metageneration = live.metageneration if live else 0
        if self.generation_match not in (None, generation):
            raise precondition_failed()
        if self.metageneration_match not in (None, metageneration):
            raise precondition_failed()
        if self.generation_not_match == generation or self.metageneration_not_match == metageneration:
            raise GcsError(304, "NotModified", "Not Modified") if reading else precondition_failed()


def _integer(text: str | None) -> int | None:
    try:
        return None if text is None else int(text)
    except ValueError as error:
        raise GcsError(400, "InvalidArgument", f"Not a number: {text!r}") from error


NO_PRECONDITIONS = Preconditions()


@dataclass(frozen=True)
class Page:
    """One page of a listing; `resume_after` is its last entry if more follow."""

    objects: list[StoredObject]
    prefixes: list[str]
    resume_after: str | None


class Bucket:
    """The live objects of one bucket; every change is atomic, as in the service ("Consistency")."""

    def __init__(self, name: str, next_generation: Callable[[], int]):
        self.name = name
        self.created = datetime.now(UTC)
        self._next_generation = next_generation
        self._objects: dict[str, StoredObject] = {}
        self._names: list[str] = []
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._objects)

    def snapshot(self) -> dict[str, StoredObject]:
        with self._lock:
            return {name: self._objects[name] for name in self._names}

    def get(
        self, name: str, generation: int | None = None, conditions: Preconditions = NO_PRECONDITIONS
    ) -> StoredObject:
        live = self._objects.get(name)
        if live is None or generation not in (None, live.generation):
            raise no_such_object(self.name, name)
        conditions.check(live, reading=True)
        return live

    def put(
        self,
        name: str,
        content: Content,
        fields: Mapping[str, Any] | None = None,
        conditions: Preconditions = NO_PRECONDITIONS,
    ) -> StoredObject:
        with self._lock:
            live = self._objects.get(name)
            conditions.check(live)
            now = datetime.now(UTC)
            stored = StoredObject(self.name, name, content, self._next_generation(), dict(fields or {}), now, now)
            self._objects[name] = stored
            if live is None:
                insort(self._names, name)
            return stored

    def patch(self, name: str, fields: Mapping[str, Any], conditions: Preconditions) -> StoredObject:
        """Change metadata only: the same generation, the next metageneration."""
        with self._lock:
            live = self.get(name)
            conditions.check(live)
            self._objects[name] = replace(
                live,
                fields={**live.fields, **fields},
                metageneration=live.metageneration + 1,
                updated=datetime.now(UTC),
            )
            return self._objects[name]

    def delete(self, name: str, generation: int | None = None, conditions: Preconditions = NO_PRECONDITIONS) -> None:
        with self._lock:
            conditions.check(self.get(name, generation))
            del self._objects[name]
            del self._names[bisect_left(self._names, name)]

    def list(
        self,
        prefix: str = "",
        delimiter: str = "",
        start: str = "",
        end: str = "",
        after: str = "",
        limit: int = 1000,
        glob: str = "",
    ) -> Page:
        """Names in order from `start` (inclusive) and `after` (exclusive) up to `end` (exclusive).

        Names with `delimiter` behind the prefix are folded into common prefixes, which count as entries.
        """
        matches = glob_matcher(glob)
        objects: list[StoredObject] = []
        prefixes: list[str] = []
        last = None
        with self._lock:
            index = bisect_left(self._names, max(prefix, start))
            if after:
                folded = delimiter and after.endswith(delimiter) and after.startswith(prefix)
                index = max(index, self._end_of(after) if folded else bisect_right(self._names, after))
            while index < len(self._names):
                name = self._names[index]
                if not name.startswith(prefix) or (end and name >= end):
                    break
                if not matches(name):
                    index += 1
                    continue
                if len(objects) + len(prefixes) >= limit:
                    return Page(objects, prefixes, last)
                cut = name.find(delimiter, len(prefix)) if delimiter else -1
                if cut >= 0:
                    last = name[: cut + len(delimiter)]
                    prefixes.append(last)
                    index = self._end_of(last)
                else:
                    last = name
                    objects.append(self._objects[name])
                    index += 1
        return Page(objects, prefixes, None)

    def _end_of(self, prefix: str) -> int:
        """The index behind all names with this prefix."""
        return bisect_left(self._names, prefix[:-1] + chr(ord(prefix[-1]) + 1))


def glob_matcher(glob: str) -> Callable[[str], Any]:
    """`matchGlob` of "Objects: list": `*` and `?` stop at "/", `**` does not, `{a,b}` are alternatives."""
    if not glob:
        return lambda name: True
    parts = {"**": ".*", "*": "[^/]*", "?": "[^/]", "{": "(?:", "}": ")", ",": "|"}
    tokens = re.findall(r"\*\*|\[[^]]+\]|.", glob)
    return re.compile("".join(parts.get(t) or (t if len(t) > 1 else re.escape(t)) for t in tokens)).fullmatch


@dataclass
class ResumableUpload:
    """A session of "Resumable uploads": bytes come in order, and bytes already stored are skipped."""

    bucket: Bucket
    name: str
    fields: Mapping[str, Any]
    conditions: Preconditions
    claimed: Mapping[str, str | None] = field(default_factory=dict)
    data: bytearray = field(default_factory=bytearray, repr=False)
    stored: StoredObject | None = None
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def append(self, start: int, chunk: bytes) -> None:
        overlap = len(self.data) - start
        if overlap < 0:
            raise GcsError(503, "ServiceUnavailable", f"Bytes from {len(self.data)} to {start} are missing")
        self.data += memoryview(chunk)[overlap:]

    def finish(self, claimed: Mapping[str, str | None]) -> StoredObject:
        """Store the object, if its hashes are those claimed at the begin and with the last chunk."""
        content = Content(bytes(self.data))
        content.check({**self.claimed, **claimed})
        self.stored = self.bucket.put(self.name, content, self.fields, self.conditions)
        self.data.clear()
        return self.stored


@dataclass
class MultipartUpload:
    """An "XML API multipart upload": numbered parts in any order, joined when it is completed."""

    bucket: Bucket
    name: str
    fields: Mapping[str, Any]
    parts: dict[int, bytes] = field(default_factory=dict, repr=False)

    def finish(self, numbers: list[int], conditions: Preconditions) -> StoredObject:
        if not numbers or any(number not in self.parts for number in numbers):
            raise GcsError(400, "InvalidPart", "One or more of the specified parts could not be found.")
        data = b"".join(self.parts[number] for number in sorted(numbers))
        return self.bucket.put(self.name, Content(data, composite=True), self.fields, conditions)


class Store:
    """All buckets and unfinished uploads of one stand-in service."""

    def __init__(self) -> None:
        self._buckets: dict[str, Bucket] = {}
        self._uploads: dict[str, ResumableUpload | MultipartUpload] = {}
        self._generation = 0
        self._lock = threading.Lock()

    def next_generation(self) -> int:
        """As in the service a number of microseconds, here strictly increasing over all objects."""
        with self._lock:
            self._generation = max(self._generation + 1, time.time_ns() // 1000)
            return self._generation

    def buckets(self) -> list[Bucket]:
        return [self._buckets[name] for name in sorted(self._buckets)]

    def bucket(self, name: str) -> Bucket:
        if name not in self._buckets:
            raise GcsError(404, "NoSuchBucket", "The specified bucket does not exist.")
        return self._buckets[name]

    def create_bucket(self, name: str) -> Bucket:
        bucket = Bucket(name, self.next_generation)
        if self._buckets.setdefault(name, bucket) is not bucket:
            raise GcsError(409, "BucketAlreadyOwnedByYou", f"The bucket {name} already exists.")
        return bucket

    def delete_bucket(self, name: str) -> None:
        if len(self.bucket(name)):
            raise GcsError(409, "BucketNotEmpty", "The bucket you tried to delete is not empty.")
        del self._buckets[name]

    def begin(self, upload: ResumableUpload | MultipartUpload) -> str:
        upload_id = uuid.uuid4().hex
        self._uploads[upload_id] = upload
        return upload_id

    def upload(self, upload_id: str, kind: type) -> Any:
        upload = self._uploads.get(upload_id)
        if not isinstance(upload, kind):
            raise GcsError(404, "NoSuchUpload", f"No such upload: {upload_id}")
        return upload

    def forget(self, upload_id: str) -> None:
        self._uploads.pop(upload_id, None)
