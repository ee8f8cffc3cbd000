"""Devices that come to a folder."""

from __future__ import annotations

from pathlib import Path

from taskreel.capture.sources.evdev.hotplug import Arrivals


def test_devices_come_once_in_order_of_their_numbers(tmp_path: Path) -> None:
    for name in ("event10", "event2", "mouse0", "mice"):
        (tmp_path / name).touch()
    arrivals = Arrivals(tmp_path)
    assert [path.name for path in arrivals.new()] == ["event2", "event10"]
    assert arrivals.new() == []
    (tmp_path / "event3").touch()
    assert [path.name for path in arrivals.new()] == ["event3"]


def test_a_device_whose_permissions_change_comes_again(tmp_path: Path) -> None:
    """udev lets others read a device a moment after it was made."""
    (tmp_path / "event0").touch(mode=0o600)
    arrivals = Arrivals(tmp_path)
    arrivals.new()
    (tmp_path / "event0").chmod(0o640)
    assert [path.name for path in arrivals.new()] == ["event0"]


def test_another_device_of_the_same_name_is_new(tmp_path: Path) -> None:
    (tmp_path / "event0").touch()
    arrivals = Arrivals(tmp_path)
    arrivals.new()
    (tmp_path / "other").touch()
    (tmp_path / "other").replace(tmp_path / "event0")
    assert arrivals.new()
    arrivals.forget(tmp_path / "event0")
    assert arrivals.new()


def test_a_folder_that_is_not_there_has_none(tmp_path: Path) -> None:
    assert Arrivals(tmp_path / "input").new() == []
