"""Events that are interpreted as they come are those of the whole recording, wherever it is cut."""

from __future__ import annotations

import heapq
from itertools import pairwise
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_devices import CLICKPAD, KEY, LEFT, MOUSE, REL, glide, land, lift, told

from taskreel.capture.kernel.devices import Device
from taskreel.capture.kernel.interpret import Interpreter, interpret
from taskreel.capture.kernel.streams import KERNEL_EVENT, ForwardClock, Frame, Framer, forward_times, frames
from taskreel.capture.keymaps import keymap_for
from taskreel.io.events import Flag, Kind

COLUMNS = ("time_us", "kind", "flags", "x", "y", "code", "wheel_x", "wheel_y", "key", "text", "fingers")
PAD_EVENTS = st.one_of(
    st.builds(land, st.integers(0, 2), st.integers(0, 9), st.integers(0, 400), st.integers(0, 400)),
    st.builds(glide, st.integers(0, 2), st.integers(0, 400), st.integers(0, 400)),
    st.builds(lift, st.integers(0, 2)),
    st.just([(KEY, LEFT, 1)]),
    st.just([(KEY, LEFT, 0)]),
    st.just([(0, 3, 0)]),
)
MOUSE_EVENTS = st.one_of(
    st.lists(st.tuples(st.just(REL), st.integers(0, 1), st.integers(-9, 9)), min_size=1, max_size=2),
    st.builds(lambda code, value: [(KEY, code, value)], st.sampled_from([30, 42, LEFT]), st.integers(0, 2)),
)


def session(events: st.SearchStrategy[Any]) -> st.SearchStrategy[np.ndarray]:
    """Frames some milliseconds apart, around the lengths of taps."""
    steps = st.lists(st.tuples(st.sampled_from([0, 1, 30, 90, 179, 181, 400]), events), max_size=25)
    return steps.map(lambda told_steps: told(_at(told_steps)))


def _at(steps: list[tuple[int, Any]]) -> list[tuple[int, Any]]:
    times = np.cumsum([step for step, _ in steps]).tolist()
    return [(time_ms, events) for time_ms, (_, events) in zip(times, steps, strict=True)]


@settings(max_examples=300)
@given(session(PAD_EVENTS), session(PAD_EVENTS), session(MOUSE_EVENTS), st.data())
def test_rows_that_are_taken_are_final(one: Any, other: Any, mouse: Any, data: st.DataObject) -> None:
    """Also with time that is told to pass between the frames, as a live source does."""
    devices: list[tuple[Device, np.ndarray]] = [(CLICKPAD, one), (CLICKPAD, other), (MOUSE, mouse)]
    whole = interpret(devices, keymap_for(None)).events.to_pylist()
    streams = [[(frame.time_us, n, frame) for frame in frames(events)] for n, (_, events) in enumerate(devices)]
    merged = list(heapq.merge(*streams, key=lambda item: item[:2]))

    interpreter = Interpreter([device for device, _ in devices], keymap_for(None))
    rows = []
    for number, (time_us, device, frame) in enumerate(merged):
        interpreter.update(device, frame)
        next_us = merged[number + 1][0] if number + 1 < len(merged) else time_us
        if data.draw(st.booleans()):
            for pad in (0, 1):
                interpreter.advance(pad, data.draw(st.integers(time_us, next_us)))
            rows += interpreter.take()
    rows += [tuple(row[name] for name in COLUMNS) for row in interpreter.finish().to_pylist()]

    assert sorted(rows, key=lambda row: row[0]) == [tuple(row[name] for name in COLUMNS) for row in whole]


def test_a_tap_waits_only_for_time_to_pass() -> None:
    interpreter = Interpreter([CLICKPAD], keymap_for(None))
    interpreter.update(0, Frame(0, land(0, 1, 500, 500)))
    assert interpreter.is_waiting(0)
    interpreter.update(0, Frame(50_000, lift(0)))
    assert [row[1] for row in interpreter.take()] == [Kind.BUTTON_DOWN]
    interpreter.advance(0, 230_000)
    assert interpreter.take() == []
    interpreter.advance(0, 230_001)
    assert [row[:2] for row in interpreter.take()] == [(50_000, Kind.BUTTON_UP)]
    assert not interpreter.is_waiting(0)


def test_what_is_restated_changes_what_is_held_and_writes_nothing() -> None:
    interpreter = Interpreter([MOUSE], keymap_for(None))
    interpreter.update(0, Frame(5, [(KEY, 42, 1), (KEY, 30, 1), (KEY, LEFT, 1)], is_restated=True))
    interpreter.update(0, Frame(6, [(KEY, 48, 1)]))
    rows = interpreter.take()
    assert [(row[1], row[5], row[9], bool(row[2] & Flag.RESTATED)) for row in rows] == [
        (Kind.KEY_DOWN, 42, None, True),
        (Kind.KEY_DOWN, 30, None, True),
        (Kind.BUTTON_DOWN, 1, None, True),
        (Kind.KEY_DOWN, 48, "B", False),
    ]


def test_a_device_that_left_holds_nothing() -> None:
    interpreter = Interpreter([MOUSE, MOUSE], keymap_for(None))
    interpreter.update(0, Frame(5, [(KEY, 42, 1)]))
    interpreter.remove(0, {42})
    number = interpreter.add(MOUSE)
    assert number == 2
    interpreter.update(number, Frame(6, [(KEY, 48, 1)]))
    assert interpreter.take()[-1][9] == "b"


def test_caps_lock_that_was_on_at_first() -> None:
    interpreter = Interpreter([MOUSE], keymap_for("de"))
    interpreter.lock(58)
    interpreter.update(0, Frame(6, [(KEY, 48, 1)]))
    assert [row[9] for row in interpreter.take()] == ["B"]


@given(st.lists(st.integers(-(10**12), 10**12), min_size=1, max_size=40), st.lists(st.integers(0, 40), max_size=5))
def test_times_in_pieces_go_forward_as_at_once(times: list[int], cuts: list[int]) -> None:
    time_us, clock = np.array(times, np.int64), ForwardClock()
    edges = [0, *sorted(min(cut, len(times)) for cut in cuts), len(times)]
    pieces = [clock.forward(time_us[start:end]) for start, end in pairwise(edges)]
    forward, back_us = forward_times(time_us)
    assert np.concatenate(pieces).tolist() == forward.tolist()
    assert clock.back_us == back_us


@given(
    st.lists(st.tuples(st.integers(0, 8000), st.integers(0, 1), st.integers(0, 3), st.integers(0, 1)), max_size=60),
    st.lists(st.integers(0, 60), max_size=6),
)
def test_frames_in_pieces_are_those_of_the_whole(steps: list[tuple[int, ...]], cuts: list[int]) -> None:
    times = np.cumsum([step[0] for step in steps]).tolist()
    rows = [(time_us, *rest) for time_us, (_, *rest) in zip(times, steps, strict=True)]
    events = np.array(rows, KERNEL_EVENT) if rows else np.empty(0, KERNEL_EVENT)
    framer = Framer()
    edges = [0, *sorted(min(cut, len(rows)) for cut in cuts), len(rows)]
    pieces = [frame for start, end in pairwise(edges) for frame in framer.feed(events[start:end])]
    assert [*pieces, *framer.end()] == list(frames(events))
