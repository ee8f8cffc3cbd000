"""Sending files to Google Cloud Storage; see `taskreel.io.uploads`. Imports the client, so it is imported late.

The precondition that the name is free makes every request safe to repeat. A file of more than `CHUNK_BYTES` goes in a
resumable session, of which only the chunk that broke is sent again. The checksum goes along, so the service itself
refuses bytes that were damaged on the way; and what it says to hold is compared, too.
"""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cached_property
from io import BytesIO
from typing import Any

import google_crc32c
import requests
from google.api_core import exceptions as api
from google.auth import exceptions as auth
from google.cloud.storage.exceptions import DataCorruption, InvalidResponse
from requests.adapters import HTTPAdapter

from taskreel.io.stores import UNKNOWN_ACCOUNT, ContentConflictError, GcsStore, StoreError, new_gcs_client
from taskreel.io.uploads import Meter, RefusedError, SendOptions, UnavailableError, UnconfirmedError, Uploads

CHUNK_BYTES = 4 << 20
"""At most so much is sent again when a connection breaks. A multiple of 256 KiB, as the service asks."""

_BUSY = frozenset({408, 429, 500, 502, 503, 504})
_BROKEN = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError, ConnectionError)


class GcsUploads(Uploads):
    """Uploads to a bucket, by a client of its own, whose every request is metered."""

    def __init__(self, store: GcsStore, options: SendOptions) -> None:
        self._store = store
        self._options = options
        self._how = {"timeout": options.timeout_s, "retry": options.repeat}

    @cached_property
    def _bucket(self) -> Any:
        try:
            client = new_gcs_client(_MeteredAdapter(self._options.meter))
        except StoreError as error:  # no credentials
            raise RefusedError(str(error)) from error
        return client.bucket(self._store.bucket_name)

    def send(self, name: str, data: bytes) -> bool:
        """See `Uploads.send`."""
        place = self._store.url_of(name)
        with _errors_told(place):
            blob = self._bucket.blob(self._store.prefix + name, chunk_size=CHUNK_BYTES)
            try:
                self._upload(blob, data)
            except api.PreconditionFailed:
                self._compare(blob, data, place)  # perhaps it is our own, whose answer was lost
                return False
            if blob.crc32c != _crc32c(data):
                self._remove(blob)
                raise UnconfirmedError(f"{place}: the store says another checksum than that of what was sent")
        return True

    def _upload(self, blob: Any, data: bytes) -> None:
        """In one request, or in a session. The client's own check would remove a file without asking whose it is."""
        if len(data) <= CHUNK_BYTES:
            how = {"size": len(data), "checksum": "crc32c"}
        else:
            how = {"checksum": None, "crc32c_checksum_value": _crc32c(data)}
        blob.upload_from_file(BytesIO(data), if_generation_match=0, **how, **self._how)

    def _compare(self, blob: Any, data: bytes, place: str) -> None:
        """Raise unless the store holds this content; a checksum that differs is not believed without a look."""
        blob.reload(**self._how)
        if blob.crc32c == _crc32c(data) and blob.size == len(data):
            return
        if blob.download_as_bytes(raw_download=True, checksum=None, **self._how) == data:
            raise UnconfirmedError(f"{place}: the store says another checksum than that of what it holds")
        raise ContentConflictError(f"{place}: another content lies there already")

    def _remove(self, blob: Any) -> None:
        """Only what was just made. If that fails, the next try finds it there, and tells."""
        with contextlib.suppress(api.GoogleAPICallError, *_BROKEN):
            blob.delete(if_generation_match=blob.generation, **self._how)


class _MeteredAdapter(HTTPAdapter):
    """Sends the body of each request in blocks, as the meter allows."""

    def __init__(self, meter: Meter) -> None:
        super().__init__()
        self._meter = meter

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        if isinstance(request.body, bytes):
            request.body = _MeteredBody(request.body, self._meter)  # type: ignore[assignment]
        return super().send(request, *args, **kwargs)


class _MeteredBody:
    def __init__(self, data: bytes, meter: Meter) -> None:
        self._data = BytesIO(data)
        self._meter = meter

    def read(self, size: int) -> bytes:
        block = self._data.read(size)
        self._meter(len(block))
        return block


def is_transient(error: BaseException) -> bool:
    """Whether the same request may go well in a moment."""
    if isinstance(error, auth.TransportError):
        return True
    return isinstance(error, _BROKEN) or _status(error) in _BUSY


def retry_after_s(error: BaseException) -> float:
    """How long the service asks to be left alone (RFC 9110, 10.2.3: seconds, or a date); 0 if it does not."""
    response = getattr(error, "response", None)
    text = response.headers.get("Retry-After", "").strip() if response is not None else ""
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        until = parsedate_to_datetime(text)
    except ValueError:
        return 0.0
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    return max(0.0, (until - datetime.now(UTC)).total_seconds())


def _status(error: BaseException) -> int | None:
    if isinstance(error, InvalidResponse):
        return int(error.response.status_code)
    return int(error.code) if isinstance(error, api.GoogleAPICallError) and error.code else None


@contextlib.contextmanager
def _errors_told(place: str) -> Iterator[None]:
    try:
        yield
    except StoreError:
        raise
    except (InvalidResponse, api.GoogleAPICallError) as error:
        raise _told(place, error) from error
    except auth.TransportError as error:
        raise UnavailableError(f"{place}: no connection to where the account is checked") from error
    except auth.GoogleAuthError as error:
        raise RefusedError(f"{place}: {UNKNOWN_ACCOUNT}") from error
    except _BROKEN as error:
        what = "does not answer" if isinstance(error, requests.Timeout) else "the connection breaks"
        raise UnavailableError(f"{place}: {what} ({type(error).__name__})") from error
    except (DataCorruption, ValueError) as error:  # ValueError: a session of which the service kept less than a chunk
        raise UnconfirmedError(f"{place}: the upload went wrong midway") from error


def _told(place: str, error: Any) -> StoreError:
    status = _status(error)
    if status in _BUSY:
        return UnavailableError(f"{place}: the store answers {status}", retry_after_s(error))
    if status == 401:
        return RefusedError(f"{place}: {UNKNOWN_ACCOUNT}")
    if status == 403:
        return RefusedError(f"{place}: no permission (403). Grant the account storage.objectUser on the bucket")
    if status == 404 and _method(error) != "PUT":
        return RefusedError(f"{place}: there is no such bucket (404). Create it, or mend --to")
    return UnconfirmedError(f"{place}: the store refused the upload ({status})")  # 400: damaged; 404, 410: session gone


def _method(error: Any) -> str:
    request = getattr(getattr(error, "response", None), "request", None)
    return str(getattr(request, "method", ""))


def _crc32c(data: bytes) -> str:
    """The checksum as GCS writes it."""
    return base64.b64encode(google_crc32c.Checksum(data).digest()).decode()
