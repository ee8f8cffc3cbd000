"""Import a DuckTrack recording: `events.jsonl` with one pynput event a line, and `metadata.json`.

Positions are logical points with fractions of 1/256 (macOS), times are monotonic seconds; the start time of the
metadata anchors them. Names of keys are pynput's: a single character is what the key produced.
Source of the format: https://github.com/TheDuckAI/DuckTrack (ducktrack/recorder.py).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from taskreel.io.events import POSITION_UNITS_PER_PX, SEGMENT_SCHEMA, WHEEL_UNITS_PER_TICK, Kind
from taskreel.io.segments import Screen, SegmentHeader

EVENTS_FILE, METADATA_FILE = "events.jsonl", "metadata.json"

_BUTTONS = {"left": 1, "middle": 2, "right": 3}
_KEYS = {
    "cmd": "command",
    "cmd_l": "command",
    "cmd_r": "command",
    "ctrl": "ctrlleft",
    "ctrl_l": "ctrlleft",
    "ctrl_r": "ctrlright",
    "alt": "altleft",
    "alt_l": "altleft",
    "alt_r": "altright",
    "alt_gr": "altgr",
    "shift": "shiftleft",
    "shift_l": "shiftleft",
    "shift_r": "shiftright",
    "caps_lock": "capslock",
    "page_up": "pageup",
    "page_down": "pagedown",
}
"""pynput's names where they are not PyAutoGUI's."""


class ForeignRecordingError(ValueError):
    """A recording that is not of the format; the message names the file, the field and the remedy."""


@dataclass(frozen=True)
class Imported:
    """A recording as events (`SEGMENT_SCHEMA`) and the header of its segments; lines that could not be read."""

    header: SegmentHeader
    events: pa.Table
    bad_lines: list[tuple[int, str]] = field(default_factory=list)


def import_ducktrack(folder: Path, *, consent_id: str, participant: str, region: str) -> Imported:
    """Read a recording's folder. Raises `ForeignRecordingError` if it is of another kind."""
    metadata = _metadata(folder)
    lines, bad = _lines(folder / EVENTS_FILE)
    if not lines:
        raise ForeignRecordingError(f"{folder / EVENTS_FILE}: no line of it is a DuckTrack event")
    begin_us = _utc_us(folder, metadata)
    offset_us = begin_us - _us(lines[0]["time_stamp"])
    rows = [_row(seq, line, offset_us) for seq, line in enumerate(sorted(lines, key=lambda line: line["time_stamp"]))]
    content = hashlib.sha256((folder / EVENTS_FILE).read_bytes()).hexdigest()
    header = SegmentHeader(
        participant=participant,
        device=f"ducktrack{content[:8]}",
        recording=content[:16],
        consent_id=consent_id,
        region=region,
        source="ducktrack",
        screen=Screen(int(metadata["screen_width"]), int(metadata["screen_height"])),
        coordinate_space="logical",
        positions_per_px=POSITION_UNITS_PER_PX,
        clock_anchors=((_us(lines[0]["time_stamp"]), begin_us),),
        final=True,
    )
    return Imported(header, pa.Table.from_pylist(rows, schema=SEGMENT_SCHEMA), bad)


def _metadata(folder: Path) -> dict[str, Any]:
    path = folder / METADATA_FILE
    try:
        metadata: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        for name in ("screen_width", "screen_height", "start_time"):
            if name not in metadata:
                raise ForeignRecordingError(f"{path}: has no field {name}; is it a DuckTrack recording?")
    except FileNotFoundError as error:
        raise ForeignRecordingError(f"{path}: not there; give the folder of a DuckTrack recording") from error
    except json.JSONDecodeError as error:
        raise ForeignRecordingError(f"{path}: not JSON ({error})") from error
    return metadata


def _utc_us(folder: Path, metadata: dict[str, Any]) -> int:
    """When the recording began. DuckTrack writes local time with no offset; it is taken as UTC."""
    try:
        begun = datetime.strptime(metadata["start_time"], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    except (TypeError, ValueError) as error:
        raise ForeignRecordingError(f"{folder / METADATA_FILE}: start_time is not YYYY-MM-DD HH:MM:SS") from error
    return int(begun.timestamp()) * 1_000_000


def _lines(path: Path) -> tuple[list[dict[str, Any]], list[tuple[int, str]]]:
    """The events of a file, and the numbers of the lines that are none, with the reason."""
    events: list[dict[str, Any]] = []
    bad: list[tuple[int, str]] = []
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    _parse(number, line, events, bad)
    except FileNotFoundError as error:
        raise ForeignRecordingError(f"{path}: not there; give the folder of a DuckTrack recording") from error
    return events, bad


def _parse(number: int, line: str, events: list[dict[str, Any]], bad: list[tuple[int, str]]) -> None:
    try:
        event = json.loads(line)
        _row(0, event, 0)
    except (ValueError, KeyError, TypeError, OverflowError, AttributeError) as error:
        bad.append((number, f"{type(error).__name__}: {error}"))
    else:
        events.append(event)


def _row(seq: int, event: dict[str, Any], offset_us: int) -> dict[str, Any]:
    row: dict[str, Any] = {"seq": seq, "time_us": _us(event["time_stamp"]) + offset_us, "flags": 0}
    return row | dict(_fields(event))


def _fields(event: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    action = event["action"]
    if action in ("move", "click", "scroll"):
        yield "x", _units(event["x"])
        yield "y", _units(event["y"])
    if action == "move":
        yield "kind", Kind.MOVE
    elif action == "click":
        yield "kind", Kind.BUTTON_DOWN if event["pressed"] else Kind.BUTTON_UP
        yield "code", _BUTTONS.get(event["button"], 0)
    elif action == "scroll":
        yield "kind", Kind.SCROLL
        yield "wheel_x", round(event["dx"] * WHEEL_UNITS_PER_TICK)
        yield "wheel_y", round(event["dy"] * WHEEL_UNITS_PER_TICK)
    elif action in ("press", "release"):
        name = event["name"]
        yield "kind", Kind.KEY_DOWN if action == "press" else Kind.KEY_UP
        yield "key", _KEYS.get(name, name.lower())
        if action == "press":
            yield "text", " " if name == "space" else name if len(name) == 1 else None
    else:
        raise ValueError(f"action {action!r} is not one of DuckTrack's")


def _us(seconds: float) -> int:
    return round(float(seconds) * 1_000_000)


def _units(position: float) -> int:
    return round(float(position) * POSITION_UNITS_PER_PX)
