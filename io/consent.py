"""Consent records, as the pipeline needs them: may this segment be processed, as of this time?

A record is a JSON file `consent/v1/<consent_id>.json` beside the segments. No record, no processing (fail closed).
The fields are the subset of ISO/IEC TS 27560 (consent record information structure) on which admission depends;
the signed ledger of a later version adds to them.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from taskreel.io.times import iso_from_us, us_from_iso

CONSENT_PREFIX = "consent/v1/"


class ConsentError(ValueError):
    """A consent record that cannot be read."""


@dataclass(frozen=True)
class ConsentRecord:
    """What a participant agreed to. Times are `int64` microseconds UTC; `valid_until_us` is exclusive."""

    consent_id: str
    participant: str
    version: int = 1
    purposes: tuple[str, ...] = ("general_assistance",)
    regions: tuple[str, ...] = ()
    valid_from_us: int = 0
    valid_until_us: int | None = None
    withdrawn_at_us: int | None = None
    notice: str = ""

    @property
    def path(self) -> str:
        """Where the record lies under the root of the segments."""
        return consent_path(self.consent_id)

    def to_json(self) -> bytes:
        """One JSON object, keys sorted, times in ISO 8601."""
        values = asdict(self)
        for key in ("valid_from", "valid_until", "withdrawn_at"):
            time_us = values.pop(f"{key}_us")
            values[key] = None if time_us is None else iso_from_us(time_us)
        return (json.dumps(values, indent=2, sort_keys=True) + "\n").encode()

    @classmethod
    def from_json(cls, data: bytes) -> ConsentRecord:
        """Parse a record; raises `ConsentError` that names the field."""
        try:
            values: dict[str, Any] = json.loads(data)
            if not isinstance(values, dict):
                raise TypeError("it is not a JSON object")
            return cls(
                consent_id=_text(values["consent_id"]),
                participant=_text(values["participant"]),
                version=int(values["version"]),
                purposes=_texts(values.get("purposes", [])),
                regions=_texts(values.get("regions", [])),
                valid_from_us=us_from_iso(values["valid_from"]),
                valid_until_us=_optional_us(values.get("valid_until")),
                withdrawn_at_us=_optional_us(values.get("withdrawn_at")),
                notice=str(values.get("notice", "")),
            )
        except KeyError as error:
            raise ConsentError(f"the consent record has no field {error}") from error
        except (ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise ConsentError(f"the consent record cannot be read: {error}") from error


@dataclass(frozen=True)
class Refusal:
    """Why a segment may not be processed: a code for counting, and a sentence for people."""

    code: str
    message: str = field(compare=False)


def refusal(
    record: ConsentRecord,
    *,
    consent_id: str,
    consent_version: int,
    participant: str,
    region: str,
    first_us: int,
    last_us: int,
    as_of_us: int,
) -> Refusal | None:
    """Why these events are not covered by `record` as of `as_of_us`; None if they are."""
    if record.consent_id != consent_id or record.participant != participant:
        return Refusal("consent_mismatch", f"consent record {consent_id!r} is of another participant")
    if consent_version > record.version:
        return Refusal("consent_version", f"recorded under version {consent_version}, the record has {record.version}")
    if record.withdrawn_at_us is not None and record.withdrawn_at_us <= as_of_us:
        return Refusal("consent_withdrawn", f"consent {consent_id!r} was withdrawn")
    if record.valid_until_us is not None and record.valid_until_us <= as_of_us:
        return Refusal("consent_expired", f"consent {consent_id!r} has ended")
    if first_us < record.valid_from_us or (record.valid_until_us is not None and last_us >= record.valid_until_us):
        return Refusal("consent_period", f"recorded outside the time that consent {consent_id!r} covers")
    if region not in record.regions:
        return Refusal("region", f"recorded in region {region!r}, which consent {consent_id!r} does not allow")
    return None


def is_consent_id(consent_id: str) -> bool:
    """Whether it may be one: letters, digits, - and _, so that it names a file in its folder and no other."""
    return consent_id.replace("-", "").replace("_", "").isalnum()


def consent_path(consent_id: str) -> str:
    """Where the record with this id lies."""
    return f"{CONSENT_PREFIX}{consent_id}.json"


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not text")
    return value


def _texts(values: object) -> tuple[str, ...]:
    if not isinstance(values, list):
        raise TypeError(f"{values!r} is not a list of texts")
    return tuple(map(_text, values))


def _optional_us(text: str | None) -> int | None:
    return None if text is None else us_from_iso(text)
