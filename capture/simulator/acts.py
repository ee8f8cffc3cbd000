"""The acts: one person at one device, doing one thing after the other. Each act adds to the script and moves time on.

Acts keep clear of the borders at which `docs/actions.md` decides, so that the truth is beyond dispute: two clicks
lie further apart than a double click, two scrolls are 2.8 s apart or have something else between, two texts 1.5 s;
a pointer that rests before an act does so for less than 1 s or clearly longer; a screen that comes by itself does so
1.6 s or more after the last input, one that was made within 0.8 s; a hold is 1.3 s or longer.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from taskreel.capture.simulator.dice import Dice
from taskreel.capture.simulator.layout import Box, Layout
from taskreel.capture.simulator.options import SimulationOptions
from taskreel.capture.simulator.people import Person
from taskreel.capture.simulator.pointer import travel_us
from taskreel.capture.simulator.script import Action, Focus, Look, Path, Script
from taskreel.capture.simulator.typing_ import Intervals
from taskreel.capture.simulator.windows import Window

_NO_HOVER_US = 500_000
"""The first key of an act may go down 0.4 s after the act has begun, and all that has to be less than a second."""
_HOVER_US = 1_100_000
APART_US = 300_000
_WANDER_SHARE = 0.25
_WANDER_PX = 140
_LONGEST_TRAVEL_US = 1_200_000
_AGAIN_SHARE = 0.1


@dataclass
class Desk:
    """A device while somebody works at it: what its screen shows, where the pointer is, what was done last.

    `windows` by the names of their documents; `window` has focus, and `focused` is what was told of it. `free_us` is
    when the last act had ended, `seen` and `seen_us` what the last picture showed, and when. `wander` is the index of
    the path of a movement without an aim that ended at `wander_us`, -1 if something has been done since; `wanderer`
    the episode in which it was. `waited`: the last that happened was a screen that was waited for. `moved_us`: when
    the pointer last stood still, `left_us` when the last task here had ended.
    """

    window: Window
    x: int
    y: int
    free_us: int
    intervals: Intervals
    tells_repeats: bool
    windows: dict[tuple[int, str], Window] = field(default_factory=dict)
    script: Script = field(default_factory=Script)
    focused: Focus | None = None
    seen: Window | None = None
    seen_us: int = 0
    last: str = ""
    pressed_us: int = 0
    wander: int = -1
    wander_us: int = 0
    wanderer: int | None = None
    waited: bool = False
    moved_us: int = 0
    left_us: int = 0

    def show(self, window: Window) -> None:
        """The window that has focus has changed."""
        self.window = window


class Actor:
    """Somebody at work. `now_us` is where acting has come to; every act leaves it at the act's end."""

    def __init__(self, options: SimulationOptions, person: Person, layout: Layout, dice: Dice) -> None:
        self.options = options
        self.person = person
        self.layout = layout
        self.dice = dice
        self.now_us = options.start_us
        self.episode: int | None = None
        self.desk: Desk

    # ------------------------------------------------------------------------------------------------ time

    def beat(self) -> None:
        """The short pause between acts that belong together."""
        self.now_us += self.dice.us(0.12, 0.4)

    def think(self, until_us: int) -> None:
        """Wait, but not past `until_us`; the pointer may wander meanwhile."""
        dice, mean_s = self.dice, self.options.think_s
        wait_us = max(250_000, min(dice.us(0.3 * mean_s, 1.7 * mean_s) + 250_000, until_us - self.now_us))
        if wait_us > 700_000 and dice.chance(_WANDER_SHARE):
            self._wander(wait_us)
        self.now_us += wait_us

    def _ready(self, wait_us: int = 0) -> None:
        """Wait if need be; capture what the last act has changed, before the next one begins."""
        self.now_us += max(0, wait_us)
        self._settle()
        desk, dice = self.desk, self.dice
        if desk.waited:
            desk.waited = False
            return
        look_us = min(desk.free_us + dice.us(0.06, 0.2), (desk.free_us + self.now_us) // 2)
        self.look(look_us)
        if self.now_us - look_us > 700_000 and look_us < desk.free_us + 200_000 and dice.chance(_AGAIN_SHARE):
            self._look_again(look_us + dice.us(0.25, 0.4))

    def _settle(self) -> None:
        """Is what the pointer did last a hover? If that is hard to say, wait until it is one."""
        desk = self.desk
        if desk.wander < 0:
            return
        if self.now_us - desk.wander_us > _NO_HOVER_US:
            self.now_us = max(self.now_us, desk.wander_us + _HOVER_US + self.dice.us(0, 0.2))
            action = desk.script.add(Action("moveTo", desk.wanderer))
            desk.script.paths[desk.wander] = desk.script.paths[desk.wander]._replace(action=action)
        desk.wander = -1

    def _action(self, action: Action) -> int:
        self.desk.last = action.action
        return self.desk.script.add(action)

    def _end(self, end_us: int) -> None:
        self.now_us = end_us
        self.desk.free_us = end_us

    # ------------------------------------------------------------------------------------------------ the screen

    def focus(self) -> None:
        """A window has taken focus, or its title has changed, a few milliseconds after the act that did it."""
        desk = self.desk
        document = desk.window.document
        title = desk.window.title(self.person.applications[document.application])
        focus = Focus(self.now_us + self.dice.us(0.003, 0.02), document.application, title, document.url)
        if desk.focused is None or focus[1:] != desk.focused[1:]:
            desk.script.focuses.append(focus)
            desk.focused = focus
            self._end(focus.time_us)

    def look(self, time_us: int) -> None:
        """Capture the screen if it has changed since the last picture, or every now and then."""
        desk = self.desk
        if self.options.screens == "reuse":
            changed = time_us - desk.seen_us >= 60_000_000 / self.options.pictures_per_minute
        else:
            changed = desk.window is not desk.seen and desk.window != desk.seen
        if changed:
            self._see(Look(time_us, desk.window))

    def _look_again(self, time_us: int) -> None:
        """Capture a screen on which nothing has changed, or no more than that its caret blinks."""
        desk = self.desk
        blinks = self.options.screens == "draw" and desk.window.point and self.dice.chance(0.5)
        if blinks:
            self._see(Look(time_us, replace(desk.window, caret=False)))
        elif desk.seen is not None:
            self._see(Look(time_us, desk.seen, again=True))

    def await_screen(self, window: Window, least_s: float = 2, longest_s: float = 10) -> None:
        """Do nothing until the screen changes by itself."""
        desk, dice = self.desk, self.dice
        self.look(desk.free_us + dice.us(0.06, 0.2))
        self.now_us = max(self.now_us, desk.free_us + dice.us(least_s, longest_s))
        desk.show(window)
        self.focus()
        self.now_us += dice.us(0.02, 0.06)
        action = desk.script.add(Action("wait", self.episode))
        self._see(Look(self.now_us, window, action=action))
        self._end(self.now_us + 1)
        desk.waited = True

    def _see(self, look: Look) -> None:
        self.desk.script.looks.append(look)
        self.desk.seen, self.desk.seen_us = look.window, look.time_us

    # ------------------------------------------------------------------------------------------------ the pointer

    def point_in(self, box: Box) -> tuple[int, int]:
        """A random point inside a box."""
        left, top, right, bottom = box
        return self.dice.whole(left + 3, right - 4), self.dice.whole(top + 3, bottom - 4)

    def _approach(self, x: int, y: int) -> None:
        """Move to a point; after a long way sometimes past it and back."""
        desk, dice = self.desk, self.dice
        far = abs(x - desk.x) + abs(y - desk.y) > 250
        if far and dice.chance(0.35):
            self._travel(x + dice.whole(-14, 14), y + dice.whole(-10, 10))
            self.now_us += dice.us(0.03, 0.1)
        if (x, y) != (desk.x, desk.y):
            self._travel(x, y)
        self.now_us += dice.us(0.05, 0.13)

    def _travel(self, x: int, y: int) -> None:
        duration_us = int(travel_us(self.desk.x, self.desk.y, x, y, self.person.speed) * self.dice.between(0.85, 1.3))
        duration_us = min(duration_us, _LONGEST_TRAVEL_US)
        self._move(self.now_us, duration_us, x, y)
        self.now_us += duration_us

    def _wander(self, wait_us: int) -> None:
        """Move without an aim while thinking: mostly until the next act begins, or to rest there for a while."""
        desk, dice = self.desk, self.dice
        duration_us = dice.us(0.3, 0.6) if wait_us < 1_500_000 else dice.us(0.5, 1.2)
        rests = dice.chance(0.2)
        start_us = self.now_us + (60_000 if rests else wait_us - duration_us - dice.us(0.01, 0.1))
        if desk.wander >= 0 and start_us - desk.wander_us < APART_US:
            return
        aside = dice.whole(12, _WANDER_PX)
        x = desk.x + (aside if desk.x < self.options.width_px // 2 else -aside)
        self._move(start_us, duration_us, x, desk.y + dice.whole(-_WANDER_PX, _WANDER_PX))
        desk.wander, desk.wander_us = len(desk.script.paths) - 1, start_us + duration_us
        desk.wanderer = self.episode

    def _move(self, start_us: int, duration_us: int, x: int, y: int) -> None:
        desk, options = self.desk, self.options
        x, y = min(max(x, 0), options.width_px - 1), min(max(y, 0), options.height_px - 1)
        path = Path(start_us, duration_us, desk.x, desk.y, x, y, self.dice.between(-0.1, 0.1))
        desk.script.paths.append(path)
        desk.x, desk.y, desk.moved_us = x, y, start_us + duration_us
