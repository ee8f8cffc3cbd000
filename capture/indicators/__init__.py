"""Nothing runs hidden: what shows a person that, and how, they are recorded.

state      the status of a recorder, and the file in the spool that tells it to other programs
terminal   one live line
tray       an icon on the desktop (X11)
icon       how that icon looks
notices    desktop notifications of what changes
process    the name of the process
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TextIO

from taskreel.capture.indicators.process import show_process_name
from taskreel.capture.indicators.state import Phase, Status, read_state, write_state
from taskreel.capture.indicators.terminal import TerminalLine
from taskreel.capture.settings import Settings

if TYPE_CHECKING:
    from taskreel.capture.indicators.notices import Notices
    from taskreel.capture.indicators.tray import TrayIcon

__all__ = ["Indicators", "Phase", "Status", "read_state"]

_LIBRARY_MISSING = "the library {} is missing: pip install 'taskreel[capture]'"


class Indicators:
    """All that shows what a recorder does. Nothing in here raises: a recording does not end because of its indicators.

    `show` is called by one thread, a few times a second; it writes a small file and a line, the rest is done elsewhere.
    """

    def __init__(
        self,
        settings: Settings,
        on_toggle: Callable[[], None],
        *,
        stream: TextIO = sys.stderr,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        """`on_toggle` is called, from a thread of the icon's, when it is clicked; `stream` gets the live line."""
        self._spool = settings.spool
        self._line = TerminalLine(stream, settings.pause_hotkey)
        self._failures: dict[str, str] = {}
        self._icon = self._make_icon(settings.display or environ.get("DISPLAY", ""), on_toggle)
        self._notices = self._make_notices(settings.pause_hotkey, environ)
        self._try("process name", show_process_name)

    def show(self, status: Status) -> None:
        """Show what the recorder does now."""
        self._try("state file", lambda: write_state(self._spool, status))
        self._try("terminal", lambda: self._line.show(status, time.time_ns() // 1000))
        if self._icon:
            self._icon.show(status.phase)
        if self._notices:
            self._notices.show(status.phase)

    @property
    def absent(self) -> dict[str, str]:
        """What is not shown now, and why."""
        parts = {"tray": self._icon, "notices": self._notices}
        return self._failures | {name: part.absence for name, part in parts.items() if part and part.absence}

    def close(self) -> None:
        """Take all away but the state file and the last line. More than once if need be."""
        self._try("terminal", self._line.close)
        if self._icon:
            self._icon.close()
        if self._notices:
            self._notices.close()

    def _make_icon(self, display: str, on_toggle: Callable[[], None]) -> TrayIcon | None:
        try:
            from taskreel.capture.indicators.tray import TrayIcon
        except ImportError:
            self._failures["tray"] = _LIBRARY_MISSING.format("xcffib")
            return None
        return TrayIcon(display, on_toggle)

    def _make_notices(self, pause_hotkey: str, environ: Mapping[str, str]) -> Notices | None:
        try:
            from taskreel.capture.indicators.notices import Notices
        except ImportError:
            self._failures["notices"] = _LIBRARY_MISSING.format("jeepney")
            return None
        return Notices(pause_hotkey, environ)

    def _try(self, what: str, do: Callable[[], None]) -> None:
        try:
            do()
        except Exception as error:
            self._failures[what] = str(error) or type(error).__name__
        else:
            self._failures.pop(what, None)
