"""Auto-repeat against an oracle that goes through every millisecond, as a keyboard would."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from taskreel.capture.sources.x11.repeats import RepeatControls, Repeats

A, B, SHIFT = 38, 56, 50
KEYS = bytes(32 * [0xFF])[:6] + bytes([0xFF & ~(1 << (SHIFT & 7))]) + bytes(25 * [0xFF])


def controls(delay_ms: int = 660, interval_ms: int = 40, *, is_on: bool = True) -> RepeatControls:
    return RepeatControls(is_on, delay_ms * 1000, interval_ms * 1000, KEYS)


def computed(events: list[tuple[int, int, bool]], end_ms: int, of: RepeatControls) -> list[tuple[int, int]]:
    repeats, got = Repeats(of), []
    for time_ms, keycode, is_press in [*events, (end_ms, 0, False)]:
        got += [(time_us // 1000, repeats.keycode or 0) for time_us in repeats.due(time_ms * 1000)]
        if is_press:
            repeats.press(keycode, time_ms * 1000)
        else:
            repeats.release(keycode)
    return got


def every_millisecond(events: list[tuple[int, int, bool]], end_ms: int, of: RepeatControls) -> list[tuple[int, int]]:
    got, repeating, left_ms = [], None, 0
    for now_ms in range(end_ms):
        if repeating is not None and left_ms == 0 and not any(at == now_ms for at, _, _ in events):
            got.append((now_ms, repeating))
            left_ms = of.interval_us // 1000
        for at, keycode, is_press in events:
            if at != now_ms:
                continue
            if is_press and of.is_on and keycode != SHIFT and keycode != repeating:
                repeating, left_ms = keycode, of.delay_us // 1000
            elif not is_press and keycode == repeating:
                repeating = None
        if repeating is not None and left_ms == 0:  # an event came first: the repeat is the next thing
            got.append((now_ms, repeating))
            left_ms = of.interval_us // 1000
        left_ms -= 1
    return got


@given(
    st.lists(st.tuples(st.integers(0, 400), st.sampled_from([A, B, SHIFT]), st.booleans()), max_size=12),
    st.integers(1, 60),
    st.integers(1, 30),
    st.booleans(),
)
def test_as_the_oracle(events: list[tuple[int, int, bool]], delay_ms: int, interval_ms: int, is_on: bool) -> None:
    events = sorted(events, key=lambda event: event[0])
    of = controls(delay_ms, interval_ms, is_on=is_on)
    assert computed(events, 500, of) == every_millisecond(events, 500, of)


def test_a_held_key() -> None:
    assert computed([(0, A, True), (741, A, False)], 2000, controls()) == [(660, A), (700, A), (740, A)]


def test_the_last_one_takes_over_and_the_first_does_not_come_back() -> None:
    events = [(0, A, True), (700, B, True), (1400, B, False)]
    assert computed(events, 3000, controls()) == [(660, A), (1360, B)]


def test_modifiers_and_releases_of_others_change_nothing() -> None:
    events = [(0, B, True), (0, A, True), (100, SHIFT, True), (200, B, False), (300, SHIFT, False)]
    assert computed(events, 680, controls()) == [(660, A)]


def test_what_is_not_taken_is_due_again() -> None:
    repeats = Repeats(controls())
    repeats.press(A, 0)
    assert next(repeats.due(1_000_000)) == 660_000
    assert next(repeats.due(1_000_000)) == 700_000


def test_the_interval_is_that_of_each_moment() -> None:
    repeats = Repeats(controls())
    repeats.press(A, 0)
    assert list(repeats.due(705_000)) == [660_000, 700_000]
    repeats.controls = controls(100, 10)
    assert list(repeats.due(760_001)) == [740_000, 750_000, 760_000]
