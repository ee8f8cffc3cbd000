"""Where the buses are."""

from __future__ import annotations

from pathlib import Path

import pytest

from taskreel.capture.watchers import addresses


def test_the_session_bus_is_that_of_the_variable_or_lies_in_the_runtime_folder(tmp_path: Path) -> None:
    runtime = {"XDG_RUNTIME_DIR": str(tmp_path)}
    assert addresses.session_bus({}) == ""
    assert addresses.session_bus(runtime) == ""
    (tmp_path / "bus").touch()
    assert addresses.session_bus(runtime) == f"unix:path={tmp_path}/bus"
    assert addresses.session_bus(runtime | {"DBUS_SESSION_BUS_ADDRESS": "unix:path=/other"}) == "unix:path=/other"


def test_the_system_bus_can_be_named() -> None:
    assert addresses.system_bus({}) == addresses.SYSTEM_BUS
    assert addresses.system_bus({"DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/other"}) == "unix:path=/other"


@pytest.mark.parametrize(
    ("display", "more", "file"),
    [
        (":7", {}, "m1-unix-7"),
        (":7.0", {}, "m1-unix-7"),
        ("far:1", {}, "m1-far-1"),
        ("", {"DISPLAY": ":3"}, "m1-unix-3"),
        (":7", {"WAYLAND_DISPLAY": "wayland-0"}, "m1-unix-wayland-0"),
    ],
)
def test_ibus_writes_its_address_in_a_file_of_the_display(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, display: str, more: dict[str, str], file: str
) -> None:
    (tmp_path / "machine-id").write_text("m1\n")
    monkeypatch.setattr(addresses, "_MACHINE_IDS", (tmp_path / "none", tmp_path / "machine-id"))
    environ = {"HOME": str(tmp_path)} | more
    assert addresses.ibus_bus(environ, display) == ""
    folder = tmp_path / ".config/ibus/bus"
    folder.mkdir(parents=True)
    (folder / file).write_text("# a comment\nIBUS_ADDRESS=unix:path=/i,guid=1\nIBUS_DAEMON_PID=1\n")
    assert addresses.ibus_bus(environ, display) == "unix:path=/i,guid=1"
    assert addresses.ibus_bus(environ | {"IBUS_ADDRESS": "unix:path=/v"}, display) == "unix:path=/v"
