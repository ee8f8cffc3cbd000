"""Keys of an X server while it is watched: their names and texts, their repeats, and which must not be kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from taskreel.capture.keymaps import XKB_KEYCODE_OFFSET
from taskreel.capture.sources.protocol import Event, monotonic_us
from taskreel.capture.sources.x11.desktop import Desktop
from taskreel.capture.sources.x11.held import Held
from taskreel.capture.sources.x11.keyboard import ServerKeyboard
from taskreel.capture.sources.x11.queries import Server
from taskreel.capture.sources.x11.raw import RawKey
from taskreel.capture.sources.x11.repeats import Repeats
from taskreel.io.kinds import Flag, Kind

_RELEASE_ON_ITS_WAY_US = 5000
"""A repeat is told this late: the release that forbids it may be on its way."""
_ASK_IF_HELD_US = 1_000_000
"""How often the server is asked if a repeating key is held at all: a device that is pulled out releases nothing."""
SERVER_TICK_US = 2000
"""The server's times are whole ms: what was asked so much later was asked after the key."""
_REMAPPING_US = 1_000_000
"""For so long after a change of keymap all is to be read at once: a program may change it for a few ms, for one key."""


class Keys:
    """Follows the keyboard of a server, at an xcb connection (xcffib's handle).

    `put` takes the events that are kept, `withhold` the reasons of the others; `count` is called for each of both.
    """

    def __init__(
        self,
        server: Server,
        handle: Any,
        desktop: Desktop,
        *,
        put: Callable[[Event], None],
        withhold: Callable[[str], None],
        count: Callable[[], None],
    ) -> None:
        self._server, self._desktop = server, desktop
        self._put, self._withhold, self._count = put, withhold, count
        self._keyboard = ServerKeyboard(handle, server.modifier_state())
        self._is_old, self._remapping_until_us = False, 0
        self._repeats = Repeats(server.repeat_controls())
        self._ask_if_held_us = 0
        self._held = Held()
        self._reason: str | None = None
        self._asked_us = 0
        self.follow = self._keyboard.follow
        """The modifiers and groups are these from now on."""

    def take(self, key: RawKey, time_us: int, flags: int) -> None:
        """A key went down or up. What the windows tell has been taken before."""
        self._repeat(time_us)
        self.refresh(time_us)
        self._count()
        now = self._reason_at(time_us)
        if key.is_press:
            self._held.press(key.keycode, now)
            self._repeats.press(key.keycode, time_us)
            self._ask_if_held_us = time_us + _ASK_IF_HELD_US
            self._write(key.keycode, time_us, flags, now)
            return
        self._repeats.release(key.keycode)
        reason = self._held.release(key.keycode, now)
        if reason is None:
            self._put(self._event(Kind.KEY_UP, key.keycode, time_us, flags))
        else:
            self._withhold(reason)

    def outdate(self, _: object = None) -> None:
        """The keymap is another now."""
        self._is_old = True

    def ask_controls(self, _: object = None) -> None:
        """When keys repeat is another now."""
        self._repeats.controls = self._server.repeat_controls()

    def refresh(self, now_us: int) -> bool:
        """Fetch the keymap if it is another now; whether the server was asked. Do it at once."""
        is_old, self._is_old = self._is_old, False
        if is_old:
            self._remapping_until_us = now_us + _REMAPPING_US
            self._keyboard.reload()
            self.ask_controls()
        return is_old

    def is_remapping(self, now_us: int) -> bool:
        """Whether a program may be putting characters on keys for a moment."""
        return now_us < self._remapping_until_us

    @property
    def due_us(self) -> int | None:
        """When `repeat` has something to do, if nothing happens until then."""
        return None if self._repeats.keycode is None else self._repeats.next_us + _RELEASE_ON_ITS_WAY_US

    def repeat(self, now_us: int) -> bool:
        """Tell the repeats that are due; whether the server was asked. All keys until now have been taken before."""
        keycode, until_us = self._repeats.keycode, now_us - _RELEASE_ON_ITS_WAY_US
        if keycode is None or self._repeats.next_us >= until_us:
            return False
        does_ask = self._ask_if_held_us < until_us
        if does_ask:
            self._ask_if_held_us = now_us + _ASK_IF_HELD_US
            if not self._server.is_down(keycode):
                self._repeats.release(keycode)
        self._repeat(until_us)
        return does_ask

    def _repeat(self, until_us: int) -> None:
        for time_us in self._repeats.due(until_us):
            self._count()
            keycode = self._repeats.keycode
            assert keycode is not None
            now = self._reason_at(time_us)
            self._write(keycode, time_us, Flag.AUTO_REPEAT | Flag.ESTIMATED, self._held.reason(keycode, now) or now)

    def _reason_at(self, time_us: int) -> str | None:
        """Why a key must not be kept. What was asked after it, for one before it, is as good as to ask again."""
        if self._asked_us < time_us + SERVER_TICK_US:
            self._asked_us = monotonic_us()
            self._reason = self._desktop.key_reason()
        return self._reason

    def _write(self, keycode: int, time_us: int, flags: int, reason: str | None) -> None:
        """A press or a repeat. The text of one that is withheld is not even made."""
        if reason is None:
            text = self._keyboard.text(keycode)
            self._put(self._event(Kind.KEY_DOWN, keycode, time_us, flags, text))
        else:
            self._keyboard.forget()
            self._withhold(reason)

    def _event(self, kind: Kind, keycode: int, time_us: int, flags: int, text: str | None = None) -> Event:
        code, key = keycode - XKB_KEYCODE_OFFSET, self._keyboard.key_name(keycode)
        return Event(time_us, kind, flags, code=code, key=key, text=text)
