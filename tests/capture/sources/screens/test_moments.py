from __future__ import annotations

import pytest

from taskreel.capture.sources.protocol import Event
from taskreel.capture.sources.screens.moments import Moments, Why
from taskreel.io.events import Flag, Kind

SETTLE, BEAT, SECOND = 300_000, 30_000_000, 1_000_000


def moments() -> Moments:
    return Moments(SETTLE, BEAT, 0)


def wanted(*events: Event) -> list[bool]:
    """Before which of some events a picture is wanted."""
    heeding = moments()
    return [heeding.heed(event) for event in events]


def down(time_us: int, key: str = "a", flags: int = 0) -> Event:
    return Event(time_us, Kind.KEY_DOWN, flags, key=key)


def up(time_us: int, key: str = "a") -> Event:
    return Event(time_us, Kind.KEY_UP, key=key)


def press(time_us: int) -> Event:
    return Event(time_us, Kind.BUTTON_DOWN, code=1)


def tick(time_us: int) -> Event:
    return Event(time_us, Kind.SCROLL, wheel_y=120)


class TestBefore:
    def test_every_press_of_a_button_counts_but_no_release(self) -> None:
        release = Event(2, Kind.BUTTON_UP, code=1)
        assert wanted(press(1), release, press(3), press(4)) == [True, False, True, True]

    def test_the_first_key_of_a_run_of_typing(self) -> None:
        assert wanted(down(0), up(1), down(SECOND), down(2 * SECOND), down(3 * SECOND + 1)) == [
            *(True, False, False, False, True)
        ]

    @pytest.mark.parametrize("key", ["enter", "numpadenter", "tab", "esc"])
    def test_a_key_that_ends_a_run_counts_and_so_does_the_next(self, key: str) -> None:
        assert wanted(down(0), down(1), down(2, key), down(3), down(4)) == [True, False, True, True, False]

    @pytest.mark.parametrize("held", ["ctrlleft", "ctrlright", "altleft", "altright", "winleft", "winright"])
    def test_keys_with_a_modifier_count_until_it_is_released(self, held: str) -> None:
        events = down(0), down(1, held), down(2, "c"), down(3, "v"), up(4, held), down(5), down(6)
        assert wanted(*events) == [True, False, True, True, False, True, False]

    @pytest.mark.parametrize("held", ["shiftleft", "altgr", "capslock"])
    def test_what_only_makes_other_letters_is_typing(self, held: str) -> None:
        assert wanted(down(0), down(1, held), down(2, "q"), up(3, held)) == [True, False, False, False]

    def test_the_first_tick_of_the_wheel(self) -> None:
        assert wanted(tick(0), tick(5), tick(SECOND + 5), tick(2 * SECOND + 6)) == [True, False, False, True]

    def test_a_run_ends_with_another_action_or_focus(self) -> None:
        focus = Event(7, Kind.FOCUS)
        events = down(0), tick(1), down(2), press(3), down(4), tick(5), press(6), tick(7), focus, tick(8)
        assert wanted(*events) == [True, True, True, True, True, True, True, True, False, True]

    def test_a_key_that_repeats_is_one_action(self) -> None:
        repeats = [down(time_us, "tab", Flag.AUTO_REPEAT) for time_us in (2, 3)]
        assert wanted(down(1, "tab"), *repeats) == [True, True, False]

    @pytest.mark.parametrize("flag", [Flag.RESTATED, Flag.RECORDER_CONTROL])
    def test_what_is_no_action_does_not_count(self, flag: Flag) -> None:
        assert wanted(Event(0, Kind.BUTTON_DOWN, flag), down(1, "enter", flag), down(2)) == [False, False, True]

    def test_other_kinds_do_not_count(self) -> None:
        assert not any(wanted(*(Event(0, kind) for kind in (Kind.MOVE, Kind.SCREEN, Kind.GAP, Kind.GEOMETRY))))


class TestSettled:
    def test_when_nothing_changed_for_so_long(self) -> None:
        asked = moments()
        asked.heed(press(1000))
        asked.changed(5000)
        asked.changed(50_000)
        assert asked.next_us() == 50_000 + SETTLE
        assert asked.due(50_000 + SETTLE - 1) is None
        assert asked.due(50_000 + SETTLE) == Why.SETTLED
        asked.shown(Why.SETTLED, 50_000 + SETTLE)
        assert asked.due(5 * SECOND) is None

    def test_at_the_limit_if_it_never_settles(self) -> None:
        asked = moments()
        asked.heed(press(1000))
        for time_us in range(2000, 2 * SECOND, 80_000):
            asked.changed(time_us)
            assert asked.due(time_us) is None
        assert asked.due(2 * SECOND + 999) is None
        assert asked.due(2 * SECOND + 1000) == Why.SETTLED
        assert asked.due(3 * SECOND) is None

    def test_a_slow_answer_is_waited_for(self) -> None:
        asked = moments()
        asked.heed(press(0))
        assert asked.due(SECOND) is None
        asked.changed(SECOND)
        assert asked.due(SECOND + SETTLE) == Why.SETTLED

    def test_a_change_that_did_not_count_leaves_it_open(self) -> None:
        asked = moments()
        asked.heed(press(0))
        asked.changed(10)
        assert asked.due(SETTLE + 10) == Why.SETTLED  # and then nothing is said to have been shown: a caret blinked
        assert asked.due(SETTLE + 11) is None
        asked.changed(SECOND)
        assert asked.due(SECOND + SETTLE) == Why.SETTLED

    def test_a_picture_before_the_next_action_leaves_it_open(self) -> None:
        asked = moments()
        asked.heed(press(0))
        asked.changed(10)
        asked.shown(Why.BEFORE, 20)
        assert asked.due(SETTLE + 10) == Why.SETTLED

    def test_an_old_change_is_no_answer(self) -> None:
        asked = moments()
        asked.changed(10)
        asked.heed(press(20))
        assert asked.due(SECOND) is None
        assert asked.due(2 * SECOND + 20) == Why.SETTLED

    def test_typing_on_and_on_is_shown_once_it_ends(self) -> None:
        """On a screen that never settles, such as with a log that is printed."""
        asked = moments()
        due = {}
        for time_us in range(0, 10 * SECOND, 100_000):
            if time_us < 7 * SECOND:
                asked.heed(down(time_us))
            asked.changed(time_us + 10)
            due[time_us] = asked.due(time_us + 20)
        settled = [time_us for time_us, why in due.items() if why is Why.SETTLED]
        assert settled == [6 * SECOND + 900_000 + 2 * SECOND]


class TestHeartbeat:
    def test_after_so_long_without_a_screen_event(self) -> None:
        asked = moments()
        assert asked.due(BEAT - 1) is None
        assert asked.due(BEAT) == Why.HEARTBEAT
        assert asked.due(BEAT + 1) is None
        asked.shown(Why.BEFORE, BEAT + 10)
        assert asked.next_us() == 2 * BEAT + 10
        assert asked.due(2 * BEAT + 9) is None
        assert asked.due(2 * BEAT + 10) == Why.HEARTBEAT
