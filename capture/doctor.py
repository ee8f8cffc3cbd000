"""What this machine can record, what is missing, and the command that mends it. Needs none of the libraries itself."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from importlib import import_module
from typing import Any

from taskreel.capture import checks
from taskreel.capture.checks import EXTRA, LIMITED, MISSING, OK, Finding
from taskreel.capture.recorder.admission import NotPermittedError, admitted
from taskreel.capture.recorder.machine import is_wayland
from taskreel.capture.settings import Settings
from taskreel.capture.sources.protocol import SourceUnavailableError
from taskreel.capture.watchers import Watchers

__all__ = ["LIMITED", "MISSING", "OK", "Finding", "Report", "examine"]

LIBRARIES = ("xcffib", "evdev", "mss", "xkbcommon", "jeepney", "PIL", "xxhash")


@dataclass(frozen=True)
class Report:
    """All findings. `can_record`: whether `taskreel capture start` would begin."""

    findings: tuple[Finding, ...]

    @property
    def can_record(self) -> bool:
        """Whether there is a consent record, the libraries, and a source of input."""
        missing = {name for name, state in self._states.items() if state == MISSING}
        return not missing & {"libraries", "consent", "spool"} and not {"x11", "evdev"} <= missing

    @property
    def summary(self) -> str:
        """What can be recorded, in a line."""
        if not self.can_record:
            return "Cannot record yet: see what is missing above."
        if self._states["x11"] == OK:
            return "Can record: keys with text, pointer, windows, pictures (X11)."
        text = "keys with text" if self._states["layouts"] == OK else "keys"
        return f"Can record: {text}, pointer motion (evdev). Cannot: windows, pictures, where the pointer is."

    def to_dict(self) -> dict[str, Any]:
        """For a program."""
        findings = [asdict(finding) for finding in self.findings]
        return {"can_record": self.can_record, "summary": self.summary, "findings": findings}

    @property
    def _states(self) -> dict[str, str]:
        return {finding.name: finding.state for finding in self.findings}


def examine(settings: Settings, environ: Mapping[str, str] = os.environ) -> Report:
    """Look at everything that recording needs."""
    return Report(
        (
            checks.session(settings, environ),
            _libraries(),
            *([checks.extensions(_display(settings, environ))] if _has_display(settings, environ) else []),
            _x11(settings, environ),
            checks.devices(settings),
            checks.layouts(settings, environ),
            *_watchers(settings, environ),
            checks.clock(),
            checks.spool(settings),
            _consent(settings),
        )
    )


def _libraries() -> Finding:
    missing = [name for name in LIBRARIES if not _is_there(name)]
    if missing:
        return Finding("libraries", MISSING, f"not installed: {', '.join(missing)}", EXTRA)
    return Finding("libraries", OK, "the extra `capture` is installed")


def _display(settings: Settings, environ: Mapping[str, str]) -> str:
    return settings.display or environ.get("DISPLAY", "")


def _has_display(settings: Settings, environ: Mapping[str, str]) -> bool:
    """Whether there is an X server that shows the whole session."""
    return bool(_display(settings, environ)) and (bool(settings.display) or not is_wayland(environ))


def _is_there(library: str) -> bool:
    """Whether a library can be imported: one that was built for another system is there, and of no use."""
    try:
        import_module(library)
    except Exception:
        return False
    return True


def _x11(settings: Settings, environ: Mapping[str, str]) -> Finding:
    if is_wayland(environ) and not settings.display:
        remedy = "log in to an X11 session, or use --sources evdev"
        return Finding("x11", MISSING, "this is a Wayland session: an X server sees its own programs only", remedy)
    display = _display(settings, environ)
    if not display:
        return Finding("x11", MISSING, "no X server: DISPLAY is not set", "run it in a desktop session, or set DISPLAY")
    try:
        from taskreel.capture.sources.x11.source import X11Source

        source = X11Source(replace(settings, display=display))
        facts = source.open()
    except ImportError as error:
        return Finding("x11", MISSING, f"display {display} cannot be recorded: {error}", EXTRA)
    except SourceUnavailableError as error:
        remedy = "run it in a desktop session, or name its X server by --display"
        return Finding("x11", MISSING, f"display {display} cannot be recorded: {error}", remedy)
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


def _watchers(settings: Settings, environ: Mapping[str, str]) -> Iterator[Finding]:
    watchers = Watchers(settings, environ=environ)
    watchers.start()
    absent = watchers.absent
    watchers.stop()
    for name, why in sorted(absent.items()):
        if name in ("ibus", "fcitx"):
            yield Finding(name, LIMITED, f"not watched: {why}; it does not matter if you do not type with {name}")
        else:
            yield Finding(name, LIMITED, f"not watched: {why}", "apt install dbus at-spi2-core, in a desktop session")
    if not absent:
        yield Finding("watchers", OK, "locks, password fields and input methods are watched")


def _consent(settings: Settings) -> Finding:
    try:
        record = admitted(settings.spool, "", "")
    except NotPermittedError as error:
        command = f"taskreel capture consent --spool {shlex.quote(str(settings.spool))} --participant p1 --region eu"
        return Finding("consent", MISSING, str(error), command)
    return Finding("consent", OK, f"{record.consent_id} of {record.participant}")
