"""The consent under which a foreign recording is imported: looked at before anything is published."""

from __future__ import annotations

import pyarrow as pa

from taskreel.capture.importers.foreign import ForeignRecordingError
from taskreel.io.consent import ConsentError, ConsentRecord, consent_path, is_consent_id, refusal
from taskreel.io.segments import SegmentHeader
from taskreel.io.stores import Store

_NOTICE = "vouched for at an import"


def settle_consent(store: Store, header: SegmentHeader, events: pa.Table, *, grant: bool, as_of_us: int) -> None:
    """Make sure that the record of `header.consent_id` does not forbid the recording; with `grant`, write one.

    A record that is there already stands, and has to cover the recording. None is there: without `grant`, the segments
    wait for one. Raises `ForeignRecordingError` that says what to do; then nothing was written.
    """
    if not is_consent_id(header.consent_id):
        raise ForeignRecordingError(f"--consent {header.consent_id!r}: letters, digits, - and _ are expected")
    remedy = "name another record by --consent"
    try:
        record = ConsentRecord.from_json(store.read(consent_path(header.consent_id)))
    except FileNotFoundError:
        if grant:
            record = ConsentRecord(header.consent_id, header.participant, regions=(header.region,), notice=_NOTICE)
            store.create(record.path, record.to_json())
        return
    except ConsentError as error:
        raise ForeignRecordingError(f"--consent {header.consent_id}: {error}; {remedy}") from error
    time_us = events.column("time_us")
    why = refusal(
        record,
        consent_id=header.consent_id,
        consent_version=header.consent_version,
        participant=header.participant,
        region=header.region,
        first_us=time_us[0].as_py(),
        last_us=time_us[-1].as_py(),
        as_of_us=as_of_us,
    )
    if why:
        raise ForeignRecordingError(f"--consent {header.consent_id}: {why.message}; {remedy}")
