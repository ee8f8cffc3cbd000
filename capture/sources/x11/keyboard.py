"""The server's keyboard: what its presses write, by its own keymap, whatever is set or remapped while it is in use.

The modifiers and the group are told by the server, in order with the keys. The keymap is fetched by libxkbcommon-x11
(0.2 ms; the program `xkbcomp` takes 8), which the Python package xkbcommon does not bind.
"""

from __future__ import annotations

import ctypes
from typing import Any

from taskreel.capture.keymaps import (
    XKB_KEYCODE_OFFSET,
    XKB_LOG_LEVEL_CRITICAL,
    XkbWriter,
    compose_table,
    xkb_key_name,
    xkbcommon_library,
)
from taskreel.capture.sources.protocol import SourceLostError, SourceUnavailableError
from taskreel.capture.sources.x11.raw import ModifierState

_LIBRARY = "libxkbcommon-x11.so.0"
_GROUP_MASK = 0xFFFFFFFF


class ServerKeyboard:
    """The keyboard of the server at an xcb connection (xcffib's handle), where XKB is in use already.

    Raises `SourceUnavailableError` with the remedy if a library or its data are missing.
    """

    def __init__(self, handle: Any, state: ModifierState) -> None:
        try:
            self._xkb = xkbcommon_library()
            self._context = self._xkb.Context(no_environment_names=True)
            self._context.set_log_level(XKB_LOG_LEVEL_CRITICAL)
            self._compose = compose_table(self._context).compose_state_new()
            self._fetch = _Fetch(self._xkb, handle)
        except ImportError as error:
            raise SourceUnavailableError(
                f"recording under X11 needs keyboard layouts (pip install 'taskreel[capture]'): {error}"
            ) from error
        self._last = state
        self.reload()

    def reload(self) -> None:
        """Fetch the keymap as of now. A sequence of dead keys goes on."""
        self._keymap = self._fetch.keymap(self._context)
        self._writer = XkbWriter(self._xkb, self._keymap, self._compose)
        self._names: dict[tuple[int, int], str | None] = {}
        self.follow(self._last)

    def follow(self, state: ModifierState) -> None:
        """The modifiers and groups are these from now on."""
        self._last = state
        mods, groups = state[:3], (group & _GROUP_MASK for group in state[3:])
        self._writer.state.update_mask(*mods, *groups)

    def text(self, keycode: int) -> str | None:
        """What a press writes now; call it for each press, and each repeat. `keycode` is X11's."""
        return self._writer.text(keycode)

    def forget(self) -> None:
        """No sequence of dead or compose keys has begun."""
        self._compose.reset()

    def key_name(self, keycode: int) -> str | None:
        """The key's name by what the group in use writes on it without modifiers."""
        group = self._writer.state.serialize_layout(self._xkb.StateComponent.XKB_STATE_LAYOUT_EFFECTIVE)
        if (keycode, group) not in self._names:
            name = xkb_key_name(self._xkb, self._keymap, keycode - XKB_KEYCODE_OFFSET, group)
            self._names[keycode, group] = name
        return self._names[keycode, group]


class _Fetch:
    """Fetches keymaps of a server. The library speaks on the connection that it is given."""

    def __init__(self, xkb: Any, handle: Any) -> None:
        try:
            self._library = ctypes.CDLL(_LIBRARY)
        except OSError as error:
            raise ImportError(f"{_LIBRARY} is not there: install the system's libxkbcommon-x11-0") from error
        self._library.xkb_x11_keymap_new_from_device.restype = ctypes.c_void_p
        self._xkb = xkb
        self._connection = _pointer(xkb, handle)
        self._device = self._library.xkb_x11_get_core_keyboard_device_id(self._connection)

    def keymap(self, context: Any) -> Any:
        """The keymap as of now. Raises `SourceLostError` if the server does not give it."""
        fetch = self._library.xkb_x11_keymap_new_from_device
        pointer = fetch(_pointer(self._xkb, context._context), self._connection, self._device, 0)
        if not pointer:
            raise SourceLostError("the X server did not hand over its keymap")
        return self._xkb.Keymap(context, self._xkb.ffi.cast("struct xkb_keymap *", pointer), None)


def _pointer(xkb: Any, handle: Any) -> ctypes.c_void_p:
    return ctypes.c_void_p(int(xkb.ffi.cast("uintptr_t", handle)))
