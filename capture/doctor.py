"""What this machine can record, what is missing, and the command that mends it. Needs none of the libraries itself."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from taskreel.capture.recorder.admission import NotPermittedError, admitted
from taskreel.capture.recorder.machine import is_wayland
from taskreel.capture.settings import Settings
from taskreel.capture.sources.protocol import SourceUnavailableError
from taskreel.capture.watchers import Watchers

OK, LIMITED, MISSING = "ok", "limited", "missing"
LIBRARIES = ("xcffib", "evdev", "mss", "xkbcommon", "jeepney", "PIL", "xxhash")
INPUT = Path("/dev/input")
_EXTRA = "apt install libxkbcommon-dev linux-libc-dev gcc && pip install 'taskreel[capture]'"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: `ok`, `limited` (recording works without it) or `missing`, and what mends it."""

    name: str
    state: str
    sentence: str
    remedy: str = ""


@dataclass(frozen=True)
class Report:
    """All findings. `can_record`: whether `taskreel capture start` would begin."""

    findings: tuple[Finding, ...]

    @property
    def can_record(self) -> bool:
        """Whether there is a consent record, the libraries, and a source of input."""
        missing = {finding.name for finding in self.findings if finding.state == MISSING}
        return not missing & {"libraries", "consent", "spool"} and not {"x11", "evdev"} <= missing

    @property
    def summary(self) -> str:
        """What can be recorded, in a line."""
        state = {finding.name: finding.state for finding in self.findings}
        if not self.can_record:
            return "Cannot record yet: see what is missing above."
        if state["x11"] == OK:
            return "Can record: keys with text, pointer, windows, pictures (X11)."
        return "Can record: keys and pointer motion (evdev); not: windows, pictures, where the pointer is."

    def to_dict(self) -> dict[str, Any]:
        """For a program."""
        findings = [asdict(finding) for finding in self.findings]
        return {"can_record": self.can_record, "summary": self.summary, "findings": findings}


def examine(settings: Settings, environ: Mapping[str, str] = os.environ) -> Report:
    """Look at everything that recording needs."""
    missing = [name for name in LIBRARIES if not _is_there(name)]
    findings = [
        Finding("libraries", MISSING, f"not installed: {', '.join(missing)}", _EXTRA)
        if missing
        else Finding("libraries", OK, "the extra `capture` is installed"),
        _x11(settings, environ),
        _evdev(),
        *_watchers(settings, environ),
        _spool(settings),
        _consent(settings),
    ]
    return Report(tuple(findings))


def _is_there(library: str) -> bool:
    try:
        return find_spec(library) is not None
    except ValueError:  # hidden on purpose
        return False


def _x11(settings: Settings, environ: Mapping[str, str]) -> Finding:
    if is_wayland(environ) and not settings.display:
        remedy = "log in to an X11 session, or use --sources evdev"
        return Finding("x11", MISSING, "this is a Wayland session: an X server sees its own programs only", remedy)
    display = settings.display or environ.get("DISPLAY", "")
    if not display:
        return Finding("x11", MISSING, "no X server: DISPLAY is not set", "run it in a desktop session, or set DISPLAY")
    try:
        from taskreel.capture.settings import Settings as _Settings
        from taskreel.capture.sources.x11.source import X11Source

        source = X11Source(_Settings(settings.spool, display=display))
        facts = source.open()
    except (SourceUnavailableError, ImportError) as error:
        return Finding("x11", MISSING, f"display {display} cannot be recorded: {error}", _EXTRA)
    source.stop()
    source.run(_Nowhere())
    size = f"{facts.screen.width_px} × {facts.screen.height_px} px" if facts.screen else "unknown size"
    return Finding("x11", OK, f"display {display}: {size}, keyboard {facts.keyboard_layout or 'unknown'}")


class _Nowhere:
    """A sink for a source that was stopped before it ran."""

    def put(self, event: object) -> None: ...

    def withhold(self, reason: str, events: int = 1) -> None: ...

    def lose(self, reason: str, time_us: int, events: int = 0) -> None: ...

    def picture(self, key: str, picture: object) -> None: ...


def _evdev() -> Finding:
    devices = sorted(INPUT.glob("event*")) if INPUT.is_dir() else []
    readable = [path for path in devices if os.access(path, os.R_OK)]
    if readable:
        return Finding("evdev", OK, f"{len(readable)} of {len(devices)} input devices can be read")
    sentence = f"none of {len(devices)} input devices can be read" if devices else "there are no devices in /dev/input"
    remedy = (
        "install capture/packaging/70-taskreel-input.rules, then `usermod -aG taskreel-input $USER` and log in anew"
    )
    return Finding("evdev", MISSING, sentence, remedy if devices else "")


def _watchers(settings: Settings, environ: Mapping[str, str]) -> Iterator[Finding]:
    watchers = Watchers(settings, environ=environ)
    watchers.start()
    absent = watchers.absent
    watchers.stop()
    for name, why in sorted(absent.items()):
        yield Finding(name, LIMITED, f"not watched: {why}", "apt install dbus at-spi2-core, in a desktop session")
    if not absent:
        yield Finding("watchers", OK, "locks, password fields and input methods are watched")


def _spool(settings: Settings) -> Finding:
    folder = next(path for path in (settings.spool, *settings.spool.absolute().parents) if path.exists())
    if not os.access(folder, os.W_OK):
        return Finding("spool", MISSING, f"{folder} cannot be written", "name another folder by --spool")
    free = shutil.disk_usage(folder).free
    if free < settings.quota_bytes:
        sentence = f"{free / 1e9:.1f} GB are free, the quota is {settings.quota_bytes / 1e9:.1f} GB"
        return Finding("spool", LIMITED, sentence, "make room, or start with a smaller --quota")
    return Finding("spool", OK, f"{folder}: {free / 1e9:.0f} GB are free")


def _consent(settings: Settings) -> Finding:
    try:
        record = admitted(settings.spool, "", "")
    except NotPermittedError as error:
        return Finding("consent", MISSING, str(error), "taskreel capture consent --participant p1 --region eu")
    return Finding("consent", OK, f"{record.consent_id} of {record.participant}")
