"""What people do in each kind of application, and how tasks follow one another."""

from __future__ import annotations

from collections.abc import Callable

from taskreel.capture.simulator import texts, windows
from taskreel.capture.simulator.acts import Actor, Desk
from taskreel.capture.simulator.dice import Dice
from taskreel.capture.simulator.layout import Layout
from taskreel.capture.simulator.options import SimulationOptions
from taskreel.capture.simulator.people import Person
from taskreel.capture.simulator.script import Episode, Focus, Look, Mark
from taskreel.capture.simulator.typing_ import Intervals
from taskreel.capture.simulator.windows import Application, Window
from taskreel.io.events import Kind

_RESERVE_US = 24_000_000
"""No longer takes what is begun last in a task: an act, what completes the task, its mark."""
_SHORTEST_TASK_US = 20_000_000
_SESSION_AFTER_BREAK_US = 120_000_000
_LINES_A_TICK = 3
_MOVING_KEYS = ("up", "down", "left", "right", "home", "end", "delete")
_HOTKEYS = {"ctrl+s": "Saved", "ctrl+c": "", "ctrl+v": "Pasted", "ctrl+z": "Undone", "ctrl+shift+v": "Pasted plain"}


def act_recordings(
    options: SimulationOptions, person: Person, dice: Dice, rhythms: list[Intervals]
) -> tuple[list[Desk], list[Episode]]:
    """Act out everything one participant does until the recordings stop: the devices, and the tasks in order."""
    worker = _Worker(options, person, dice)
    desks = [_start_desk(options, person, dice, intervals) for intervals in rhythms]
    return desks, worker.work(desks)


def _start_desk(options: SimulationOptions, person: Person, dice: Dice, intervals: Intervals) -> Desk:
    opened = [Window(number, dice.whole(0, len(a.titles) - 1)) for number, a in enumerate(person.applications)]
    x, y = dice.whole(0, options.width_px - 1), dice.whole(0, options.height_px - 1)
    desk = Desk(opened, dice.whole(0, len(opened) - 1), x, y, options.start_us, intervals)
    desk.script.focuses.append(Focus(options.start_us, desk.window.application, desk.window.page))
    if options.screens == "draw":
        desk.script.looks.append(Look(options.start_us, desk.window))
        desk.seen = desk.window
    return desk


class _Worker(Actor):
    """An actor with tasks to do."""

    def __init__(self, options: SimulationOptions, person: Person, dice: Dice) -> None:
        super().__init__(options, person, Layout(options.width_px, options.height_px), dice)
        self.until_us = 0

    # ------------------------------------------------------------------------------------------------ tasks

    def work(self, desks: list[Desk]) -> list[Episode]:
        """Task after task, with pauses between, at one device or another."""
        episodes: list[Episode] = []
        self.now_us += self.dice.us(1, 6)
        while not episodes or self.options.stop_us - self.now_us > _RESERVE_US + _SHORTEST_TASK_US:
            self.episode = len(episodes)
            self.desk = self.dice.choose(desks)
            episodes.append(self._task())
            self.desk.script.episodes.append(episodes[-1])
            self.now_us += self._idle_us()
        return episodes

    def _task(self) -> Episode:
        options, dice = self.options, self.dice
        start_us = self.now_us
        length_us = dice.us(27 * options.task_minutes, 93 * options.task_minutes)
        self.until_us = min(start_us + max(length_us, _SHORTEST_TASK_US), options.stop_us - _RESERVE_US)
        fronts = dice.sample(range(len(self.desk.windows)), dice.whole(2, len(self.desk.windows)))
        description = dice.choose(self.person.applications[fronts[0]].tasks)
        outcome = "failure" if dice.chance(options.failure_share) else "success"
        self._mark(Kind.MARK_START, description, None)
        self.now_us += dice.us(0.5, 2)
        self._act_task(fronts)
        self._complete(outcome)
        self._mark(Kind.MARK_END, description, outcome)
        return Episode(self.episode, start_us, self.now_us, description, outcome)

    def _act_task(self, fronts: list[int]) -> None:
        if self.desk.front != fronts[0]:
            self._switch(fronts[0])
        switch_us = self._next_switch_us()
        while self.now_us < self.until_us:
            if self.now_us >= switch_us:
                self._switch(self.dice.choose([front for front in fronts if front != self.desk.front]))
                switch_us = self._next_switch_us()
            self._behave()
            self.think(self.until_us)

    def _next_switch_us(self) -> int:
        # A window stays until the act in it is done, which takes a few seconds: these are not waited for.
        mean_s = max(1.0, self.options.window_s - 3.5)
        return self.now_us + self.dice.us(0.3 * mean_s, 1.7 * mean_s)

    def _complete(self, outcome: str) -> None:
        keys = self._application.completion if outcome == "success" else "ctrl+z"
        self.beat()
        self.hotkey(keys)
        self.desk.show(windows.done(self.desk.window, "Done" if outcome == "success" else "Undone"))
        self.now_us += self.dice.us(0.4, 1.5)
        self.look(self.desk.free_us + 150_000)

    def _mark(self, kind: Kind, description: str, outcome: str | None) -> None:
        if self.options.markers:
            self.desk.script.marks.append(Mark(self.now_us, kind, description, outcome))

    def _idle_us(self) -> int:
        options, share = self.options, self.dice.unit()
        left_us = options.stop_us - self.now_us
        if share < options.break_share and left_us > 1_000_000 * options.break_s[1] + _SESSION_AFTER_BREAK_US:
            return self.dice.us(*options.break_s)
        if share < options.break_share + options.long_idle_share:
            return self.dice.us(*options.long_idle_s)
        return self.dice.us(*options.idle_s)

    # ------------------------------------------------------------------------------------------------ windows

    @property
    def _application(self) -> Application:
        return self.person.applications[self.desk.front]

    def beat(self) -> None:
        """The short pause between acts that belong together."""
        self.now_us += self.dice.us(0.12, 0.4)

    def _switch(self, front: int) -> None:
        """Bring another window to the front, by hotkey or by the taskbar."""
        if self.dice.chance(0.5):
            self.beat()
            self.hotkey("alt+tab")
        else:
            self.click(*self.point_in(self.layout.task(front)))
        self.focus(front)
        self.beat()

    def _behave(self) -> None:
        behaviors = _BEHAVIORS[self._application.kind]
        share = self.dice.unit()
        for upper, behavior in behaviors:
            if share < upper:
                behavior(self)
                return

    # ------------------------------------------------------------------------------------------------ behaviors

    def click_button(self) -> None:
        """Click on one of the toolbar's buttons."""
        number = self.dice.whole(0, 3)
        self._click_button(number)

    def _click_button(self, number: int) -> None:
        self.click(*self.point_in(self.layout.button(number)))
        label = self._application.buttons[number]
        self.desk.show(windows.clicked_button(self.desk.window, number, label))

    def click_body(self) -> None:
        """Click into the content; sometimes with the right button."""
        x, y = self.point_in(self.layout.body)
        right = self.dice.chance(self.options.right_click_share * 4)
        self.click(x, y, "right" if right else "left")
        self._put_caret(x, y)

    def _put_caret(self, x: int, y: int) -> None:
        if self._application.kind == "grid":
            left, top, right, bottom = self.layout.cell(*self.layout.cell_at(x, y))
            x, y = (left + right) // 2, (top + bottom) // 2
        self.desk.show(windows.clicked_body(self.desk.window, x, y))

    def select_word(self) -> None:
        """Double click into the content."""
        x, y = self.point_in(self.layout.body)
        self.double_click(x, y)
        self.desk.show(windows.marked(self.desk.window, (x - 28, y - 9, x + 28, y + 9)))

    def select_range(self) -> None:
        """Drag over the content."""
        left, top, right, bottom = self.layout.body
        x, y = self.point_in((left, top, right - 120, bottom - 60))
        to_x, to_y = self.point_in((x + 60, y + 10, min(right, x + 500), min(bottom, y + 260)))
        if self.dice.chance(0.25):
            x, y, to_x, to_y = to_x, to_y, x, y
        self.drag(x, y, to_x, to_y)
        self.desk.show(windows.marked(self.desk.window, (min(x, to_x), min(y, to_y), max(x, to_x), max(y, to_y))))

    def read_on(self) -> None:
        """Scroll, mostly down but from the end of a document mostly up, with the pointer on the content."""
        self._approach(*self.point_in(self.layout.body))
        at_end = self._application.kind == "document" and not self.desk.window.scroll
        down = self.dice.chance(0.1 if at_end else 0.7)
        ticks = self.dice.whole(2, 14)
        self.scroll(-ticks if down else ticks)
        lines = _LINES_A_TICK * (ticks if down else -ticks)
        self.desk.show(windows.scrolled(self.desk.window, lines, self._application.kind, self.layout))

    def use_hotkey(self) -> None:
        """Save, copy, paste or undo by hotkey."""
        self.beat()
        keys = self.dice.choose(tuple(_HOTKEYS))
        self.hotkey(keys)
        if _HOTKEYS[keys]:
            self.desk.show(windows.done(self.desk.window, _HOTKEYS[keys]))

    def move_caret(self) -> None:
        """Press a few keys that move the caret."""
        for _ in range(self.dice.whole(1, 4)):
            self.beat()
            self.press(self.dice.choose(_MOVING_KEYS))

    def write_text(self) -> None:
        """Type a sentence or a command, often with Enter after it."""
        terminal = self._application.name == "Terminal"
        continued = not terminal and self.desk.window.lines[-1].strip()
        text = texts.command(self.dice) if terminal else texts.sentence(self.dice)
        self._write(f" {text}" if continued else text)
        if terminal or self.dice.chance(0.45):
            self._enter("enter")

    def fill_cells(self) -> None:
        """Click on a cell and fill in one to three values."""
        columns, rows = self.layout.grid()
        x, y = self.point_in(self.layout.cell(self.dice.whole(0, columns - 1), self.dice.whole(0, rows - 1)))
        self.click(x, y)
        self._put_caret(x, y)
        for _ in range(self.dice.whole(1, 3)):
            self._write(texts.cell_value(self.dice))
            self._enter("tab" if self.dice.chance(0.3) else "enter")

    def search(self) -> None:
        """Click on the search button, type, Enter: another page."""
        self._click_button(1)
        self._write(texts.search_words(self.dice))
        self._enter("enter")
        self._open_page()

    def follow_link(self) -> None:
        """Click on a line of the page: another page."""
        x, y = self.point_in(self.layout.body)
        self.click(x, y)
        self._put_caret(x, y)
        self._open_page()

    def _open_page(self) -> None:
        page = self.dice.whole(0, len(self._application.titles) - 1)
        if page != self.desk.window.page:
            self.desk.show(windows.opened_page(self.desk.window, page))
            self.focus(self.desk.front)

    def _write(self, text: str) -> None:
        self.beat()
        keys = texts.with_typos(text, self.person.rhythm.typo_share, self.dice)
        self.write(keys)
        self.desk.show(windows.typed(self.desk.window, keys, self._application.kind, self.layout))

    def _enter(self, key: str) -> None:
        self.beat()
        self.press(key)
        self.desk.show(windows.entered(self.desk.window, key, self._application.kind, self.layout))


_Behavior = Callable[[_Worker], None]


def _cumulative(*parts: tuple[int, _Behavior]) -> tuple[tuple[float, _Behavior], ...]:
    total, upper, behaviors = sum(weight for weight, _ in parts), 0, []
    for weight, behavior in parts:
        upper += weight
        behaviors.append((upper / total, behavior))
    return tuple(behaviors)


_ANYWHERE = (
    (10, _Worker.click_button),
    (10, _Worker.read_on),
    (7, _Worker.use_hotkey),
    (6, _Worker.select_word),
    (6, _Worker.select_range),
)
_BEHAVIORS: dict[str, tuple[tuple[float, _Behavior], ...]] = {
    "document": _cumulative(*_ANYWHERE, (24, _Worker.write_text), (10, _Worker.click_body), (3, _Worker.move_caret)),
    "grid": _cumulative(*_ANYWHERE, (24, _Worker.fill_cells), (6, _Worker.click_body), (3, _Worker.move_caret)),
    "page": _cumulative(*_ANYWHERE, (14, _Worker.follow_link), (9, _Worker.search), (10, _Worker.read_on)),
}
