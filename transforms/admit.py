"""Admit: decide by header and consent whether a segment may be read, then prove and decode it.

What fails comes back as a dead letter, so that its neighbours come out as if it were not there.
"""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass

from taskreel.io.consent import ConsentError, ConsentRecord, Refusal, consent_path, is_consent_id, refusal
from taskreel.io.names import SegmentName
from taskreel.io.segments import Segment, SegmentError, SegmentFile, SegmentHeader
from taskreel.io.stores import Store
from taskreel.transforms.dead import Dead


class Consents:
    """The consent records beside the segments, each read once."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._records: dict[str, ConsentRecord | Refusal] = {}

    def __getitem__(self, consent_id: str) -> ConsentRecord | Refusal:
        if consent_id not in self._records:
            self._records[consent_id] = self._read(consent_id)
        return self._records[consent_id]

    def _read(self, consent_id: str) -> ConsentRecord | Refusal:
        unknown = f"there is no consent record {consent_id!r}; without one nothing is read"
        if not is_consent_id(consent_id):
            return Refusal("consent_unknown", unknown)
        try:
            return ConsentRecord.from_json(self._store.read(consent_path(consent_id)))
        except FileNotFoundError:
            return Refusal("consent_unknown", unknown)
        except ConsentError as error:
            return Refusal("consent_unreadable", str(error))


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
            if why := self._refusal(file.header):
                return Dead.of_refusal(str(name), why, size_bytes=size_bytes, events=name.events)
            return file.read()
        except SegmentError as error:
            return Dead.of_error(str(name), error.code, error, size_bytes=size_bytes, events=name.events)
        except FileNotFoundError as error:  # any other fault of the store may pass: it fails the bundle, to be retried
            return Dead.of_error(str(name), "unreadable", error, size_bytes=size_bytes, events=name.events)

    def _refusal(self, header: SegmentHeader) -> Refusal | None:
        """Decided on the header alone, before an event is read."""
        if header.last_us > self.as_of_us:
            message = "its events lie in the future of --as-of: the recorder's clock was wrong, or --as-of is too early"
            raise SegmentError("future", message)
        record = self.consents[header.consent_id]
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
