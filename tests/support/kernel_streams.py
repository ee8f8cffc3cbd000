"""Kernel events as bytes, and devices of the kernel for tests: pipes, since CI has no /dev/uinput."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from listening_sink import ListeningSink

from taskreel.capture.kernel.devices import Device
from taskreel.capture.kernel.interpret import interpret
from taskreel.capture.kernel.streams import INPUT_EVENT, KERNEL_EVENT
from taskreel.capture.keymaps import keymap_for
from taskreel.capture.sources.evdev.device import OpenDevice
from taskreel.capture.sources.protocol import monotonic_us
from taskreel.io.events import Kind

COLUMNS = ("kind", "flags", "x", "y", "code", "wheel_x", "wheel_y", "key", "text", "fingers")


def as_bytes(events: np.ndarray, bits: int = 64) -> bytes:
    """`KERNEL_EVENT` as a kernel with times of so many bits writes it."""
    raw = np.empty(len(events), INPUT_EVENT[bits])
    raw["sec"], raw["usec"] = events["time_us"] // 1_000_000, events["time_us"] % 1_000_000
    for name in ("type", "code", "value"):
        raw[name] = events[name]
    return raw.tobytes()


def frame_bytes(*events: tuple[int, int, int], time_us: int | None = None) -> bytes:
    """One frame with its SYN_REPORT, as of now."""
    time_us = monotonic_us() if time_us is None else time_us
    return as_bytes(np.array([(time_us, *event) for event in (*events, (0, 0, 0))], KERNEL_EVENT))


def imported(device: Device, events: np.ndarray, layout: str = "") -> list[tuple[Any, ...]]:
    """What the importers make of a device's events: (µs after the first, the columns that a device fills)."""
    rows = interpret([(device, events)], keymap_for(layout)).events.to_pylist()
    return from_first([(row["time_us"], *(row[name] for name in COLUMNS)) for row in rows])


def heard(sink: ListeningSink) -> list[tuple[Any, ...]]:
    """The events of a sink, sorted by time, in the same shape; a loss by the kernel is a gap."""
    rows = [(event.time_us, *(getattr(event, name) for name in COLUMNS)) for event in sink.events]
    empty = (None,) * (len(COLUMNS) - 2)
    rows += [(time_us, Kind.GAP, 0, *empty) for reason, time_us, _ in sink.lost if reason == "syn_dropped"]
    return from_first(sorted(rows, key=lambda row: row[0]))


def from_first(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """The same, with times that count from the first."""
    return [(row[0] - rows[0][0], *row[1:]) for row in rows]


class PipeDevices:
    """A folder like /dev/input whose devices are named pipes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.held: dict[str, set[int]] = {}
        self.locks: tuple[int, ...] = ()
        self._devices: dict[str, Device] = {}
        self._writers: dict[str, int] = {}

    def plug(self, name: str, device: Device, held: Iterable[int] = ()) -> None:
        self._devices[name], self.held[name] = device, set(held)
        os.mkfifo(self.folder / f".{name}")
        (self.folder / f".{name}").rename(self.folder / name)

    def unplug(self, name: str) -> None:
        """As udev does it: the name goes, and what has it open is told by an error."""
        (self.folder / name).unlink()
        os.close(self._writers.pop(name))

    def write(self, name: str, data: bytes) -> None:
        os.write(self._writers[name], data)

    def open(self, path: Path) -> OpenDevice:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        self._writers[path.name] = os.open(path, os.O_WRONLY)
        held = lambda: self.held[path.name]  # noqa: E731
        return OpenDevice(self._devices[path.name], fd, lambda: os.close(fd), held, self.locks)

    def close(self) -> None:
        for fd in self._writers.values():
            os.close(fd)
        self._writers = {}
