"""Pointer movements at 125 Hz: from where they begin and end to every sample, for a whole recording at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from taskreel.capture.simulator.script import Path

SAMPLE_US = 8_000
_JITTER_PX = 0.9
_JITTER_US = 700


@dataclass(frozen=True)
class Samples:
    """Where the pointer is when: int64 microseconds UTC and whole pixels, in order of time; and for which action."""

    time_us: np.ndarray
    x: np.ndarray
    y: np.ndarray
    action: np.ndarray


def travel_us(x: int, y: int, to_x: int, to_y: int, speed: float) -> int:
    """How long a movement takes: like Fitts' law, but with a root, which all processors round alike."""
    distance = ((to_x - x) ** 2 + (to_y - y) ** 2) ** 0.5
    return int((140_000 + 21_000 * distance**0.5) / speed)


def expand_paths(paths: Sequence[Path], rng: np.random.Generator, width_px: int, height_px: int) -> Samples:
    """Samples along minimum-jerk curves (Flash and Hogan, 1985) with a bend and jitter; each ends on its point.

    A sample that shows no movement is left out, as an X server does. Paths must not overlap in time.
    """
    table = np.array(paths, np.float64).reshape(-1, len(Path._fields))
    start_us, duration_us = table[:, 0].astype(np.int64), table[:, 1].astype(np.int64)
    counts = np.maximum(2, duration_us // SAMPLE_US)
    path = np.repeat(np.arange(len(table)), counts)
    step = np.arange(len(path)) - np.repeat(np.cumsum(counts) - counts, counts) + 1
    last = step == counts[path]
    jitter = rng.random((2, len(path))) - 0.5
    x, y = _places(table[path, 2:7], step / counts[path], jitter * (2 * _JITTER_PX * ~last))
    late_us = np.where(last, 0, rng.integers(0, _JITTER_US, len(path)))
    time_us = start_us[path] + step * duration_us[path] // counts[path] + late_us
    x, y = np.clip(x, 0, width_px - 1), np.clip(y, 0, height_px - 1)
    moved = np.ones(len(path), bool)
    moved[1:] = (np.diff(x) != 0) | (np.diff(y) != 0)
    return Samples(time_us[moved], x[moved], y[moved], table[path[moved], 7].astype(np.int64))


def _places(path: np.ndarray, share: np.ndarray, jitter: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Whole pixels at a share (0, 1] of the time of `path`, rows (x, y, to_x, to_y, bend)."""
    x, y, to_x, to_y, bend = path.T
    eased = share * share * share * (10 + share * (6 * share - 15))
    aside = bend * 4 * eased * (1 - eased)
    dx, dy = to_x - x, to_y - y
    return tuple(
        np.rint(place).astype(np.int32)
        for place in (  # type: ignore[return-value]
            x + dx * eased - dy * aside + jitter[0],
            y + dy * eased + dx * aside + jitter[1],
        )
    )
