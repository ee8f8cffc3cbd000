"""OWAMcap files for tests, in each of the formats, by the `mcap` library's own writer; and videos of given frames."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from mcap.writer import CompressionType, Writer

FORMATS = ("0.3.2", "0.4.2", "0.5.0", "0.5.1")

_TOPICS = {
    "KeyboardEvent": "keyboard",
    "KeyboardState": "keyboard/state",
    "MouseEvent": "mouse",
    "MouseState": "mouse/state",
    "RawMouseEvent": "mouse/raw",
    "ScreenCaptured": "screen",
    "WindowInfo": "window",
}


@dataclass(frozen=True)
class Said:
    """A message: what it is of, when (ns UTC), and its fields. Fields that are bytes are written as they are."""

    kind: str
    time_ns: int
    fields: dict[str, Any] | bytes


def screen(time_ns: int, file: str, pts_ns: int, size: tuple[int, int]) -> Said:
    """A screen whose picture is in a video; `write_mcap` writes its fields as the format has them."""
    return Said("ScreenCaptured", time_ns, {"utc_ns": time_ns, "file": file, "pts_ns": pts_ns, "size": list(size)})


def write_mcap(
    path: Path, said: Iterable[Said], version: str = "0.5.1", *, chunk_bytes: int = 1 << 20, profile: str = "owa"
) -> Path:
    with open(path, "wb") as file:
        writer = Writer(file, chunk_size=chunk_bytes, compression=CompressionType.ZSTD)
        writer.start(profile=profile, library=f"mcap-owa-support {version}; mcap 1.3.0")
        channels: dict[str, int] = {}
        for number, message in enumerate(said):
            if message.kind not in channels:
                schema = writer.register_schema(_schema_name(message.kind, version), "jsonschema", b"{}")
                topic = _TOPICS.get(message.kind, message.kind)
                channels[message.kind] = writer.register_channel(topic, "json", schema)
            writer.add_message(
                channels[message.kind], message.time_ns + 1_000_000, _data(message, version), message.time_ns, number
            )
        writer.finish()
    return path


def write_video(path: Path, frames: Sequence[tuple[int, np.ndarray]]) -> Path:
    """A lossless video (FFV1) of frames with their times in ms; lengths are even."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=Fraction(1000))
        stream.height, stream.width = frames[0][1].shape[:2]
        stream.pix_fmt = "bgr0"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        for time_ms, pixels in frames:
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = time_ms, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def _schema_name(kind: str, version: str) -> str:
    if version >= "0.4":
        return f"desktop/{kind}"
    return "owa.env.gst.msg.ScreenEmitted" if kind == "ScreenCaptured" else f"owa.env.desktop.msg.{kind}"


def _data(message: Said, version: str) -> bytes:
    if isinstance(message.fields, bytes):
        return message.fields
    fields = dict(message.fields)
    if message.kind == "ScreenCaptured" and "file" in fields:
        file, pts_ns, size = fields.pop("file"), fields.pop("pts_ns"), fields.pop("size")
        if version < "0.5":
            fields |= {"path": file, "pts": pts_ns, "original_shape": size, "shape": size}
        else:
            old = {"type": "external_video", "path": file, "pts_ns": pts_ns}
            fields |= {"source_shape": size, "shape": size}
            fields["media_ref"] = old if version == "0.5.0" else {"uri": file, "pts_ns": pts_ns}
    return json.dumps(fields).encode()
