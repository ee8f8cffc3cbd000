"""What a device says of itself: which keys and axes it has, how large it is, and so what kind of pointer it moves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

import numpy as np

from taskreel.capture.kernel.codes import (
    ABS_MT_POSITION_X,
    ABS_MT_POSITION_Y,
    ABS_X,
    ABS_Y,
    BTN_LEFT,
    BTN_TOOL_FINGER,
    BTN_TOOL_PEN,
    BTN_TOUCH,
    EV_ABS,
    EV_KEY,
    FINGERS_OF_TOOL,
    INPUT_PROP_BUTTONPAD,
    INPUT_PROP_DIRECT,
)

PAD_SIZE_MM = (69, 50)
"""The size of a touchpad that does not tell its resolution: libinput's guess (`tp_init_default_resolution`)."""
PAD_UNITS_PER_MM = 40
"""The resolution of a touchpad of which not even the range is known: between those of the pads in tests/data."""


class Pointing(Enum):
    """How absolute axes of a device move the pointer."""

    NOT = "not"
    TOUCHPAD = "touchpad"
    TOUCHSCREEN = "touchscreen"
    TABLET = "tablet"
    """Absolute without being touched: pens, and the mice of virtual machines."""


@dataclass(frozen=True)
class Axis:
    """An absolute axis: its range in units, and units a millimeter (0 if not told)."""

    minimum: int
    maximum: int
    resolution: int = 0


@dataclass(frozen=True)
class Device:
    """A device's description; `keys` are `EV_KEY` codes, `axes` absolute axes by code, `properties` `INPUT_PROP_*`.

    `tags` are udev's `ID_INPUT_*`, where known. `is_obfuscated`: the recorder wrote all letters and digits as KEY_A.
    """

    name: str = ""
    keys: frozenset[int] = frozenset()
    axes: Mapping[int, Axis] = field(default_factory=dict)
    properties: frozenset[int] = frozenset()
    tags: frozenset[str] = frozenset()
    is_obfuscated: bool = False

    @property
    def has_left_button(self) -> bool:
        """Whether it has a button that is called left."""
        return BTN_LEFT in self.keys

    @property
    def is_buttonpad(self) -> bool:
        """Whether it is a touchpad that is pressed itself: which button is meant is up to the fingers."""
        return INPUT_PROP_BUTTONPAD in self.properties

    @property
    def pointing(self) -> Pointing:
        """How its absolute axes move the pointer. Fingers are absolute with INPUT_PROP_DIRECT only.

        A game pad's or a sensor's axes move none: such a device has neither a left button nor a touch.
        """
        has_axes = {ABS_X, ABS_Y} <= self.axes.keys() or {ABS_MT_POSITION_X, ABS_MT_POSITION_Y} <= self.axes.keys()
        if not has_axes:
            return Pointing.NOT
        if BTN_TOOL_PEN in self.keys or "ID_INPUT_TABLET" in self.tags:
            return Pointing.TABLET
        if INPUT_PROP_DIRECT in self.properties:
            return Pointing.TOUCHSCREEN
        if self.keys & {BTN_TOUCH, BTN_TOOL_FINGER, *FINGERS_OF_TOOL} or ABS_MT_POSITION_X in self.axes:
            return Pointing.TOUCHPAD
        return Pointing.TABLET if self.has_left_button else Pointing.NOT

    def mm_per_unit(self, number: int) -> tuple[int, int]:
        """The millimeters of a touchpad's unit along x (0) or y (1), as a fraction above 0; see `PAD_SIZE_MM`."""
        axis = self._axis(number)
        if axis.resolution > 0:
            return 1, axis.resolution
        if axis.maximum > axis.minimum:
            return PAD_SIZE_MM[number], axis.maximum - axis.minimum
        return 1, PAD_UNITS_PER_MM

    def has_resolution(self) -> bool:
        """Whether the device tells how large its units are."""
        return self._axis(0).resolution > 0 and self._axis(1).resolution > 0

    def scaled(self, number: int, value: int, size: int) -> int:
        """A place along x (0) or y (1) in a range of `size`, as the value lies in the axis' range; rounded down."""
        axis = self._axis(number)
        span = axis.maximum - axis.minimum
        return (value - axis.minimum) * size // span if span > 0 else 0

    def _axis(self, number: int) -> Axis:
        """The axis x (0) or y (1): of fingers if there is one, else the device's own."""
        codes = ((ABS_MT_POSITION_X, ABS_X), (ABS_MT_POSITION_Y, ABS_Y))[number]
        return next((self.axes[code] for code in codes if code in self.axes), Axis(0, 0))


def described_by(events: np.ndarray) -> Device:
    """The description of a device that gave none, by its events (`KERNEL_EVENT`): what it used, it has.

    The range of an axis is not told by the values that happened to be reached, so it stays unknown.
    """
    used = {kind: frozenset(np.unique(events["code"][events["type"] == kind]).tolist()) for kind in (EV_KEY, EV_ABS)}
    return Device(keys=used[EV_KEY], axes={code: Axis(0, 0) for code in sorted(used[EV_ABS])})
