"""The keys that pause a recording, found in the recorder's own stream of events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from taskreel.capture.sources.protocol import Event
from taskreel.io.kinds import Flag, Kind

_SIDES = {
    f"{modifier}{side}": modifier for modifier in ("ctrl", "alt", "shift", "win") for side in ("left", "right", "")
}
_ALIASES = {"control": "ctrl", "super": "win", "meta": "win", "cmd": "win", "escape": "esc", "return": "enter"}
_WRITE_NOTHING = {"ctrl", "alt", "win"}
_ALONE = {f"f{number}" for number in range(1, 25)} | {"pause", "scrolllock", "printscreen"}


@dataclass(frozen=True)
class ChordState:
    """What an event was to a chord."""

    is_complete: bool = False
    """With this event the last key of the chord went down."""
    is_part: bool = False
    """The event belongs to the chord: it completes it, or is a repeat or the release of one of its keys."""
    earlier: tuple[Event, ...] = ()
    """When it completes the chord: the events before that belong to it, the downs of its modifiers."""


class Chord:
    """Keys that are held together, of which the last one is pressed while exactly the modifiers of the chord are held.

    Other keys may be held, too: they are the person's, and never part of it. Give it all key events, in their order.
    """

    def __init__(self, modifiers: frozenset[str], key: str) -> None:
        self.modifiers, self.key = modifiers, key
        self._held: dict[str, list[Event]] = {}
        """The downs and repeats of each modifier's key that is held."""
        self._own: set[str] = set()
        """Keys of a completed chord that are still down."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """A chord by its text, such as "ctrl+alt+shift+p": modifiers and a key, named as in `event.key`.

        Raises `ValueError` with the remedy.
        """
        names = [_ALIASES.get(name, name) for name in (part.strip() for part in text.lower().split("+"))]
        *modifiers, key = [_SIDES.get(name, name) for name in names]
        if not all(names) or key in _SIDES.values() or not set(modifiers) <= set(_SIDES.values()):
            raise ValueError(
                f"hotkey {text!r}: name modifiers (ctrl, alt, shift, win) and one key, as ctrl+alt+shift+p"
            )
        if not _WRITE_NOTHING & set(modifiers) and key not in _ALONE:
            raise ValueError(f"hotkey {text!r} would be typed by accident: add ctrl, alt or win, as ctrl+alt+shift+p")
        return cls(frozenset(modifiers), key)

    def feed(self, event: Event) -> ChordState:
        """What the next event is to the chord; an event that is no key's is nothing to it."""
        if event.key is None or event.kind not in (Kind.KEY_DOWN, Kind.KEY_UP):
            return ChordState()
        return self._down(event, event.key) if event.kind is Kind.KEY_DOWN else self._up(event.key)

    def _down(self, event: Event, key: str) -> ChordState:
        if event.flags & Flag.AUTO_REPEAT:
            if key in self._held:
                self._held[key].append(event)
            return ChordState(is_part=key in self._own)
        self._own.discard(key)  # it is pressed anew, so its release was missed
        if key in _SIDES:
            self._held[key] = [event]
        elif key == self.key and {_SIDES[name] for name in self._held} == self.modifiers:
            earlier = tuple(down for name in self._held if name not in self._own for down in self._held[name])
            self._own |= {key, *self._held}
            return ChordState(is_complete=True, is_part=True, earlier=earlier)
        return ChordState()

    def _up(self, key: str) -> ChordState:
        is_part = key in self._own
        self._own.discard(key)
        self._held.pop(key, None)
        return ChordState(is_part=is_part)
