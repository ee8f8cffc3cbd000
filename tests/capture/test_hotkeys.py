"""The chord that pauses, against a plain rule about whole presses."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskreel.capture.hotkeys import Chord, ChordState
from taskreel.capture.settings import Settings
from taskreel.capture.sources.protocol import Event
from taskreel.io.events import Flag, Kind

KEYS = ("ctrlleft", "ctrlright", "altleft", "altright", "shiftleft", "shiftright", "winleft", "p", "a", "enter")
USUAL = ["ctrlleft", "altleft", "shiftleft", "p"]


@dataclass
class Press:
    """From a key's down, over its repeats, to its up: the numbers of its events."""

    key: str
    events: list[int] = field(default_factory=list)
    claimed_at: int | None = None
    """The event that completed a chord with this press in it."""


def strokes(keys: list[str], repeats: list[bool] | None = None) -> list[Event]:
    """A key that is up goes down; one that is down comes up, or repeats."""
    events: list[Event] = []
    down: set[str] = set()
    for number, key in enumerate(keys):
        is_repeat = key in down and bool(repeats and repeats[number])
        kind = Kind.KEY_UP if key in down and not is_repeat else Kind.KEY_DOWN
        (down.discard if kind is Kind.KEY_UP else down.add)(key)
        events.append(Event(number, kind, flags=Flag.AUTO_REPEAT if is_repeat else 0, key=key))
    return events


def expected(events: list[Event]) -> list[ChordState]:
    """By whole presses: a chord claims the presses of all modifiers that are held, and of its key."""
    presses: list[Press] = []
    held: dict[str, Press] = {}
    completions: dict[int, tuple[Event, ...]] = {}
    for number, event in enumerate(events):
        assert event.key
        if event.kind is Kind.KEY_DOWN and not event.flags:
            held[event.key] = Press(event.key)
            presses.append(held[event.key])
        held[event.key].events.append(number)
        if event.kind is Kind.KEY_UP:
            del held[event.key]
        modifiers = [press for press in held.values() if press.key not in ("p", "a", "enter")]
        names = {press.key.removesuffix("left").removesuffix("right") for press in modifiers}
        if event.kind is Kind.KEY_DOWN and not event.flags and event.key == "p" and names == {"ctrl", "alt", "shift"}:
            new = [press for press in modifiers if press.claimed_at is None]
            completions[number] = tuple(events[one] for press in new for one in press.events)
            for press in [*new, held["p"]]:
                press.claimed_at = number
    parts = {
        one for press in presses if press.claimed_at is not None for one in press.events if one >= press.claimed_at
    }
    return [
        ChordState(is_complete=number in completions, is_part=number in parts, earlier=completions.get(number, ()))
        for number in range(len(events))
    ]


@given(
    st.lists(st.tuples(st.sampled_from(KEYS), st.booleans()), max_size=60)
    | st.permutations([*USUAL, *USUAL, "a", "a", "enter"]).map(lambda keys: [(key, False) for key in keys])
    | st.permutations(USUAL[:3]).map(lambda keys: [(key, False) for key in [*keys, "p", "a", "p", "p", "a", *keys]])
)
def test_a_chord_claims_the_presses_of_its_keys_and_no_other(drawn: list[tuple[str, bool]]) -> None:
    events = strokes([key for key, _ in drawn], [is_repeat for _, is_repeat in drawn])
    chord = Chord.parse("ctrl+alt+shift+p")
    assert [chord.feed(event) for event in events] == expected(events)


@given(st.sets(st.sampled_from(USUAL), max_size=3).flatmap(lambda keys: st.permutations(sorted(keys) * 2)))
def test_a_chord_never_completes_without_one_of_its_keys(keys: list[str]) -> None:
    chord = Chord.parse("ctrl+alt+shift+p")
    assert not any(chord.feed(event).is_complete for event in strokes(keys))


def test_the_usual_way() -> None:
    chord = Chord.parse(Settings.pause_hotkey)
    events = strokes([*USUAL, "x", "x", *reversed(USUAL), "p"])
    states = [chord.feed(event) for event in events]
    assert [state.is_complete for state in states] == [False] * 3 + [True] + [False] * 7
    assert states[3].earlier == tuple(events[:3])
    assert [state.is_part for state in states] == [False] * 3 + [True] + [False] * 2 + [True] * 4 + [False]


def test_a_missed_release_neither_blocks_nor_swallows() -> None:
    chord = Chord.parse("ctrl+p")
    downs = [Event(number, Kind.KEY_DOWN, key=key) for number, key in enumerate(("ctrlleft", "p", "ctrlleft", "p"))]
    assert [chord.feed(event).is_complete for event in downs] == [False, True, False, True]
    chord.feed(Event(4, Kind.KEY_UP, key="ctrlleft"))
    assert chord.feed(Event(5, Kind.KEY_DOWN, key="p")) == ChordState()


def test_what_is_no_key_is_nothing_to_a_chord() -> None:
    chord = Chord.parse("ctrl+p")
    chord.feed(Event(0, Kind.KEY_DOWN, key="ctrlleft"))
    for event in (Event(1, Kind.MOVE, x=1, y=1), Event(2, Kind.KEY_DOWN), Event(3, Kind.MARK_END, key="p")):
        assert chord.feed(event) == ChordState()


@pytest.mark.parametrize(
    ("text", "modifiers", "key"),
    [
        ("ctrl+alt+shift+p", {"ctrl", "alt", "shift"}, "p"),
        ("Control + Super + Escape", {"ctrl", "win"}, "esc"),
        ("ctrlright+f9", {"ctrl"}, "f9"),
        ("pause", set(), "pause"),
        ("shift+f12", {"shift"}, "f12"),
    ],
)
def test_a_chord_is_read(text: str, modifiers: set[str], key: str) -> None:
    chord = Chord.parse(text)
    assert (chord.modifiers, chord.key) == (modifiers, key)


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("", "name modifiers"),
        ("ctrl+", "name modifiers"),
        ("ctrl+alt", "name modifiers"),
        ("a+p", "name modifiers"),
        ("ctrl+p+ctrl", "name modifiers"),
        ("p", "add ctrl"),
        ("shift+p", "add ctrl"),
        ("space", "add ctrl"),
    ],
)
def test_what_is_no_chord_is_refused_with_the_remedy(text: str, remedy: str) -> None:
    with pytest.raises(ValueError, match=remedy):
        Chord.parse(text)
