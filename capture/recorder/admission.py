"""Whether it may record at all: a consent record in the spool that covers this moment. Fail closed."""

from __future__ import annotations

import time
from pathlib import Path

from taskreel.capture.recorder.recording import Identity
from taskreel.io.consent import CONSENT_PREFIX, ConsentError, ConsentRecord, refusal


class NotPermittedError(Exception):
    """No valid consent record. The message says what to do."""


def admitted(spool: Path, participant: str, region: str, *, now_us: int | None = None) -> ConsentRecord:
    """The record under which `participant` may be recorded now in `region`; the newest, if there are several.

    `participant` may be empty if the spool holds the records of one person only, and `region` if the record names one
    region. Raises `NotPermittedError`.
    """
    now_us = time.time_ns() // 1000 if now_us is None else now_us
    records = consent_records(spool)
    people = sorted({record.participant for record in records})
    if not participant and len(people) > 1:
        raise NotPermittedError(f"there are consent records of {len(people)} people: name one by --participant")
    mine = [record for record in records if not participant or record.participant == participant]
    if not mine:
        raise NotPermittedError(
            f"no consent record{f' of {participant}' if participant else ''} in {spool / CONSENT_PREFIX}: nothing is "
            "recorded without one. The person who is to be recorded makes it by `taskreel capture consent`"
        )
    reasons = []
    for record in sorted(
        mine, key=lambda record: (record.valid_from_us, record.version, record.consent_id), reverse=True
    ):
        why = _why_not(record, record.consent_id, record.version, record.participant, region_of(record, region), now_us)
        if why is None:
            return record
        reasons.append(why)
    raise NotPermittedError(f"{'; '.join(dict.fromkeys(reasons))}: nothing is recorded without a valid consent record")


def still_admitted(spool: Path, identity: Identity, *, now_us: int | None = None) -> str | None:
    """Why the consent under which somebody is recorded does not hold any more, by the record in the spool; or None."""
    now_us = time.time_ns() // 1000 if now_us is None else now_us
    try:
        records = [record for record in consent_records(spool) if record.consent_id == identity.consent_id]
    except NotPermittedError as error:
        return str(error)
    if not records:
        return f"the consent record {identity.consent_id} is not in {spool / CONSENT_PREFIX} any more"
    newest = max(records, key=lambda record: record.version)
    return _why_not(
        newest, identity.consent_id, identity.consent_version, identity.participant, identity.region, now_us
    )


def _why_not(
    record: ConsentRecord, consent_id: str, version: int, participant: str, region: str, now_us: int
) -> str | None:
    """Why a record does not allow recording at this moment; None if it does."""
    why = refusal(
        record,
        consent_id=consent_id,
        consent_version=version,
        participant=participant,
        region=region,
        first_us=now_us,
        last_us=now_us,
        as_of_us=now_us,
    )
    return None if why is None else why.message


def region_of(record: ConsentRecord, region: str) -> str:
    """Where it is recorded: as told, else the one region that the record allows."""
    return region or (record.regions[0] if len(record.regions) == 1 else "")


def consent_records(spool: Path) -> list[ConsentRecord]:
    """All records in a spool. Raises `NotPermittedError` that names the one that cannot be read."""
    records = []
    try:
        for path in sorted((spool / CONSENT_PREFIX).glob("*.json")):
            records.append(ConsentRecord.from_json(path.read_bytes()))
    except ConsentError as error:
        raise NotPermittedError(f"{path}: {error}; correct or remove the file") from error
    except OSError as error:
        raise NotPermittedError(f"{error.filename}: the consent record cannot be read: {error.strerror}") from error
    return records
