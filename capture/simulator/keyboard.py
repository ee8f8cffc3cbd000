"""What hands do with a keyboard."""

from __future__ import annotations

from taskreel.capture.simulator.mouse import MODIFIERS, Mouse
from taskreel.capture.simulator.script import NEVER_US, Action, Held, Strokes
from taskreel.capture.simulator.typing_ import KEYS, REPEAT_DELAY_US, REPEAT_INTERVAL_US, needs_shift, spelled
from taskreel.io.events import Flag

_BETWEEN_TEXTS_US = 1_500_000
_HELD = "held key"
"""It may be Backspace, which types."""


class Keyboard(Mouse):
    """An actor with a keyboard, too."""

    def write(self, text: str) -> None:
        """Type a text, in which "\\b" is a backspace."""
        self._ready_to_type()
        keys = spelled(text)
        self._type(Action("write", self.episode, text=text, modifiers="shift" if needs_shift(keys[0]) else None), keys)

    def press(self, key: str) -> None:
        """Press one key that produces no text, by PyAutoGUI's name."""
        self._ready()
        self._type(Action("press", self.episode, keys=key, count=1), KEYS[key])

    def shifted_press(self, key: str) -> None:
        """Press a key that produces no text while Shift is held."""
        self._ready()
        self._chord(Action("press", self.episode, keys=key, count=1, modifiers="shift"), ("shift",), key, 0)

    def hold_key(self, key: str) -> None:
        """Keep a key down until it has acted several times."""
        self._ready_to_type()
        self._chord(Action("press", self.episode, keys=key), (), key, self.dice.whole(3, 30))
        self.desk.last = _HELD

    def tap(self, modifier: str) -> None:
        """Press a modifier alone."""
        self._ready()
        self._chord(Action("press", self.episode, keys=MODIFIERS[modifier], count=1), (), MODIFIERS[modifier], 0)

    def hotkey(self, keys: str, repeats: int = 0) -> None:
        """Press a key while modifiers are held: "ctrl+s". With repeats the key is held, too."""
        self._ready()
        *modifiers, key = keys.split("+")
        action = Action("hotkey", self.episode, keys=keys, count=1, modifiers="+".join(modifiers))
        self._chord(action, tuple(modifiers), key, repeats)

    def held_drag(self, key: str, x: int, y: int, to_x: int, to_y: int) -> None:
        """Drag while a key is held: a canvas is moved with Space."""
        self._ready_to_press()
        down_us = self.now_us
        down = self._action(Action("keyDown", self.episode, keys=key))
        self.now_us += self.dice.us(0.15, 0.35)
        self._approach(x, y)
        self._drag(to_x, to_y, self._action(Action("dragTo", self.episode, button="left", clicks=1)))
        least_us = down_us + REPEAT_DELAY_US + REPEAT_INTERVAL_US * 18
        self.now_us = _between_repeats(down_us, max(self.now_us + self.dice.us(0.1, 0.4), least_us))
        repeats = _repeats(down_us, self.now_us) if self.desk.tells_repeats else 0
        up = self._action(Action("keyUp", self.episode, keys=key))
        self.desk.script.held.append(Held(down_us, NEVER_US, KEYS[key], down, repeats, typed=True))
        self.desk.script.held.append(Held(NEVER_US, self.now_us, KEYS[key], up))
        self._end(self.now_us)

    def stop_recorder(self) -> None:
        """Press the recorder's own keys, which are still down when it stops."""
        self._ready()
        action = Action("hotkey", None, keys="ctrl+alt+q", count=1, modifiers="ctrl+alt", flags=("unpaired",))
        index = self._action(action._replace(flags=(*action.flags, "recorder_control")))
        for key in (KEYS["ctrlleft"], KEYS["altleft"], "q"):
            self.now_us += self.dice.us(0.03, 0.1)
            self.desk.script.held.append(Held(self.now_us, NEVER_US, key, index, flags=Flag.RECORDER_CONTROL))
        self._end(self.now_us)

    def _ready_to_type(self) -> None:
        typed = self.desk.last in ("write", _HELD)
        self._ready(self.desk.free_us + _BETWEEN_TEXTS_US - self.now_us if typed else 0)

    def _chord(self, action: Action, modifiers: tuple[str, ...], key: str, repeats: int) -> None:
        """A key while modifiers are held; long enough for it to repeat, if it does."""
        dice, time_us, downs = self.dice, self.now_us, []
        for _ in modifiers:
            downs.append(time_us)
            time_us += dice.us(0.03, 0.12)
        up_us = time_us + dice.us(0.05, 0.1)
        told = self.desk.tells_repeats
        if repeats:
            up_us = time_us + REPEAT_DELAY_US + REPEAT_INTERVAL_US * repeats - REPEAT_INTERVAL_US // 2
            action = action._replace(count=1 + repeats, flags=() if told else ("estimated_count",))
        index = self._action(action)
        held = [Held(time_us, up_us, KEYS.get(key, key), index, repeats if told else 0)]
        for modifier, down_us in zip(reversed(modifiers), reversed(downs), strict=True):
            up_us += dice.us(0.01, 0.06)
            held.append(Held(down_us, up_us, KEYS[MODIFIERS[modifier]], index))
        self.desk.script.held += reversed(held)
        self._end(up_us)

    def _type(self, action: Action, keys: str) -> None:
        index = self._action(action)
        first, duration_us = self.desk.intervals.take(keys)
        self.desk.script.strokes.append(Strokes(self.now_us, keys, first, index))
        self._end(self.now_us + duration_us)


def _repeats(down_us: int, up_us: int) -> int:
    """How often a key has repeated that was down so long."""
    return 1 + (up_us - down_us - REPEAT_DELAY_US) // REPEAT_INTERVAL_US


def _between_repeats(down_us: int, up_us: int) -> int:
    """A release that lies in the middle between two repeats."""
    held_us = up_us - down_us - REPEAT_DELAY_US
    return up_us + REPEAT_INTERVAL_US // 2 - held_us % REPEAT_INTERVAL_US
