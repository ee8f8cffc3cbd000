"""The text of evemu: `N: I: P: B: A: L: S:` lines that describe a device, and `E: sec.usec type code value` lines.

Type and code are hexadecimal, the value is decimal. Files without a description are as good; comments begin with #.
Source of the format: evemu's manual page evemu-record(1) and the files of https://github.com/whot/evemu-devices.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from taskreel.capture.importers.foreign import BadLine, ForeignRecordingError
from taskreel.capture.importers.kernel_files import (
    LONGEST_TIME_S,
    DeviceFile,
    Recorded,
    is_int32,
    kernel_events,
    read_text,
)
from taskreel.capture.kernel.codes import EV_ABS, EV_KEY
from taskreel.capture.kernel.devices import Axis, Device, described_by

SUFFIXES = (".evemu", ".events", ".event")

_EVENT = re.compile(r"E:\s+(\d{1,12})\.(\d{1,6})\s+([0-9a-f]{1,4})\s+([0-9a-f]{1,4})\s+(-?\d{1,10})", re.I | re.ASCII)
_BYTES = re.compile(r"([0-9a-f]{2}(?:\s+[0-9a-f]{2})*)", re.I | re.ASCII)
_AXIS = re.compile(
    r"([0-9a-f]{1,2})\s+(-?\d{1,10})\s+(-?\d{1,10})(?:\s+-?\d{1,10}){2}(?:\s+(\d{1,10}))?", re.I | re.ASCII
)
_BIT_FIELD = re.compile(r"([0-9a-f]{2})\s+([0-9a-f]{2}(?:\s+[0-9a-f]{2})*)", re.I | re.ASCII)
_UNUSED = ("I", "L", "S")
"""The device's ids, and which lights and switches were on."""
_IS_EVEMU = re.compile(r"#\s*EVEMU\b")


def read_evemu_file(path: Path) -> DeviceFile:
    """A file's device and events. Raises `ForeignRecordingError` for a file in which nothing is evemu's."""
    reading = _Reading(path.name)
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        reading.take(number, line.strip())
    if not reading.is_evemu:
        raise ForeignRecordingError(
            f"{path}: no line of it is evemu's (`E: 12.345678 0001 001c 1`); name a file that evemu-record wrote"
        )
    events = kernel_events(reading.events)
    recorded = Recorded(reading.device() if reading.is_described else described_by(events), events)
    return DeviceFile((recorded,), tuple(reading.bad))


@dataclass
class _Reading:
    """What the lines up to here said."""

    file: str
    is_evemu: bool = False
    is_described: bool = False
    name: str = ""
    properties: list[int] = field(default_factory=list)
    codes: dict[int, list[int]] = field(default_factory=dict)
    axes: dict[int, Axis] = field(default_factory=dict)
    events: list[tuple[int, int, int, int]] = field(default_factory=list)
    bad: list[BadLine] = field(default_factory=list)

    def take(self, number: int, line: str) -> None:
        if not line or line.startswith("#"):
            self.is_evemu |= bool(_IS_EVEMU.match(line))
            return
        reason = self._event(line) if line.startswith("E:") else self._described(line)
        if reason:
            self.bad.append(BadLine(self.file, number, reason))
        else:
            self.is_evemu = True

    def device(self) -> Device:
        return Device(
            self.name,
            keys=_bits(self.codes.get(EV_KEY, [])),
            axes={code: self.axes.get(code, Axis(0, 0)) for code in sorted(_bits(self.codes.get(EV_ABS, [])))}
            | self.axes,
            properties=_bits(self.properties),
        )

    def _event(self, line: str) -> str | None:
        match = _EVENT.fullmatch(line.partition("#")[0].rstrip())
        if not match:
            return "E: is not `seconds.microseconds type code value`"
        second, fraction, kind, code, value = match.groups()
        if int(second) > LONGEST_TIME_S:
            return "E: the time is out of range"
        if not is_int32(int(value)):
            return "E: the value is out of range"
        time_us = int(second) * 1_000_000 + int(fraction.ljust(6, "0"))
        self.events.append((time_us, int(kind, 16), int(code, 16), int(value)))
        return None

    def _described(self, line: str) -> str | None:
        letter, _, rest = line.partition(":")
        takers = {"N": self._name, "P": self._property, "B": self._bits, "A": self._axis}
        if letter in takers:
            return takers[letter](rest.strip())
        return None if letter in _UNUSED else "begins with no letter of evemu's"

    def _name(self, rest: str) -> str | None:
        self.name = rest
        self.is_described = True
        return None

    def _property(self, rest: str) -> str | None:
        if not _BYTES.fullmatch(rest):
            return "P: is not bytes in hexadecimal"
        self.properties += bytes.fromhex(rest)
        return None

    def _bits(self, rest: str) -> str | None:
        match = _BIT_FIELD.fullmatch(rest)
        if not match:
            return "B: is not a type and bytes in hexadecimal"
        self.codes.setdefault(int(match[1], 16), []).extend(bytes.fromhex(match[2]))
        self.is_described = True
        return None

    def _axis(self, rest: str) -> str | None:
        match = _AXIS.fullmatch(rest)
        if not match:
            return "A: is not `axis minimum maximum fuzz flat resolution`"
        self.axes[int(match[1], 16)] = Axis(int(match[2]), int(match[3]), int(match[4] or 0))
        return None


def _bits(field_bytes: list[int]) -> frozenset[int]:
    """The numbers of the bits that are set, from the lowest of the first byte on."""
    bits = np.unpackbits(np.array(field_bytes, np.uint8), bitorder="little")
    return frozenset(np.flatnonzero(bits).tolist())
