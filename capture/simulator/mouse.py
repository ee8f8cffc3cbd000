"""What a hand does with a mouse."""

from __future__ import annotations

from taskreel.capture.simulator.acts import APART_US, Actor
from taskreel.capture.simulator.pointer import travel_us
from taskreel.capture.simulator.script import Action, Button, Held, Ticks
from taskreel.capture.simulator.typing_ import KEYS

MODIFIERS = {"ctrl": "ctrlleft", "alt": "altleft", "shift": "shiftleft", "meta": "winleft"}
BUTTONS = {"left": 1, "middle": 2, "right": 3, "button8": 8, "button9": 9}
_CLICKS = {"right": "rightClick", "middle": "middleClick"}
_CLICKS_BY_COUNT = {2: "doubleClick", 3: "tripleClick"}
_BETWEEN_PRESSES_US = 700_000
_BETWEEN_SCROLLS_US = 2_800_000
_SCROLLS = ("scroll", "hscroll")


class Mouse(Actor):
    """An actor with a mouse; every act goes to its place first."""

    def click(self, x: int, y: int, button: str = "left", times: int = 1, modifier: str | None = None) -> None:
        """Click, up to three times, with a modifier held if there is one."""
        self._ready_to_press()
        down_us = self._hold_down(modifier)
        self._approach(x, y)
        name = _CLICKS.get(button, _CLICKS_BY_COUNT.get(times, "click"))
        action = self._action(Action(name, self.episode, button=button, clicks=times, modifiers=modifier))
        self._clicks(times, button, action)
        self._let_go(modifier, down_us, action)

    def drag(self, x: int, y: int, to_x: int, to_y: int, clicks: int = 1) -> None:
        """Press, move, release; after one or two clicks at the same place if `clicks` is 2 or 3."""
        self._go(x, y)
        action = self._action(Action("dragTo", self.episode, button="left", clicks=clicks))
        self._clicks(clicks - 1, "left", action)
        if clicks > 1:
            self.now_us += self.dice.us(0.05, 0.15)
        self._drag(to_x, to_y, action)

    def hold(self, x: int, y: int) -> None:
        """Keep the button down for a while."""
        self._go(x, y)
        self._edge(True, "left", self._action(Action("mouseDown", self.episode, button="left")))
        self.now_us += self.dice.us(1.3, 2.6)
        self._edge(False, "left", self._action(Action("mouseUp", self.episode, button="left")))

    def chord(self, x: int, y: int) -> None:
        """Press both buttons at once."""
        self._go(x, y)
        for down, button in ((True, "left"), (True, "right"), (False, "left"), (False, "right")):
            name = "mouseDown" if down else "mouseUp"
            self._edge(down, button, self._action(Action(name, self.episode, button=button)))
            self.now_us += self.dice.us(0.03, 0.09)

    def scroll(self, x: int, y: int, ticks: int, axis: str = "y", modifier: str | None = None) -> None:
        """Turn the wheel at a place; above 0 is up or right. The pointer may drift meanwhile."""
        self._ready(self.desk.free_us + _BETWEEN_SCROLLS_US - self.now_us if self.desk.last in _SCROLLS else 0)
        down_us = self._hold_down(modifier)
        self._approach(x, y)
        name = "scroll" if axis == "y" else "hscroll"
        action = self._action(Action(name, self.episode, modifiers=modifier))
        count, step_us, sign = abs(ticks), self.dice.us(0.05, 0.16), 1 if ticks > 0 else -1
        ways = (0, sign) if axis == "y" else (sign, 0)
        self.desk.script.ticks.append(Ticks(self.now_us, count, step_us, *ways, action))
        last_us = (count - 1) * step_us
        if last_us > 500_000 and self.dice.chance(0.4):
            self._drift(last_us)
        self._end(self.now_us + last_us + step_us)
        self._let_go(modifier, down_us, action)

    def hover(self, x: int, y: int) -> None:
        """Go to a place and rest there; what the pointer did before is no hover then."""
        self.desk.wander = -1
        self._ready()
        self.now_us = max(self.now_us, self.desk.moved_us + APART_US)
        if (x, y) != (self.desk.x, self.desk.y):
            self._travel(x, y)
            self.desk.wander, self.desk.wander_us = len(self.desk.script.paths) - 1, self.now_us
            self.desk.wanderer = self.episode
            self.desk.free_us = self.now_us
        self.now_us += self.dice.us(1.2, 2.5)

    def _ready_to_press(self) -> None:
        self._ready(self.desk.pressed_us + _BETWEEN_PRESSES_US - self.now_us)

    def _go(self, x: int, y: int) -> None:
        self._ready_to_press()
        self._approach(x, y)

    def _clicks(self, times: int, button: str, action: int) -> None:
        for number in range(times):
            if number:
                self.now_us += self.dice.us(0.05, 0.15)
            self._edge(True, button, action)
            self.now_us += self.dice.us(0.06, 0.14) if times == 1 else self.dice.us(0.05, 0.09)
            self._edge(False, button, action)

    def _drag(self, to_x: int, to_y: int, action: int) -> None:
        self._edge(True, "left", action)
        self.now_us += self.dice.us(0.06, 0.15)
        duration_us = travel_us(self.desk.x, self.desk.y, to_x, to_y, self.person.speed)
        self._move(self.now_us, duration_us, to_x, to_y)
        self.now_us += duration_us + self.dice.us(0.04, 0.12)
        self._edge(False, "left", action)

    def _edge(self, down: bool, button: str, action: int) -> None:
        self.desk.script.buttons.append(Button(self.now_us, down, BUTTONS[button], action))
        if down:
            self.desk.pressed_us = self.now_us
        self._end(self.now_us)

    def _hold_down(self, modifier: str | None) -> int:
        """When a modifier goes down; a moment before the hand goes to where it is needed."""
        down_us = self.now_us
        if modifier:
            self.now_us += self.dice.us(0.08, 0.2)
        return down_us

    def _let_go(self, modifier: str | None, down_us: int, action: int) -> None:
        if modifier:
            self._end(self.now_us + self.dice.us(0.03, 0.12))
            self.desk.script.held.append(Held(down_us, self.now_us, KEYS[MODIFIERS[modifier]], action))

    def _drift(self, duration_us: int) -> None:
        x, y = self.desk.x + self.dice.whole(-24, 24), self.desk.y + self.dice.whole(-24, 24)
        self._move(self.now_us + 20_000, duration_us - 60_000, x, y)
