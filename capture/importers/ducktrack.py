"""Import a recording of DuckTrack, or of its descendant, the AgentNet tool.

A recording is a folder: `events.jsonl` with one pynput event a line, `metadata.json`, perhaps `top_window.jsonl` with
the application in front, and the video that OBS recorded. Times are seconds of the recorder's monotonic clock; the
start time of the metadata anchors them. Positions are points with fractions of 1/256 on a Mac, else pixels.
Sources of the format: TheDuckAI/DuckTrack (`ducktrack/recorder.py`, `metadata.py`, `obs_client.py`) and
xlang-ai/AgentNetTool (`agentnet-annotator/api/core/recorder.py`, `a11y_listener.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from taskreel.capture.importers.fields import (
    BadEventError,
    choice,
    clock_us,
    flag,
    json_object,
    number,
    position_units,
    text,
    wheel_units,
)
from taskreel.capture.importers.foreign import (
    BadLine,
    ForeignRecordingError,
    Imported,
    ImportOptions,
    ordered_events,
    recording_header,
)
from taskreel.capture.importers.obs_video import VideoClock, read_video, video_clock
from taskreel.capture.importers.pynput_keys import button_number, key_and_text
from taskreel.io.events import POSITION_UNITS_PER_PX, Kind
from taskreel.io.segments import Screen

METADATA_FILE = "metadata.json"
_EVENT_FILES = ("events*.jsonl", "top_window*.jsonl")


@dataclass(frozen=True)
class _Metadata:
    """What `metadata.json` says, and where it is."""

    path: Path
    screen: Screen
    begin_us: int
    on_a_mac: bool
    video_clock: VideoClock | None


@dataclass(frozen=True)
class _Line:
    """An event as a row of the event table, on the recorder's clock. Its exact time tells doubles from repeats."""

    exact_s: float
    row: dict[str, Any]


def read(sources: Sequence[Path], options: ImportOptions) -> Imported:
    """Read a recording: its folder, or its files. Raises `ForeignRecordingError` if it is of another kind."""
    files = list({path.resolve(): path for source in sources for path in _event_files(source)}.values())
    metadata = _metadata(sources)
    bad: list[BadLine] = []
    lines = [line for path in files for line in _lines(path, metadata.on_a_mac, bad)]
    rows = _without_doubles(lines)
    video = read_video(metadata.path.parent, metadata.video_clock)
    offset_us = metadata.begin_us - min((row["time_us"] for row in rows), default=0)
    events = ordered_events(row | {"time_us": row["time_us"] + offset_us} for row in [*rows, *video.rows])
    header = replace(
        recording_header("ducktrack", [*files, metadata.path], options),
        screen=metadata.screen,
        coordinate_space="logical" if metadata.on_a_mac else "physical",
        clock_anchors=(),  # local time with no offset: nothing that another device could be aligned with
    )
    return Imported(
        header,
        events,
        coordinate_space="logical points of the whole desktop" if metadata.on_a_mac else "pixels of the whole desktop",
        clock="start_time of the metadata, to the second and taken as UTC, is the first event; then monotonic seconds",
        keymap="none needed: keys are named by what they produced",
        bad_lines=tuple(bad),
        missing_media=video.missing,
        alignment=video.alignment and replace(video.alignment, offset_us=video.alignment.offset_us + offset_us),
        notes=tuple(_notes(len(lines) - len(rows), events, metadata.screen)),
    )


# ---------------------------------------------------------------------------------------------------- files


def _event_files(source: Path) -> list[Path]:
    """The files with events that a source is or has; none of the metadata."""
    if source.is_dir():
        found = sorted({path for pattern in _EVENT_FILES for path in source.glob(pattern)})
        if not found:
            raise ForeignRecordingError(
                f"{source / 'events.jsonl'}: not there; give the folder of a DuckTrack recording"
            )
        return found
    if not source.is_file():
        raise ForeignRecordingError(f"{source}: not there; give the folder of a DuckTrack recording, or its files")
    return [] if source.name == METADATA_FILE else [source]


def _metadata(sources: Sequence[Path]) -> _Metadata:
    """The metadata beside the first source, or in it. Raises `ForeignRecordingError` if they are none."""
    named = [source for source in sources if source.name == METADATA_FILE]
    first = sources[0]
    path = named[0] if named else (first if first.is_dir() else first.parent) / METADATA_FILE
    try:
        values = json_object(path.read_bytes())
        begun = datetime.strptime(text(values, "start_time"), "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
        size = Screen(_length(values, "screen_width"), _length(values, "screen_height"))
    except (FileNotFoundError, NotADirectoryError):
        raise ForeignRecordingError(f"{path}: not there; a DuckTrack recording has it beside its events") from None
    except BadEventError as error:
        raise ForeignRecordingError(f"{path}: {error}; is it of a DuckTrack recording?") from None
    except ValueError:
        raise ForeignRecordingError(f"{path}: field start_time: YYYY-MM-DD HH:MM:SS is expected") from None
    if not 1970 <= begun.year <= 9000:
        raise ForeignRecordingError(f"{path}: field start_time: a year from 1970 on is expected")
    begin_us = round(begun.timestamp()) * 1_000_000
    return _Metadata(path, size, begin_us, values.get("system") == "Darwin", video_clock(values))


def _length(values: dict[str, Any], name: str) -> int:
    length = number(values, name)
    if not 1 <= length < 1 << 20:
        raise BadEventError(f"field {name}: a length in pixels is expected")
    return int(length)


def _lines(path: Path, on_a_mac: bool, bad: list[BadLine]) -> list[_Line]:
    """The events of a file; lines that are none are put into `bad`. Raises if there are lines, and all are so."""
    lines, before = [], len(bad)
    with open(path, "rb") as file:
        for line_number, content in enumerate(file, start=1):
            if content.strip():
                try:
                    event = json_object(content)
                    lines.append(_Line(number(event, "time_stamp"), _row(event, on_a_mac)))
                except BadEventError as error:
                    bad.append(BadLine(path.name, line_number, str(error)))
    if len(bad) > before and not lines:
        raise ForeignRecordingError(
            f"{path}: no line of it is an event of DuckTrack or AgentNet; is it a file of another kind?"
        )
    return lines


def _without_doubles(lines: Sequence[_Line]) -> list[dict[str, Any]]:
    """The rows. Two equal ones at one time, which is exact to parts of a microsecond, are one event written twice."""
    return list({(line.exact_s, *line.row.items()): line.row for line in lines}.values())


# ---------------------------------------------------------------------------------------------------- events


def _row(event: dict[str, Any], on_a_mac: bool) -> dict[str, Any]:
    """A line as a row of the event table, on the recorder's clock."""
    time_us = clock_us(event, "time_stamp")
    if "action" not in event and ("top_window_name" in event or "app_name" in event):
        return {"time_us": time_us, "kind": Kind.FOCUS} | _window(event)
    action = choice(event, "action", *_FIELDS)
    return {"time_us": time_us} | _FIELDS[action](event, on_a_mac)


def _window(event: dict[str, Any]) -> dict[str, Any]:
    """The AgentNet tool's `top_window_name` is an application; descendants of it write the window's title, too."""
    app = text(event, "top_window_name" if "top_window_name" in event else "app_name")
    return {"app": app, "title": text(event, "window_title") if event.get("window_title") is not None else None}


def _place(event: dict[str, Any]) -> dict[str, Any]:
    return {"x": position_units(event, "x"), "y": position_units(event, "y")}


def _move(event: dict[str, Any], _: bool) -> dict[str, Any]:
    return {"kind": Kind.MOVE} | _place(event)


def _click(event: dict[str, Any], _: bool) -> dict[str, Any]:
    code = button_number(text(event, "button"))
    if code is None:
        raise BadEventError("field button: none of pynput's")
    return {"kind": Kind.BUTTON_DOWN if flag(event, "pressed") else Kind.BUTTON_UP, "code": code} | _place(event)


def _scroll(event: dict[str, Any], _: bool) -> dict[str, Any]:
    wheel = {"wheel_x": wheel_units(event, "dx"), "wheel_y": wheel_units(event, "dy")}
    return {"kind": Kind.SCROLL} | wheel | _place(event)


def _press(event: dict[str, Any], on_a_mac: bool) -> dict[str, Any]:
    key, written = _key(event, on_a_mac)
    return {"kind": Kind.KEY_DOWN, "key": key, "text": written}


def _release(event: dict[str, Any], on_a_mac: bool) -> dict[str, Any]:
    return {"kind": Kind.KEY_UP, "key": _key(event, on_a_mac)[0]}


def _key(event: dict[str, Any], on_a_mac: bool) -> tuple[str | None, str | None]:
    name = text(event, "name") if event.get("name", "") is not None else None
    return key_and_text(name, text({"pynput_key": ""} | event, "pynput_key"), on_a_mac=on_a_mac)


_FIELDS: dict[str, Callable[[dict[str, Any], bool], dict[str, Any]]] = {
    "move": _move,
    "click": _click,
    "scroll": _scroll,
    "press": _press,
    "release": _release,
    "pause": lambda event, on_a_mac: {"kind": Kind.PAUSE},
    "resume": lambda event, on_a_mac: {"kind": Kind.RESUME},
}


def _notes(doubles: int, events: pa.Table, screen: Screen) -> Iterator[str]:
    if doubles:
        yield f"{doubles} lines stood there twice, and are one event each"
    x, y = events.column("x"), events.column("y")
    right, bottom = screen.width_px * POSITION_UNITS_PER_PX, screen.height_px * POSITION_UNITS_PER_PX
    outside = pc.or_(
        pc.or_(pc.less(x, 0), pc.greater_equal(x, right)), pc.or_(pc.less(y, 0), pc.greater_equal(y, bottom))
    )
    count = pc.sum(outside).as_py()
    if count:
        yield (
            f"{count} positions lie outside the stated screen of {screen.width_px} x {screen.height_px} and are kept "
            "as they are: its resolution had changed, or there is another monitor"
        )
