"""A device is opened to read only, described, and told to use our clock. The library is a stand-in."""

from __future__ import annotations

import fcntl
import struct
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from taskreel.capture.kernel.devices import Axis, Device, Pointing
from taskreel.capture.sources.evdev.device import is_worked_with, open_device
from taskreel.capture.sources.protocol import SourceUnavailableError

TRACKPOINT_KEYBOARD = {1: [*range(1, 128), 0x110, 0x111], 2: [0, 1]}
PAD = {
    1: [0x110, 0x145, 0x14A],
    3: [(0, SimpleNamespace(min=0, max=1000, resolution=20)), (1, SimpleNamespace(min=0, max=800, resolution=20))],
}


class Handle:
    """As much of `evdev.InputDevice` as is used."""

    def __init__(self, told: dict[int, Any], leds: list[int]) -> None:
        self.name, self.fd, self.told, self._leds, self.is_closed = "a device", 77, told, leds, False

    def capabilities(self) -> dict[int, Any]:
        return self.told

    def input_props(self) -> list[int]:
        return [0, 2]

    def leds(self) -> list[int]:
        return self._leds

    def active_keys(self) -> list[int]:
        return [30]

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the stand-in was asked."""
    seen: dict[str, Any] = {"told": TRACKPOINT_KEYBOARD, "leds": [1, 2]}

    def opened(path: str, *, readonly: bool) -> Handle:
        seen["opened"] = (path, readonly)
        seen["handle"] = Handle(seen["told"], seen["leds"])
        return seen["handle"]

    monkeypatch.setitem(sys.modules, "evdev", SimpleNamespace(InputDevice=opened))
    monkeypatch.setattr(fcntl, "ioctl", lambda *arguments: seen.setdefault("ioctl", arguments))
    return seen


def test_a_keyboard_is_opened_to_read_only_with_our_clock(calls: dict[str, Any]) -> None:
    opened = open_device(Path("/dev/input/event3"))
    assert opened is not None
    assert calls["opened"] == ("/dev/input/event3", True)
    assert calls["ioctl"] == (77, 0x400445A0, struct.pack("i", time.CLOCK_MONOTONIC))
    assert (opened.fd, opened.device.name, opened.held_keys(), opened.locks) == (77, "a device", [30], (58,))
    opened.close()
    assert calls["handle"].is_closed


def test_a_touchpad_says_its_size(calls: dict[str, Any]) -> None:
    calls["told"] = PAD
    opened = open_device(Path("event4"))
    assert opened is not None
    assert opened.device.axes == {0: Axis(0, 1000, 20), 1: Axis(0, 800, 20)}
    assert opened.device.pointing is Pointing.TOUCHPAD
    assert opened.device.is_buttonpad


@pytest.mark.parametrize("keys", [[116], [0x130, 0x131], []])
def test_power_buttons_and_game_pads_are_closed_again(calls: dict[str, Any], keys: list[int]) -> None:
    calls["told"] = {1: keys}
    assert open_device(Path("event5")) is None
    assert calls["handle"].is_closed


def test_what_a_person_works_with() -> None:
    assert is_worked_with(Device(keys=frozenset({115})), [])
    assert is_worked_with(Device(), [8])
    assert not is_worked_with(Device(axes={0: Axis(0, 9), 1: Axis(0, 9)}), [3])


def test_a_library_that_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "evdev", None)
    with pytest.raises(SourceUnavailableError, match=r"pip install 'taskreel\[capture\]'"):
        open_device(Path("event0"))


def test_the_library_has_what_is_used() -> None:
    """The stand-in is as the real one."""
    import inspect

    import evdev

    assert "readonly" in inspect.signature(evdev.InputDevice.__init__).parameters
    for name in ("capabilities", "input_props", "leds", "active_keys", "close"):
        assert callable(getattr(evdev.InputDevice, name))
    assert {"min", "max", "resolution"} <= set(evdev.AbsInfo._fields)
