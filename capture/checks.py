"""What the doctor looks at on a machine: session, X extensions, devices, layouts, clock, disk. Opens no device.

Each check returns a finding and raises nothing. None needs a library: where one would be asked, the finding says that
it is missing.
"""

from __future__ import annotations

import ctypes
import os
import shlex
import shutil
import stat
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from taskreel.capture.keymaps import UnknownLayoutError, keymap_for
from taskreel.capture.recorder.machine import is_wayland
from taskreel.capture.settings import Settings
from taskreel.capture.sources.evdev.access import DEV_INPUT, examine_access

OK, LIMITED, MISSING = "ok", "limited", "missing"
EXTRA = "apt install libxkbcommon-dev linux-libc-dev gcc && pip install 'taskreel[capture]'"
XINPUT_NEEDED = (2, 2)
"""With an older one all raw events vanish while another program holds a grab."""

_XKB_RULES = Path("rules", "evdev")
_TIME_ERROR = 5
"""What adjtimex(2) returns while no time service keeps the clock (`TIME_ERROR` of timex.h)."""
_TIMEX_BYTES = 512
"""More than `struct timex` takes on any machine."""
_DEVICES_NAMED = 8


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: `ok`, `limited` (recording works without it) or `missing`, and what mends it."""

    name: str
    state: str
    sentence: str
    remedy: str = ""


def session(settings: Settings, environ: Mapping[str, str]) -> Finding:
    """Which kind of session this is: an X server's, Wayland's, or none but a console."""
    if settings.display or (environ.get("DISPLAY") and not is_wayland(environ)):
        return Finding("session", OK, "X11: keys, pointer, windows and pictures can be recorded")
    if is_wayland(environ):
        sentence = "Wayland: only input devices can be recorded; no windows, no pictures, no place of the pointer"
        return Finding("session", LIMITED, sentence, "log out, and choose a session “on Xorg” where you log in")
    return Finding(
        "session", LIMITED, "a console: only input devices can be recorded", "run it in a desktop session, for the rest"
    )


def extensions(display: str) -> Finding:
    """The versions of the X server's extensions that recording uses."""
    try:
        versions = extension_versions(display)
    except ImportError:
        return Finding("extensions", MISSING, "the X server cannot be asked: the library xcffib is missing", EXTRA)
    except Exception as error:  # xcffib has an error of its own for each way to fail
        return Finding("extensions", MISSING, f"display {display} does not answer ({type(error).__name__})")
    told = ", ".join(f"{name} {_dotted(version)}" for name, version in versions.items())
    if (versions["XInput"] or (0, 0)) < XINPUT_NEEDED or not versions["XKB"]:
        needed = f"XInput {_dotted(XINPUT_NEEDED)} or newer and XKB are needed"
        return Finding("extensions", MISSING, f"{told}; {needed}", "use a newer X server, or --sources evdev")
    if not versions["RANDR"] or not versions["DAMAGE"]:
        sentence = (
            f"{told}; without RANDR monitors are not told apart, without DAMAGE the screen is looked at all the time"
        )
        return Finding("extensions", LIMITED, sentence, "start the X server with these extensions")
    return Finding("extensions", OK, told)


def extension_versions(display: str) -> dict[str, tuple[int, int] | None]:
    """The version of XInput, XKB, RANDR and DAMAGE of an X server; None for one that it lacks.

    Raises `ImportError` without xcffib, and an error of xcffib's if the server does not answer.
    """
    import xcffib
    import xcffib.damage
    import xcffib.randr
    import xcffib.xinput
    import xcffib.xkb

    asked: dict[str, tuple[str, Any]] = {
        "XInput": ("XInputExtension", lambda c: c(xcffib.xinput.key).XIQueryVersion(2, 4).reply()),
        "XKB": ("XKEYBOARD", lambda c: c(xcffib.xkb.key).UseExtension(1, 0).reply()),
        "RANDR": ("RANDR", lambda c: c(xcffib.randr.key).QueryVersion(1, 5).reply()),
        "DAMAGE": ("DAMAGE", lambda c: c(xcffib.damage.key).QueryVersion(1, 1).reply()),
    }
    connection: Any = xcffib.connect(display)  # type: ignore[no-untyped-call]
    try:
        return {
            name: _version(ask(connection)) if _has(connection, full_name) else None
            for name, (full_name, ask) in asked.items()
        }
    finally:
        connection.disconnect()


def _has(connection: Any, extension: str) -> bool:
    return bool(connection.core.QueryExtension(len(extension), extension).reply().present)


def _version(reply: Any) -> tuple[int, int]:
    if hasattr(reply, "serverMajor"):
        return reply.serverMajor, reply.serverMinor
    return reply.major_version, reply.minor_version


def _dotted(version: tuple[int, int] | None) -> str:
    return "missing" if version is None else ".".join(map(str, version))


def devices(settings: Settings, folder: Path = DEV_INPUT) -> Finding:
    """Which input devices may be read, by their names; or the streams that are named instead."""
    if settings.input_streams:
        return Finding("evdev", OK, f"{len(settings.input_streams)} stream(s) are named instead of {folder}")
    access = examine_access(folder)
    if access.problem:
        return Finding("evdev", MISSING, access.problem, access.remedy)
    names = [_device_name(path) for path in access.readable]
    named = ", ".join(names[:_DEVICES_NAMED]) + (" …" if len(names) > _DEVICES_NAMED else "")
    if access.refused:
        total = len(names) + len(access.refused)
        return Finding("evdev", LIMITED, f"{len(names)} of {total} input devices may be read: {named}")
    return Finding("evdev", OK, f"all {len(names)} input devices may be read: {named}")


def _device_name(path: Path) -> str:
    try:
        return Path("/sys/class/input", path.name, "device", "name").read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return path.name


def layouts(settings: Settings, environ: Mapping[str, str]) -> Finding:
    """Whether keys can be told as text: libxkbcommon, its data, and the layout that was named."""
    root = Path(environ.get("XKB_CONFIG_ROOT") or "/usr/share/X11/xkb")
    if not (root / _XKB_RULES).is_file():
        return Finding("layouts", MISSING, f"{root} has no keyboard layouts", "apt install xkb-data libx11-data")
    try:
        keymap_for(settings.layout or "us")
    except UnknownLayoutError as error:
        return Finding("layouts", MISSING, str(error), "localectl list-x11-keymap-layouts")
    except ImportError:
        remedy = f"apt install xkb-data libx11-data && {EXTRA}"
        return Finding("layouts", MISSING, "libxkbcommon or its data are not installed", remedy)
    named = f"the layout {settings.layout}" if settings.layout else "layouts"
    return Finding("layouts", OK, f"keys can be told as text by {named}")


def clock() -> Finding:
    """Whether CLOCK_MONOTONIC goes on, and whether a time service keeps the clock, so that machines can be merged."""
    before_ns = time.monotonic_ns()
    time.sleep(0.001)
    if time.monotonic_ns() <= before_ns:
        return Finding("clock", MISSING, "CLOCK_MONOTONIC stands still", "restart the machine")
    try:
        kept = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    except (OSError, AttributeError):
        kept = -1
    if kept == _TIME_ERROR:
        sentence = "no time service keeps the clock: recordings of several machines may not fit together"
        return Finding("clock", LIMITED, sentence, "sudo timedatectl set-ntp true")
    if kept < 0:
        return Finding("clock", LIMITED, "whether a time service keeps the clock cannot be told here")
    return Finding("clock", OK, "a time service keeps the clock")


def spool(settings: Settings) -> Finding:
    """Whether the spool can be written, is nobody else's to read, and has room."""
    try:
        return _spool(settings)
    except OSError as error:
        sentence = f"{settings.spool} cannot be used: {error.strerror}"
        return Finding("spool", MISSING, sentence, "name another folder by --spool")


def _spool(settings: Settings) -> Finding:
    folder = next(path for path in (settings.spool.absolute(), *settings.spool.absolute().parents) if path.exists())
    if not folder.is_dir() or not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        remedy = f"chmod u+rwx {shlex.quote(str(folder))}, or name another folder by --spool"
        return Finding("spool", MISSING, f"{folder} is no folder that this user can read and write", remedy)
    free_bytes = shutil.disk_usage(folder).free
    if free_bytes < settings.quota_bytes:
        sentence = f"{free_bytes / 1e9:.1f} GB are free, the quota is {settings.quota_bytes / 1e9:.1f} GB"
        return Finding("spool", LIMITED, sentence, "make room, or start with a smaller --quota")
    if folder == settings.spool.absolute() and stat.S_IMODE(folder.stat().st_mode) & stat.S_IRWXO:
        sentence = f"{folder} is open to every user of this machine"
        return Finding("spool", LIMITED, sentence, f"chmod o-rwx {shlex.quote(str(folder))}")
    return Finding("spool", OK, f"{folder}: {free_bytes / 1e9:.0f} GB are free")
