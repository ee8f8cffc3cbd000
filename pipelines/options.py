"""The options of a run, with their defaults, in one place. `docs/options.md` gives the reasons."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from taskreel.io.shards import RowGroupLimits
from taskreel.io.times import Clock
from taskreel.transforms.actions import ActionOptions
from taskreel.transforms.assign import ShardOptions
from taskreel.transforms.build import BuildOptions
from taskreel.transforms.episodes import EpisodeOptions
from taskreel.transforms.spans import SpanOptions


@dataclass(frozen=True)
class RunOptions:
    """How segments become a dataset. What decides about the result is here; where and by which runner is not."""

    session_gap_s: float = 600.0
    """A longer pause in activity ends a session."""
    clock_correction_s: float = 60.0
    """The largest correction of a device's clock; segments that near more are read together."""
    longest_span_h: float = 12.0
    """Longer spans are cut on a fixed UTC grid of this length, so that memory has a bound."""
    actions: ActionOptions = field(default_factory=ActionOptions)
    """The rules by which events become actions."""
    episodes: EpisodeOptions = field(default_factory=EpisodeOptions)
    """Where one task ends and the next begins."""
    target_shard_mb: float = 256.0
    """Shards a split = listed size of its segments / this, rounded up."""
    row_group_rows: int = 100
    """Most rows of a row group."""
    row_group_mb: float = 32.0
    """Most distinct pictures of a row group, in MB."""
    split_percent: tuple[int, int, int] = (90, 5, 5)
    """Shares of train, validation and test, by participant."""
    prefetch: int = 16
    """Requests under way at once in each worker, on `gs://`; a folder is read directly."""

    def __post_init__(self) -> None:
        for name in ("session_gap_s", "longest_span_h", "target_shard_mb", "row_group_rows", "row_group_mb"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} has to be a positive number, not {getattr(self, name)}")
        if not 0 <= self.clock_correction_s < math.inf or self.prefetch < 0:
            raise ValueError("clock_correction_s and prefetch must be numbers, and not negative")
        if self.longest_span_h * 3600 < self.session_gap_s:
            raise ValueError("longest_span_h must not be shorter than session_gap_s")
        _ = (self.shards, self.build)

    @property
    def spans(self) -> SpanOptions:
        """For `SessionizeNames`."""
        gap_s = self.session_gap_s + 2 * self.clock_correction_s
        return SpanOptions(gap_ms=int(gap_s * 1000), longest_ms=int(self.longest_span_h * 3_600_000))

    @property
    def build(self) -> BuildOptions:
        """For `BuildSpans`."""
        return BuildOptions(self.session_gap_s, self.clock_correction_s, self.actions, self.episodes)

    @property
    def shards(self) -> ShardOptions:
        """For `AssignShards`."""
        return ShardOptions(int(self.target_shard_mb * 1_000_000), self.split_percent)

    @property
    def row_groups(self) -> RowGroupLimits:
        """For `WriteShards`."""
        return RowGroupLimits(self.row_group_rows, int(self.row_group_mb * 1_000_000))

    def as_dict(self) -> dict[str, Any]:
        """What is stored with the commit: everything that decides about the result."""
        values = asdict(self)
        del values["prefetch"]
        return values


def with_rules(rules: Iterable[str], actions: ActionOptions, episodes: EpisodeOptions) -> dict[str, Any]:
    """The fields `actions` and `episodes` of `RunOptions`, some thresholds changed: "drag_px=12".

    Raises `ValueError` that names the rule, and all names if there is none of that name.
    """
    changed: dict[str, dict[str, Any]] = {"actions": {}, "episodes": {}}
    groups = {"actions": actions, "episodes": episodes}
    for rule in rules:
        name, _, value = rule.partition("=")
        group = next((group for group, options in groups.items() if name in vars(options)), None)
        if group is None:
            names = ", ".join(name for options in groups.values() for name in vars(options))
            raise ValueError(f"--rule {rule}: NAME=VALUE is expected, with a name of {names}")
        changed[group][name] = _parsed(rule, value, type(vars(groups[group])[name]))
    return {group: replace(options, **changed[group]) for group, options in groups.items()}


def _parsed(rule: str, value: str, kind: type) -> Any:
    words = {"yes": True, "true": True, "no": False, "false": False}
    try:
        return words[value.lower()] if kind is bool else kind(value)
    except (KeyError, ValueError):
        expected = "yes or no" if kind is bool else f"a number ({kind.__name__})"
        raise ValueError(f"--rule {rule}: {expected} is expected") from None


@dataclass(frozen=True)
class IncrementalOptions:
    """How far an incremental run looks back, and what is over. None of it decides about the result in the end."""

    publish_deadline_s: float = 900.0
    """Within which time a healthy client has published what it recorded. The watermark is that much behind."""
    lateness_h: float = 48.0
    """Days that began so long before the watermark are listed."""
    rescan_days: int = 10
    """So many older days are listed, too, others in each run."""
    rescan: bool = False
    """List every day."""
    retry_dead: bool = False
    """Look at every dead letter again."""
    final: bool = False
    """Nothing more is expected: list every day, close every span."""

    def __post_init__(self) -> None:
        for name in ("publish_deadline_s", "lateness_h", "rescan_days"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} has to be a number, and not negative, not {getattr(self, name)}")

    def watermark_us(self, as_of_us: int) -> int:
        """Everything that was recorded before then is expected to be there."""
        return as_of_us - int(self.publish_deadline_s * 1_000_000)


@dataclass(frozen=True)
class StreamingOptions:
    """What a stream waits for, and how often it looks and commits. None of it decides about the result in the end.

    Pauses are of the store's time; a trial's `clock` makes them shorter.
    """

    publish_deadline_s: float = 900.0
    """Within which time a healthy client has published what it recorded. The watermark is that much behind."""
    lateness_h: float = 48.0
    """How long after it is over a span takes in late segments, and how long days are polled."""
    poll_every_s: float = 30.0
    """Between two listings of a day."""
    close_every_s: float = 60.0
    """An open shard is closed so long after its first episode, if it is not full before."""
    commit_every_s: float = 5.0
    """Between two commits."""
    reconcile_every_s: float = 3600.0
    """Between two looks at days that are no longer polled."""
    reconcile_days: int = 10
    """So many of these days at each look, others each time."""
    writers: int = 4
    """Open shards of a split at once."""
    clock: Clock | None = None
    """The time of a trial in the place of the store's."""

    def __post_init__(self) -> None:
        for name in ("publish_deadline_s", "lateness_h", "reconcile_days"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} has to be a number, and not negative, not {getattr(self, name)}")
        for name in ("poll_every_s", "close_every_s", "commit_every_s", "reconcile_every_s", "writers"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} has to be a positive number, not {getattr(self, name)}")


@dataclass(frozen=True)
class RunPlaces:
    """Where a run reads and writes, and of when it is. `as_of_us` decides what depends on "now"."""

    input: str
    output: str
    as_of_us: int
    from_us: int | None = None
    until_us: int | None = None
    participants: tuple[str, ...] = field(default_factory=tuple)
    allow_region_transfer: bool = False
    """Whether workers in the cloud may be where consent records do not name; then the commit says so."""
