"""A round over the outbox of a spool, and rounds for ever.

A segment leaves the outbox only after the store has confirmed its checksum. Whatever happens before, it is sent again;
the store takes a name once, so it is there once. Every step may be cut off at any instruction.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from taskreel.capture.publisher.bandwidth import Throttle
from taskreel.capture.publisher.outcome import Fate, Notice, Outcome, Progress, Sending, Summary
from taskreel.capture.publisher.retries import RetryOptions, StoppedError, requests_repeated, uploads_repeated
from taskreel.capture.spool import OUTBOX, Spool
from taskreel.io.consent import ConsentError, ConsentRecord, is_consent_id
from taskreel.io.names import SegmentName
from taskreel.io.stores import ContentConflictError, Store, StoreError
from taskreel.io.uploads import RefusedError, SendOptions, UnavailableError, UnconfirmedError, uploads_to

_FAILURES_IN_A_ROW = 2
"""One segment that the store does not take holds up no other. Two in a row, and it is the store; also if it asks to be
left alone."""


@dataclass(frozen=True)
class PublishOptions:
    """How to publish. After trouble, the pause between rounds doubles from `every_s` up to `longest_pause_s`."""

    bandwidth_bytes_s: int | None = None
    remove_sent: bool = False
    every_s: float = 30.0
    longest_pause_s: float = 900.0
    timeout_s: float = 30.0
    retries: RetryOptions = field(default_factory=RetryOptions)

    def __post_init__(self) -> None:
        if self.bandwidth_bytes_s is not None and self.bandwidth_bytes_s < 1:
            raise ValueError(f"bandwidth_bytes_s={self.bandwidth_bytes_s}: at least 1 is expected")
        if self.every_s <= 0:
            raise ValueError(f"every_s={self.every_s}: more than 0 is expected")


def _ignore(progress: Progress) -> None:
    pass


def publish_once(
    spool: Spool,
    store: Store,
    options: PublishOptions,
    on_progress: Callable[[Progress], None] = _ignore,
    stopped: threading.Event | None = None,
) -> Summary:
    """Send what is in the outbox. `stopped` ends it between two blocks of an upload; nothing is lost.

    Raises `SpoolBusyError` if another publisher is at work, `StoreError` if the store cannot be used at all, and
    `OSError` if the spool's own disk fails.
    """
    with spool.locked():
        return _Publisher(spool, store, options, on_progress, stopped or threading.Event()).round()


def publish_watch(
    spool: Spool,
    store: Store,
    options: PublishOptions,
    on_progress: Callable[[Progress], None] = _ignore,
    stopped: threading.Event | None = None,
    on_round: Callable[[Summary], None] = lambda summary: None,
) -> Summary:
    """Send what is in the outbox, again and again until `stopped`; the summary of the last round.

    A store that fails or refuses is tried at longer and longer intervals. Raises as `publish_once`.
    """
    stopped = stopped or threading.Event()
    with spool.locked():
        publisher = _Publisher(spool, store, options, on_progress, stopped)
        troubles = 0
        while True:
            summary = publisher.round()
            on_round(summary)
            troubles = troubles + 1 if summary.has_trouble else 0
            pause_s = _pause_s(options, troubles, summary.retry_after_s)
            if troubles and not stopped.is_set():
                on_progress(Notice(f"{summary.problem or 'some are left'}; goes on in {pause_s:.0f} s"))
            if stopped.wait(pause_s):
                return summary


def _pause_s(options: PublishOptions, troubles: int, asked_s: float) -> float:
    longest_s = max(options.longest_pause_s, options.every_s)
    return max(min(options.every_s * 2 ** min(troubles, 30), longest_s), asked_s)


class _SpoolError(Exception):
    """The disk of the spool fails."""


@contextlib.contextmanager
def _spool_errors() -> Iterator[None]:
    """That a file is gone is another matter: a person may remove it."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        file = f": {error.filename}" if error.filename else ""
        raise _SpoolError(f"the spool cannot be used: {error.strerror}{file}") from error


class _Publisher:
    """One process's work on a spool that it has locked."""

    def __init__(
        self,
        spool: Spool,
        store: Store,
        options: PublishOptions,
        on_progress: Callable[[Progress], None],
        stopped: threading.Event,
    ) -> None:
        self._spool = spool.open()
        self._store = store
        self._options = options
        self._report = on_progress
        self._stopped = stopped
        limit = options.bandwidth_bytes_s
        self._throttle = Throttle(limit, sleep=stopped.wait) if limit else None
        retries = options.retries
        repeat = requests_repeated(retries, stopped, self._on_wait)
        uploads = uploads_to(store, SendOptions(self._meter, repeat, options.timeout_s))
        self._uploads, self._again = uploads, uploads_repeated(retries, stopped, self._on_wait)
        self._told: dict[Path, bytes] = {}
        """Consent records about which the store has been asked."""

    def round(self) -> Summary:
        """Consent records, then segments, the oldest first. What fails is in the summary."""
        began_s = time.monotonic()
        names: list[SegmentName] = []
        summary = Summary()
        try:
            with _spool_errors():
                names = self._spool.unsent()
            self._send_segments(names, self._send_consent(), summary)
        except StoppedError:
            summary.was_stopped = True
        except RefusedError as error:
            summary.problem, summary.is_refused = str(error), True
        except UnavailableError as error:
            summary.problem, summary.retry_after_s = str(error), error.retry_after_s
        except (StoreError, ConsentError, _SpoolError) as error:
            summary.problem = str(error)
        here = sum(self._spool.path_of(OUTBOX, name).exists() for name in names)
        summary.left = here - summary.fates[Fate.WITHHELD]
        summary.set_aside = self._spool.set_aside_count()
        summary.wall_s = time.monotonic() - began_s
        return summary

    # --------------------------------------------------------------------------------------------------- consent

    def _send_consent(self) -> set[str]:
        """Send the records that the store does not have; the ids of those that are withdrawn."""
        records: dict[Path, bytes] = {}
        for path in self._spool.consent_records():
            with contextlib.suppress(FileNotFoundError), _spool_errors():
                records[path] = path.read_bytes()
        for path, data in records.items():
            record = _consent_record(path, data)
            if self._told.get(path) != data:
                self._send_record(record, data)
                self._told[path] = data
        parsed = (ConsentRecord.from_json(data) for data in records.values())
        return {record.consent_id for record in parsed if record.withdrawn_at_us is not None}

    def _send_record(self, record: ConsentRecord, data: bytes) -> None:
        try:
            self._send(record.path, data)
        except ContentConflictError:
            if self._is_withdrawal(record):
                self._store.replace(record.path, data)
                self._report(Notice(f"{record.path}: the store is told that consent was withdrawn"))
            else:
                self._report(Notice(f"{record.path}: the store has another record of this id; it was left alone"))

    def _is_withdrawal(self, record: ConsentRecord) -> bool:
        """Whether it takes back what the store's record allows: the one change that a publisher may make there."""
        if record.withdrawn_at_us is None:
            return False
        with contextlib.suppress(ConsentError):
            there = ConsentRecord.from_json(self._store.read(record.path))
            return replace(there, withdrawn_at_us=None) == replace(record, withdrawn_at_us=None)
        return False

    # -------------------------------------------------------------------------------------------------- segments

    def _send_segments(self, names: list[SegmentName], withdrawn: set[str], summary: Summary) -> None:
        failures = 0
        for name in names:
            began_s = time.monotonic()
            try:
                size_bytes, fate, reason = self._send_segment(name, withdrawn)
            except FileNotFoundError:
                continue  # somebody removed it
            except (UnavailableError, UnconfirmedError, _SpoolError) as error:
                size_bytes, fate, reason = 0, Fate.FAILED, str(error)
                failures += 1
                if failures == _FAILURES_IN_A_ROW or getattr(error, "retry_after_s", None):
                    raise
            else:
                failures = 0
            outcome = Outcome(str(name), fate, size_bytes, time.monotonic() - began_s, reason)
            summary.add(outcome)
            self._report(outcome)

    def _send_segment(self, name: SegmentName, withdrawn: set[str]) -> tuple[int, Fate, str]:
        """Its size, what became of it, and why."""
        with _spool_errors():
            data = self._spool.path_of(OUTBOX, name).read_bytes()
        fate, reason = self._fate(name, data, withdrawn)
        with _spool_errors():
            if fate in (Fate.CONFLICT, Fate.DAMAGED):
                self._spool.set_aside(name, reason)
            elif fate != Fate.WITHHELD:
                self._mark_sent(name)
        return len(data), fate, reason

    def _mark_sent(self, name: SegmentName) -> None:
        """Where there is no room for a folder to keep it in, it goes for good: the store has it."""
        try:
            self._spool.mark_sent(name, keep=not self._options.remove_sent)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            self._spool.mark_sent(name, keep=False)

    def _fate(self, name: SegmentName, data: bytes, withdrawn: set[str]) -> tuple[Fate, str]:
        sha256 = hashlib.sha256(data).hexdigest()
        if not sha256.startswith(name.sha):
            return Fate.DAMAGED, f"the file's sha256 is {sha256[:12]}…, not {name.sha}… as its name says"
        if withdrawn:
            consent_id = _consent_id(name, data)
            if consent_id is None:
                return Fate.DAMAGED, "under which consent it was recorded cannot be read"
            if consent_id in withdrawn:
                return Fate.WITHHELD, "consent was withdrawn"
        try:
            return (Fate.SENT if self._send(str(name), data) else Fate.PRESENT), ""
        except ContentConflictError as error:
            return Fate.CONFLICT, str(error)

    # --------------------------------------------------------------------------------------------------- the line

    def _send(self, name: str, data: bytes) -> bool:
        """Raises `StoppedError` and what `Uploads.send` does."""
        if self._stopped.is_set():
            raise StoppedError
        return bool(self._again(lambda: self._uploads.send(name, data))())

    def _meter(self, count: int) -> None:
        if self._throttle:
            self._throttle.take(count)
        if self._stopped.is_set():
            raise StoppedError
        self._report(Sending(count))

    def _on_wait(self, seconds: float) -> None:
        self._report(Notice(f"no success; the next try is in {seconds:.1f} s"))


def _consent_record(path: Path, data: bytes) -> ConsentRecord:
    """Raises `ConsentError` that names the file. Without its record, no segment would be processed: none is sent."""
    try:
        record = ConsentRecord.from_json(data)
    except ConsentError as error:
        raise ConsentError(f"{path}: {error}. Nothing is sent until it is mended") from None
    if path.name != f"{record.consent_id}.json" or not is_consent_id(record.consent_id):
        raise ConsentError(f"{path}: is not the record that its name says. Nothing is sent until it is mended")
    return record


def _consent_id(name: SegmentName, data: bytes) -> str | None:
    """Of a segment whose bytes are proved; imported late, as it needs Arrow."""
    from taskreel.io.segments import SegmentError, SegmentFile

    try:
        return SegmentFile(name, data).header.consent_id
    except SegmentError:
        return None
