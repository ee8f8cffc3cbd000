"""What pynput calls a key, as the event table names it, and the text that its press produced.

DuckTrack writes `key.char`, or the name of a special key. The AgentNet tool writes that, too, with three differences:
a control character is written as the letter 64 above it, a key without a character by the name of its Windows code,
and `pynput_key` holds what pynput itself says of the key.
Sources: pynput's `keyboard.Key`, DuckTrack's `recorder.py`, AgentNetTool's `core/utils.py` and `core/constants.py`.
"""

from __future__ import annotations

import re

_NAMES = {
    "alt": "altleft",
    "alt_l": "altleft",
    "alt_r": "altright",
    "alt_gr": "altgr",
    "caps_lock": "capslock",
    "cmd": "winleft",
    "cmd_l": "winleft",
    "cmd_r": "winright",
    "ctrl": "ctrlleft",
    "ctrl_l": "ctrlleft",
    "ctrl_r": "ctrlright",
    "media_next": "nexttrack",
    "media_play_pause": "playpause",
    "media_previous": "prevtrack",
    "media_volume_down": "volumedown",
    "media_volume_mute": "volumemute",
    "media_volume_up": "volumeup",
    "menu": "apps",
    "num_lock": "numlock",
    "page_down": "pagedown",
    "page_up": "pageup",
    "print_screen": "printscreen",
    "scroll_lock": "scrolllock",
    "shift": "shiftleft",
    "shift_l": "shiftleft",
    "shift_r": "shiftright",
}
"""pynput's names where they are not PyAutoGUI's."""

_NAMES_ON_A_MAC = _NAMES | {
    "alt": "optionleft",
    "alt_l": "optionleft",
    "alt_r": "optionright",
    "cmd": "command",
    "cmd_l": "command",
    "cmd_r": "command",
}

_BUTTONS = {"left": 1, "middle": 2, "right": 3, "x1": 8, "x2": 9, "unknown": 0}
"""pynput's names of buttons on Windows and macOS; X11's others are `button8` and so on."""

_CONTROL_CHARACTER = re.compile(r"'\\(?:x[01][0-9a-f]|[tnr])'")
_BARE_CODE = re.compile(r"<(\d{1,9})>")
_UNKNOWN_CODE = re.compile(r"\$unknown_\((\d{1,9})\)\$")
_KEYPAD_CODES = range(96, 112)
"""Windows' codes of the keypad, while Num Lock is on."""


def key_and_text(name: str | None, pynput_key: str, *, on_a_mac: bool) -> tuple[str | None, str | None]:
    """The key's name in the event table, and the text of its press; None where they are not known or there is none.

    `name` is None for a key of which pynput knew only a code. `pynput_key` is empty in a DuckTrack recording.
    """
    if not name:
        return None, None
    if len(name) == 1:
        return _of_character(name, pynput_key)
    spoken = name.lower().replace(" ", "_")
    unknown = _UNKNOWN_CODE.fullmatch(spoken)
    if unknown:
        return f"vk{unknown[1]}", None
    names = _NAMES_ON_A_MAC if on_a_mac else _NAMES
    return names.get(spoken, spoken), " " if spoken == "space" else None


def button_number(name: str) -> int | None:
    """The X11 number of a button, 0 for pynput's `unknown`; None for a name that is no button's."""
    numbered = re.fullmatch(r"button(\d{1,3})", name)
    return int(numbered[1]) if numbered else _BUTTONS.get(name)


def _of_character(character: str, pynput_key: str) -> tuple[str | None, str | None]:
    if ord(character) < 32:
        return chr(ord(character) + 96) if 1 <= ord(character) <= 26 else None, None
    if _CONTROL_CHARACTER.fullmatch(pynput_key):
        return character.lower(), None
    bare = _BARE_CODE.fullmatch(pynput_key)
    if bare and int(bare[1]) not in _KEYPAD_CODES:
        return character.lower(), None
    return character.lower(), character
