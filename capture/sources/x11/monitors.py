"""The screen's size, its scale and the monitors on it, and when they change."""

from __future__ import annotations

import json
from typing import Any

from taskreel.capture.sources.x11.server import Server, text
from taskreel.io.kinds import Screen

_DPI_OF_SCALE_1 = 96
_RESOURCES, _DPI = "RESOURCE_MANAGER", "Xft.dpi"


class Monitors:
    """Asks for the geometry; `is_stale` once something was heard of it."""

    def __init__(self, server: Server) -> None:
        import xcffib.randr
        from xcffib import xproto

        self._x: Any = xproto
        self._server = server
        self._randr = _with_monitors(server, xcffib.randr.key)
        self._screen_change = xcffib.randr.ScreenChangeNotifyEvent
        self._resources = server.atoms(_RESOURCES)[0]
        self.is_stale = True
        # The root's ConfigureNotify also tells of monitors that are drawn anew without a change of the mode.
        server.select(server.root, xproto.EventMask.StructureNotify | xproto.EventMask.PropertyChange)
        if self._randr is not None:
            self._randr.SelectInput(server.root, xcffib.randr.NotifyMask.ScreenChange)
        server.listeners.append(self._hear)

    def screen(self) -> Screen:
        """The geometry now, with the primary monitor first. The scale is that of fonts, `Xft.dpi` / 96."""
        self.is_stale = False
        server = self._server
        asked = [server.core.GetGeometry(server.root), server.ask_property(server.root, _RESOURCES)]
        if self._randr is not None:
            asked.append(self._randr.GetMonitors(server.root, True))
        geometry, resources, monitors = [*server.answers(asked), None][:3]
        found = monitors.monitors if monitors is not None else ()
        return Screen(
            width_px=geometry.width,
            height_px=geometry.height,
            scale=scale(text(resources).decode("latin-1")),
            monitors=tuple((m.x, m.y, m.width, m.height) for m in sorted(found, key=lambda m: not m.primary)),
        )

    def _hear(self, event: Any) -> None:
        x = self._x
        is_of_root = isinstance(event, x.ConfigureNotifyEvent) and event.window == self._server.root
        is_dpi = isinstance(event, x.PropertyNotifyEvent) and event.atom == self._resources
        if is_of_root or is_dpi or isinstance(event, self._screen_change):
            self.is_stale = True


def scale(resources: str) -> float:
    """Pixels per logical point, by the X resources; 1.0 if they do not say."""
    for line in resources.splitlines():
        name, _, value = line.partition(":")
        if name.strip() == _DPI:
            try:
                dpi = float(value)
            except ValueError:
                return 1.0
            return dpi / _DPI_OF_SCALE_1 if 0 < dpi < 10_000 else 1.0
    return 1.0


def as_text(screen: Screen) -> str:
    """What a geometry event carries in its text."""
    fields = {
        "width_px": screen.width_px,
        "height_px": screen.height_px,
        "scale": screen.scale,
        "monitors": screen.monitors,
    }
    return json.dumps(fields, separators=(",", ":"))


def _with_monitors(server: Server, key: Any) -> Any:
    """The requests of RANDR 1.5, which knows monitors; None with an older server."""
    randr = server.extension(key)
    version = server.answer(randr.QueryVersion(1, 5)) if randr is not None else None
    is_new = version is not None and (version.major_version, version.minor_version) >= (1, 5)
    return randr if is_new else None
