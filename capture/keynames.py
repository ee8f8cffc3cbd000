"""Names of keys: PyAutoGUI's, by Linux key code or by what a layout puts on the key.

PyAutoGUI has no names for AltGr, the keypad's Enter, Compose and dead keys: these are `altgr`, `numpadenter`, `compose`
and XKB's `dead_…`, as the rules of the reducer call them.
Sources: Linux's `input-event-codes.h`, PyAutoGUI's `KEYBOARD_KEYS`.
"""

from __future__ import annotations

import unicodedata

_ROWS = {
    2: ("1234567890-=", "!@#$%^&*()_+"),
    16: ("qwertyuiop[]", "QWERTYUIOP{}"),
    30: ("asdfghjkl;'`", 'ASDFGHJKL:"~'),
    43: ("\\zxcvbnm,./", "|ZXCVBNM<>?"),
    57: (" ", " "),
    86: ("<", ">"),
}
"""The characters of a US keyboard, plain and with Shift, from the code of a row's first key on."""

US_CHARACTERS = {
    first + offset: pair for first, row in _ROWS.items() for offset, pair in enumerate(zip(*row, strict=True))
}
"""Per code, the character of a key without Shift and with it."""

KEYPAD_OPERATORS = {55: "*", 74: "-", 78: "+", 98: "/", 117: "="}
KEYPAD_DIGITS = dict(zip((*range(71, 74), *range(75, 78), *range(79, 84)), "7894561230.", strict=True))
"""What the keypad writes, only with Num Lock and without Shift."""

_FIXED = {
    1: "esc",
    14: "backspace",
    15: "tab",
    28: "enter",
    57: "space",
    69: "numlock",
    70: "scrolllock",
    96: "numpadenter",
    99: "printscreen",
    102: "home",
    103: "up",
    104: "pageup",
    105: "left",
    106: "right",
    107: "end",
    108: "down",
    109: "pagedown",
    110: "insert",
    111: "delete",
    113: "volumemute",
    114: "volumedown",
    115: "volumeup",
    119: "pause",
    138: "help",
    142: "sleep",
    155: "launchmail",
    156: "browserfavorites",
    158: "browserback",
    159: "browserforward",
    163: "nexttrack",
    164: "playpause",
    165: "prevtrack",
    166: "stop",
    172: "browserhome",
    173: "browserrefresh",
    217: "browsersearch",
    464: "fn",
}
_KEYPAD = {code: "decimal" if digit == "." else f"num{digit}" for code, digit in KEYPAD_DIGITS.items()}
_KEYPAD |= {55: "multiply", 74: "subtract", 78: "add", 98: "divide", 117: "=", 121: "separator"}
_FUNCTION = {59 + number: f"f{number + 1}" for number in range(10)} | {87: "f11", 88: "f12"}
_FUNCTION |= {183 + number: f"f{number + 13}" for number in range(12)}
_SHIFTING = {
    29: "ctrlleft",
    42: "shiftleft",
    54: "shiftright",
    56: "altleft",
    58: "capslock",
    97: "ctrlright",
    100: "altright",
    125: "winleft",
    126: "winright",
    127: "apps",
}
_US_NAMES = {code: plain for code, (plain, _) in US_CHARACTERS.items()} | _FIXED | _KEYPAD | _FUNCTION | _SHIFTING

_OF_KEYSYMS = {
    "Control_L": "ctrlleft",
    "Control_R": "ctrlright",
    "Shift_L": "shiftleft",
    "Shift_R": "shiftright",
    "Alt_L": "altleft",
    "Alt_R": "altright",
    "Super_L": "winleft",
    "Super_R": "winright",
    "Caps_Lock": "capslock",
    "ISO_Level3_Shift": "altgr",
    "ISO_Level5_Shift": "iso_level5_shift",
    "Multi_key": "compose",
    "Menu": "apps",
    "Escape": "esc",
    "BackSpace": "backspace",
}
"""What a layout or one of its options puts on other keys than a US keyboard has it on."""


def us_key_name(code: int) -> str | None:
    """The name of a key of a US keyboard; None for a key that has none."""
    return _US_NAMES.get(code)


def layout_key_name(code: int, keysym: str, character: str | None) -> str | None:
    """The name of a key whose plain level is the keysym with this name, which writes `character`, if any.

    A key that writes is called by the character that it writes without modifiers. A letter of another script than
    Latin is called by its place on a US keyboard: so are the shortcuts that people press with it.
    """
    if code in _KEYPAD:
        return _KEYPAD[code]
    if keysym.startswith("dead_"):
        return keysym
    if keysym in _OF_KEYSYMS:
        return _OF_KEYSYMS[keysym]
    if character and character > " " and character.isprintable() and not _is_foreign_letter(character):
        return character.lower()
    return _US_NAMES.get(code)


def _is_foreign_letter(character: str) -> bool:
    return character.isalpha() and not unicodedata.name(character, "").startswith("LATIN ")
