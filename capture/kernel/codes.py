"""The numbers of Linux's `input-event-codes.h` that mean something here, and X11's numbers of buttons.

A table of our own, since the library that has them (`evdev`) is compiled against kernel headers, and nobody should need
a compiler to read a text file.
"""

from __future__ import annotations

EV_SYN, EV_KEY, EV_REL, EV_ABS, EV_MSC, EV_SW, EV_LED = 0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x11
SYN_REPORT, SYN_MT_REPORT, SYN_DROPPED = 0, 2, 3

REL_X, REL_Y, REL_HWHEEL, REL_WHEEL, REL_WHEEL_HI_RES, REL_HWHEEL_HI_RES = 0x00, 0x01, 0x06, 0x08, 0x0B, 0x0C

ABS_X, ABS_Y = 0x00, 0x01
ABS_MT_SLOT, ABS_MT_POSITION_X, ABS_MT_POSITION_Y, ABS_MT_TRACKING_ID = 0x2F, 0x35, 0x36, 0x39

MSC_SCAN = 0x04

BTN_0, BTN_9 = 0x100, 0x109
BTN_LEFT, BTN_RIGHT, BTN_MIDDLE, BTN_SIDE = 0x110, 0x111, 0x112, 0x113
BTN_JOYSTICK = 0x120
BTN_TOOL_PEN, BTN_TOOL_FINGER, BTN_STYLUS3, BTN_TOUCH = 0x140, 0x145, 0x149, 0x14A
BTN_STYLUS, BTN_STYLUS2 = 0x14B, 0x14C
FINGERS_OF_TOOL = {BTN_TOOL_FINGER: 1, 0x14D: 2, 0x14E: 3, 0x14F: 4, 0x148: 5}
"""How many fingers a touchpad says are on it, by the tool that it reports."""

TOOLS = frozenset(range(0x140, 0x150)) - {BTN_STYLUS, BTN_STYLUS2, BTN_STYLUS3}
"""Codes that look like buttons and say what touches: a pen, a brush, so many fingers."""

INPUT_PROP_DIRECT, INPUT_PROP_BUTTONPAD = 1, 2

KEY_A = 30

_NO_KEYS = (range(0x100, 0x160), range(0x220, 0x224), range(0x2C0, 0x2E8))
"""Buttons of mice, game pads and pens lie between the keys."""
_STYLUS_BUTTONS = {BTN_STYLUS: 2, BTN_STYLUS2: 3, BTN_STYLUS3: 8}
"""As X11's driver for pens has them."""


def is_key(code: int) -> bool:
    """Whether an `EV_KEY` code is a key and not a button."""
    return code > 0 and not any(code in block for block in _NO_KEYS)


def x11_button(code: int, has_left: bool) -> int | None:
    """X11's number of a button; None for what is no button of a pointer.

    Left, middle and right are 1, 2 and 3, the others 8 and up. The unnamed BTN_0 to BTN_9 are 8 and up on a device that
    has a left button, and 1 and up on one that has not. Source: X.Org's driver xf86-input-evdev.
    """
    if code in (BTN_LEFT, BTN_MIDDLE, BTN_RIGHT):
        return {BTN_LEFT: 1, BTN_MIDDLE: 2, BTN_RIGHT: 3}[code]
    if BTN_SIDE <= code < BTN_JOYSTICK:
        return 8 + code - BTN_SIDE
    if BTN_0 <= code <= BTN_9:
        return code - BTN_0 + (8 if has_left else 1)
    return _STYLUS_BUTTONS.get(code)
