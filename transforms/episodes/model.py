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

    - `max_steps`, `max_minutes`: no episode is longer. `min_steps`: unmarked ones with fewer are residue.
    - `cut_bits`: the price of any cut; `blind_cut_bits` where fewer than half of its actions tell of their window.
    - `idle_bits`, `idle_scale_s`, `longest_idle_s`: a cut is cheaper by `idle_bits` each time that idle time + scale
      doubles; idle time beyond the longest says no more, if windows are known.
    - `completion_bits`: a cut is cheaper by this right after an action that saves, sends, commits or closes.
    - `novelty`: how readily an episode takes up another document, in draws. `elsewhere`: draws that are added to the
      session's, so that it takes many to make a document common.
    - `residue_seconds`: a shorter piece is residue. `residue_bits`: one of no length is cheaper by this.
    - `sure_bits`: a cut without which the session would cost this more has a confidence of one half.

    Raises `ValueError` that names the field.
    """

    max_steps: int = 2000
    max_minutes: float = 60.0
    min_steps: int = 2
    cut_bits: int = 30
    blind_cut_bits: int = 32
    idle_bits: int = 5
    idle_scale_s: float = 1.0
    longest_idle_s: float = 15.0
    completion_bits: int = 5
    novelty: int = 20
    elsewhere: int = 1000
    residue_seconds: float = 80.0
    residue_bits: int = 6
    sure_bits: int = 2

    def __post_init__(self) -> None:
        for field in fields(self):
            value, least = getattr(self, field.name), 0 if field.name in _MAY_BE_ZERO else 1e-3
            if not least <= value < float("inf"):
                bound = "negative" if least == 0 else "zero or negative"
                raise ValueError(f"{field.name} is {value}; it must not be {bound}, or infinite")


_MAY_BE_ZERO = ("residue_bits", "cut_bits", "blind_cut_bits", "idle_bits", "completion_bits")


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
