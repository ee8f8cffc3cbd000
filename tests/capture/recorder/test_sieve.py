"""The sieve against an oracle that knows the whole story at once."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from taskreel.capture.recorder.sieve import Sieve
from taskreel.capture.sources.guards import HOLD_US, Guard, Withholds
from taskreel.capture.sources.protocol import Event
from taskreel.io.kinds import Flag, Kind


@dataclass(frozen=True)
class Coming:
    """An event and when it comes, which may be late."""

    time_us: int
    delay_us: int
    kind: Kind


COMING = st.builds(
    Coming,
    st.integers(0, 2_000_000),
    st.integers(0, HOLD_US // 2),
    st.sampled_from([Kind.MOVE, Kind.KEY_DOWN, Kind.FOCUS]),
)
SWITCHES = st.lists(st.tuples(st.integers(0, 2_000_000), st.booleans()), max_size=6).map(sorted)


def play(coming: list[Coming], guards: dict[Withholds, list[tuple[int, bool]]]) -> tuple[list[Event], Counter[str]]:
    """Let everything come in its order, with a release every 10 ms; news of guards come when they happen."""
    made = {withholds: Guard(withholds.value, withholds, lead_us=0) for withholds in guards}
    sieve = Sieve(list(made.values()))
    story: list[tuple[int, object]] = [(one.time_us + one.delay_us, one) for one in coming]
    story += [(at, (made[withholds], on)) for withholds, switches in guards.items() for at, on in switches]
    story += [(at, None) for at in range(0, 2_400_000, 10_000)]
    kept: list[Event] = []
    for at, what in sorted(story, key=lambda item: item[0]):
        if isinstance(what, Coming):
            sieve.add([Event(what.time_us, what.kind)])
        elif isinstance(what, tuple):
            what[0].switch(what[1], at)
        else:
            kept += sieve.release(at)
    kept += sieve.flush()
    return kept, sieve.withheld


def is_on(switches: list[tuple[int, bool]], at: int) -> bool:
    before = [on for since, on in switches if since <= at]
    return bool(before) and before[-1]


@given(st.lists(COMING, max_size=40), SWITCHES, SWITCHES)
def test_it_keeps_what_no_guard_withholds_in_order_of_time(
    coming: list[Coming], keys: list[tuple[int, bool]], everything: list[tuple[int, bool]]
) -> None:
    kept, withheld = play(coming, {Withholds.KEYS: keys, Withholds.ALL: everything})

    def is_withheld(one: Coming) -> bool:
        return is_on(everything, one.time_us) or (one.kind is Kind.KEY_DOWN and is_on(keys, one.time_us))

    expected, missed = [], False
    for one in sorted(sorted(coming, key=lambda one: one.time_us + one.delay_us), key=lambda one: one.time_us):
        if is_withheld(one):
            missed |= one.kind is Kind.FOCUS
            continue
        if missed and one.kind is not Kind.FOCUS:
            expected.append((one.time_us, Kind.FOCUS))  # who has it is told before the next event that is kept
        missed = False
        expected.append((one.time_us, one.kind))
    expected.sort()
    events = [event for event in kept if event.kind is not Kind.GAP]
    assert sorted((event.time_us, event.kind) for event in events) == expected
    times = [event.time_us for event in kept]
    assert times == sorted(times)
    assert len(events) + sum(withheld.values()) == len(coming)


def test_news_that_come_late_still_find_the_keys() -> None:
    guard = Guard("password", Withholds.KEYS)
    sieve = Sieve([guard])
    sieve.add([Event(1_000_000, Kind.KEY_DOWN, code=30, text="s")])
    guard.switch(True, 1_000_000 + HOLD_US - 1)
    kept = sieve.release(1_000_000 + HOLD_US)
    assert [(event.kind, event.text) for event in kept] == [(Kind.GAP, "withheld:password")]
    assert sieve.withheld == {"password": 1}


def test_a_run_of_withheld_events_is_told_once_and_not_how_many() -> None:
    guard = Guard("password", Withholds.KEYS, lead_us=0)
    sieve = Sieve([guard])
    guard.switch(True, 10)
    sieve.add([Event(n, Kind.KEY_DOWN, code=30 + n, text="x") for n in range(11, 19)])
    (gap,) = sieve.flush()
    assert (gap.kind, gap.text, gap.code) == (Kind.GAP, "withheld:password", None)


def test_what_changed_meanwhile_is_told_before_the_next_event() -> None:
    guard = Guard("paused", Withholds.ALL, lead_us=0)
    sieve = Sieve([guard])
    guard.switch(True, 10)
    guard.switch(False, 50)
    sieve.add([Event(1, Kind.FOCUS, title="mail"), Event(11, Kind.GEOMETRY, text="small")])
    sieve.add([Event(12, Kind.FOCUS, title="bank"), Event(20, Kind.FOCUS, title="notes"), Event(50, Kind.RESUME)])
    sieve.add([Event(60, Kind.MOVE)])
    kept = [(event.time_us, event.kind, event.flags, event.title or event.text) for event in sieve.flush()]
    assert kept == [
        (1, Kind.FOCUS, 0, "mail"),
        (11, Kind.GAP, 0, "withheld:paused"),
        (50, Kind.RESUME, 0, None),
        (60, Kind.GEOMETRY, 0, "small"),
        (60, Kind.FOCUS, Flag.RESTATED, "notes"),
        (60, Kind.MOVE, 0, None),
    ]
    assert sieve.withheld == {"paused": 1}


def test_releases_go_with_their_presses() -> None:
    guard = Guard("keyboard_grab", Withholds.KEYS, lead_us=0)
    sieve = Sieve([guard])
    guard.switch(True, 10)
    guard.switch(False, 20)
    sieve.add(
        [
            Event(5, Kind.KEY_DOWN, code=1),
            Event(12, Kind.KEY_UP, code=1),  # its press is in the recording: it must not stay down there
            Event(13, Kind.KEY_DOWN, code=2),
            Event(14, Kind.KEY_DOWN, 4, code=1),
            Event(25, Kind.KEY_UP, code=2),  # its press is not
            Event(26, Kind.KEY_UP, code=3),  # pressed before the recording began
        ]
    )
    kept = [(event.kind, event.code) for event in sieve.flush() if event.kind is not Kind.GAP]
    assert kept == [(Kind.KEY_DOWN, 1), (Kind.KEY_UP, 1), (Kind.KEY_UP, 3)]
    assert sieve.withheld == {"keyboard_grab": 3}


def test_text_under_an_input_method_is_flagged() -> None:
    guard = Guard("ime", Withholds.TEXT, lead_us=0)
    sieve = Sieve([guard])
    guard.switch(True, 10)
    sieve.add([Event(5, Kind.KEY_DOWN, code=1, text="a"), Event(15, Kind.KEY_DOWN, code=2, text="b")])
    assert [event.flags for event in sieve.flush()] == [0, Flag.IME]


def test_an_event_that_comes_too_late_gets_the_time_of_the_last_one() -> None:
    sieve = Sieve()
    sieve.add([Event(1000, Kind.MOVE)])
    sieve.release(1000 + HOLD_US)
    sieve.add([Event(10, Kind.SCREEN, picture_key="k")])
    (late,) = sieve.release(1000 + HOLD_US)
    assert (late.time_us, late.picture_key) == (1000, "k")


def test_own_keys_are_taken_back_while_they_are_held() -> None:
    sieve = Sieve()
    ours, theirs = Event(1, Kind.KEY_DOWN, code=1), Event(1, Kind.KEY_DOWN, code=1)
    gone = Event(0, Kind.KEY_DOWN, code=9)
    sieve.add([ours, theirs])
    assert sieve.retract([ours, gone]) == [gone]
    assert sieve.flush() == [theirs]
    assert sieve.withheld == {"recorder_control": 1}
