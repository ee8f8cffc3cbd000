"""Faults which the stand-in commits on demand, and the log of what it was asked."""

from __future__ import annotations

import re
import threading
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal
from urllib.parse import unquote

from taskreel.rehearsal.gcs.messages import Response

Action = Literal["status", "cut", "timeout", "bad_checksum", "truncate"]
Phase = Literal["request", "response"]

DEFAULT_PHASE: dict[Action, Phase] = {"status": "request", "timeout": "request"}


@dataclass
class Fault:
    """What goes wrong, and for which requests.

    `match` is a regex searched in the decoded "METHOD /path" and "METHOD /path?query". The first `after`
    matching requests pass, the next `times` fail.

    - "status": answer `status` with `headers`.
    - "cut": close the connection, amid the request's or the response's bytes.
    - "timeout": say nothing for `hang_s`, then close the connection.
    - "bad_checksum": the X-Goog-Hash header and the hashes in the JSON metadata are wrong.
    - "truncate": a complete answer with only the first half of the content.

    `phase` tells when it strikes: in the "request" nothing has taken effect yet; in the "response" the
    operation (say a commit) was carried out, just the client does not learn of it. Unless told, a status
    and a timeout strike in the request, a cut in the response.
    """

    match: str
    action: Action
    status: int = 503
    headers: Mapping[str, str] = field(default_factory=dict)
    times: int = 1
    after: int = 0
    hang_s: float = 5.0
    phase: Phase | None = None
    seen: int = field(default=0, init=False)
    fired: int = field(default=0, init=False)

    def strikes(self, phase: Phase) -> bool:
        return phase == (self.phase or DEFAULT_PHASE.get(self.action, "response"))

    def spoil(self, response: Response) -> Response:
        """The answer which this fault makes of a true one."""
        if self.action == "status":
            return Response(self.status, dict(self.headers), b"injected fault")
        if self.action == "bad_checksum":
            return with_bad_checksum(response)
        if self.action == "truncate":
            return replace(response, body=response.body[: len(response.body) // 2])
        return response


class Faults:
    """The faults yet to come; of several which match, the first one strikes."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, fault: Fault) -> Fault:
        self._faults.append(fault)
        return fault

    def clear(self) -> None:
        self._faults.clear()

    def take(self, method: str, target: str) -> Fault | None:
        """The fault for this request, if any."""
        if not self._faults:
            return None
        with self._lock:
            for fault in self._faults:
                if not matches(fault.match, method, target):
                    continue
                fault.seen += 1
                if fault.seen > fault.after and fault.fired < fault.times:
                    fault.fired += 1
                    return fault
        return None


def matches(pattern: str, method: str, target: str) -> bool:
    """Whether the regex is in "METHOD /path" or in "METHOD /path?query", both percent-decoded."""
    line = f"{method} {target}"
    return any(re.search(pattern, unquote(text)) for text in (line.partition("?")[0], line))


def with_bad_checksum(response: Response) -> Response:
    """Replace every hash, in the header and in JSON metadata, by one of zeros."""
    headers = dict(response.headers)
    if "X-Goog-Hash" in headers:
        headers["X-Goog-Hash"] = f"crc32c=AAAAAA==,md5={'A' * 22}=="
    body = response.body
    if headers.get("Content-Type", "").startswith("application/json"):
        body = re.sub(rb'("crc32c": *)"[^"]*"', rb'\1"AAAAAA=="', bytes(body))
        body = re.sub(rb'("md5Hash": *)"[^"]*"', rb'\1"' + b"A" * 22 + b'=="', body)
    return replace(response, headers=headers, body=body)


@dataclass(frozen=True)
class LoggedRequest:
    """One request; `bytes_*` count the bodies, and the status is 0 if the connection was cut instead."""

    method: str
    path: str
    query: str
    bytes_in: int
    bytes_out: int
    status: int

    @property
    def target(self) -> str:
        return f"{self.path}?{self.query}" if self.query else self.path


class RequestLog:
    """The last `limit` requests, and counts over all of them."""

    def __init__(self, limit: int = 10_000):
        self._entries: deque[LoggedRequest] = deque(maxlen=limit)
        self._lock = threading.Lock()
        self.clear()

    def clear(self) -> None:
        with self._lock:
            self._entries.clear()
            self.total = self.bytes_in = self.bytes_out = 0
            self.by_method: Counter[str] = Counter()
            self.by_status: Counter[int] = Counter()

    def add(self, entry: LoggedRequest) -> None:
        with self._lock:
            self._entries.append(entry)
            self.total += 1
            self.bytes_in += entry.bytes_in
            self.bytes_out += entry.bytes_out
            self.by_method[entry.method] += 1
            self.by_status[entry.status] += 1

    def __iter__(self) -> Iterator[LoggedRequest]:
        with self._lock:
            return iter(list(self._entries))

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, pattern: str) -> list[LoggedRequest]:
        """The logged requests which the regex matches, in the way of `Fault.match`."""
        return [entry for entry in self if matches(pattern, entry.method, entry.target)]

    def count(self, pattern: str) -> int:
        return len(self.find(pattern))
