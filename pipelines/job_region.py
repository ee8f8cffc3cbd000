"""Whether a job may take people's recordings to the cloud region in which its workers are.

A consent record names the regions in which somebody may be recorded. Workers in another one are a transfer, so a job
there is refused at launch. Decision 0024 gives the reasons.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from taskreel.io.consent import CONSENT_PREFIX, ConsentError, ConsentRecord
from taskreel.io.stores import Entry, Store, open_store
from taskreel.pipelines.errors import LaunchError
from taskreel.transforms.prefetch import prefetched

_READ_AT_ONCE = 32
_READ_BUDGET_BYTES = 16_000_000

_REGIONS = {
    "au": "australia-southeast1 australia-southeast2",
    "be": "europe-west1",
    "br": "southamerica-east1",
    "ca": "northamerica-northeast1 northamerica-northeast2",
    "ch": "europe-west6",
    "cl": "southamerica-west1",
    "de": "europe-west3 europe-west10",
    "es": "europe-southwest1",
    "fi": "europe-north1",
    "fr": "europe-west9",
    "gb": "europe-west2",
    "hk": "asia-east2",
    "id": "asia-southeast2",
    "il": "me-west1",
    "in": "asia-south1 asia-south2",
    "it": "europe-west8 europe-west12",
    "jp": "asia-northeast1 asia-northeast2",
    "kr": "asia-northeast3",
    "mx": "northamerica-south1",
    "nl": "europe-west4",
    "pl": "europe-central2",
    "qa": "me-central1",
    "sa": "me-central2",
    "se": "europe-north2",
    "sg": "asia-southeast1",
    "tw": "asia-east1",
    "us": "us-central1 us-east1 us-east4 us-east5 us-south1 us-west1 us-west2 us-west3 us-west4",
    "za": "africa-south1",
}
"""The cloud regions of each country (ISO 3166), as Google's lists of locations have them (docs.cloud.google.com,
`saas-runtime/docs/locations` and `memorystore/docs/redis/regions`), read on 2026-11-30."""

_COUNTRY_OF = {region: country for country, regions in _REGIONS.items() for region in regions.split()}

_EU = frozenset({"be", "de", "es", "fi", "fr", "it", "nl", "pl", "se"})
"""Those of them that are members of the European Union: not the United Kingdom, nor Switzerland."""


@dataclass(frozen=True)
class People:
    """Whose recordings a job handles: those of an input, all or some, whose consent holds as of a time."""

    root: str
    participants: tuple[str, ...]
    as_of_us: int
    is_transfer_allowed: bool = False
    """Whether whoever launches has another ground than the records for a transfer."""


def areas_of(cloud_region: str) -> frozenset[str]:
    """What a consent record may call the place of a cloud region: itself, its country, and `eu` for a member."""
    country = _COUNTRY_OF.get(cloud_region)
    areas = {cloud_region, country, "eu" if country in _EU else None, "uk" if country == "gb" else None}
    return frozenset(area for area in areas if area)


def allows(record: ConsentRecord, cloud_region: str) -> bool:
    """Whether a region that the record names holds the cloud region; not if either is unknown."""
    return not areas_of(cloud_region).isdisjoint(region.lower() for region in record.regions)


def check_region(cloud_region: str, people: People) -> None:
    """Raise `LaunchError` if consent records that count do not allow the region. Reads them all."""
    if people.is_transfer_allowed:
        return
    refusing = [record for record in _records(people) if not allows(record, cloud_region)]
    if not refusing:
        return
    named = sorted({region for record in refusing for region in record.regions})
    place = ", ".join(sorted(areas_of(cloud_region) - {cloud_region})) or "a place that taskreel does not know"
    raise LaunchError(
        f"--region {cloud_region} ({place}): {len(refusing)} consent records do not allow it, such as "
        f"{min(record.consent_id for record in refusing)}; they name {', '.join(named[:5]) or 'no region'}. "
        "Choose a --region there, or others by --participants or --input"
    )


def _records(people: People) -> Iterator[ConsentRecord]:
    """Those that count. What cannot be read does not: without a record that can, nothing of a person is used."""
    for record in _all_records(open_store(people.root)):
        chosen = not people.participants or record.participant in people.participants
        ends_us = [time_us for time_us in (record.withdrawn_at_us, record.valid_until_us) if time_us is not None]
        if chosen and all(time_us > people.as_of_us for time_us in ends_us):
            yield record


def _all_records(store: Store) -> Iterator[ConsentRecord]:
    def read(entry: Entry) -> ConsentRecord | None:
        try:
            return ConsentRecord.from_json(store.read(entry.name))
        except (ConsentError, FileNotFoundError):
            return None

    entries = store.files(CONSENT_PREFIX)
    for _, future in prefetched(
        entries,
        read,
        size_bytes=lambda entry: entry.size_bytes,
        threads=_READ_AT_ONCE,
        budget_bytes=_READ_BUDGET_BYTES,
    ):
        record = future.result()
        if record is not None:
            yield record
