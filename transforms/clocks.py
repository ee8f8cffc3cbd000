"""Clocks: the times of devices that disagree, brought to one by the anchors in their headers.

An anchor is a pair (device clock, UTC). The events of a recording have the time that its first anchor makes of the
device's clock. Further anchors say what UTC really was, from a source that is trusted; without one, the first is
trusted. Between two anchors the correction changes evenly, before and after them it stays as it is at the nearest.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

_LARGEST_PRODUCT_BITS = 62


@dataclass(frozen=True)
class Clock:
    """How a recording's times are corrected. `time_us` rises, `correction_us` belongs to it; both (anchors,).

    `is_aligned` is False if there is no anchor, or if a correction is larger than allowed: then nothing is corrected.
    """

    time_us: np.ndarray
    correction_us: np.ndarray
    is_aligned: bool

    @classmethod
    def of(cls, anchors: Iterable[tuple[int, int]], *, most_us: int) -> Clock:
        """The clock that some anchors describe; the first says how the events' times were made."""
        anchors = list(dict.fromkeys(anchors))
        nothing = np.zeros(0, np.int64)
        if not anchors:
            return cls(nothing, nothing, False)
        first_device_us, first_utc_us = anchors[0]
        offset_us = first_utc_us - first_device_us
        trusted = dict(sorted(anchors[1:]))  # of two at one time the later one
        corrections = {device + offset_us: utc - device - offset_us for device, utc in trusted.items()}
        if any(abs(correction) > most_us for correction in corrections.values()):
            return cls(nothing, nothing, False)
        times = np.array(list(corrections), np.int64)
        return cls(times, np.array(list(corrections.values()), np.int64), True)

    @property
    def is_off(self) -> bool:
        """Whether any time has to be corrected."""
        return bool(self.correction_us.any())

    def utc_us(self, time_us: np.ndarray) -> np.ndarray:
        """True times for the times of events, int64 of the same shape; rounded down to whole microseconds."""
        if len(self.time_us) < 2:
            return time_us + self.correction_us[0] if len(self.time_us) else time_us
        piece = np.clip(np.searchsorted(self.time_us, time_us, side="right") - 1, 0, len(self.time_us) - 2)
        span_us, drift_us = np.diff(self.time_us), np.diff(self.correction_us)
        since_us = np.clip(time_us - self.time_us[piece], 0, span_us[piece])
        bits = int(span_us.max()).bit_length() + int(np.abs(drift_us).max()).bit_length()
        coarse = max(0, bits - _LARGEST_PRODUCT_BITS)  # years between two anchors would overflow the product
        share = drift_us[piece] * (since_us >> coarse) // np.maximum(span_us[piece] >> coarse, 1)
        return time_us + self.correction_us[piece] + share
