"""Import an OWAMcap recording of open-world-agents: an MCAP file with JSON messages, and the video beside it.

Formats 0.3 to 0.5. What differs among them: the names of messages (`owa.env.desktop.msg.KeyboardEvent`, later
`desktop/KeyboardEvent`) and how a screen names its picture (`path` and `pts`; `media_ref` with `type` and `path`;
`media_ref` with `uri`). Keys are Windows' virtual-key codes, times are nanoseconds UTC.
Sources: open-world-agents/open-world-agents, `projects/owa-msgs` and the migrators in `projects/owa-cli`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from taskreel.capture.importers.fields import (
    BadEventError,
    choice,
    flag,
    json_object,
    number,
    position_units,
    text,
    utc_us,
    wheel_units,
)
from taskreel.capture.importers.foreign import (
    BadLine,
    ForeignRecordingError,
    Imported,
    ImportOptions,
    ordered_events,
    recording_header,
    session_files,
)
from taskreel.capture.importers.mcap_messages import McapMessage, read_messages
from taskreel.capture.importers.owamcap_screens import Screen, picture_of, read_screens
from taskreel.capture.importers.vk_codes import LEFT_CTRL, RIGHT_ALT, VkCodes, vk_name
from taskreel.capture.keymaps import AnyKeymap, keymap_for
from taskreel.io.events import Flag, Kind

_BUTTONS = {"unknown": 0, "left": 1, "middle": 2, "right": 3, "x1": 8, "x2": 9}
_STATES = ("KeyboardState", "MouseState", "RawMouseEvent")
"""Messages that say again what others say: what is down each second, and the mouse's motion before acceleration."""
_ALT_GR_US = 5_000


@dataclass
class _Session:
    """What the files of a session hold, in their order."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    screens: list[Screen] = field(default_factory=list)
    bad: list[BadLine] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)


def read(sources: Sequence[Path], options: ImportOptions) -> Imported:
    """Read the MCAP files of a session. Raises `ForeignRecordingError` for what is no OWAMcap."""
    keymap = keymap_for(options.layout)
    files = session_files(sources, [".mcap"])
    session = _Session()
    for path in files:
        _read_file(path, session)
    session.rows.sort(key=lambda row: row["time_us"])
    rows = _with_keys(_without_same_windows(session), keymap)
    seen = read_screens(session.screens)
    events = ordered_events([*rows, *seen.rows])
    first_us = events.column("time_us")[0].as_py() if events.num_rows else None
    header = replace(
        recording_header("owamcap", files, options),
        coordinate_space="physical",
        keyboard_layout=keymap.layout,
        clock_anchors=() if first_us is None else ((first_us, first_us),),
    )
    return Imported(
        header,
        events,
        coordinate_space="pixels of the whole desktop; a picture may show one window, and where that lies is not said",
        clock="UTC of the recording computer, as each message has it",
        keymap=_keymap_sentence(keymap),
        bad_lines=tuple(session.bad),
        missing_media=seen.missing,
        alignment=seen.alignment,
        notes=(*_notes(session), *seen.notes),
    )


def _read_file(path: Path, session: _Session) -> None:
    known, unknown = False, 0
    for message in read_messages(path, session.bad):
        kind = message.schema.replace("/", ".").rpartition(".")[2]
        if kind in _STATES:
            session.left_out[kind] += 1
        elif kind not in _ROWS and kind not in _SCREENS:
            session.left_out["of other kinds"] += 1
            unknown += 1
            continue
        known = True
        try:
            _take(kind, message, path, session)
        except BadEventError as error:
            session.bad.append(BadLine(path.name, message.number, str(error)))
    if unknown and not known:
        raise ForeignRecordingError(
            f"{path}: an MCAP file, but no message of it is OWAMcap's; is it of another recorder?"
        )


def _take(kind: str, message: McapMessage, path: Path, session: _Session) -> None:
    if kind in _ROWS:
        event = json_object(message.data)
        session.rows.append({"time_us": _time_us(event, message)} | _ROWS[kind](event))
    elif kind in _SCREENS:
        event = json_object(message.data)
        session.screens.append(picture_of(event, _time_us(event, message), path))


def _time_us(event: dict[str, Any], message: McapMessage) -> int:
    """What the message says of its time; else when it was published: it is logged some milliseconds later."""
    for name in ("timestamp", "utc_ns"):
        if event.get(name) is not None:
            return utc_us(int(number(event, name)))
    return utc_us(message.publish_ns)


# ---------------------------------------------------------------------------------------------------- messages


def _keyboard(event: dict[str, Any]) -> dict[str, Any]:
    down = choice(event, "event_type", "press", "release") == "press"
    vk = number(event, "vk")
    if vk not in range(256):
        raise BadEventError("field vk: a number from 0 to 255 is expected")
    return {"kind": Kind.KEY_DOWN if down else Kind.KEY_UP, "vk": int(vk)}


def _mouse(event: dict[str, Any]) -> dict[str, Any]:
    """Ticks of the wheel come from pynput: above 0 is up and right, as in the event table."""
    place = {"x": position_units(event, "x"), "y": position_units(event, "y")}
    what = choice(event, "event_type", "move", "click", "scroll")
    if what == "move":
        return place | {"kind": Kind.MOVE}
    if what == "scroll":
        return place | {
            "kind": Kind.SCROLL,
            "wheel_x": wheel_units({"dx": 0} | event, "dx"),
            "wheel_y": wheel_units({"dy": 0} | event, "dy"),
        }
    code = _BUTTONS[choice(event, "button", *_BUTTONS)]
    return place | {"kind": Kind.BUTTON_DOWN if flag(event, "pressed") else Kind.BUTTON_UP, "code": code}


def _window(event: dict[str, Any]) -> dict[str, Any]:
    window = event.get("hWnd")
    return {"kind": Kind.FOCUS, "title": text(event, "title"), "window": window if isinstance(window, int) else None}


_ROWS = {"KeyboardEvent": _keyboard, "MouseEvent": _mouse, "WindowInfo": _window}
_SCREENS = ("ScreenCaptured", "ScreenEmitted")


def _without_same_windows(session: _Session) -> list[dict[str, Any]]:
    """The rows, of those about windows only the ones that say something new: the recorder says it each second."""
    rows, front = [], None
    for row in session.rows:
        if row["kind"] == Kind.FOCUS:
            now = (row.pop("window"), row["title"])
            if now == front:
                session.left_out["WindowInfo of the same window"] += 1
                continue
            front = now
        rows.append(row)
    return rows


def _notes(session: _Session) -> Iterator[str]:
    if session.left_out:
        parts = ", ".join(f"{count} {kind}" for kind, count in sorted(session.left_out.items()))
        yield f"messages that are no events: {parts}"


# ---------------------------------------------------------------------------------------------------- keys


def _with_keys(rows: list[dict[str, Any]], keymap: AnyKeymap) -> list[dict[str, Any]]:
    """Rows in order of time with `vk` replaced by code, name and text of the key."""
    vks = VkCodes(keymap)
    state = keymap.state()
    phantoms = _phantom_ctrls(rows)
    found = []
    for place, row in enumerate(rows):
        if "vk" in row:
            vk, down = row["vk"], row["kind"] == Kind.KEY_DOWN
            code = vks.code(vk)
            written = None if code is None or place in phantoms else state.text(code, down)
            row = {name: value for name, value in row.items() if name != "vk"} | {
                "code": code,
                "key": (code and keymap.key_name(code)) or vk_name(vk),
                "text": (vks.keypad_text(vk) if down else None) or written,
                "flags": 0 if vks.is_place_known(vk) and not keymap.is_assumed else Flag.UNKNOWN_LAYOUT,
            }
        found.append(row)
    return found


def _phantom_ctrls(rows: Sequence[dict[str, Any]]) -> set[int]:
    """Where events of a left Ctrl are that nobody pressed: Windows reports AltGr as left Ctrl and right Alt at once."""
    keys = [place for place, row in enumerate(rows) if "vk" in row]
    found: set[int] = set()
    is_phantom = False
    for place, following in pairwise(keys):
        key, after = rows[place], rows[following]
        if key["vk"] == LEFT_CTRL:
            if key["kind"] == Kind.KEY_DOWN:
                together = after["time_us"] - key["time_us"] <= _ALT_GR_US
                is_phantom = together and after["vk"] == RIGHT_ALT and after["kind"] == Kind.KEY_DOWN
            if is_phantom:
                found.add(place)
    return found


def _keymap_sentence(keymap: AnyKeymap) -> str:
    if keymap.is_assumed:
        return "a US keyboard is assumed and each key flagged unknown_layout: name the layout with --layout"
    return (
        f"layout {keymap.layout}; what its punctuation keys write is flagged where Windows may lay them out differently"
    )
