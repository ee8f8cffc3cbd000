"""Metrics: what a run tells Beam while it goes, under names that are an interface (`docs/operations.md` has them).

For monitors and people: a bundle that is tried again counts twice; exact numbers are accounts. They are told once a
segment, span, shard or commit, never once an event. Outside of a pipeline they do nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from apache_beam.metrics import Metrics

from taskreel.io.tables import ConflictError
from taskreel.transforms.accounts import Account
from taskreel.transforms.dead import Dead

NAMESPACE = "taskreel"
DEAD_CODES = (
    "altered",
    "columns",
    "consent_expired",
    "consent_mismatch",
    "consent_period",
    "consent_unknown",
    "consent_unreadable",
    "consent_version",
    "consent_withdrawn",
    "empty",
    "foreign",
    "future",
    "header",
    "kind",
    "name",
    "no_events",
    "parquet",
    "pictures",
    "region",
    "seq",
    "span_past_retention",
    "time_backwards",
    "truncated",
    "unreadable",
    "version",
)
"""Why a file is a dead letter: each has a counter, `dead_` and the code. Another code counts as `dead_other`."""
COUNTERS = (
    "segments",
    "read_bytes",
    "events",
    "episodes",
    "steps",
    "residues",
    "waiting",
    "late",
    "picture_bytes",
    "shards",
    "commits",
    "lost_races",
    *(f"dead_{code}" for code in (*DEAD_CODES, "other")),
)
DISTRIBUTIONS = ("segment_bytes", "span_build_ms", "shard_bytes", "commit_ms", "commit_lag_ms")

_COUNTERS = {name: Metrics.counter(NAMESPACE, name) for name in COUNTERS}
_DISTRIBUTIONS = {name: Metrics.distribution(NAMESPACE, name) for name in DISTRIBUTIONS}


def count(**counts: int) -> None:
    """Count some more; raises `KeyError` for a name that is not of the interface."""
    for name, number in counts.items():
        _COUNTERS[name].inc(number)


def observe(**values: int) -> None:
    """Add one value to distributions; raises `KeyError` for a name that is not of the interface."""
    for name, value in values.items():
        _DISTRIBUTIONS[name].update(value)


def count_dead(dead: Dead) -> None:
    """Count a dead letter, and the events that its name claims."""
    code = dead.code if dead.code in DEAD_CODES else "other"
    count(events=dead.events, **{f"dead_{code}": 1})


def count_built(account: Account) -> None:
    """Count what came of some spans, beside what a `Progress` counts."""
    count(events=account["events.read"], steps=account["steps"], residues=account["residues"])


def since_ms(began_s: float) -> int:
    """The milliseconds since `time.monotonic()` was that."""
    return int((time.monotonic() - began_s) * 1000)


def counted_commit(commit: Callable[[], int | None]) -> int | None:
    """The version that `commit` makes, None if nothing changes; counted and timed. What it raises goes on."""
    began_s = time.monotonic()
    version = commit()
    if version is not None:
        count(commits=1)
        observe(commit_ms=since_ms(began_s))
    return version


def commit_or_lose(commit: Callable[[], int | None]) -> int | None:
    """The same, and None if another run was faster.

    A retry would find the same; the launcher sees that its run is not in the log, and exits 3.
    """
    try:
        return counted_commit(commit)
    except ConflictError:
        count(lost_races=1)
        return None
