"""Admit: decide by header and consent whether a segment may be read, then prove and decode it.

What fails comes back as a dead letter, so that its neighbours come out as if it were not there.
"""

from __future__ import annotations

import hashlib
from concurrent.futures import Future
from dataclasses import dataclass

from taskreel.io.consent import ConsentError, ConsentRecord, Refusal, consent_path, is_consent_id, refusal
from taskreel.io.names import SegmentName
from taskreel.io.segments import Segment, SegmentError, SegmentFile, SegmentHeader
from taskreel.io.stores import Store
from taskreel.transforms.dead import FUTURE, UNREADABLE, Dead


@dataclass(frozen=True)
class Consent:
    """A consent record as it lies in the store: what it says, or why nothing is read by it, and its content's hash.

    `sha256` is "" for a record that is not there.
    """

    record: ConsentRecord | Refusal
    sha256: str = ""


class Consents:
    """The consent records beside the segments, each read once."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._consents: dict[str, Consent] = {}

    def __getitem__(self, consent_id: str) -> Consent:
        if consent_id not in self._consents:
            self._consents[consent_id] = self._read(consent_id)
        return self._consents[consent_id]

    def _read(self, consent_id: str) -> Consent:
        unknown = Refusal("consent_unknown", f"there is no consent record {consent_id!r}; without one nothing is read")
        if not is_consent_id(consent_id):
            return Consent(unknown)
        try:
            data = self._store.read(consent_path(consent_id))
        except FileNotFoundError:
            return Consent(unknown)
        sha256 = hashlib.sha256(data).hexdigest()
        try:
            return Consent(ConsentRecord.from_json(data), sha256)
        except ConsentError as error:
            return Consent(Refusal("consent_unreadable", str(error)), sha256)


@dataclass(frozen=True)
class Admission:
    """Turns fetched bytes into admitted segments. `as_of_us` decides what depends on the time of the run."""

    consents: Consents
    as_of_us: int

    def admit(self, name: SegmentName, data: Future[bytes]) -> Segment | Dead:
        """The segment, or why it is not used."""
        size_bytes = 0
        try:
            fetched = data.result()
            size_bytes = len(fetched)
            file = SegmentFile(name, fetched)
            consent_id = file.header.consent_id
            if why := self._refusal(file.header):
                sha256 = self.consents[consent_id].sha256
                sizes = {"size_bytes": size_bytes, "events": name.events}
                return Dead.of_refusal(str(name), why, consent_id, sha256, **sizes)
            return file.read()
        except SegmentError as error:
            return Dead.of_error(str(name), error.code, error, size_bytes=size_bytes, events=name.events)
        except FileNotFoundError as error:  # any other fault of the store may pass: it fails the bundle, to be retried
            return Dead.of_error(str(name), UNREADABLE, error, size_bytes=size_bytes, events=name.events)

    def _refusal(self, header: SegmentHeader) -> Refusal | None:
        """Decided on the header alone, before an event is read."""
        if header.last_us > self.as_of_us:
            message = "its events lie in the future of --as-of: the recorder's clock was wrong, or --as-of is too early"
            raise SegmentError(FUTURE, message)
        record = self.consents[header.consent_id].record
        if isinstance(record, Refusal):
            return record
        return refusal(
            record,
            consent_id=header.consent_id,
            consent_version=header.consent_version,
            participant=header.participant,
            region=header.region,
            first_us=header.first_us,
            last_us=header.last_us,
            as_of_us=self.as_of_us,
        )
