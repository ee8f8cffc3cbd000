"""Messages between the HTTP server and the two APIs of the stand-in, and the table of their routes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.message import Message
from email.utils import format_datetime, formatdate
from http import HTTPStatus
from urllib.parse import parse_qsl, unquote

from taskreel.rehearsal.gcs.objects import GcsError, Preconditions, Store, StoredObject

PHRASES = {status.value: status.phrase for status in HTTPStatus}
BUCKET = "(?P<bucket>[^/]+)"


@dataclass
class Request:
    """A request as it came in: the path is still percent-encoded, as "%2F" is part of an object's name."""

    method: str
    target: str
    headers: Mapping[str, str]  # names in lower case
    body: bytes
    base_url: str

    def __post_init__(self) -> None:
        self.path, _, query = self.target.partition("?")
        self.query = dict(parse_qsl(query, keep_blank_values=True)) if query else {}

    @property
    def conditions(self) -> Preconditions:
        return Preconditions.from_query(self.query)

    @property
    def generation(self) -> int | None:
        return int(self.query["generation"]) if "generation" in self.query else None


@dataclass
class Response:
    """An answer; its body may be a view of the stored bytes, which are never copied on their way out."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | memoryview = b""


def lower_case(message: Message) -> dict[str, str]:
    """The headers of a message, with names in lower case, as the handlers ask for them."""
    return {name.lower(): value for name, value in message.items()}


def wire_head(response: Response) -> bytes:
    """The status line and the headers, up to and with the blank line (RFC 9112)."""
    lines = [f"HTTP/1.1 {response.status} {PHRASES.get(response.status, 'Unknown')}"]
    lines.append(f"Date: {formatdate(usegmt=True)}")
    lines += [f"{name}: {value}" for name, value in response.headers.items()]
    if response.status not in (204, 304):
        lines.append(f"Content-Length: {len(response.body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


Handler = Callable[..., Response]


class Routes:
    """Which function answers which method and path; the first match counts."""

    def __init__(self) -> None:
        self._table: list[tuple[str, re.Pattern[str], Handler]] = []

    def add(self, method: str, path: str) -> Callable[[Handler], Handler]:
        """Decorator: `path` is a regex whose named groups become (decoded) arguments."""

        def register(handler: Handler) -> Handler:
            self._table.append((method, re.compile(path), handler))
            return handler

        return register

    def answer(self, store: Store, request: Request) -> Response:
        for method, pattern, handler in self._table:
            if method == request.method and (match := pattern.fullmatch(request.path)):
                groups = {key: unquote(value) for key, value in match.groupdict().items()}
                return handler(store, request, **groups)
        raise GcsError(404, "NotFound", f"The stand-in does not know {request.method} {request.path}")


def media(stored: StoredObject, range_header: str | None) -> Response:
    """The content of an object, or the part asked for (RFC 9110, "Range"; one range only)."""
    size = len(stored.data)
    headers = object_headers(stored) | {"Content-Type": stored.content_type, "Accept-Ranges": "bytes"}
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", range_header or "")
    if not match or match.group() == "bytes=-":
        return Response(200, headers, memoryview(stored.data))
    first, last = match.groups()
    start = int(first) if first else max(0, size - int(last))
    stop = min(size, int(last) + 1) if first and last else size
    if start >= size or start >= stop:
        return Response(416, {"Content-Range": f"bytes */{size}"}, b"The range cannot be satisfied.")
    headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
    return Response(206, headers, memoryview(stored.data)[start:stop])


def version_headers(stored: StoredObject) -> dict[str, str]:
    """The headers which name a version of an object ("HTTP headers ... for XML API")."""
    return {
        "ETag": f'"{stored.etag}"',
        "X-Goog-Generation": str(stored.generation),
        "X-Goog-Metageneration": str(stored.metageneration),
    }


def object_headers(stored: StoredObject) -> dict[str, str]:
    """The headers with which an object is read ("HTTP headers ... for XML API")."""
    fields, content = stored.fields, stored.content
    headers = version_headers(stored) | {
        "Last-Modified": format_datetime(stored.updated, usegmt=True),
        "X-Goog-Hash": f"crc32c={content.crc32c}" + (f",md5={content.md5}" if content.md5 else ""),
        "X-Goog-Stored-Content-Length": str(len(content.data)),
        "X-Goog-Stored-Content-Encoding": fields.get("contentEncoding") or "identity",
        "X-Goog-Storage-Class": "STANDARD",
    }
    for field_name, header in FIELD_HEADERS.items():
        if fields.get(field_name):
            headers[header] = fields[field_name]
    for key, value in (fields.get("metadata") or {}).items():
        headers[f"X-Goog-Meta-{key}"] = value
    return headers


FIELD_HEADERS = {
    "cacheControl": "Cache-Control",
    "contentDisposition": "Content-Disposition",
    "contentEncoding": "Content-Encoding",
    "contentLanguage": "Content-Language",
}


def claimed_hashes(headers: Mapping[str, str]) -> dict[str, str | None]:
    """`x-goog-hash: crc32c=...,md5=...` and `Content-MD5`, by the name of the hash."""
    pairs = (pair.strip().partition("=") for pair in (headers.get("x-goog-hash") or "").split(",") if pair)
    return {"md5": headers.get("content-md5")} | {name: value for name, _, value in pairs}
