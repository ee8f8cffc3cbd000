"""What lies on the screen that must not be in a picture."""

from __future__ import annotations

from typing import Any

from taskreel.capture.settings import Settings
from taskreel.capture.sources.protocol import WindowView
from taskreel.capture.sources.x11.exclusion import Exclusion
from taskreel.capture.sources.x11.server import Server, tells_loss
from taskreel.capture.sources.x11.stacking import Stack

_SAVER_ON = 1


class XWindowViews:
    """Says where excluded windows are, on a connection of its own. Implements `WindowViews`.

    Connects at the first `view`; used from one thread. Raises `SourceUnavailableError` if there is no server, and
    `SourceLostError` once it has ended.

    Black is the whole rectangle of an excluded window, with the frame of the window manager (its bar shows the title)
    and also where other windows cover it. It cannot be known where else such a window is shown: as a thumbnail in a
    task switcher or an overview of the compositor, by its title in a panel's list of windows or in a tab of another
    frame, magnified, or in the window of a program that shares the screen.
    """

    def __init__(self, settings: Settings) -> None:
        self._display = settings.display
        self._exclusion = Exclusion(settings.excluded_apps, settings.excluded_titles)
        self._server: Server | None = None
        self._judged = -1
        self._reasons: dict[int, str] = {}

    @tells_loss
    def view(self) -> WindowView:
        """As of now: what the X server says when it is asked.

        All is hidden while the screen saver is active, the monitors are off, or windows come and go faster than they
        can be asked who they are.
        """
        server = self._server or self._connect()
        asked = self._ask_if_blank(server)
        is_known = self._stack.refresh(is_asked=True)
        is_blank = any(_is_blank(answer) for answer in server.answers(asked))
        if self._judged != self._stack.generation:
            self._judged = self._stack.generation
            self._reasons = self._exclusion.reasons(self._stack.clients)
        tops = self._stack.tops
        seen = tuple((top.id, top.rect, top.is_mapped, self._reasons.get(top.client.id)) for top in tops)
        return WindowView(
            fingerprint=hash((self._stack.generation, is_blank, seen)),
            black=tuple(top.rect for top in tops if top.is_mapped and top.client.id in self._reasons),
            is_all_hidden=is_blank or not is_known,
        )

    def close(self) -> None:
        """Let the connection go."""
        if self._server is not None:
            self._server.close()
            self._server = None

    def _connect(self) -> Server:
        import xcffib.dpms
        import xcffib.screensaver

        server = self._server = Server(self._display)
        self._stack = Stack(server)
        self._saver = server.extension(xcffib.screensaver.key)
        self._power = server.extension(xcffib.dpms.key)
        return server

    def _ask_if_blank(self, server: Server) -> list[Any]:
        """The requests that say whether there is anything to be seen."""
        saver = [self._saver.QueryInfo(server.root)] if self._saver is not None else []
        return saver + ([self._power.Info()] if self._power is not None else [])


def _is_blank(answer: Any) -> bool:
    """Whether the screen saver is active, or the monitors are off (any level of DPMS but on)."""
    power_level = getattr(answer, "power_level", None)
    return power_level > 0 if power_level is not None else getattr(answer, "state", None) == _SAVER_ON
