"""Devices that say where the pointer is: touchscreens, pens, and the mice of virtual machines."""

from __future__ import annotations

from taskreel.capture.kernel.contacts import Contacts
from taskreel.capture.kernel.devices import Device, Pointing
from taskreel.capture.kernel.pointers import Pointer, Rows
from taskreel.io.kinds import POSITION_UNITS_PER_PX, Flag

TOUCH_BUTTON = 1
"""What a touch does for a compositor; flagged `INFERRED`, since no button was pressed."""


class Absolute:
    """A device whose area is that of the screen; its frames go in, rows come out.

    `screen_px` is the width and height of what its area shows.
    """

    def __init__(self, device: Device, pointer: Pointer, rows: Rows, screen_px: tuple[int, int]) -> None:
        self._device, self._pointer, self._rows = device, pointer, rows
        self._is_touchscreen = device.pointing is Pointing.TOUCHSCREEN
        self._size = tuple(size * POSITION_UNITS_PER_PX for size in screen_px)
        self._contacts = Contacts()
        self._finger: int | None = None
        self._fingers_before = 0
        self._is_down = False
        self._at: tuple[int, int] | None = None

    def update(self, time_us: int, events: list[tuple[int, int, int]]) -> None:
        """Take what a frame says of places and touches."""
        touching = self._contacts.update(events)
        if self._is_touchscreen:
            if not self._fingers_before:
                self._finger = min(touching.places, default=None)
            place, is_down = touching.places.get(self._finger), self._finger in touching.places  # type: ignore[arg-type]
            self._fingers_before = touching.fingers
        else:
            place, is_down = self._contacts.place(), self._contacts.is_touched
        self._go(time_us, place)
        self._touch(time_us, is_down)

    def lose(self, time_us: int) -> None:
        """Events were lost: what touched it is no longer known."""
        self._touch(time_us, False)
        self._contacts.forget()
        self._fingers_before = 0

    def _go(self, time_us: int, place: tuple[int, int] | None) -> None:
        if place is None or place == self._at:
            return
        self._at = place
        x, y = (self._device.scaled(number, place[number], self._size[number]) for number in (0, 1))
        self._rows.move(time_us, self._pointer.move_to(x, y))

    def _touch(self, time_us: int, is_down: bool) -> None:
        if is_down != self._is_down:
            self._rows.button(time_us, is_down, TOUCH_BUTTON, self._pointer.place, Flag.INFERRED)
        self._is_down = is_down
