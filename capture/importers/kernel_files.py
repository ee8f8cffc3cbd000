"""What files of kernel events have in common: devices with their events, and bounds of what a kernel event can be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from taskreel.capture.importers.foreign import BadLine, ForeignRecordingError
from taskreel.capture.kernel.codes import EV_REL, REL_X, REL_Y
from taskreel.capture.kernel.devices import Device
from taskreel.capture.kernel.streams import KERNEL_EVENT

LONGEST_TIME_S = 253_402_300_799
"""The end of the year 9999: nothing later is a time."""


@dataclass(frozen=True)
class Recorded:
    """A device and its events (`KERNEL_EVENT`)."""

    device: Device
    events: np.ndarray

    @property
    def is_moving(self) -> bool:
        """Whether it moved by relative motion."""
        return bool(((self.events["type"] == EV_REL) & np.isin(self.events["code"], (REL_X, REL_Y))).any())


@dataclass(frozen=True)
class DeviceFile:
    """A file's devices, its bad lines, and remarks for the person who imports it."""

    devices: tuple[Recorded, ...]
    bad_lines: tuple[BadLine, ...] = ()
    notes: tuple[str, ...] = ()


def read_text(path: Path) -> str:
    """A file's text; what is not UTF-8 becomes U+FFFD. Raises `ForeignRecordingError` if it cannot be read."""
    try:
        return path.read_bytes().decode("utf-8", errors="replace")
    except OSError as error:
        raise ForeignRecordingError(f"{path}: cannot be read ({error.strerror})") from error


def kernel_events(rows: Sequence[tuple[int, int, int, int]]) -> np.ndarray:
    """(microseconds, type, code, value) as `KERNEL_EVENT`."""
    return np.array(rows, KERNEL_EVENT) if rows else np.empty(0, KERNEL_EVENT)


def is_int32(value: int) -> bool:
    """Whether a kernel event can have this value."""
    return -(1 << 31) <= value < 1 << 31
