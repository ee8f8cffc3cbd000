"""Hypothesis strategies for what a reducer can meet: people at work, people at work badly recorded, and noise."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from hypothesis import strategies as st
from strategies import BEGIN_US, Hand, by_devices, legal_acts, picture_hash_of, waits_ms

from taskreel.io.events import Flag, Kind
from taskreel.transforms.actions.rules import ActionOptions
from taskreel.transforms.merge import MERGED_SCHEMA

HUGE = 2**31 - 1
SCREENS = [picture_hash_of(bytes([n])) for n in range(3)]
FLAGS = st.one_of(
    *[st.just(0)] * 6, st.sampled_from([flag.value for flag in Flag]), st.integers(0, sum(flag.value for flag in Flag))
)

# ------------------------------------------------------------------------------------------------ acts with a name

short_ms = st.sampled_from([1, 20, 60, 150])
long_ms = st.sampled_from([660, 661, 700, 701, 999, 1000, 1001, 2500])


def _hold(draw: st.DrawFn, hand: Hand) -> None:
    button = draw(st.sampled_from([1, 1, 2, 3, 9]))
    hand.down(button).wait(draw(long_ms))
    if draw(st.booleans()):
        hand.move(draw(st.sampled_from([1, 9, 12])), 0)
    hand.wait(draw(short_ms)).up(button)


def _chord_of_buttons(draw: st.DrawFn, hand: Hand) -> None:
    first, second = draw(st.sampled_from([(1, 3), (1, 2), (8, 1)]))
    hand.down(first).wait(draw(short_ms)).down(second).wait(draw(short_ms))
    if draw(st.booleans()):
        hand.move(draw(st.sampled_from([2, 30])), 4).wait(draw(short_ms))
    for button in draw(st.permutations([first, second])):
        hand.wait(draw(short_ms)).up(button)


def _held_key(draw: st.DrawFn, hand: Hand) -> None:
    """A key held while other things are done: a game, a canvas moved with Space."""
    key, text = draw(st.sampled_from([("w", "w"), ("space", " "), ("f5", None), ("backspace", None)]))
    hand.key_down(key, text).wait(draw(st.sampled_from([30, 600])))
    if draw(st.booleans()):
        hand.event(Kind.KEY_DOWN, key=key, text=text, flags=int(Flag.AUTO_REPEAT)).wait(30)
    for _ in range(draw(st.integers(1, 2))):
        _ACTS[draw(st.sampled_from(["click", "scroll", "letters", "drag"]))](draw, hand)
    hand.wait(draw(st.sampled_from([1, 600, 1000]))).key_up(key)


def _long_press(draw: st.DrawFn, hand: Hand) -> None:
    """A key held long by itself; the keyboard does not tell of its repeats."""
    key, text = draw(st.sampled_from([("left", None), ("backspace", None), ("x", "x"), ("enter", "\n")]))
    hand.tap(key, text, draw(long_ms))


def _told_repeats(draw: st.DrawFn, hand: Hand) -> None:
    keys = [("left", None), ("backspace", None), ("x", "x"), ("compose", None), ("shiftleft", None), ("altgr", None)]
    key, text = draw(st.sampled_from(keys))
    hand.key_down(key, text).wait(draw(st.sampled_from([500, 999, 1000, 1001])))
    for _ in range(draw(st.integers(1, 3))):
        flags = draw(st.sampled_from([Flag.AUTO_REPEAT, Flag.AUTO_REPEAT | Flag.ESTIMATED, 0]))
        hand.event(Kind.KEY_DOWN, key=key, text=text, flags=int(flags)).wait(draw(st.sampled_from([30, 30, 1001])))
        if draw(st.integers(0, 5)) == 0:
            hand.focus("code")
    hand.key_up(key)


def _option_letter(draw: st.DrawFn, hand: Hand) -> None:
    also = draw(st.sampled_from([None, None, "ctrlleft", "command", "shiftleft"]))
    hand.key_down(option := draw(st.sampled_from(["option", "optionright"])))
    if also:
        hand.wait(20).key_down(also)
    hand.wait(40).tap(*draw(st.sampled_from([("l", "@"), ("s", "ß"), ("o", "ø"), ("u", None)]))).wait(30)
    if also:
        hand.key_up(also)
    hand.key_up(option)


def _ctrl_alt(draw: st.DrawFn, hand: Hand) -> None:
    also = draw(st.sampled_from([None, None, "winright", "shiftright"]))
    keys = [k for k in ("ctrlleft", draw(st.sampled_from(["altright", "alt"])), also) if k]
    for key in keys:
        hand.key_down(key)
    texts = [
        ("q", "@"),
        ("e", "€"),
        ("t", "t"),
        ("t", "T"),
        ("t", None),
        ("delete", "\x7f"),
        ("space", " "),
        ("o", "😀"),
    ]
    hand.wait(40).tap(*draw(st.sampled_from(texts))).wait(30)
    for key in keys:
        hand.key_up(key)


def _composed(draw: st.DrawFn, hand: Hand) -> None:
    for _ in range(draw(st.integers(1, 3))):
        hand.tap(draw(st.sampled_from(["dead_acute", "compose", "multi_key", "backspace"]))).wait(draw(short_ms))
    if draw(st.booleans()):
        hand.tap("e", draw(st.sampled_from(["é", "ế", "👩‍💻"]))).wait(draw(short_ms))


def _rolled_erasers(draw: st.DrawFn, hand: Hand) -> None:
    hand.key_down("backspace").wait(20).key_down("dead_grave").wait(20).key_down("backspace").wait(20)
    hand.key_up("dead_grave").wait(20).key_up("backspace")


def _edits(draw: st.DrawFn, hand: Hand) -> None:
    for _ in range(draw(st.integers(1, 6))):
        key, text = draw(st.sampled_from([("a", "a"), ("b", "😀"), ("backspace", None), ("space", None)]))
        hand.tap(key, text).wait(draw(short_ms))


def _hover(draw: st.DrawFn, hand: Hand) -> None:
    for _ in range(draw(st.integers(1, 4))):
        hand.move(draw(st.integers(-40, 40)), draw(st.integers(-40, 40))).wait(draw(st.sampled_from([20, 200])))
    hand.wait(draw(st.sampled_from([800, 980, 981, 1500])))
    if draw(st.booleans()):
        hand.move(3, 3).wait(20).move(5, 5).wait(20)
    _ACTS[draw(st.sampled_from(["click", "scroll", "other_key"]))](draw, hand)


def _curve(draw: st.DrawFn, hand: Hand) -> None:
    """A drag along a way with corners."""
    hand.down()
    for _ in range(draw(st.integers(3, 9))):
        hand.wait(16).move(draw(st.integers(-30, 30)), draw(st.sampled_from([0, 1, 2.5, 3, 3.5, 20, -20])))
    hand.wait(16).up()


def _screens(draw: st.DrawFn, hand: Hand) -> None:
    for _ in range(draw(st.integers(1, 3))):
        hand.wait(draw(st.sampled_from([0, 300, 999, 1000, 1001, 4000])))
        change = draw(st.sampled_from([None, None, 0, 1, 5000]))
        hand.event(Kind.SCREEN, picture_hash=draw(st.sampled_from([*SCREENS, None])), picture_change_ppm=change)
    hand.wait(draw(st.sampled_from([0, 500, 2000])))


def _loading(draw: st.DrawFn, hand: Hand) -> None:
    """Something is started, takes time, and shows its end."""
    hand.event(Kind.SCREEN, picture_hash=SCREENS[0]).wait(100).click().wait(draw(st.sampled_from([900, 1200, 3000])))
    hand.event(Kind.SCREEN, picture_hash=SCREENS[1]).wait(300).move(4, 4).wait(50).click()


def _task(draw: st.DrawFn, hand: Hand) -> None:
    hand.event(Kind.MARK_START, text="send a mail")
    for name in draw(st.lists(st.sampled_from(["click", "letters", "scroll", "clicks", "hover"]), max_size=2)):
        _ACTS[name](draw, hand)
        hand.wait(draw(waits_ms))
    hand.event(Kind.MARK_END, key=draw(st.sampled_from(["success", "failure", None])))


def _restated(draw: st.DrawFn, hand: Hand) -> None:
    """A new segment begins while somebody types or scrolls."""
    window = {"app": "firefox", "title": "a", "url": draw(st.sampled_from([None, "https://a.example/"]))}
    again = {**window, **draw(st.sampled_from([{}, {}, {"title": "b"}, {"app": None}]))}
    hand.event(Kind.FOCUS, **window)
    for name in ("letters", "scroll"):
        _ACTS[name](draw, hand)
        hand.event(Kind.FOCUS, **again, flags=int(draw(st.sampled_from([Flag.RESTATED, Flag.RESTATED, Flag(0)]))))
        _ACTS[name](draw, hand)


def _lost(draw: st.DrawFn, hand: Hand) -> None:
    """A down or an up that was not recorded."""
    key = draw(st.sampled_from(["a", "enter", "ctrlleft", "shiftleft", "altgr", "optionleft", None]))
    what = draw(st.sampled_from(["down", "up", "key_down", "key_up"]))
    if what in ("down", "up"):
        getattr(hand, what)(draw(st.sampled_from([1, 3])))
    else:
        hand.event(Kind.KEY_DOWN if what == "key_down" else Kind.KEY_UP, key=key, code=30)


def _nothing_turned(draw: st.DrawFn, hand: Hand) -> None:
    hand.scroll(0, 0)


def _still_pointer(draw: st.DrawFn, hand: Hand) -> None:
    """Events without a place among others that have one."""
    hand.event(draw(st.sampled_from([Kind.MOVE, Kind.BUTTON_DOWN, Kind.BUTTON_UP])), code=1)


_ACTS = {**legal_acts, **{name: act for name, act in list(globals().items()) if name.startswith("_")}}
_ACTS = {name.removeprefix("_"): act for name, act in _ACTS.items() if callable(act)}


@st.composite
def doings(draw: st.DrawFn, *, max_acts: int = 12, time_us: int = BEGIN_US) -> list[dict[str, Any]]:
    """The events of one device on which somebody works: all that `acts` has, and what is rarer or goes wrong."""
    hand = Hand(time_us, knows_position=draw(st.sampled_from([True] * 5 + [False])))
    for act in draw(st.lists(st.sampled_from(sorted(_ACTS)), min_size=1, max_size=max_acts)):
        hand.wait(draw(waits_ms))
        _ACTS[act](draw, hand)
    return hand.rows


@st.composite
def damaged(draw: st.DrawFn, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same events, a few of them lost or flagged."""
    lost = set(draw(st.lists(st.integers(0, len(rows) - 1), max_size=3)))
    flagged = draw(st.dictionaries(st.integers(0, len(rows) - 1), FLAGS, max_size=4))
    return [{**row, "flags": row["flags"] | flagged.get(n, 0)} for n, row in enumerate(rows) if n not in lost] or rows


@st.composite
def sessions(draw: st.DrawFn, *, max_acts: int = 12) -> pa.Table:
    """A session of one to three devices, well or badly recorded."""
    devices = []
    for n in range(draw(st.sampled_from([1, 1, 1, 2, 3]))):
        apart_us = 1000 * draw(st.integers(-3000, 3000)) if n else 0
        rows = draw(doings(max_acts=max(2, max_acts // (n + 1)), time_us=BEGIN_US + apart_us))
        devices.append(draw(st.one_of(st.just(rows), damaged(rows))))
    return by_devices(*devices)


# ------------------------------------------------------------------------------------------------ events at random

_NOISE_KEYS = [
    *("a", "b", "space", "backspace", "enter", "tab", "esc", "left", "compose", "dead_acute", "multi_key", "delete"),
    *("ctrlleft", "ctrlright", "ctrl", "altleft", "option", "optionleft", "shift", "shiftright", "winleft", "command"),
    *(
        "meta",
        "superleft",
        "altgr",
        "iso_level3_shift",
        "iso_level5_shift",
        "capslock",
        "fn",
        "key0",
        "key57",
        "",
        None,
    ),
]
_NOISE_TEXTS = [None, None, "a", "A", "é", "日本", "😀", "a\b", " ", "\b", "\n", "\x7f", "\x1f", "", "a😀"]
_places = st.one_of(
    st.none(),
    st.integers(-20 * 256, 20 * 256),
    st.integers(0, 40).map(lambda px: px * 256),
    st.sampled_from([HUGE, -HUGE - 1, HUGE - 1, 2**30, -(2**29) - 1, 10**8]),
)
_wheels = st.sampled_from([None, 0, 120, -120, 15, -HUGE - 1])
_pauses_us = st.one_of(
    st.sampled_from([0, 0, 1, 1000, 30_000, 100_000, 200_000, 200_001, 500_000, 500_001, 999_999, 1_000_000]),
    st.sampled_from([1_000_001, 2_000_000, 2_000_001, 10**9, 10**15]),
    st.integers(0, 2_500_000),
)


@st.composite
def noise(draw: st.DrawFn, *, max_rows: int = 40) -> pa.Table:
    """Any events at all of any devices, in the order of a session's table."""
    kinds = draw(st.lists(st.sampled_from(list(Kind)), min_size=1, max_size=8))
    keys = draw(st.lists(st.sampled_from(_NOISE_KEYS), min_size=1, max_size=4))
    focus = draw(st.sampled_from([None, "a"])), draw(st.sampled_from([None, "", "b"]))
    recordings = draw(st.sampled_from([[0], [0], [0, 1], [0, 1, 2]]))
    by_recording = [draw(st.integers(0, 2)) for _ in recordings]
    rows, time_us, seqs = [], draw(st.sampled_from([0, BEGIN_US, -BEGIN_US])), dict.fromkeys(recordings, 0)
    for _ in range(draw(st.integers(1, max_rows))):
        time_us += draw(_pauses_us)
        recording = draw(st.sampled_from(recordings))
        seqs[recording] += draw(st.sampled_from([1, 1, 1, -3, 7]))
        rows.append(
            {
                "seq": seqs[recording],
                "time_us": time_us,
                "kind": int(draw(st.sampled_from(kinds))),
                "flags": draw(FLAGS),
                "x": draw(_places),
                "y": draw(_places),
                "code": draw(st.sampled_from([None, 0, 1, 1, 1, 2, 3, 8, 57, 300, -1])),
                "wheel_x": draw(_wheels),
                "wheel_y": draw(_wheels),
                "key": draw(st.sampled_from(keys)),
                "text": draw(st.sampled_from(_NOISE_TEXTS)),
                **{name: draw(st.sampled_from(focus)) for name in ("app", "title", "url")},
                "picture_hash": draw(st.sampled_from([*SCREENS, None, ""])),
                "picture_change_ppm": draw(st.sampled_from([None, None, 0, 7, 10**6])),
                "device": by_recording[recording],
                "recording": recording,
                "segment": recording,
            }
        )
    rows.sort(key=lambda row: (row["time_us"], row["device"], row["recording"], row["seq"]))
    return pa.Table.from_pylist(rows, MERGED_SCHEMA)


def tables() -> st.SearchStrategy[pa.Table]:
    """What a reducer can be given."""
    return st.one_of(sessions(), sessions(max_acts=5), noise())


_ms = st.sampled_from([0, 1, 30, 200, 500, 1000, 2000, 100_000])
_px = st.sampled_from([0, 1, 3, 5, 10, 400, 2**18])


def options() -> st.SearchStrategy[ActionOptions]:
    """Mostly the defaults, some of them changed."""
    strategies = {
        name: _px if name.endswith("_px") else _ms
        for name in ActionOptions.__dataclass_fields__
        if name.endswith(("_px", "_ms"))
    }
    strategies["repeat_interval_ms"] = st.sampled_from([1, 40])
    strategies["same_screen_ppm"] = st.sampled_from([0, 1, 10_000])
    strategies |= dict.fromkeys(("keep_moves", "resolve_edits"), st.booleans())
    changed = st.fixed_dictionaries({}, optional=strategies)
    flags = st.fixed_dictionaries({"keep_moves": st.booleans(), "resolve_edits": st.booleans()})
    return st.one_of(st.just({}), flags, changed).map(lambda values: ActionOptions(**values))
