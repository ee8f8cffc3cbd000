"""The acts: one person at one device, doing one thing after the other. Each act adds to the script and moves time on.

Acts keep clear of the borders at which a reducer decides, so that the truth is beyond dispute: two clicks lie
further apart than a double click, two scrolls are 2.5 s apart or have something else between, two texts 1.5 s.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from taskreel.capture.simulator.dice import Dice
from taskreel.capture.simulator.layout import Box, Layout
from taskreel.capture.simulator.options import SimulationOptions
from taskreel.capture.simulator.people import Person
from taskreel.capture.simulator.pointer import travel_us
from taskreel.capture.simulator.script import Action, Button, Focus, Held, Look, Path, Script, Strokes, Ticks
from taskreel.capture.simulator.typing_ import KEYS, Intervals
from taskreel.capture.simulator.windows import Window

MODIFIERS = {"ctrl": "ctrlleft", "alt": "altleft", "shift": "shiftleft", "meta": "winleft"}
_BUTTONS = {"left": 1, "middle": 2, "right": 3}
_BETWEEN_PRESSES_US = 700_000
_BETWEEN_SCROLLS_US = 2_800_000
_BETWEEN_TEXTS_US = 1_500_000
_WANDER_SHARE = 0.3
_WANDER_PX = 140


@dataclass
class Desk:
    """A device while somebody works at it: what its screen shows, where the pointer is, what was done last.

    `free_us` is when the last act had ended, `seen` what the last picture showed, `front` the index of the window
    that has focus.
    """

    windows: list[Window]
    front: int
    x: int
    y: int
    free_us: int
    intervals: Intervals
    script: Script = field(default_factory=Script)
    seen: Window | None = None
    last: str = ""
    pressed_us: int = 0

    @property
    def window(self) -> Window:
        """The window that has focus."""
        return self.windows[self.front]

    def show(self, window: Window) -> None:
        """The window that has focus has changed."""
        self.windows[self.front] = window


class Actor:
    """Somebody at work. `now_us` is where acting has come to; every act leaves it at the act's end."""

    def __init__(self, options: SimulationOptions, person: Person, layout: Layout, dice: Dice) -> None:
        self.options = options
        self.person = person
        self.layout = layout
        self.dice = dice
        self.now_us = options.start_us
        self.episode = -1
        self.desk: Desk

    def think(self, until_us: int) -> None:
        """Wait, sometimes long, but not past `until_us`; the pointer may wander meanwhile."""
        dice, mean_s = self.dice, self.options.think_s
        wait_us = dice.us(0.3 * mean_s, 1.7 * mean_s) + 250_000
        if dice.chance(self.options.pause_share):
            wait_us += dice.us(*self.options.pause_s)
        wait_us = max(250_000, min(wait_us, until_us - self.now_us))
        if wait_us > 700_000 and dice.chance(_WANDER_SHARE):
            self._wander(wait_us)
        self.now_us += wait_us

    def click(self, x: int, y: int, button: str = "left") -> None:
        """Go to a point and click there."""
        self._approach(x, y)
        self._ready(_BETWEEN_PRESSES_US - self.now_us + self.desk.pressed_us)
        name = {"left": "click", "right": "rightClick", "middle": "middleClick"}[button]
        action = self._action(Action(name, self.episode, button=button))
        self._button(self.now_us, self.dice.us(0.06, 0.14), button, action)

    def double_click(self, x: int, y: int) -> None:
        """Go to a point and click twice."""
        self._approach(x, y)
        self._ready(_BETWEEN_PRESSES_US - self.now_us + self.desk.pressed_us)
        action = self._action(Action("doubleClick", self.episode, button="left"))
        self._button(self.now_us, self.dice.us(0.05, 0.09), "left", action)
        self._button(self.now_us + self.dice.us(0.05, 0.15), self.dice.us(0.05, 0.09), "left", action)

    def drag(self, x: int, y: int, to_x: int, to_y: int) -> None:
        """Go to a point, press, move, release."""
        self._approach(x, y)
        self._ready(_BETWEEN_PRESSES_US - self.now_us + self.desk.pressed_us)
        action = self._action(Action("dragTo", self.episode, button="left"))
        before_us, after_us = self.dice.us(0.06, 0.15), self.dice.us(0.04, 0.12)
        duration_us = travel_us(x, y, to_x, to_y, self.person.speed)
        self._move(self.now_us + before_us, duration_us, to_x, to_y)
        self._button(self.now_us, before_us + duration_us + after_us, "left", action)

    def scroll(self, ticks: int) -> None:
        """Turn the wheel; `ticks` above 0 is up. The pointer may drift meanwhile."""
        self._ready(_BETWEEN_SCROLLS_US if self.desk.last == "scroll" else 0)
        action = self._action(Action("scroll", self.episode))
        count, step_us = abs(ticks), self.dice.us(0.05, 0.16)
        self.desk.script.ticks.append(Ticks(self.now_us, count, step_us, 1 if ticks > 0 else -1, action))
        duration_us = count * step_us
        if duration_us > 500_000 and self.dice.chance(0.4):
            self._drift(duration_us)
        self._end(duration_us)

    def write(self, text: str) -> None:
        """Type a text, in which "\\b" is a backspace."""
        self._ready(_BETWEEN_TEXTS_US if self.desk.last == "write" else 0)
        self._type(Action("write", self.episode, text=text), text)

    def press(self, key: str) -> None:
        """Press one key that produces no text, by PyAutoGUI's name."""
        self._ready(0)
        self._type(Action("press", self.episode, keys=key), KEYS[key])

    def hotkey(self, keys: str) -> None:
        """Press a key while modifiers are held: "ctrl+s"."""
        self._ready(0)
        action = self._action(Action("hotkey", self.episode, keys=keys))
        *modifiers, key = keys.split("+")
        dice, time_us = self.dice, self.now_us
        downs = []
        for _ in modifiers:
            downs.append(time_us)
            time_us += dice.us(0.03, 0.12)
        up_us = time_us + dice.us(0.05, 0.1)
        held = [Held(time_us, up_us, KEYS.get(key, key), action)]
        for modifier, down_us in zip(reversed(modifiers), reversed(downs), strict=True):
            up_us += dice.us(0.01, 0.06)
            held.append(Held(down_us, up_us, KEYS[MODIFIERS[modifier]], action))
        self.desk.script.held += reversed(held)
        self._end(up_us - self.now_us)

    def focus(self, front: int) -> None:
        """A window takes focus, or its title has changed, a few milliseconds after the act that did it."""
        self.now_us += self.dice.us(0.003, 0.02)
        self.desk.front = front
        self.desk.free_us = self.now_us
        window = self.desk.window
        self.desk.script.focuses.append(Focus(self.now_us, window.application, window.page))

    def look(self, time_us: int) -> None:
        """Capture the screen if it has changed since the last picture."""
        desk = self.desk
        if self.options.screens == "draw" and desk.window is not desk.seen and desk.window != desk.seen:
            desk.script.looks.append(Look(time_us, desk.window))
            desk.seen = desk.window

    def point_in(self, box: Box) -> tuple[int, int]:
        """A random point inside a box."""
        left, top, right, bottom = box
        return self.dice.whole(left + 3, right - 4), self.dice.whole(top + 3, bottom - 4)

    def _ready(self, wait_us: int) -> None:
        """Wait if need be; capture what the last act has changed, before the next one begins."""
        self.now_us += max(0, wait_us)
        free_us = self.desk.free_us
        self.look(min(free_us + self.dice.us(0.06, 0.2), (free_us + self.now_us) // 2))

    def _action(self, action: Action) -> int:
        self.desk.last = action.action
        return self.desk.script.add(action)

    def _end(self, duration_us: int) -> None:
        self.now_us += duration_us
        self.desk.free_us = self.now_us

    def _type(self, action: Action, keys: str) -> None:
        index = self._action(action)
        first, duration_us = self.desk.intervals.take(keys)
        self.desk.script.strokes.append(Strokes(self.now_us, keys, first, index))
        self._end(duration_us)

    def _button(self, down_us: int, hold_us: int, button: str, action: int) -> None:
        self.desk.script.buttons.append(Button(down_us, down_us + hold_us, _BUTTONS[button], action))
        self.desk.pressed_us = down_us
        self._end(down_us + hold_us - self.now_us)

    def _approach(self, x: int, y: int) -> None:
        """Move to a point; after a long way sometimes past it and back."""
        desk, dice = self.desk, self.dice
        far = abs(x - desk.x) + abs(y - desk.y) > 250
        if far and dice.chance(0.35):
            self._travel(x + dice.whole(-14, 14), y + dice.whole(-10, 10))
            self.now_us += dice.us(0.03, 0.1)
        if (x, y) != (desk.x, desk.y):
            self._travel(x, y)
        self.now_us += dice.us(0.05, 0.22)

    def _travel(self, x: int, y: int) -> None:
        duration_us = int(travel_us(self.desk.x, self.desk.y, x, y, self.person.speed) * self.dice.between(0.85, 1.3))
        self._move(self.now_us, duration_us, x, y)
        self.now_us += duration_us

    def _wander(self, wait_us: int) -> None:
        dice = self.dice
        duration_us = int(wait_us * dice.between(0.3, 0.6)) if wait_us < 3_000_000 else dice.us(0.5, 1.5)
        x, y = self.desk.x + dice.whole(-_WANDER_PX, _WANDER_PX), self.desk.y + dice.whole(-_WANDER_PX, _WANDER_PX)
        self._move(self.now_us + 50_000, duration_us, x, y)

    def _drift(self, duration_us: int) -> None:
        x, y = self.desk.x + self.dice.whole(-24, 24), self.desk.y + self.dice.whole(-24, 24)
        self._move(self.now_us + 20_000, duration_us - 120_000, x, y)

    def _move(self, start_us: int, duration_us: int, x: int, y: int) -> None:
        desk, options = self.desk, self.options
        x, y = min(max(x, 0), options.width_px - 1), min(max(y, 0), options.height_px - 1)
        path = Path(start_us, duration_us, desk.x, desk.y, x, y, self.dice.between(-0.1, 0.1))
        desk.script.paths.append(path)
        desk.x, desk.y = x, y
