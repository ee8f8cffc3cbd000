"""Sessions: the merged events of one participant, with no gap in activity longer than the session gap.

Activity is input: keys, buttons, the pointer, the wheel. Screens, focus and markers are context: one that lies
within the gap after an activity belongs to its session, else to the one that begins within the gap after it. Every
rule looks only at events at most one gap away, so sessions do not depend on how events were cut into segments.
"""

from __future__ import annotations

import numpy as np

from taskreel.io.events import Kind

ACTIVITY_KINDS = (
    Kind.KEY_DOWN,
    Kind.KEY_UP,
    Kind.BUTTON_DOWN,
    Kind.BUTTON_UP,
    Kind.MOVE,
    Kind.SCROLL,
)

OUTSIDE = -1
"""The session of events with no activity within the gap."""


def assign_sessions(time_us: np.ndarray, kind: np.ndarray, *, gap_us: int) -> np.ndarray:
    """The number of each event's session, from 0, or `OUTSIDE`.

    `time_us` (int64, sorted) and `kind` (int8) have shape (events,); the result is int64 of the same shape.
    """
    is_activity = np.isin(kind, ACTIVITY_KINDS)
    activity_us = time_us[is_activity]
    if not len(activity_us):
        return np.full(len(time_us), OUTSIDE, np.int64)
    of_activity = np.concatenate([[0], np.cumsum(np.diff(activity_us) > gap_us)])

    sessions = np.empty(len(time_us), np.int64)
    sessions[is_activity] = of_activity
    context_us = time_us[~is_activity]
    before = np.searchsorted(activity_us, context_us, side="right") - 1
    after = np.minimum(before + 1, len(activity_us) - 1)
    joins_before = (before >= 0) & (context_us - activity_us[before] <= gap_us)
    joins_after = (activity_us[after] >= context_us) & (activity_us[after] - context_us <= gap_us)
    sessions[~is_activity] = np.where(
        joins_before, of_activity[before], np.where(joins_after, of_activity[after], OUTSIDE)
    )
    return sessions
