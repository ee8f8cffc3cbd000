"""Looks: which screens can be told apart from the one before, and when another window took focus."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from taskreel.io.events import Flag


def distinct_screens(events: pa.Table, rows: np.ndarray, *, same_screen_ppm: int) -> np.ndarray:
    """Whether each screen looks other than the one before it; bool of shape (rows,), the first is True.

    `rows`: the rows of one device's screen events, in order. Two screens look the same if their pictures have one
    hash, or if the source measured that no more of the screen than `same_screen_ppm` had visibly changed.
    """
    screens = events.select(["picture_hash", "picture_change_ppm"]).take(pa.array(rows))
    hashes = pc.fill_null(screens.column("picture_hash"), "").combine_chunks()
    hashes = hashes if isinstance(hashes, pa.DictionaryArray) else hashes.dictionary_encode()
    look = hashes.indices.to_numpy()
    measured = pc.fill_null(screens.column("picture_change_ppm"), np.iinfo(np.int32).max).to_numpy()
    distinct = np.ones(len(rows), bool)
    distinct[1:] = (look[1:] != look[:-1]) & (measured[1:] > same_screen_ppm)
    return distinct


def focus_changes(events: pa.Table, rows: np.ndarray) -> np.ndarray:
    """Of one device's focus events at some rows, in order, those at which another window took focus.

    What a segment states again (`Flag.RESTATED`) is no change, unless it differs.
    """
    restated = events.column("flags").to_numpy()[rows] & Flag.RESTATED != 0
    if not restated.any():
        return rows
    windows = events.select(["app", "title", "url"]).take(pa.array(rows)).to_pylist()
    again = [number > 0 and windows[number] == windows[number - 1] for number in range(len(windows))]
    return rows[~(restated & np.array(again))]
