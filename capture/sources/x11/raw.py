"""From the bytes of X events to small tuples: pure, and by hand.

xcffib reads the valuators of raw events wrongly, takes every event of XKB for a NewKeyboardNotify, and needs 38 µs for
a motion; this needs 3. Bytes that are too short or not known give None.

Rules: XInput 2.2's `XI2proto.txt`, `kbproto`. Events are in the byte order of this machine, as the server sends them.
"""

from __future__ import annotations

import struct
import sys
from functools import lru_cache
from typing import Literal, NamedTuple

EVENT_BYTES = 36
"""An event without what follows: 32 bytes of the protocol and 4 that xcb puts behind them, before the rest."""

GENERIC_EVENT = 35
_CONFIGURE_NOTIFY, _MAPPING_NOTIFY = 22, 34
_MAPPING_POINTER = 2
_DEVICE_CHANGED, _HIERARCHY_CHANGED = 1, 11
_KEY_PRESS, _KEY_RELEASE, _BUTTON_PRESS, _BUTTON_RELEASE, _MOTION = range(13, 18)
_CHANGED_BY_ITSELF = 2
"""Why a device changed; 1 is that a master follows another of its devices, which is every day's business."""
_EMULATED = 1 << 16
"""`XIPointerEmulated`: the wheel turned by a valuator, and the server made a button of it for old programs."""
_NEW_KEYBOARD, _MAP, _STATE, _CONTROLS = range(4)

_HEAD = struct.Struct("=8xHHIIHHI")
_XKB_STATE = struct.Struct("=9xBBBBxhhB")
_SIZE = struct.Struct("=I8xHH")
_FIXED_UNIT = 2.0**-32
_ORDER: Literal["little", "big"] = sys.byteorder


class Opcodes(NamedTuple):
    """The numbers that a server gave its extensions: XInput's requests and the events of XKB."""

    xinput: int
    xkb_event: int


class RawKey(NamedTuple):
    """A key went down or up. `keycode` is X11's, `time_ms` the server's, `source` the device's number."""

    time_ms: int
    source: int
    keycode: int
    is_press: bool


class RawButton(NamedTuple):
    """A button went down or up, by its physical number. `is_emulated`: made by the server from a scroll valuator."""

    time_ms: int
    source: int
    button: int
    is_press: bool
    is_emulated: bool


class RawMotion(NamedTuple):
    """Valuators of a device changed; their values by number, accelerated, in the device's units."""

    time_ms: int
    source: int
    values: dict[int, float]


class ModifierState(NamedTuple):
    """Modifiers (as masks) and keyboard groups that are held, latched and locked."""

    base: int
    latched: int
    locked: int
    base_group: int
    latched_group: int
    locked_group: int


class KeymapChanged(NamedTuple):
    """What the keys write is another now."""


class ControlsChanged(NamedTuple):
    """When keys repeat is another now."""


class MappingChanged(NamedTuple):
    """Which button is the first is another now."""


class DevicesChanged(NamedTuple):
    """A device came, went or has other valuators now."""


class Resized(NamedTuple):
    """A window, such as the root window, has another size."""

    window: int
    width_px: int
    height_px: int


RawEvent = (
    RawKey
    | RawButton
    | RawMotion
    | ModifierState
    | KeymapChanged
    | ControlsChanged
    | MappingChanged
    | DevicesChanged
    | Resized
)


def decode(data: bytes, opcodes: Opcodes) -> RawEvent | None:
    """The event in some bytes as xcb hands them over (`EVENT_BYTES`, then the rest); None if it is none of ours."""
    if len(data) < EVENT_BYTES:
        return None
    kind = data[0] & 0x7F
    if kind == GENERIC_EVENT:
        return _device_event(data) if data[1] == opcodes.xinput else None
    if kind == opcodes.xkb_event:
        return _keyboard_event(data)
    if kind == _MAPPING_NOTIFY:
        return MappingChanged() if data[4] == _MAPPING_POINTER else None
    if kind == _CONFIGURE_NOTIFY:
        return Resized(*_SIZE.unpack_from(data, 8))
    return None


def precedes(data: bytes, sequence: int) -> bool:
    """Whether the server sent an event before it handled the request with a number (only the last 16 bits count)."""
    return (int.from_bytes(data[2:4], _ORDER) - sequence) & 0xFFFF >= 0x8000


def fixed_point(data: bytes, offset: int) -> float:
    """A number of XInput's type FP3232. Raises `struct.error` where the bytes end before it."""
    whole, fraction = struct.unpack_from("=iI", data, offset)
    return whole + fraction * _FIXED_UNIT


def _device_event(data: bytes) -> RawEvent | None:
    kind, _, time_ms, detail, source, mask_words, flags = _HEAD.unpack_from(data)
    if kind == _MOTION:
        values = _valuators(data, mask_words)
        return None if values is None else RawMotion(time_ms, source, values)
    if kind in (_KEY_PRESS, _KEY_RELEASE):
        return RawKey(time_ms, source, detail, kind == _KEY_PRESS)
    if kind in (_BUTTON_PRESS, _BUTTON_RELEASE):
        return RawButton(time_ms, source, detail, kind == _BUTTON_PRESS, bool(flags & _EMULATED))
    if kind == _HIERARCHY_CHANGED or (kind == _DEVICE_CHANGED and data[20] == _CHANGED_BY_ITSELF):
        return DevicesChanged()
    return None


def _valuators(data: bytes, mask_words: int) -> dict[int, float] | None:
    begin = EVENT_BYTES + 4 * mask_words
    numbers, layout = _layout(data[EVENT_BYTES:begin])
    if len(data) < begin + layout.size:
        return None
    halves = layout.unpack_from(data, begin)
    return {
        number: whole + fraction * _FIXED_UNIT
        for number, whole, fraction in zip(numbers, halves[::2], halves[1::2], strict=True)
    }


@lru_cache(maxsize=64)
def _layout(mask: bytes) -> tuple[tuple[int, ...], struct.Struct]:
    """The numbers of the valuators that a mask has, and how their values lie in an event."""
    numbers = tuple(number for number in range(8 * len(mask)) if mask[number >> 3] >> (number & 7) & 1)
    return numbers, struct.Struct("=" + "iI" * len(numbers))


def _keyboard_event(data: bytes) -> RawEvent | None:
    kind = data[1]
    if kind == _STATE:
        _, base, latched, locked, base_group, latched_group, locked_group = _XKB_STATE.unpack_from(data)
        return ModifierState(base, latched, locked, base_group, latched_group, locked_group)
    if kind in (_NEW_KEYBOARD, _MAP):
        return KeymapChanged()
    return ControlsChanged() if kind == _CONTROLS else None
