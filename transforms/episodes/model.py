"""What the segmentation takes and gives: its options, marked tasks, episodes."""

from __future__ import annotations

from dataclasses import dataclass, fields

SEGMENTER_VERSION = "1"
"""Raised whenever the same actions and options could be cut otherwise. Stored with the dataset."""

SECOND_US = 1_000_000


@dataclass(frozen=True, kw_only=True)
class EpisodeOptions:
    """The limits of an episode, and the prices by which a session without marks is cut.

    A price is in bits: one bit more makes a cut half as likely. `docs/episodes.md` gives the reason of each.

    - `max_steps`, `max_minutes`: no episode is longer. `min_steps`, `min_seconds`: shorter unmarked ones are residue.
    - `cut_bits`: the price of any cut. `typical_minutes`, `length_bits`: an episode of this length costs nothing more,
      one that is k times as long or short costs `length_bits` x log2(k) squared.
    - `idle_bits`, `idle_scale_s`: a cut is cheaper by `idle_bits` each time that idle time + scale doubles.
    - `completion_bits`: a cut right after an action that completes something is cheaper by this.
    - `novelty`: how readily an episode takes up another document, in visits.
    - `sure_bits`: a cut whose absence would cost this has a confidence of one half.

    Raises `ValueError` that names the field.
    """

    max_steps: int = 3000
    max_minutes: float = 60.0
    min_steps: int = 2
    cut_bits: int = 26
    typical_minutes: float = 12.0
    length_bits: int = 2
    idle_bits: int = 4
    idle_scale_s: float = 2.0
    longest_idle_s: float = 30.0
    completion_bits: int = 4
    novelty: int = 16
    elsewhere: int = 200
    residue_bits: int = 5
    residue_seconds: float = 40.0
    sure_bits: int = 8

    def __post_init__(self) -> None:
        for field in fields(self):
            value, least = getattr(self, field.name), 0 if field.name in _MAY_BE_ZERO else 1e-3
            if not least <= value < float("inf"):
                bound = "negative" if least == 0 else "zero or negative"
                raise ValueError(f"{field.name} is {value}; it must not be {bound}, or infinite")


_MAY_BE_ZERO = ("residue_bits", "cut_bits", "length_bits", "idle_bits", "completion_bits")


@dataclass(frozen=True)
class Task:
    """A task that the person marked; `end_us` is exclusive, and None if its end was never marked."""

    start_us: int
    end_us: int | None
    description: str | None
    outcome: str | None


@dataclass(frozen=True)
class Episode:
    """Actions `first` to `end` (exclusive) of a session. `kind` is `episode` or `residue`.

    `cut_reason` and `confidence` (0 to 1, whole percents) are those of the cut at its beginning.
    """

    first: int
    end: int
    kind: str
    cut_reason: str
    confidence: float
    task: Task | None = None
