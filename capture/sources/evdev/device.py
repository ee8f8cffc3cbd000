"""A device of the kernel: opened to read only and never grabbed, described, with times of CLOCK_MONOTONIC."""

from __future__ import annotations

import fcntl
import struct
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from taskreel.capture.kernel.codes import EV_ABS, EV_KEY, EV_REL, REL_HWHEEL, REL_WHEEL, REL_X, REL_Y, is_key
from taskreel.capture.kernel.devices import Axis, Device, Pointing
from taskreel.capture.sources.protocol import SourceUnavailableError

_EVIOCSCLOCKID = 0x400445A0
"""`_IOW('E', 0xa0, int)` of the kernel's input.h; the library has no call for it."""
_LOCKS_OF_LEDS = {0: 69, 1: 58}
"""LED_NUML and LED_CAPSL, and the keys that switch them."""
_POWER_KEYS = frozenset({116, 142, 143})
"""Power, sleep and wake-up: a device with nothing else is no keyboard."""


@dataclass(frozen=True)
class OpenDevice:
    """A device that is open. `held_keys` reads which keys are down now; `locks` are the codes of locks that are on."""

    device: Device
    fd: int
    close: Callable[[], object]
    held_keys: Callable[[], Iterable[int]]
    locks: tuple[int, ...] = ()


def open_device(path: Path) -> OpenDevice | None:
    """Open a device; None if it is none that a person works with, such as a power button or a game pad.

    Raises `OSError` if it cannot be opened, and `SourceUnavailableError` without the library.
    """
    handle = _evdev().InputDevice(str(path), readonly=True)
    try:
        device, relative = _described(handle)
        if not is_worked_with(device, relative):
            handle.close()
            return None
        fcntl.ioctl(handle.fd, _EVIOCSCLOCKID, struct.pack("i", time.CLOCK_MONOTONIC))
        locks = tuple(_LOCKS_OF_LEDS[led] for led in handle.leds() if led in _LOCKS_OF_LEDS)
    except BaseException:
        handle.close()
        raise
    return OpenDevice(device, handle.fd, handle.close, handle.active_keys, locks)


def is_worked_with(device: Device, relative: Iterable[int]) -> bool:
    """Whether a device has keys, moves the pointer or turns a wheel; `relative` are its relative axes."""
    has_keys = any(is_key(code) for code in device.keys - _POWER_KEYS)
    moves = {REL_X, REL_Y, REL_WHEEL, REL_HWHEEL} & set(relative)
    return has_keys or bool(moves) or device.pointing is not Pointing.NOT


def _described(handle: Any) -> tuple[Device, list[int]]:
    """What a device says of itself, and its relative axes."""
    told = handle.capabilities()
    device = Device(
        handle.name,
        keys=frozenset(told.get(EV_KEY, ())),
        axes={code: Axis(axis.min, axis.max, axis.resolution) for code, axis in sorted(told.get(EV_ABS, ()))},
        properties=frozenset(handle.input_props()),
    )
    return device, list(told.get(EV_REL, ()))


def _evdev() -> Any:
    try:
        import evdev
    except ImportError as error:
        raise SourceUnavailableError(
            "input devices need the library evdev: pip install 'taskreel[capture]' (built with a C compiler and the "
            "kernel's headers, Debian's linux-libc-dev)"
        ) from error
    return evdev
