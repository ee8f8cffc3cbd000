"""What people do in each kind of window, the usual and the rare."""

from __future__ import annotations

from collections.abc import Callable

from taskreel.capture.simulator import texts, windows
from taskreel.capture.simulator.documents import Application
from taskreel.capture.simulator.keyboard import Keyboard

_LINES_A_TICK = 3
_MOVING_KEYS = ("up", "down", "left", "right", "home", "end", "delete")
_HELD_KEYS = ("up", "down", "left", "right", "delete", "backspace", "pagedown")
_HOTKEYS = {"ctrl+s": "Saved", "ctrl+c": "", "ctrl+v": "Pasted", "ctrl+z": "Undone", "ctrl+shift+v": "Pasted plain"}
_WAIT_SHARE = 0.3
_SENT_SHARE = 0.15
_LONGEST_WAIT_US = 11_000_000


class Behaviors(Keyboard):
    """An actor who knows the applications. `until_us`: what takes long is not begun right before it."""

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self.until_us = 0
        self._loaded = 0

    @property
    def application(self) -> Application:
        """The application of the window that has focus."""
        return self.person.applications[self.desk.window.document.application]

    def behave(self) -> None:
        """Do something that people do in such a window."""
        if self.dice.chance(self.options.rare_share):
            self.dice.weighted(*_RARE[self.application.kind])(self)
        else:
            self.dice.weighted(*_USUAL[self.application.kind])(self)

    def browse(self) -> None:
        """A page leads to another one; nowhere, unless overridden."""

    # ------------------------------------------------------------------------------------------------ the usual

    def click_button(self) -> None:
        """Click on one of the toolbar's buttons."""
        self._click_button(self.dice.whole(0, 3))

    def _click_button(self, number: int) -> None:
        self.click(*self.point_in(self.layout.button(number)))
        label = self.application.buttons[number]
        self.desk.show(windows.clicked_button(self.desk.window, number, label))

    def click_body(self) -> None:
        """Click into the content; sometimes with the right button."""
        x, y = self.point_in(self.layout.body)
        right = self.dice.chance(self.options.right_click_share * 4)
        self.click(x, y, "right" if right else "left")
        self._put_caret(x, y)

    def _put_caret(self, x: int, y: int) -> None:
        if self.application.kind == "grid":
            left, top, right, bottom = self.layout.cell(*self.layout.cell_at(x, y))
            x, y = (left + right) // 2, (top + bottom) // 2
        self.desk.show(windows.clicked_body(self.desk.window, x, y))

    def select_word(self) -> None:
        """Double click into the content."""
        x, y = self.point_in(self.layout.body)
        self.click(x, y, times=2)
        self.desk.show(windows.marked(self.desk.window, (x - 28, y - 9, x + 28, y + 9)))

    def select_range(self) -> None:
        """Drag over the content."""
        self._select_range(1)

    def _select_range(self, clicks: int) -> None:
        x, y, to_x, to_y = self._two_points()
        self.drag(x, y, to_x, to_y, clicks)
        self.desk.show(windows.marked(self.desk.window, (min(x, to_x), min(y, to_y), max(x, to_x), max(y, to_y))))

    def _two_points(self) -> tuple[int, int, int, int]:
        left, top, right, bottom = self.layout.body
        x, y = self.point_in((left, top, right - 120, bottom - 60))
        to_x, to_y = self.point_in((x + 60, y + 10, min(right, x + 500), min(bottom, y + 260)))
        return (to_x, to_y, x, y) if self.dice.chance(0.25) else (x, y, to_x, to_y)

    def read_on(self) -> None:
        """Scroll, mostly down but from the end of a document mostly up, with the pointer on the content."""
        at_end = self.application.kind == "document" and not self.desk.window.scroll
        down = self.dice.chance(0.1 if at_end else 0.7)
        ticks = self.dice.whole(2, 14)
        self.scroll(*self.point_in(self.layout.body), -ticks if down else ticks)
        lines = _LINES_A_TICK * (ticks if down else -ticks)
        self.desk.show(windows.scrolled(self.desk.window, lines, self.application.kind, self.layout))

    def use_hotkey(self) -> None:
        """Save, copy, paste or undo by hotkey."""
        self.beat()
        keys = self.dice.choose(tuple(_HOTKEYS))
        self.hotkey(keys)
        if keys == "ctrl+s":
            self.desk.show(windows.saved(self.desk.window))
            self.focus()
        elif _HOTKEYS[keys]:
            self.desk.show(windows.done(self.desk.window, _HOTKEYS[keys]))

    def move_caret(self) -> None:
        """Press a few keys that move the caret."""
        for _ in range(self.dice.whole(1, 4)):
            self.beat()
            self.press(self.dice.choose(_MOVING_KEYS))

    def write_text(self) -> None:
        """Type a sentence or a command, often with Enter after it."""
        terminal, chat = self.application.name == "Terminal", self.application.name == "Chat"
        continued = not terminal and self.desk.window.lines[-1].strip()
        text = texts.command(self.dice) if terminal else texts.sentence(self.dice, self.person.foreign_share)
        self.write_keys(f" {text}" if continued else text)
        if terminal or chat or self.dice.chance(0.45):
            self.enter("enter")
        if terminal:
            self._maybe_wait()
        elif self.application.name == "Mail" and self.dice.chance(_SENT_SHARE):
            self.beat()
            self.hotkey(self.application.completion)
            self.desk.show(windows.done(self.desk.window, "Sent"))

    def fill_cells(self) -> None:
        """Click on a cell and fill in one to three values."""
        columns, rows = self.layout.grid()
        x, y = self.point_in(self.layout.cell(self.dice.whole(0, columns - 1), self.dice.whole(0, rows - 1)))
        self.click(x, y)
        self._put_caret(x, y)
        for number in range(self.dice.whole(1, 3)):
            if number:
                self.now_us += self.dice.us(0.5, 2)
            self.write_keys(texts.cell_value(self.dice))
            self.enter("tab" if self.dice.chance(0.3) else "enter")

    def search(self) -> None:
        """Click on the search button, type, Enter: another page."""
        self._click_button(1)
        self.write_keys(texts.search_words(self.dice))
        self.enter("enter")
        self.browse()
        self._maybe_wait()

    def follow_link(self) -> None:
        """Click on a line of the page: another page."""
        x, y = self.point_in(self.layout.body)
        self.click(x, y)
        self._put_caret(x, y)
        self.browse()
        self._maybe_wait()

    def _maybe_wait(self) -> None:
        """A page loads, a command runs, for some seconds."""
        if self.until_us - self.now_us > _LONGEST_WAIT_US and self.dice.chance(_WAIT_SHARE):
            self._loaded += 1
            self.desk.show(windows.loading(self.desk.window))
            self.await_screen(windows.loaded(self.desk.window, self._loaded))

    def write_keys(self, text: str) -> None:
        """Type a text with typos; the window shows it."""
        self.beat()
        keys = texts.with_typos(text, self.person.rhythm.typo_share, self.dice)
        self.write(keys)
        self.desk.show(windows.typed(self.desk.window, keys, self.application.kind, self.layout))
        self.focus()

    def enter(self, key: str) -> None:
        """Go on to the next line or cell."""
        self.beat()
        self.press(key)
        self.desk.show(windows.entered(self.desk.window, key, self.application.kind, self.layout))

    # ------------------------------------------------------------------------------------------------ the rare

    def select_line(self) -> None:
        """Triple click."""
        left, _, right, _ = self.layout.body
        x, y = self.point_in(self.layout.body)
        self.click(x, y, times=3)
        self.desk.show(windows.marked(self.desk.window, (left, y - 9, right, y + 9)))

    def select_words(self) -> None:
        """Double click and drag, or triple click and drag: words or lines are selected."""
        self._select_range(self.dice.whole(2, 3))

    def middle_click(self) -> None:
        """Paste what is selected, or open a link in another tab."""
        x, y = self.point_in(self.layout.body)
        self.click(x, y, "middle")
        self._put_caret(x, y)

    def side_button(self) -> None:
        """Back or forward with the buttons at the side of the mouse."""
        self.click(*self.point_in(self.layout.body), self.dice.choose(("button8", "button8", "button9")))
        self.browse()

    def click_with_modifier(self) -> None:
        """Add to a selection with Ctrl, extend it with Shift."""
        x, y = self.point_in(self.layout.body)
        self.click(x, y, modifier=self.dice.choose(("ctrl", "shift")))
        self._put_caret(x, y)

    def hold_button(self) -> None:
        """Keep the button down on something that goes on as long as that."""
        number = self.dice.whole(0, 3)
        self.hold(*self.point_in(self.layout.button(number)))
        self.desk.show(windows.clicked_button(self.desk.window, number, self.application.buttons[number]))

    def press_both(self) -> None:
        """Press the left and the right button at once."""
        self.chord(*self.point_in(self.layout.body))

    def open_menu(self) -> None:
        """Rest on a button until its menu opens, and click on an entry, or where the pointer is."""
        number = self.dice.whole(0, 3)
        x, y = self.point_in(self.layout.button(number))
        self.hover(x, y)
        label = self.application.buttons[number]
        self.desk.show(windows.done(self.desk.window, f"Menu {label}"))
        below = self.dice.whole(20, 140) if self.dice.chance(0.7) else 0
        self.click(x + self.dice.whole(0, 9) if below else x, y + below)
        self.desk.show(windows.clicked_button(self.desk.window, number, label))

    def zoom(self) -> None:
        """Scroll with Ctrl held."""
        ticks = self.dice.whole(1, 5) * self.dice.choose((-1, 1))
        self.scroll(*self.point_in(self.layout.body), ticks, modifier="ctrl")
        self.desk.show(windows.done(self.desk.window, f"Zoom {100 + 10 * ticks} %"))

    def scroll_aside(self) -> None:
        """Scroll to the right or the left."""
        ticks = self.dice.whole(2, 9) * self.dice.choose((-1, 1))
        self.scroll(*self.point_in(self.layout.body), ticks, axis="x")
        self.desk.show(windows.done(self.desk.window, f"Column {abs(ticks)}"))

    def keep_key_down(self) -> None:
        """Keep a key down that moves the caret or erases."""
        self.beat()
        self.hold_key(self.dice.choose(_HELD_KEYS))

    def undo_often(self) -> None:
        """Keep Ctrl and Z down."""
        self.beat()
        self.hotkey("ctrl+z", repeats=self.dice.whole(2, 9))
        self.desk.show(windows.done(self.desk.window, "Undone"))

    def tab_back(self) -> None:
        """Go to the field before."""
        self.beat()
        self.shifted_press("tab")

    def move_canvas(self) -> None:
        """Drag with Space held."""
        self.held_drag("space", *self._two_points())
        self.desk.show(windows.done(self.desk.window, "Moved"))


_Behavior = Callable[[Behaviors], None]
_Choice = tuple[tuple[_Behavior, ...], tuple[int, ...]]


def _choice(*parts: tuple[int, _Behavior]) -> _Choice:
    weights, behaviors = zip(*parts, strict=True)
    return behaviors, weights


_ANYWHERE = (
    (10, Behaviors.click_button),
    (10, Behaviors.read_on),
    (7, Behaviors.use_hotkey),
    (6, Behaviors.select_word),
    (6, Behaviors.select_range),
)
_USUAL: dict[str, _Choice] = {
    "document": _choice(*_ANYWHERE, (24, Behaviors.write_text), (10, Behaviors.click_body), (3, Behaviors.move_caret)),
    "grid": _choice(*_ANYWHERE, (24, Behaviors.fill_cells), (6, Behaviors.click_body), (3, Behaviors.move_caret)),
    "page": _choice(*_ANYWHERE, (14, Behaviors.follow_link), (9, Behaviors.search), (10, Behaviors.read_on)),
}
_RARE_ANYWHERE = (
    (10, Behaviors.open_menu),
    (6, Behaviors.click_with_modifier),
    (6, Behaviors.middle_click),
    (5, Behaviors.zoom),
    (4, Behaviors.scroll_aside),
    (4, Behaviors.keep_key_down),
    (2, Behaviors.undo_often),
    (2, Behaviors.tab_back),
    (2, Behaviors.hold_button),
    (1, Behaviors.press_both),
    (2, Behaviors.move_canvas),
)
_RARE: dict[str, _Choice] = {
    "document": _choice(*_RARE_ANYWHERE, (8, Behaviors.select_line), (6, Behaviors.select_words)),
    "grid": _choice(*_RARE_ANYWHERE),
    "page": _choice(*_RARE_ANYWHERE, (10, Behaviors.side_button), (4, Behaviors.select_line)),
}
