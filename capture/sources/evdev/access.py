"""Which input devices may be read by this process, and what to do if none may. Needs no library and opens nothing."""

from __future__ import annotations

import getpass
import os
from dataclasses import dataclass
from pathlib import Path

DEV_INPUT = Path("/dev/input")
GROUP = "taskreel-input"
"""The group to which the rule `capture/packaging/70-taskreel-input.rules` gives the devices to read."""
_RULES = Path(__file__).parents[2] / "packaging"


@dataclass(frozen=True)
class Access:
    """The devices of a folder that may be read, and those that may not; `is_there`: whether the folder is."""

    folder: Path
    is_there: bool
    readable: tuple[Path, ...] = ()
    refused: tuple[Path, ...] = ()

    @property
    def problem(self) -> str:
        """What is in the way of reading any device, as a sentence; empty if nothing is."""
        if not self.is_there:
            return f"{self.folder} is not there: this machine (or this container) has no input devices"
        if not self.readable and not self.refused:
            return f"{self.folder} has no device event*: none is connected, or a container does not pass them on"
        if not self.readable:
            return (
                f"none of the {len(self.refused)} input devices in {self.folder} may be read by {user()}: "
                f"the group {GROUP} with its udev rule is missing, or {user()} is not in it"
            )
        return ""

    @property
    def remedy(self) -> str:
        """The commands that help; empty if nothing is in the way."""
        if self.is_there and self.refused and not self.readable:
            return grant()
        return "name a stream of another machine's events instead: --input PATH" if self.problem else ""


def examine_access(folder: Path = DEV_INPUT) -> Access:
    """The devices event* of a folder by whether they may be read. Never raises."""
    try:
        paths = sorted(folder.glob("event*"), key=lambda path: (len(path.name), path.name))
        is_there = folder.is_dir()
    except OSError:
        paths, is_there = [], False
    readable = tuple(path for path in paths if os.access(path, os.R_OK))
    return Access(folder, is_there, readable, tuple(path for path in paths if path not in readable))


def grant() -> str:
    """The commands by which a person who may use sudo lets this user read input devices."""
    return (
        f"sudo systemd-sysusers {_RULES}/taskreel-sysusers.conf && "
        f"sudo install -m 644 {_RULES}/70-taskreel-input.rules /etc/udev/rules.d/ && "
        "sudo udevadm control --reload && sudo udevadm trigger --subsystem-match=input --action=change && "
        f"sudo usermod -aG {GROUP} {user()}   (then log out and in again)"
    )


def user() -> str:
    """The name of the user of this process, or its number."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
