"""The columns of a dataset's two tables, `episodes` and `steps`. Documented in `docs/dataset-format.md`.

Positions are `float64` in the space that `coordinate_space` names, null where they are not known. Times are `int64`
microseconds UTC. Arrow types are chosen for readers: `image` is `struct<bytes: binary, path: string>`, because
Hugging Face `datasets` decodes nothing else into pictures by itself.
"""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa

FORMAT_VERSION = "1.2"
SPLITS = ("train", "validation", "test")

IMAGE = pa.struct([pa.field("bytes", pa.binary()), pa.field("path", pa.string())])
PATH = pa.list_(pa.struct([pa.field("us", pa.int64()), pa.field("x", pa.float64()), pa.field("y", pa.float64())]))
"""The places of a pointer's way; `us` counts from the action's start."""
REDACTION = pa.struct([pa.field("start", pa.int32()), pa.field("end", pa.int32()), pa.field("kind", pa.string())])

STEP_SCHEMA = pa.schema(
    [
        # which step of what
        pa.field("episode_id", pa.string(), nullable=False),
        pa.field("participant", pa.string(), nullable=False),
        pa.field("session_id", pa.string(), nullable=False),
        pa.field("step", pa.int32(), nullable=False),
        pa.field("previous_row", pa.int32()),
        pa.field("next_row", pa.int32()),
        # when, and from which events
        pa.field("start_us", pa.int64(), nullable=False),
        pa.field("end_us", pa.int64(), nullable=False),
        pa.field("recording", pa.string(), nullable=False),
        pa.field("first_seq", pa.int64(), nullable=False),
        pa.field("last_seq", pa.int64(), nullable=False),
        # the action and its arguments
        pa.field("action", pa.string(), nullable=False),
        pa.field("x", pa.float64()),
        pa.field("y", pa.float64()),
        pa.field("to_x", pa.float64()),
        pa.field("to_y", pa.float64()),
        pa.field("path", PATH),
        pa.field("button", pa.string()),
        pa.field("clicks", pa.int32()),
        pa.field("wheel_x_ticks", pa.float64()),
        pa.field("wheel_y_ticks", pa.float64()),
        pa.field("text", pa.string()),
        pa.field("keys", pa.string()),
        pa.field("count", pa.int32()),
        pa.field("modifiers", pa.string()),
        # the state that it met
        pa.field("cursor_x", pa.float64()),
        pa.field("cursor_y", pa.float64()),
        pa.field("coordinate_space", pa.string(), nullable=False),
        pa.field("app", pa.string()),
        pa.field("title", pa.string()),
        pa.field("url", pa.string()),
        pa.field("layout", pa.string()),
        pa.field("screen_width_px", pa.int32()),
        pa.field("screen_height_px", pa.int32()),
        pa.field("screen_scale", pa.float64()),
        pa.field("monitor", pa.int32()),
        # what was to be seen
        pa.field("image", IMAGE),
        pa.field("image_hash", pa.string()),
        pa.field("image_time_us", pa.int64()),
        pa.field("image_age_us", pa.int64()),
        pa.field("image_width_px", pa.int32()),
        pa.field("image_height_px", pa.int32()),
        pa.field("approach_image", IMAGE),
        pa.field("approach_image_row", pa.int32()),
        pa.field("approach_image_hash", pa.string()),
        pa.field("approach_image_time_us", pa.int64()),
        pa.field("focus_changed", pa.bool_()),
        pa.field("screen_changed", pa.bool_()),
        pa.field("screen_change_ppm", pa.int64()),
        # what has to be known to use it
        pa.field("flags", pa.list_(pa.string()), nullable=False),
        pa.field("redactions", pa.list_(REDACTION), nullable=False),
        pa.field("consent_id", pa.string(), nullable=False),
        pa.field("reducer_version", pa.string(), nullable=False),
    ]
)

IMAGE_COLUMNS = ("image", "approach_image")

EPISODE_SCHEMA = pa.schema(
    [
        pa.field("episode_id", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("participant", pa.string(), nullable=False),
        pa.field("session_id", pa.string(), nullable=False),
        pa.field("span_id", pa.string(), nullable=False),
        pa.field("segments", pa.list_(pa.string()), nullable=False),
        pa.field("revision", pa.int32(), nullable=False),
        # where its steps lie
        pa.field("split", pa.string(), nullable=False),
        pa.field("shard", pa.string()),
        pa.field("first_row", pa.int64()),
        pa.field("steps", pa.int64(), nullable=False),
        pa.field("shard_rows", pa.int64()),
        pa.field("shard_bytes", pa.int64()),
        # what it is
        pa.field("start_us", pa.int64(), nullable=False),
        pa.field("end_us", pa.int64(), nullable=False),
        pa.field("description", pa.string()),
        pa.field("outcome", pa.string()),
        pa.field("cut_reason", pa.string(), nullable=False),
        pa.field("confidence", pa.float64(), nullable=False),
        pa.field("apps", pa.list_(pa.string()), nullable=False),
        pa.field("actions", pa.string(), nullable=False),
        pa.field("pictures", pa.int64(), nullable=False),
        pa.field("flags", pa.list_(pa.string()), nullable=False),
        pa.field("quality", pa.float64(), nullable=False),
        # with whose leave
        pa.field("consent_id", pa.string(), nullable=False),
        pa.field("consent_version", pa.int32(), nullable=False),
        pa.field("region", pa.string(), nullable=False),
        pa.field("reducer_version", pa.string(), nullable=False),
    ]
)
"""One row an episode, or a `residue`: what belongs to no task. `actions` is a JSON object, counts by action."""


def huggingface_metadata() -> dict[str, str]:
    """The Parquet key by which `datasets` decodes the pictures of `STEP_SCHEMA` with no argument."""
    features = {field.name: _feature(field.type) for field in STEP_SCHEMA}
    return {"huggingface": json.dumps({"info": {"features": features}})}


def _feature(kind: pa.DataType) -> dict[str, Any]:
    if kind == IMAGE:
        return {"_type": "Image"}
    if pa.types.is_list(kind):
        return {"feature": _feature(kind.value_type), "_type": "List"}
    if pa.types.is_struct(kind):
        return {field.name: _feature(field.type) for field in kind}
    names = {pa.string(): "string", pa.float64(): "float64", pa.bool_(): "bool"}
    return {"dtype": names.get(kind, str(kind)), "_type": "Value"}
