"""The YAML of `libinput record`, version 1: devices with their description and their events.

Beside kernel events (`evdev`) it can hold what libinput made of them and raw reports (`hid`): both are only counted.
By default the recorder writes letters, digits and most other keys as KEY_A, so that passwords do not leak.
Source of the format: libinput's manual page libinput-record(1) and its source, tools/libinput-record.c.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from taskreel.capture.importers.foreign import BadLine, ForeignRecordingError
from taskreel.capture.importers.kernel_files import (
    LONGEST_TIME_S,
    DeviceFile,
    Recorded,
    is_int32,
    kernel_events,
    read_text,
)
from taskreel.capture.kernel.codes import EV_ABS, EV_KEY, EV_MSC, KEY_A, MSC_SCAN
from taskreel.capture.kernel.devices import Axis, Device

SUFFIXES = (".yml", ".yaml", ".libinput")

_VERSION = 1
_OBFUSCATED_SCAN = KEY_A
"""What the recorder writes for every scan code when it hides keys."""
_WRITTEN = re.compile(
    r"\s*(- )?\s*("  # an item of a list, or not
    r"[\w.]+:(\s.*)?|"  # a key and its value
    r"\[[^\[\]]*\],?|\{[^{}]*\}|[A-Za-z]\w*=.*|"  # an event, libinput's event, a property or quirk
    r"(0x[0-9a-f]{2}, ?)*(0x[0-9a-f]{2},?)?|\]"  # the lines of `hid`
    r")\s*(#.*)?"
)
"""What lines of the recorder look like."""
_EVENT_LINE = re.compile(
    r"(\s*- )\[ *(\d{1,12}), *(\d{1,6}), *(\d{1,5}), *(\d{1,5}), *(-?\d{1,10}) *\]\s*(?:#.*)?", re.ASCII
)
"""An event as the recorder writes it. Nearly all lines of a file are these, and YAML takes most of its time for them:
they are read without it, which leaves a quarter of the time."""
_STAND_IN = "event"
_MOST_REPAIRS = 100


def read_libinput_file(path: Path) -> DeviceFile:
    """A file's devices and events. Raises `ForeignRecordingError` for a file that is no recording of libinput's."""
    text = read_text(path)
    lines = text.split("\n")
    events = _take_events(lines)
    bad: list[BadLine] = []
    root = _mapping(_compose(path, lines, bad))
    if _integer(root.get("version")) != _VERSION or not isinstance(root.get("devices"), yaml.SequenceNode):
        raise ForeignRecordingError(
            f"{path}: is not a recording by `libinput record` (`version: {_VERSION}` and a list of `devices`)"
        )
    reading = _Reading(path.name, bad, events, "(obfuscated)" in text)
    devices = tuple(reading.device(node) for node in root["devices"].value)
    return DeviceFile(devices, tuple(sorted(bad, key=lambda line: line.line)), reading.notes())


# ---------------------------------------------------------------------------------------------------- YAML


def _take_events(lines: list[str]) -> dict[int, list[int]]:
    """The numbers of all events that are written as the recorder does, by line from 0; a word stands in their place."""
    events = {}
    for number, line in enumerate(lines):
        match = _EVENT_LINE.fullmatch(line)
        if match:
            events[number] = [int(value) for value in match.groups()[1:]]
            lines[number] = match[1] + _STAND_IN
    return events


def _compose(path: Path, lines: list[str], bad: list[BadLine]) -> Any:
    """The file's YAML as nodes, which know their lines; lines that break it are left out and are bad."""
    try:
        return yaml.compose("\n".join(lines), Loader=yaml.CSafeLoader)
    except (yaml.YAMLError, RecursionError):
        pass
    for number, line in enumerate(lines):
        if not _WRITTEN.fullmatch(line) and line.strip() != f"- {_STAND_IN}":
            _leave_out(path, lines, number, bad)
    for _ in range(_MOST_REPAIRS):
        try:
            return yaml.compose("\n".join(lines), Loader=yaml.CSafeLoader)
        except yaml.MarkedYAMLError as error:
            _leave_out(path, lines, _faulty_line(error, lines), bad)
        except (yaml.YAMLError, RecursionError):
            break
    raise ForeignRecordingError(f"{path}: is not YAML, so it is no recording by `libinput record`")


def _leave_out(path: Path, lines: list[str], number: int, bad: list[BadLine]) -> None:
    if lines[number].strip():
        bad.append(BadLine(path.name, number + 1, "is not YAML"))
    lines[number] = ""


def _faulty_line(error: yaml.MarkedYAMLError, lines: list[str]) -> int:
    """The last line with something in it up to where the parser stopped."""
    number = min(error.problem_mark.line if error.problem_mark else 0, len(lines) - 1)
    while number and not lines[number].strip():
        number -= 1
    return number


def _mapping(node: Any) -> dict[str, Any]:
    """A mapping's nodes by key; empty for another node."""
    if not isinstance(node, yaml.MappingNode):
        return {}
    return {key.value: value for key, value in node.value if isinstance(key, yaml.ScalarNode)}


def _items(node: Any) -> list[Any]:
    return node.value if isinstance(node, yaml.SequenceNode) else []


def _integer(node: Any) -> int | None:
    if not isinstance(node, yaml.ScalarNode) or not re.fullmatch(r"-?\d{1,18}", node.value, re.ASCII):
        return None
    return int(node.value)


def _integers(node: Any) -> list[int]:
    """The numbers of a list; empty if one of them is none."""
    numbers = [_integer(item) for item in _items(node)]
    return [] if None in numbers else [number for number in numbers if number is not None]


# ---------------------------------------------------------------------------------------------------- devices


class _Reading:
    """The devices of a file, and what was noticed on the way."""

    def __init__(self, file: str, bad: list[BadLine], told: dict[int, list[int]], has_obfuscated: bool) -> None:
        self._file, self._bad, self._told, self._has_obfuscated = file, bad, told, has_obfuscated
        self._unused: Counter[str] = Counter()
        self._obfuscated = 0

    def device(self, node: Any) -> Recorded:
        fields = _mapping(node)
        evdev = _mapping(fields.get("evdev"))
        events = kernel_events(list(self._events(fields.get("events"))))
        codes = {key: frozenset(_integers(value)) for key, value in _mapping(evdev.get("codes")).items()}
        axes = dict(self._axes(evdev.get("absinfo")))
        is_obfuscated = _is_obfuscated(events, self._has_obfuscated)
        self._obfuscated += is_obfuscated
        name = evdev.get("name")
        device = Device(
            name.value if isinstance(name, yaml.ScalarNode) else "",
            keys=codes.get(str(EV_KEY), frozenset()),
            axes={code: Axis(0, 0) for code in sorted(codes.get(str(EV_ABS), frozenset()))} | axes,
            properties=frozenset(_integers(evdev.get("properties"))),
            tags=frozenset(_tags(fields.get("udev"))),
            is_obfuscated=is_obfuscated,
        )
        return Recorded(device, events)

    def notes(self) -> tuple[str, ...]:
        notes = [f"{count} {name} entries are not used" for name, count in sorted(self._unused.items())]
        if self._obfuscated:
            notes.append(
                f"the recorder hid the keys of {self._obfuscated} keyboard(s) (KEY_A for all): their names and texts "
                "are not known; `libinput record --show-keycodes` does not hide them"
            )
        return tuple(notes)

    def _events(self, node: Any) -> Iterator[tuple[int, int, int, int]]:
        for entry in _items(node):
            fields = _mapping(entry)
            if not fields:
                self._add_bad(entry, "events: is not a frame of events")
            for name, value in fields.items():
                if name == "evdev":
                    yield from self._frame(value)
                else:
                    self._unused[name if name in ("hid", "libinput") else "unknown"] += 1

    def _frame(self, node: Any) -> Iterator[tuple[int, int, int, int]]:
        for item in _items(node):
            numbers = self._told.get(item.start_mark.line) or _integers(item)
            if len(numbers) != 5:
                self._add_bad(item, "evdev: is not [sec, usec, type, code, value]")
                continue
            second, micro, kind, code, value = numbers
            if not (0 <= second <= LONGEST_TIME_S and 0 <= micro < 1_000_000):
                self._add_bad(item, "evdev: the time is out of range")
            elif not (0 <= kind < 1 << 16 and 0 <= code < 1 << 16 and is_int32(value)):
                self._add_bad(item, "evdev: type, code or value is out of range")
            else:
                yield second * 1_000_000 + micro, kind, code, value

    def _axes(self, node: Any) -> Iterator[tuple[int, Axis]]:
        for key, value in _mapping(node).items():
            numbers = _integers(value)
            if key.isdecimal() and len(numbers) == 5:
                yield int(key), Axis(numbers[0], numbers[1], numbers[4])
            else:
                self._add_bad(value, "absinfo: is not [minimum, maximum, fuzz, flat, resolution]")

    def _add_bad(self, node: Any, reason: str) -> None:
        self._bad.append(BadLine(self._file, node.start_mark.line + 1, reason))


def _tags(node: Any) -> Iterator[str]:
    for item in _items(_mapping(node).get("properties")):
        if isinstance(item, yaml.ScalarNode):
            name, _, value = item.value.partition("=")
            if name.startswith("ID_INPUT") and value == "1":
                yield name


def _is_obfuscated(events: np.ndarray, has_comment: bool) -> bool:
    """Whether the recorder hid a device's keys: its comments say so, or, without them, all scan codes are one."""
    scans = events["value"][(events["type"] == EV_MSC) & (events["code"] == MSC_SCAN)]
    keys = events["code"][events["type"] == EV_KEY]
    return KEY_A in keys and (has_comment or (len(scans) > 1 and bool((scans == _OBFUSCATED_SCAN).all())))
