"""Windows' virtual-key codes as Linux key codes.

A virtual-key code says what a key *means*, not where it lies: on a French keyboard, the key left of S is `Q`, as its
letter is. So letters are looked up in the keymap; digits and keys without a character lie at the same place on all
keyboards. The `OEM` keys are given out by each Windows layout: their places are those of a US keyboard.
Sources: Microsoft, "Virtual-Key Codes"; Linux, `input-event-codes.h`.
"""

from __future__ import annotations

from taskreel.capture.keymaps import AnyKeymap

LEFT_CTRL, RIGHT_ALT = 0xA2, 0xA5

_LETTERS = range(ord("A"), ord("Z") + 1)
_US_LETTERS = dict(
    zip(
        (ord(letter) for letter in "QWERTYUIOPASDFGHJKLZXCVBNM"),
        (*range(16, 26), *range(30, 39), *range(44, 51)),
        strict=True,
    )
)
_LETTER_CODES = (*range(2, 14), *range(16, 28), *range(30, 42), *range(43, 54), 86)
"""Where a layout may have letters: the four rows, and the key between left Shift and Z."""

_OEM = {
    0xBA: 39,  # ;
    0xBB: 13,  # =
    0xBC: 51,  # ,
    0xBD: 12,  # -
    0xBE: 52,  # .
    0xBF: 53,  # /
    0xC0: 41,  # `
    0xDB: 26,  # [
    0xDC: 43,  # \
    0xDD: 27,  # ]
    0xDE: 40,  # '
    0xE2: 86,  # between left Shift and Z
}

_SAME_EVERYWHERE = {
    0x08: 14,  # backspace
    0x09: 15,  # tab
    0x0C: 76,  # clear: 5 on the keypad without Num Lock
    0x0D: 28,  # enter
    0x10: 42,  # shift
    0x11: 29,  # ctrl
    0x12: 56,  # alt
    0x13: 119,  # pause
    0x14: 58,  # caps lock
    0x15: 122,  # hangul, kana
    0x19: 123,  # hanja, kanji
    0x1B: 1,  # escape
    0x1C: 92,  # henkan
    0x1D: 94,  # muhenkan
    0x20: 57,  # space
    0x21: 104,  # page up
    0x22: 109,  # page down
    0x23: 107,  # end
    0x24: 102,  # home
    0x25: 105,  # left
    0x26: 103,  # up
    0x27: 106,  # right
    0x28: 108,  # down
    0x2C: 99,  # print screen
    0x2D: 110,  # insert
    0x2E: 111,  # delete
    0x2F: 138,  # help
    0x5B: 125,  # left win
    0x5C: 126,  # right win
    0x5D: 127,  # menu
    0x5F: 142,  # sleep
    0x6A: 55,  # keypad *
    0x6B: 78,  # keypad +
    0x6C: 121,  # keypad separator
    0x6D: 74,  # keypad -
    0x6F: 98,  # keypad /
    0x90: 69,  # num lock
    0x91: 70,  # scroll lock
    0xA0: 42,  # left shift
    0xA1: 54,  # right shift
    LEFT_CTRL: 29,
    0xA3: 97,  # right ctrl
    0xA4: 56,  # left alt
    RIGHT_ALT: 100,
    0xA6: 158,  # browser back
    0xA7: 159,  # browser forward
    0xA8: 173,  # browser refresh
    0xAD: 113,  # mute
    0xAE: 114,  # volume down
    0xAF: 115,  # volume up
    0xB0: 163,  # next track
    0xB1: 165,  # previous track
    0xB2: 166,  # stop
    0xB3: 164,  # play, pause
    0xB4: 155,  # mail
}
_SAME_EVERYWHERE |= dict(zip(range(0x31, 0x3A), range(2, 11), strict=True)) | {0x30: 11}  # digits
_SAME_EVERYWHERE |= dict(zip(range(0x70, 0x7A), range(59, 69), strict=True)) | {0x7A: 87, 0x7B: 88}  # F1 to F12
_SAME_EVERYWHERE |= dict(zip(range(0x7C, 0x88), range(183, 195), strict=True))  # F13 to F24

_KEYPAD = dict(zip(range(0x60, 0x6A), (82, 79, 80, 81, 75, 76, 77, 71, 72, 73), strict=True)) | {0x6E: 83}
"""Digits and the decimal mark of the keypad. Windows uses these codes only while Num Lock is on."""
_NUM_LOCK = 69


class VkCodes:
    """The keys of one keymap by their virtual-key codes."""

    def __init__(self, keymap: AnyKeymap) -> None:
        by_letter = {keymap.key_name(code): code for code in reversed(_LETTER_CODES)}
        letters = {vk: by_letter.get(chr(vk).lower(), _US_LETTERS[vk]) for vk in _LETTERS}
        self._codes = _OEM | _SAME_EVERYWHERE | _KEYPAD | letters
        self._keypad = {
            vk: keymap.texts([_NUM_LOCK, _NUM_LOCK, code], [True, False, True])[-1] for vk, code in _KEYPAD.items()
        }
        self._is_us = keymap.layout.startswith("us")

    def code(self, vk: int) -> int | None:
        """The Linux key code; None for a key that Linux has no code for."""
        return self._codes.get(vk)

    def keypad_text(self, vk: int) -> str | None:
        """What a key writes that is there only with Num Lock on; None for all other keys."""
        return self._keypad.get(vk)

    def is_place_known(self, vk: int) -> bool:
        """Whether the layout says where the key is. `OEM` keys lie where each Windows layout put them."""
        return self._is_us or vk not in _OEM


def vk_name(vk: int) -> str:
    """A name for a key that has none."""
    return f"vk{vk}"
