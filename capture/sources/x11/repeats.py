"""Auto-repeat: raw events have none, so it is computed as the X server computes it (`xkbAccessX.c`).

The repeating key that was pressed last repeats; the press of another one takes over; its release ends it. Keys that do
not repeat, such as modifiers, change nothing. The server reads the delay at a press and the interval at each repeat.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class RepeatControls:
    """When keys repeat. `keys` has a bit for each keycode, 32 bytes."""

    is_on: bool
    delay_us: int
    interval_us: int
    keys: bytes

    def repeats(self, keycode: int) -> bool:
        """Whether a key repeats when it is held."""
        return self.is_on and keycode < 8 * len(self.keys) and bool(self.keys[keycode >> 3] >> (keycode & 7) & 1)


class Repeats:
    """The repeats of the keys that are held. `controls` may be replaced at any time."""

    def __init__(self, controls: RepeatControls) -> None:
        self.controls = controls
        self.keycode: int | None = None
        """The key that repeats."""
        self.next_us = 0
        """When it does so next."""

    def press(self, keycode: int, time_us: int) -> None:
        """A key went down. Times rise, and `due` was asked up to this one."""
        if self.controls.repeats(keycode) and keycode != self.keycode:
            self.keycode, self.next_us = keycode, time_us + self.controls.delay_us

    def release(self, keycode: int) -> None:
        """A key went up."""
        if keycode == self.keycode:
            self.keycode = None

    def due(self, until_us: int) -> Iterator[int]:
        """The times of the repeats before `until_us`. May be left early: what was not taken is due again."""
        while self.keycode is not None and self.next_us < until_us:
            time_us = self.next_us
            self.next_us += max(self.controls.interval_us, 1000)
            yield time_us
