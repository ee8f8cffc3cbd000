"""Looks at a screen that changes between any two questions, with an excluded window on it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from painted_windows import shows

from taskreel.capture.sources.protocol import Rect, WindowView
from taskreel.capture.sources.screens.ring import Frame
from taskreel.capture.sources.screens.tiles import union
from taskreel.capture.sources.screens.watch import ScreenWatch, Sight

WIDTH, HEIGHT, SIDE = 200, 150, 50
SECRET, DESKTOP, PAPER = 0xFF1234, 0x808080, 0xFFFFFF
PLENTY = 1 << 30


class FakeScreen:
    """A desktop with an excluded window: a `FrameGrabber` and `WindowViews`, whose clock goes on with each question."""

    tells_changes = True

    def __init__(self, lag_us: int = 0) -> None:
        self.size_px, self.lag_us = (WIDTH, HEIGHT), lag_us
        self.now_us, self.is_hidden, self.excluded = 1000, False, True
        self.desktop = np.full((HEIGHT, WIDTH), 0xFF000000 | DESKTOP, np.uint32)
        self.x = self.y = self.moves = 0
        self.damage: Rect | None = None
        self.meanwhile: Callable[[], None] = lambda: None
        self.grabbed: list[Rect] = []

    def clock(self) -> int:
        return self.now_us

    def fileno(self) -> int:
        raise AssertionError("nobody waits")

    def has_changed(self) -> bool:
        return self.damage is not None

    def take_changed(self) -> Rect | None:
        damage, self.damage = self.damage, None
        self._passes()
        return damage

    def grab(self, area: Rect) -> np.ndarray | None:
        self.grabbed.append(area)
        pixels = self.desktop.copy()
        pixels[self.y : self.y + SIDE, self.x : self.x + SIDE] = 0xFF000000 | SECRET
        self._passes()
        return pixels[area.y : area.y + area.height, area.x : area.x + area.width].copy()

    def view(self) -> WindowView:
        area = Rect(self.x, self.y, SIDE, SIDE)
        view = WindowView(hash((area, self.excluded, self.moves)), (area,) if self.excluded else (), self.is_hidden)
        self._passes()
        return view

    def close(self) -> None:
        pass

    def move(self, x: int, y: int) -> None:
        for area in (Rect(self.x, self.y, SIDE, SIDE), Rect(x, y, SIDE, SIDE)):
            self.damage = union(self.damage, area)
        self.x, self.y = x, y
        self.moves += 1  # away and back is not the same: a grab in between saw it elsewhere

    def paint(self, area: Rect, color: int) -> None:
        self.desktop[area.y : area.y + area.height, area.x : area.x + area.width] = 0xFF000000 | color
        self.damage = union(self.damage, area)

    def _passes(self) -> None:
        self.now_us += 500
        self.meanwhile()


def watch_of(screen: FakeScreen) -> ScreenWatch:
    return ScreenWatch(screen, screen, PLENTY, screen.clock)


def newest(watch: ScreenWatch) -> Frame:
    frame = watch.ring.frame_at(1 << 60)
    assert frame is not None
    return frame


def expected(screen: FakeScreen) -> np.ndarray:
    """The screen as it may be seen."""
    pixels = screen.desktop.copy()
    color = 0xFF000000 if screen.excluded else 0xFF000000 | SECRET
    pixels[screen.y : screen.y + SIDE, screen.x : screen.x + SIDE] = color
    return pixels


def test_an_excluded_window_is_black() -> None:
    screen = FakeScreen()
    watch = watch_of(screen)
    assert watch.look() == Sight.NEW
    assert (newest(watch).pixels == expected(screen)).all()
    assert newest(watch).time_us <= screen.now_us
    assert watch.look() == Sight.SAME


def test_only_what_changed_is_grabbed() -> None:
    screen = FakeScreen()
    watch = watch_of(screen)
    watch.look()
    screen.paint(Rect(70, 70, 5, 5), PAPER)
    assert watch.look() == Sight.NEW
    assert screen.grabbed == [Rect(0, 0, WIDTH, HEIGHT), Rect(64, 64, 64, 64)]
    assert np.argwhere(watch.changed).tolist() == [[1, 1]]
    assert (newest(watch).pixels == expected(screen)).all()


def test_a_window_that_becomes_excluded_is_black_though_nothing_was_painted() -> None:
    screen = FakeScreen()
    screen.excluded = False
    watch = watch_of(screen)
    watch.look()
    assert shows(newest(watch).pixels, SECRET)
    screen.excluded = True
    assert watch.look() == Sight.NEW
    assert (newest(watch).pixels == expected(screen)).all()


def test_a_grab_during_a_move_is_given_up_and_tried_again() -> None:
    screen = FakeScreen()
    watch = watch_of(screen)
    watch.look()
    moves = iter([(10, 0), (20, 0)])

    def moving() -> None:
        if (place := next(moves, None)) is not None:
            screen.move(*place)

    screen.meanwhile = moving
    screen.paint(Rect(150, 100, 5, 5), PAPER)
    assert watch.look() == Sight.NEW
    assert watch.dropped_moving == 1
    assert (newest(watch).pixels == expected(screen)).all()


def test_moving_without_a_pause_gives_no_frame_and_loses_no_change() -> None:
    screen = FakeScreen()
    watch = watch_of(screen)
    watch.look()
    before = newest(watch).time_us
    screen.meanwhile = lambda: screen.move((screen.x + 7) % 150, screen.y)
    screen.paint(Rect(150, 100, 5, 5), PAPER)
    assert watch.look() == Sight.MOVING
    assert watch.dropped_moving == 3
    assert newest(watch).time_us == before
    screen.meanwhile = lambda: None
    screen.damage = None  # it was told before
    assert watch.look() == Sight.NEW
    assert (newest(watch).pixels == expected(screen)).all()


def test_a_grab_that_failed_is_tried_again() -> None:
    screen = FakeScreen()
    watch = watch_of(screen)
    real, fails = screen.grab, [True]
    screen.grab = lambda area: None if fails and fails.pop() else real(area)  # type: ignore[method-assign]
    assert watch.look() == Sight.NEW
    assert watch.dropped_moving == 0


def test_where_a_compositor_draws_later_a_moved_window_is_waited_for() -> None:
    screen = FakeScreen(lag_us=100_000)
    watch = watch_of(screen)
    assert watch.look() == Sight.MOVING, "nobody knows since when the window is there"
    screen.now_us += 100_000
    assert watch.look() == Sight.NEW
    screen.move(60, 60)
    assert watch.look() == Sight.MOVING
    screen.now_us += 95_000
    assert watch.look() == Sight.MOVING
    screen.now_us += 5_000
    assert watch.look() == Sight.NEW
    assert (newest(watch).pixels == expected(screen)).all()
    screen.paint(Rect(150, 100, 5, 5), PAPER)
    assert watch.look() == Sight.NEW, "other changes are not waited for"


def test_where_a_compositor_draws_later_a_window_that_is_no_longer_excluded_is_waited_for() -> None:
    screen = FakeScreen(lag_us=100_000)
    watch = watch_of(screen)
    watch.look()
    screen.now_us += 100_000
    watch.look()
    screen.excluded = False
    assert watch.look() == Sight.MOVING


def test_a_hidden_screen_is_no_frame_and_neither_is_what_was_before() -> None:
    screen = FakeScreen()
    watch = watch_of(screen)
    watch.look()
    screen.is_hidden = True
    screen.grabbed.clear()
    assert watch.look() == Sight.BLANK
    assert watch.look() == Sight.BLANK
    assert screen.grabbed == []
    assert watch.ring.frame_at(1 << 60) is None
    screen.is_hidden = False
    assert watch.look() == Sight.NEW
    assert (newest(watch).pixels == expected(screen)).all()


@pytest.mark.parametrize("color", [0x000000, 0x3070F0])
def test_a_screen_of_one_color_is_blank(color: int) -> None:
    screen = FakeScreen()
    watch = watch_of(screen)
    watch.look()
    screen.excluded = False
    screen.move(WIDTH, HEIGHT)
    screen.paint(Rect(0, 0, WIDTH, HEIGHT), color)
    assert watch.look() == Sight.BLANK
    assert watch.ring.is_empty
    screen.paint(Rect(199, 149, 1, 1), PAPER)
    assert watch.look() == Sight.NEW
    assert (newest(watch).pixels == expected(screen)).all()


def test_a_screen_that_is_all_excluded_is_no_frame() -> None:
    screen = FakeScreen()
    screen.view = lambda: WindowView(1, (Rect(0, 0, WIDTH, HEIGHT),))  # type: ignore[method-assign]
    watch = watch_of(screen)
    assert watch.look() == Sight.BLACK
    assert watch.ring.is_empty


def test_a_screen_of_another_size_begins_anew() -> None:
    screen = FakeScreen()
    watch = watch_of(screen)
    watch.look()
    screen.size_px = (90, 80)
    screen.desktop = screen.desktop[:80, :90].copy()
    screen.damage = Rect(0, 0, 90, 80)
    assert watch.look() == Sight.NEW
    assert newest(watch).pixels.shape == (80, 90)
    assert watch.changed.all()
    assert (newest(watch).pixels == expected(screen)).all()


STEP = st.tuples(st.integers(0, 3), st.integers(0, WIDTH - SIDE), st.integers(0, HEIGHT - SIDE))


@given(steps=st.lists(STEP, max_size=60), calm=st.integers(1, 4))
def test_nothing_of_an_excluded_window_is_ever_in_the_ring(steps: list[tuple[int, int, int]], calm: int) -> None:
    """Between any two questions the window moves, the desktop is painted, or nothing happens, in any order."""
    screen, script, asked = FakeScreen(), iter(steps), [0]
    watch = watch_of(screen)

    def meanwhile() -> None:
        asked[0] += 1
        kind, x, y = next(script, (3, 0, 0)) if asked[0] % calm == 0 else (3, 0, 0)
        if kind == 0:
            screen.move(x, y)
        elif kind == 1:
            screen.paint(Rect(x, y, 30, 20), (x * 7919 + y) % 0x1000)

    screen.meanwhile = meanwhile
    for _ in range(25):
        watch.look()
        for time_us in range(1000, screen.now_us + 1, 500):
            frame = watch.ring.frame_at(time_us)
            assert frame is None or not shows(frame.pixels, SECRET)
    screen.meanwhile = lambda: None
    watch.look()
    assert (newest(watch).pixels == expected(screen)).all()
