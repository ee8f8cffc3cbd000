"""What the valuators of input devices mean: how far the pointer went, and how far a wheel turned."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from taskreel.capture.sources.x11.raw import RawMotion, fixed_point
from taskreel.io.kinds import WHEEL_UNITS_PER_TICK

X_AXIS, Y_AXIS = 0, 1
_VALUATOR, _SCROLL = 2, 3
_HORIZONTAL = 2
_ABSOLUTE = 1


class Axis(NamedTuple):
    """A valuator. `value` is where it stood; absolute ones go from `minimum` to `maximum`, if that is more."""

    is_absolute: bool
    minimum: float
    maximum: float
    value: float


class Wheel(NamedTuple):
    """A valuator that scrolls: `increment` of it are one tick, positive is right or down."""

    is_horizontal: bool
    increment: float


@dataclass(frozen=True)
class Device:
    """An input device. XTEST's are those by which programs make input; their numbers are the server's business."""

    is_synthetic: bool = False
    axes: Mapping[int, Axis] = field(default_factory=dict)
    wheels: Mapping[int, Wheel] = field(default_factory=dict)

    @cached_property
    def is_plain(self) -> bool:
        """Whether its valuators are distances, and nothing else."""
        return not self.wheels and not any(axis.is_absolute for axis in self.axes.values())


class Motion(NamedTuple):
    """What a raw motion says.

    `dx` and `dy` are px. `target` is a place on the screen, px, that may be meant instead: XTEST does not say whether
    it was told to go by a distance or to a place, so the values are both. The wheel is in 1/120 tick, right and up.
    """

    is_move: bool
    dx: float
    dy: float
    target: tuple[float, float] | None
    wheel_x: int
    wheel_y: int


class Devices:
    """The input devices of a server, and what their motions say. `screen_px` is the size of the whole screen."""

    def __init__(self, devices: Mapping[int, Device], screen_px: tuple[int, int]) -> None:
        self.screen_px = screen_px
        self.update(devices)

    def update(self, devices: Mapping[int, Device]) -> None:
        """These are the devices now."""
        self._devices = devices
        self._values = {
            (source, number): axis.value for source, device in devices.items() for number, axis in device.axes.items()
        }
        self._rests: dict[tuple[int, int], float] = {}

    def is_synthetic(self, source: int) -> bool:
        """Whether input of a device is made by programs. A device that is not known is a real one."""
        device = self._devices.get(source)
        return device is not None and device.is_synthetic

    def read(self, raw: RawMotion) -> Motion:
        """What a motion says. Call it for each one: absolute values say how far it went by the ones before."""
        device, values = self._devices.get(raw.source, _UNKNOWN), raw.values
        is_move = X_AXIS in values or Y_AXIS in values
        if device.is_plain:
            dx, dy = values.get(X_AXIS, 0.0), values.get(Y_AXIS, 0.0)
            return Motion(is_move, dx, dy, (dx, dy) if device.is_synthetic else None, 0, 0)
        distance, wheel = [0.0, 0.0], [0, 0]
        for number, value in values.items():
            by = self._by(raw.source, number, value, device)
            if number in (X_AXIS, Y_AXIS):
                distance[number] = by
            elif number in device.wheels:
                turned = device.wheels[number]
                wheel[not turned.is_horizontal] += self._turn(raw.source, number, by, turned)
        return Motion(is_move, distance[0], distance[1], None, wheel[0], -wheel[1])

    def _by(self, source: int, number: int, value: float, device: Device) -> float:
        """How far a valuator went: px for places, its own units for wheels."""
        axis = device.axes.get(number)
        if axis is None or not axis.is_absolute:
            return value
        before = self._values.get((source, number), value)
        self._values[source, number] = value
        if number in (X_AXIS, Y_AXIS) and axis.maximum > axis.minimum:
            return (value - before) * self.screen_px[number] / (axis.maximum - axis.minimum + 1)
        return value - before

    def _turn(self, source: int, number: int, by: float, wheel: Wheel) -> int:
        """Whole units of a wheel's turn; the rest is kept for its next one."""
        exact = self._rests.get((source, number), 0.0) + by * WHEEL_UNITS_PER_TICK / wheel.increment
        units = round(exact)
        self._rests[source, number] = exact - units
        return units


_UNKNOWN = Device()


def read_devices(reply: bytes) -> dict[int, Device]:
    """The devices in a reply to XIQueryDevice, by number. Raises `struct.error` if it is cut short."""
    (count,) = struct.unpack_from("=H", reply, 8)
    devices, offset = {}, 32
    for _ in range(count):
        number, classes, length = struct.unpack_from("=H4xHH", reply, offset)
        name = reply[offset + 12 : offset + 12 + length]
        offset += 12 + (length + 3 & ~3)
        axes: dict[int, Axis] = {}
        wheels: dict[int, Wheel] = {}
        for _ in range(classes):
            kind, words = struct.unpack_from("=HH", reply, offset)
            if kind == _VALUATOR:
                axes.update([_axis(reply, offset)])
            elif kind == _SCROLL:
                wheels.update([_wheel(reply, offset)])
            offset += 4 * words
        wheels = {axis: wheel for axis, wheel in wheels.items() if wheel.increment}
        devices[number] = Device(b"XTEST" in name, axes, wheels)
    return devices


def _axis(reply: bytes, offset: int) -> tuple[int, Axis]:
    number, mode = struct.unpack_from("=6xH32xB", reply, offset)
    minimum, maximum, value = (fixed_point(reply, offset + at) for at in (12, 20, 28))
    return number, Axis(mode == _ABSOLUTE, minimum, maximum, value)


def _wheel(reply: bytes, offset: int) -> tuple[int, Wheel]:
    number, kind = struct.unpack_from("=6xHH", reply, offset)
    return number, Wheel(kind == _HORIZONTAL, fixed_point(reply, offset + 16))
