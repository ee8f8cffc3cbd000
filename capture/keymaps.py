"""Keyboard layouts: from key codes that go down and up to the text that each press produced.

`keymap_for` gives one: XKB's for a layout that was named, by libxkbcommon; without a name an assumed US keyboard, which
needs no library. Both speak Linux key codes (`input-event-codes.h`).

What both take for granted, since no recording says it: all locks are off and no key is down at the first event.
"""

from __future__ import annotations

import os
import re
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from taskreel.capture.keynames import (
    KEYPAD_DIGITS,
    KEYPAD_OPERATORS,
    US_CHARACTERS,
    layout_key_name,
    us_key_name,
)

_LAYOUT = re.compile(r"([a-z][a-z_]*)(?:\(([\w-]+)\))?((?:\+\w+:\w+)*)", re.ASCII)
XKB_KEYCODE_OFFSET = 8
"""X11 begins to count keys at 8."""
XKB_LOG_LEVEL_CRITICAL = 10
_COMPOSE_LOCALE = "en_US.UTF-8"
"""Nearly all UTF-8 locales use its sequences. It is fixed, so that a text does not depend on the importer's locale."""


class UnknownLayoutError(ValueError):
    """A layout that XKB does not know; the message says what a layout looks like."""


class KeyboardState(ABC):
    """A keyboard in use: what is held, locked and begun to be composed."""

    def __init__(self) -> None:
        self._held: set[int] = set()

    def text(self, code: int, down: bool) -> str | None:
        """Take the next event of a key; the text that it produced, or None: releases and keys that write nothing.

        A down of a key that is down is a repeat: it writes again, and changes no modifier.
        """
        changes = down != (code in self._held)
        if down:
            text = self._text(code)
            self._held.add(code)
        else:
            text = None
            self._held.discard(code)
        if changes:
            self._change(code, down)
        return text

    @abstractmethod
    def _text(self, code: int) -> str | None: ...

    @abstractmethod
    def _change(self, code: int, down: bool) -> None: ...


class AnyKeymap(ABC):
    """A keyboard layout. `layout` is its name, empty if it is assumed."""

    layout: str

    @property
    def is_assumed(self) -> bool:
        """Whether nobody named the layout, so that its texts are a guess (`Flag.UNKNOWN_LAYOUT`)."""
        return not self.layout

    @abstractmethod
    def state(self) -> KeyboardState:
        """A keyboard of this layout on which nothing is held or locked."""

    @abstractmethod
    def key_name(self, code: int) -> str | None:
        """The key's name, whatever is held: PyAutoGUI's, by what the key writes without modifiers; None without one."""

    def texts(self, codes: Iterable[int], downs: Iterable[bool]) -> list[str | None]:
        """Per key event, in order, the text that it produced. Modifiers, locks, dead keys and compose are followed.

        A dead key gives None, and the key that completes the sequence the composed text. None, too, for Enter, Tab and
        the like, and while Ctrl, Alt or Meta is held: nothing is written then.
        """
        state = self.state()
        return [state.text(code, down) for code, down in zip(codes, downs, strict=True)]


def keymap_for(layout: str | None) -> AnyKeymap:
    """The keymap of a layout; an assumed US keyboard for None or an empty name. Raises as `Keymap` does."""
    return Keymap(layout) if layout else AssumedUsKeymap()


class Keymap(AnyKeymap):
    """A layout of XKB by its name, with a variant and options: "us", "de(nodeadkeys)", "us(intl)+compose:caps".

    Raises `UnknownLayoutError`, and `ImportError` with the remedy where libxkbcommon or its data are not installed.
    """

    def __init__(self, layout: str) -> None:
        match = _LAYOUT.fullmatch(layout)
        if not match:
            raise _unknown(layout)
        self.layout = layout
        self._xkb = xkbcommon_library()
        context = self._xkb.Context(no_environment_names=True)
        context.set_log_level(XKB_LOG_LEVEL_CRITICAL)
        name, variant, options = match.groups()
        try:
            self._keymap = _with_options(context, name, variant, options.split("+")[1:])
        except (self._xkb.XKBKeymapCreationFailure, LookupError):
            raise _unknown(layout) from None
        self._compose = compose_table(context)

    def state(self) -> KeyboardState:
        """A keyboard of this layout on which nothing is held or locked."""
        return _XkbState(self._xkb, self._keymap, self._compose)

    def key_name(self, code: int) -> str | None:
        """The key's name by what this layout writes on it without modifiers."""
        return xkb_key_name(self._xkb, self._keymap, code)


class AssumedUsKeymap(AnyKeymap):
    """A US keyboard, assumed because nobody named the layout. Needs no library."""

    layout = ""

    def state(self) -> KeyboardState:
        """A keyboard of this layout on which nothing is held or locked."""
        return _UsState()

    def key_name(self, code: int) -> str | None:
        """The key's name on a US keyboard."""
        return us_key_name(code)


class XkbWriter:
    """What presses write by a keymap of XKB: follows dead and compose keys; its `state` says the modifiers."""

    def __init__(self, xkb: Any, keymap: Any, compose_state: Any) -> None:
        self._xkb = xkb
        self._compose = compose_state
        self._ignored = xkb.ComposeFeedResult.XKB_COMPOSE_FEED_IGNORED
        self._silencing = sum(1 << keymap.mod_get_index(name) for name in ("Control", "Mod1", "Mod4"))
        self.state: Any = keymap.state_new()
        """XKB's state of the keyboard: the modifiers and the group. Set by who owns this."""

    def text(self, keycode: int) -> str | None:
        """What the press of a key writes now; call it for each press. `keycode` is X11's."""
        if self._is_silenced():
            return None
        status = self._xkb.ComposeStatus
        if self._compose.feed(self.state.key_get_one_sym(keycode)) == self._ignored:
            return None  # a modifier: what was composed before it is still there, and would be written twice
        now = self._compose.get_status()
        if now == status.XKB_COMPOSE_NOTHING:
            return _printable(self.state.key_get_string(keycode))
        if now == status.XKB_COMPOSE_COMPOSED:
            return _printable(self._compose.get_utf8())
        return None

    def _is_silenced(self) -> bool:
        """Whether Ctrl, Alt or Meta is held, used up by the key's level or not: XKB has keypad keys use up Ctrl."""
        return bool(self.state.serialize_mods(self._xkb.StateComponent.XKB_STATE_MODS_EFFECTIVE) & self._silencing)


class _XkbState(KeyboardState):
    def __init__(self, xkb: Any, keymap: Any, compose: Any) -> None:
        super().__init__()
        self._direction = xkb.KeyDirection
        self._writer = XkbWriter(xkb, keymap, compose.compose_state_new())

    def _text(self, code: int) -> str | None:
        return self._writer.text(code + XKB_KEYCODE_OFFSET)

    def _change(self, code: int, down: bool) -> None:
        direction = self._direction.XKB_KEY_DOWN if down else self._direction.XKB_KEY_UP
        self._writer.state.update_key(code + XKB_KEYCODE_OFFSET, direction)


class _UsState(KeyboardState):
    _SHIFT, _SILENCING = {42, 54}, {29, 97, 56, 100, 125, 126}
    _LOCKS = CAPS, NUM = 58, 69

    def __init__(self) -> None:
        super().__init__()
        self._locked: set[int] = set()
        self._unlocking: set[int] = set()

    def _text(self, code: int) -> str | None:
        if self._held & self._SILENCING:
            return None
        shifted = bool(self._held & self._SHIFT)
        if code in US_CHARACTERS:
            plain, upper = US_CHARACTERS[code]
            return upper if shifted ^ (plain.isalpha() and self._is_locked(self.CAPS)) else plain
        if code in KEYPAD_DIGITS:
            return KEYPAD_DIGITS[code] if self._is_locked(self.NUM) and not shifted else None
        return KEYPAD_OPERATORS.get(code)

    def _is_locked(self, lock: int) -> bool:
        return lock in self._locked or lock in self._held

    def _change(self, code: int, down: bool) -> None:
        """A lock is set when its key goes down, and let go when it comes up from a second press: XKB's `LockMods`."""
        if code not in self._LOCKS:
            return
        if not down:
            self._locked -= self._unlocking & {code}
            self._unlocking.discard(code)
        elif code in self._locked:
            self._unlocking.add(code)
        else:
            self._locked.add(code)


def xkb_key_name(xkb: Any, keymap: Any, code: int, group: int = 0) -> str | None:
    """The key's name by what a group of a keymap of XKB writes on it without modifiers. `code` is Linux's."""
    keycode = code + XKB_KEYCODE_OFFSET
    groups = keymap.num_layouts_for_key(keycode)
    if not groups:
        return us_key_name(code)
    keysyms = keymap.key_get_syms_by_level(keycode, min(group, groups - 1), 0)
    if len(keysyms) != 1:
        return us_key_name(code)
    return layout_key_name(code, xkb.keysym_get_name(keysyms[0]), xkb.keysym_to_string(keysyms[0]))


def _printable(text: str) -> str | None:
    return text if text and text[0] >= " " and text[0] != "\x7f" else None


def _unknown(layout: str) -> UnknownLayoutError:
    return UnknownLayoutError(
        f"layout {layout!r} is not one of XKB's; name one like us, de, de(nodeadkeys) or us(intl)+compose:caps "
        "(`localectl list-x11-keymap-layouts` lists them)"
    )


def xkbcommon_library() -> Any:
    """The module `xkbcommon.xkb`. Raises `ImportError` with the remedy."""
    try:
        from xkbcommon import xkb
    except ImportError as error:
        raise ImportError(
            "a keyboard layout needs the library xkbcommon: install the system's packages libxkbcommon-dev, xkb-data "
            "and libx11-data, then `pip install 'taskreel[import]'`; or name no layout"
        ) from error
    # cffi lists the library among the modules, where it breaks whoever looks at each of them, as dill does for
    # `datasets` ("ctype 'va_list' has incomplete type"). Nobody imports it from there.
    sys.modules.pop("xkbcommon._ffi.lib", None)
    return xkb


def _with_options(context: Any, name: str, variant: str | None, options: list[str]) -> Any:
    """The compiled keymap; `LookupError` for an option that changes nothing: XKB passes over what it does not know."""
    keymap = context.keymap_new_from_names("evdev", "pc105", name, variant)
    for number in range(len(options)):
        more = context.keymap_new_from_names("evdev", "pc105", name, variant, ",".join(options[: number + 1]))
        if more.get_as_string() == keymap.get_as_string():
            raise LookupError(options[number])
        keymap = more
    return keymap


def compose_table(context: Any) -> Any:
    """The sequences of dead and compose keys, from the system's file and not from the person's own.

    Raises `ImportError` with the remedy if it is not there.
    """
    path = Path(os.environ.get("XLOCALEDIR", "/usr/share/X11/locale")) / _COMPOSE_LOCALE / "Compose"
    try:
        return context.compose_table_new_from_buffer(path.read_bytes(), _COMPOSE_LOCALE)
    except FileNotFoundError as error:
        raise ImportError(f"{path} is not there: install the system's libx11-data, or name no layout") from error
