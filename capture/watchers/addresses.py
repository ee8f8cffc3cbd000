"""Where the message buses are, by the environment of a desktop's session.

Sources: the D-Bus specification ("Well-known message bus instances"), IBus's `ibus_get_socket_path`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

SYSTEM_BUS = "unix:path=/var/run/dbus/system_bus_socket"
_MACHINE_IDS = Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id")


def session_bus(environ: Mapping[str, str]) -> str:
    """The address of the session bus; empty if there is none."""
    if address := environ.get("DBUS_SESSION_BUS_ADDRESS"):
        return address
    runtime = environ.get("XDG_RUNTIME_DIR")
    return f"unix:path={runtime}/bus" if runtime and Path(runtime, "bus").exists() else ""


def system_bus(environ: Mapping[str, str]) -> str:
    """The address of the system bus."""
    return environ.get("DBUS_SYSTEM_BUS_ADDRESS") or SYSTEM_BUS


def ibus_bus(environ: Mapping[str, str], display: str = "") -> str:
    """The address of IBus's own bus, by its variable or the file that its daemon writes; empty if it does not run."""
    if address := environ.get("IBUS_ADDRESS"):
        return address
    try:
        lines = _ibus_file(environ, display or environ.get("DISPLAY", "")).read_text().splitlines()
    except OSError:
        return ""
    named = dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    return named.get("IBUS_ADDRESS", "")


def _ibus_file(environ: Mapping[str, str], display: str) -> Path:
    config = environ.get("XDG_CONFIG_HOME") or Path(environ.get("HOME", "/"), ".config")
    host, _, number = display.partition(":")
    place = environ.get("WAYLAND_DISPLAY") or number.partition(".")[0] or "0"
    host = "unix" if environ.get("WAYLAND_DISPLAY") else host or "unix"
    return Path(config, "ibus", "bus", f"{_machine_id()}-{host}-{place}")


def _machine_id() -> str:
    for file in _MACHINE_IDS:
        if file.exists():
            return file.read_text().strip()
    return "machine-id"
