"""Hypothesis strategies for event tables and segments, and short ways to make them by hand."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st

from taskreel.io.events import SEGMENT_SCHEMA, Kind
from taskreel.io.names import SegmentName
from taskreel.io.segments import READ_SCHEMA, Screen, Segment, SegmentHeader
from taskreel.transforms.merge import MERGED_SCHEMA

BEGIN_US = 1_767_603_600_000_000
"""2026-01-05T09:00:00Z, where made-up recordings begin."""

_KEYS = (
    ("a", "a"),
    ("b", "B"),
    ("é", "é"),
    ("日", "日本"),
    ("z", None),
    ("space", " "),
    ("backspace", None),
    ("enter", "\n"),
    ("tab", "\t"),
    ("esc", None),
    ("f5", None),
    ("shiftleft", None),
    ("shiftright", None),
    ("ctrlleft", None),
    ("ctrlright", None),
    ("altleft", None),
    ("altgr", None),
    ("winleft", None),
    ("capslock", None),
    (None, None),
)

ids = st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=1, max_size=12)
words = st.one_of(st.none(), st.text(max_size=8), st.sampled_from(["firefox", "✏️ Notes", "a\0b", "عربي"]))
pauses_us = st.one_of(
    st.sampled_from([0, 1, 999, 1000, 199_999, 200_000, 200_001, 500_000, 1_000_000, 2_000_000, 700_000_000]),
    st.integers(0, 3_000_000),
)


def picture_hash_of(picture: bytes) -> str:
    """The hash that the format asks for, written down a second time."""
    return hashlib.sha256(picture).hexdigest()[:32]


@st.composite
def pictures(draw: st.DrawFn, max_bytes: int = 3000) -> bytes:
    """The bytes of a picture (of no real picture format), of any size from one byte."""
    size = draw(st.one_of(st.integers(1, 16), st.integers(1, max_bytes)))
    return (draw(st.binary(min_size=1, max_size=4)) * size)[:size]


@st.composite
def events(draw: st.DrawFn, *, whole_px: bool = False, shown: Any = None) -> dict[str, Any]:
    """One event without seq and time, as a dict by column; what it does not name is null."""
    kind = draw(st.sampled_from(list(Kind)))
    row: dict[str, Any] = {"kind": int(kind), "flags": draw(st.one_of(st.just(0), st.integers(0, 127)))}
    places = st.integers(-4000, 4000).map(lambda px: px * 256) if whole_px else st.integers(-1_000_000, 1_000_000)
    if kind in (Kind.BUTTON_DOWN, Kind.BUTTON_UP, Kind.MOVE, Kind.SCROLL) and draw(st.booleans()):
        row |= {"x": draw(places), "y": draw(places)}
    if kind in (Kind.BUTTON_DOWN, Kind.BUTTON_UP):
        row["code"] = draw(st.one_of(st.none(), st.integers(0, 9)))
        row["fingers"] = draw(st.one_of(st.none(), st.integers(0, 5)))
    if kind == Kind.SCROLL:
        row |= {
            "wheel_x": draw(st.sampled_from([None, 0, 120, -30])),
            "wheel_y": draw(st.sampled_from([None, 0, -120])),
        }
    if kind in (Kind.KEY_DOWN, Kind.KEY_UP):
        key, text = draw(st.sampled_from(_KEYS))
        row |= {"key": key, "text": text if kind == Kind.KEY_DOWN else None, "code": draw(st.integers(0, 250))}
    if kind in (Kind.FOCUS, Kind.MARK_START, Kind.MARK_END):
        row |= {name: draw(words) for name in ("app", "title", "url", "text", "key")}
    if kind == Kind.SCREEN:
        picture = draw(st.one_of(st.none(), shown if shown is not None else pictures()))
        if picture is not None:
            row |= {
                "picture_hash": picture_hash_of(picture),
                "picture_dhash": draw(st.integers(-(2**63), 2**63 - 1)),
                "picture_width_px": 1920,
                "picture_height_px": 1080,
                "picture_change_ppm": draw(st.sampled_from([None, 0, 3, 400_000])),
                "picture": picture if draw(st.booleans()) else None,
            }
    return row


@st.composite
def event_tables(
    draw: st.DrawFn, *, min_rows: int = 1, max_rows: int = 25, whole_px: bool = False, shown: Any = None
) -> pa.Table:
    """Events of one recording (`SEGMENT_SCHEMA`): seq rises, now and then with a gap, times do not fall."""
    rows = draw(st.lists(events(whole_px=whole_px, shown=shown), min_size=min_rows, max_size=max_rows))
    seq, time_us = draw(st.integers(0, 2**40)), BEGIN_US + draw(st.integers(0, 10**12))
    for row in rows:
        row |= {"seq": seq, "time_us": time_us}
        seq += draw(st.sampled_from([1, 1, 1, 1, 2, 5]))
        time_us += draw(pauses_us)
    return table_of(rows)


@st.composite
def headers(draw: st.DrawFn, *, positions_per_px: int = 256) -> SegmentHeader:
    """A header with or without each thing that it may lack."""
    monitors = ((0, 0, 1920, 1080), (1920, 0, 1280, 1024))
    return SegmentHeader(
        participant=draw(ids),
        device=draw(st.text(max_size=8)),
        recording=draw(ids),
        consent_id=draw(st.text(max_size=8)),
        consent_version=draw(st.integers(1, 9)),
        region=draw(st.sampled_from(["", "EU", "日本"])),
        screen=draw(st.sampled_from([None, Screen(1920, 1080), Screen(3200, 1080, 1.5, monitors)])),
        positions_per_px=positions_per_px,
        clock_anchors=draw(st.sampled_from([(), ((1, BEGIN_US), (2, BEGIN_US + 1))])),
        final=draw(st.booleans()),
    )


def table_of(rows: Iterable[dict[str, Any]], schema: pa.Schema = SEGMENT_SCHEMA) -> pa.Table:
    """A table from rows as dicts; missing flags are 0, everything else that is missing is null."""
    return pa.Table.from_pylist([{"flags": 0} | row for row in rows], schema=schema)


def header_of(**fields: Any) -> SegmentHeader:
    """A header with something in each field that has no default."""
    known = {"participant": "p1", "device": "laptop", "recording": "r1", "consent_id": "c1", "positions_per_px": 256}
    return SegmentHeader(**(known | fields))


def segment_of(rows: list[dict[str, Any]], sha: str = "0" * 12, **fields: Any) -> Segment:
    """A segment as if it had been read, without a file; `fields` are the header's."""
    first, last = rows[0], rows[-1]
    header = header_of(
        first_seq=first["seq"],
        last_seq=last["seq"],
        first_us=min(row["time_us"] for row in rows),
        last_us=max(row["time_us"] for row in rows),
        **fields,
    )
    name = SegmentName(
        header.participant,
        header.recording,
        header.first_seq,
        header.last_seq,
        header.first_us // 1000,
        -(-header.last_us // 1000),
        sha,
    )
    return Segment(
        name, header, table_of(({k: v for k, v in row.items() if k != "picture"} for row in rows), READ_SCHEMA)
    )


# --------------------------------------------------------------------------------------- what people really do


class Hand:
    """Writes down the events of one device while something is done on it. Times go on by `wait`."""

    def __init__(self, time_us: int = BEGIN_US, *, knows_position: bool = True) -> None:
        self.rows: list[dict[str, Any]] = []
        self.time_us = time_us
        self.x = self.y = 100 * 256
        self.knows_position = knows_position

    def wait(self, ms: float) -> Hand:
        """Let time pass."""
        self.time_us += round(ms * 1000)
        return self

    def event(self, kind: Kind, **fields: Any) -> Hand:
        """Any event, now."""
        self.rows.append({"seq": len(self.rows), "time_us": self.time_us, "kind": int(kind), "flags": 0, **fields})
        return self

    def _pointer(self, kind: Kind, **fields: Any) -> Hand:
        place = {"x": self.x, "y": self.y} if self.knows_position else {}
        return self.event(kind, **place, **fields)

    def move(self, dx_px: float = 0, dy_px: float = 0) -> Hand:
        """Move by some pixels."""
        self.x, self.y = self.x + round(dx_px * 256), self.y + round(dy_px * 256)
        return self._pointer(Kind.MOVE)

    def down(self, button: int = 1) -> Hand:
        """Press a button."""
        return self._pointer(Kind.BUTTON_DOWN, code=button)

    def up(self, button: int = 1) -> Hand:
        """Release it."""
        return self._pointer(Kind.BUTTON_UP, code=button)

    def click(self, button: int = 1, hold_ms: float = 80) -> Hand:
        """Press and release at one place."""
        return self.down(button).wait(hold_ms).up(button)

    def scroll(self, wheel_y: int = -120, wheel_x: int = 0) -> Hand:
        """Turn the wheel, in 1/120 tick."""
        return self._pointer(Kind.SCROLL, wheel_x=wheel_x, wheel_y=wheel_y)

    def key_down(self, key: str, text: str | None = None) -> Hand:
        """Press a key."""
        return self.event(Kind.KEY_DOWN, key=key, text=text)

    def key_up(self, key: str) -> Hand:
        """Release it."""
        return self.event(Kind.KEY_UP, key=key)

    def tap(self, key: str, text: str | None = None, hold_ms: float = 60) -> Hand:
        """Press and release a key."""
        return self.key_down(key, text).wait(hold_ms).key_up(key)

    def write(self, text: str, pause_ms: float = 100) -> Hand:
        """Type letters, one after the other."""
        for letter in text:
            self.tap("space" if letter == " " else letter.lower(), letter).wait(pause_ms)
        return self

    def focus(self, app: str | None, title: str | None = None, url: str | None = None) -> Hand:
        """Another window takes focus."""
        return self.event(Kind.FOCUS, app=app, title=title, url=url)

    def screen(self, picture: bytes, *, stored: bool = True, change_ppm: int | None = None) -> Hand:
        """The screen is captured."""
        shown = {"picture_hash": picture_hash_of(picture), "picture": picture if stored else None}
        return self.event(Kind.SCREEN, picture_change_ppm=change_ppm, **shown)


waits_ms = st.sampled_from([0, 1, 30, 80, 120, 199, 200, 201, 350, 499, 500, 501, 999, 1000, 1001, 2000, 2001, 5000])
_short_ms = st.sampled_from([1, 40, 80, 250])
_steps_px = st.sampled_from([0, 1, 3, 3.5, 4, 5, 5.25, 6, 7, 8, 9.5, 10, 11, 300, -3, -4, -10, -300])
_buttons = st.sampled_from([1, 1, 1, 2, 3, 8])
_letters = st.sampled_from([("a", "a"), ("b", "b"), ("a", "A"), ("é", "é"), ("space", " "), ("backspace", None)])
_other_keys = st.sampled_from(
    [("enter", "\n"), ("tab", "\t"), ("esc", None), ("f5", None), ("left", None), ("delete", None)]
)
_held = st.sampled_from(
    [("ctrlleft",), ("altleft",), ("winleft",), ("shiftleft",), ("ctrlright", "shiftleft"), ("shiftright", "altleft")]
)


@st.composite
def acts(draw: st.DrawFn, *, max_acts: int = 14, time_us: int = BEGIN_US) -> list[dict[str, Any]]:
    """The events of one device on which somebody does legal things: what goes down comes up, one button at a time."""
    hand = Hand(time_us, knows_position=draw(st.sampled_from([True, True, True, False])))
    for act in draw(st.lists(st.sampled_from(sorted(_ACTS)), min_size=1, max_size=max_acts)):
        hand.wait(draw(waits_ms))
        _ACTS[act](draw, hand)
    return hand.rows


def _act_moves(draw: st.DrawFn, hand: Hand) -> None:
    for _ in range(draw(st.integers(1, 5))):
        hand.move(draw(_steps_px), draw(_steps_px)).wait(draw(waits_ms))


def _act_click(draw: st.DrawFn, hand: Hand) -> None:
    hand.click(draw(_buttons), draw(_short_ms))


def _act_clicks(draw: st.DrawFn, hand: Hand) -> None:
    button = draw(_buttons)
    for _ in range(draw(st.integers(2, 5))):
        hand.click(button, draw(_short_ms)).wait(draw(st.sampled_from([20, 120, 420, 460, 500])))
        if draw(st.booleans()):
            hand.move(draw(st.sampled_from([0, 3, 4, 5, 5.25])), draw(st.sampled_from([0, 3, 4])))


def _act_drag(draw: st.DrawFn, hand: Hand) -> None:
    button = draw(_buttons)
    hand.down(button)
    for _ in range(draw(st.integers(1, 3))):
        hand.wait(draw(_short_ms)).move(draw(_steps_px), draw(_steps_px))
    hand.wait(draw(_short_ms)).up(button)


def _act_scroll(draw: st.DrawFn, hand: Hand) -> None:
    wheel = draw(st.sampled_from([(-120, 0), (120, 0), (-15, 0), (0, 120), (0, -120)]))
    for _ in range(draw(st.integers(1, 4))):
        hand.scroll(*wheel).wait(draw(waits_ms))


def _act_letters(draw: st.DrawFn, hand: Hand) -> None:
    for _ in range(draw(st.integers(1, 4))):
        hand.tap(*draw(_letters), draw(_short_ms)).wait(draw(_short_ms))


def _act_rolled_letters(draw: st.DrawFn, hand: Hand) -> None:
    hand.key_down("r", "r").wait(30).key_down("s", "s").wait(30).key_up("r").wait(30).key_up("s")


def _act_repeat(draw: st.DrawFn, hand: Hand) -> None:
    key, text = draw(_letters)
    for _ in range(draw(st.integers(2, 4))):
        hand.key_down(key, text).wait(30)
    hand.key_up(key)


def _act_other_key(draw: st.DrawFn, hand: Hand) -> None:
    hand.tap(*draw(_other_keys))


def _act_held(draw: st.DrawFn, hand: Hand) -> None:
    keys = draw(_held)
    for key in keys:
        hand.key_down(key).wait(draw(waits_ms))
    for _ in range(draw(st.integers(1, 3))):
        act = draw(st.sampled_from([_act_click, _act_drag, _act_letters, _act_other_key, _act_clicks]))
        act(draw, hand)
        hand.wait(draw(waits_ms))
    for key in keys:
        hand.key_up(key).wait(draw(_short_ms))


def _act_altgr(draw: st.DrawFn, hand: Hand) -> None:
    hand.key_down("ctrlleft").key_down("altgr").wait(50)
    hand.tap("q", "@").wait(20).key_up("altgr").key_up("ctrlleft")


def _act_level_shift(draw: st.DrawFn, hand: Hand) -> None:
    hand.tap(draw(st.sampled_from(["capslock", "numlock", "altgr"])))


def _act_lone_modifier(draw: st.DrawFn, hand: Hand) -> None:
    hand.key_down(key := draw(st.sampled_from(["winleft", "ctrlleft", "altright"])))
    if draw(st.booleans()):
        hand.wait(20).move(5, 5)
    hand.wait(50).key_up(key)


def _act_focus(draw: st.DrawFn, hand: Hand) -> None:
    app = draw(st.sampled_from(["firefox", "code", None]))
    hand.focus(app, draw(words), draw(st.none() | st.just("https://a.example/")))


def _act_context(draw: st.DrawFn, hand: Hand) -> None:
    kind = draw(st.sampled_from([Kind.SCREEN, Kind.MARK_START, Kind.MARK_END, Kind.PAUSE, Kind.RESUME, Kind.GEOMETRY]))
    hand.event(kind)


_ACTS = {name.removeprefix("_act_"): act for name, act in list(globals().items()) if name.startswith("_act_")}


legal_acts = dict(_ACTS)
"""What `acts` chooses from, by name."""


def by_devices(*devices: list[dict[str, Any]]) -> pa.Table:
    """The events of some devices as a session's table (`MERGED_SCHEMA`), in its order."""
    rows = [row | {"device": n, "recording": n, "segment": n} for n, rows in enumerate(devices) for row in rows]
    rows.sort(key=lambda row: (row["time_us"], row["device"], row["seq"]))
    return pa.Table.from_pylist([{k: v for k, v in row.items() if k != "picture"} for row in rows], MERGED_SCHEMA)
