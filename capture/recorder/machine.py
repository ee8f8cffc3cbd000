"""What is recorded on this machine: which sources, made how; and what to tell a person who cannot be recorded."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from taskreel.capture.recorder.session import Plan
from taskreel.capture.settings import Settings
from taskreel.capture.sources.protocol import Source, SourceUnavailableError

X11, EVDEV, SCREENS = "x11", "evdev", "screens"
NAMES = (X11, EVDEV, SCREENS)


def is_wayland(environ: Mapping[str, str]) -> bool:
    """Whether the session is Wayland's, where an X server (Xwayland) shows its own clients' input only."""
    return bool(environ.get("WAYLAND_DISPLAY")) or environ.get("XDG_SESSION_TYPE") == "wayland"


def chosen_sources(
    settings: Settings, wanted: Sequence[str] = (), environ: Mapping[str, str] = os.environ
) -> list[str]:
    """The names of the sources to use: those `wanted`, else what this session can give.

    Raises `SourceUnavailableError` instead of recording something that silently lacks input.
    """
    unknown = sorted(set(wanted) - set(NAMES))
    if unknown:
        raise SourceUnavailableError(f"--sources {','.join(unknown)}: one or more of {', '.join(NAMES)} are expected")
    if wanted:
        names = list(wanted)
    elif settings.input_streams or is_wayland(environ) or not (settings.display or environ.get("DISPLAY")):
        names = [EVDEV]
    else:
        names = [X11, SCREENS]
    if not {X11, EVDEV} & set(names):
        raise SourceUnavailableError(f"--sources {','.join(names)}: none of them gives input: add {X11} or {EVDEV}")
    if X11 in names and is_wayland(environ) and not settings.display:
        raise SourceUnavailableError(
            "this is a Wayland session: its X server sees the input of X programs only, so a recording would lack "
            "the rest in silence. Use --sources evdev (needs read access to /dev/input), or log in to an X11 session"
        )
    return [name for name in names if name != SCREENS or settings.has_pictures]


def plan_for(settings: Settings, names: Sequence[str]) -> Plan:
    """How to make these sources. Their libraries are imported now: what is missing is said before anything runs."""
    try:
        makers = {name: _maker(name, settings) for name in names}
    except ImportError as error:
        raise SourceUnavailableError(
            f"recording {', '.join(names)} needs the extra `capture`: pip install 'taskreel[capture]' ({error})"
        ) from error
    return Plan(
        lambda: [make() for name, make in makers.items() if name != SCREENS],
        makers.get(SCREENS, lambda: None),
    )


def _maker(name: str, settings: Settings):  # type: ignore[no-untyped-def]
    if name == X11:
        from taskreel.capture.sources.x11.source import X11Source

        return lambda: X11Source(settings)
    if name == EVDEV:
        from taskreel.capture.sources.evdev.source import EvdevSource

        return lambda: EvdevSource(settings)
    from taskreel.capture.sources.screens.source import ScreenSource
    from taskreel.capture.sources.x11.views import XWindowViews

    def make() -> Source:
        return ScreenSource(settings, XWindowViews(settings))

    return make
