"""The pointer of a real X server: buttons, wheel and moves are where they were, whoever grabs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
import xcffib
import xcffib.xproto
import xcffib.xtest
from listening_sink import ListeningSink
from open_desktop import OpenDesktop
from x_server import KEY_PRESS, KEY_RELEASE, MOTION, Injector, XServer, wait_for

from taskreel.capture.sources.protocol import Event, SourceFacts
from taskreel.io.events import Flag, Kind

Listening = Callable[[], AbstractContextManager[SourceFacts]]
POINTS = [(0, 0), (1279, 799), (640, 400), (3, 797), (1000, 20)]


@pytest.fixture(scope="module")
def server() -> Iterator[XServer]:
    """Without a window manager, whose menus would come up at a click and grab."""
    with XServer() as x:
        yield x


def places(events: list[Event]) -> list[tuple[float, float]]:
    return [((event.x or 0) / 256, (event.y or 0) / 256) for event in events]


@contextmanager
def grabbing(server: XServer) -> Iterator[None]:
    """Another client holds the keyboard and the pointer."""
    connection = xcffib.connect(server.display)
    root = connection.get_setup().roots[0].root
    pointer = connection.core.GrabPointer(False, root, 4 | 8 | 64, 1, 1, 0, 0, 0).reply()
    keyboard = connection.core.GrabKeyboard(False, root, 0, 1, 1).reply()
    assert (pointer.status, keyboard.status) == (0, 0)
    yield
    connection.disconnect()


def click_all(injector: Injector) -> None:
    for number, (x, y) in enumerate(POINTS):
        injector.move(x, y)
        injector.click(1 + number % 3)


def assert_all_clicked(sink: ListeningSink) -> None:
    downs, ups = sink.of(Kind.BUTTON_DOWN), sink.of(Kind.BUTTON_UP)
    assert places(downs) == places(ups) == places(sink.of(Kind.MOVE)) == POINTS
    assert [event.code for event in downs] == [event.code for event in ups] == [1, 2, 3, 1, 2]


def test_clicks_are_where_they_were(listening: Listening, injector: Injector, sink: ListeningSink) -> None:
    with listening():
        click_all(injector)
    assert_all_clicked(sink)
    assert all(event.flags & Flag.SYNTHETIC for event in sink.events)


def test_a_grab_of_another_client_hides_nothing(
    listening: Listening, injector: Injector, sink: ListeningSink, server: XServer
) -> None:
    with listening(), grabbing(server):
        click_all(injector)
        injector.tap(38)
    assert_all_clicked(sink)
    assert [event.text for event in sink.of(Kind.KEY_DOWN)] == ["a"]


def test_a_drag(listening: Listening, injector: Injector, sink: ListeningSink) -> None:
    with listening():
        injector.move(100, 100)
        injector.button(1, True)
        for _ in range(10):
            injector.move_by(7, -3)
        injector.button(1, False)
    assert [event.kind for event in sink.events] == [
        Kind.MOVE,
        Kind.BUTTON_DOWN,
        *[Kind.MOVE] * 10,
        Kind.BUTTON_UP,
    ]
    assert places(sink.events)[1:] == [(100, 100), *[(100 + 7 * n, 100 - 3 * n) for n in range(1, 11)], (170, 70)]
    assert not sink.events[-1].flags & Flag.ESTIMATED


def test_a_press_is_where_the_pointer_was_and_not_where_it_went_next(
    listening: Listening, server: XServer, sink: ListeningSink
) -> None:
    """All is sent at once, so that it is read in one batch."""
    connection = xcffib.connect(server.display)
    xtest, root = connection(xcffib.xtest.key), connection.get_setup().roots[0].root
    with listening():
        for kind, detail, x, y in [
            (MOTION, 0, 200, 300),
            (4, 1, 0, 0),
            (MOTION, 0, 500, 600),
            (5, 1, 0, 0),
            (MOTION, 0, 700, 100),
        ]:
            xtest.FakeInput(kind, detail, 0, root, x, y, 0)
        connection.core.GetInputFocus().reply()
    connection.disconnect()
    assert places(sink.events) == [(200, 300), (200, 300), (500, 600), (500, 600), (700, 100)]


def test_moves_stay_on_the_screen(listening: Listening, injector: Injector, sink: ListeningSink) -> None:
    with listening():
        for dx, dy in [(5000, 5000), (-9000, 3), (20, -9000), (1, 1)]:
            injector.move_by(dx, dy)
        wait_for(lambda: len(sink.of(Kind.MOVE)) == 4, "the moves")
        injector.click()
    assert places(sink.of(Kind.BUTTON_DOWN)) == [(21, 1)]
    assert all(0 <= x <= 1279 and 0 <= y <= 799 for x, y in places(sink.events))


def test_a_warp_is_seen_at_the_next_event(
    listening: Listening, injector: Injector, sink: ListeningSink, server: XServer
) -> None:
    connection = xcffib.connect(server.display)
    root = connection.get_setup().roots[0].root
    with listening():
        injector.move(10, 10)
        connection.core.WarpPointer(0, root, 0, 0, 0, 0, 444, 555, is_checked=True).check()
        injector.click()
    connection.disconnect()
    assert places(sink.of(Kind.BUTTON_DOWN, Kind.BUTTON_UP)) == [(444, 555)] * 2


def test_the_wheel(listening: Listening, injector: Injector, sink: ListeningSink) -> None:
    with listening():
        injector.move(50, 60)
        for button in (4, 5, 6, 7, 4):
            injector.click(button)
    scrolls = sink.of(Kind.SCROLL)
    assert [(event.wheel_x, event.wheel_y) for event in scrolls] == [(0, 120), (0, -120), (-120, 0), (120, 0), (0, 120)]
    assert places(scrolls) == [(50, 60)] * 5
    assert len(sink.events) == 6


@pytest.fixture
def left_handed(server: XServer) -> Iterator[None]:
    yield
    server.run("xmodmap", "-e", "pointer = default")


@pytest.mark.usefixtures("left_handed")
def test_buttons_of_a_left_hander_and_one_that_is_switched_off(
    listening: Listening, injector: Injector, sink: ListeningSink, server: XServer
) -> None:
    server.run("xmodmap", "-e", "pointer = 3 2 1 4 5")
    with listening():
        injector.click(1)
        injector.click(3)
        wait_for(lambda: len(sink.events) == 4, "clicks")
        server.run("xmodmap", "-e", "pointer = 1 0 3 5 4")
        for button in (1, 2, 3, 4):
            injector.click(button)
    assert [event.code for event in sink.of(Kind.BUTTON_DOWN)] == [3, 1, 1, 3]
    assert [event.wheel_y for event in sink.of(Kind.SCROLL)] == [-120]


class TestWithheld:
    def test_by_place_and_a_release_goes_where_its_press_went(
        self, listening: Listening, injector: Injector, sink: ListeningSink, desktop: OpenDesktop
    ) -> None:
        desktop.pointer = lambda x, y: "excluded" if x >= 500 else None
        with listening():
            injector.move(100, 100)
            injector.button(1, True)
            injector.move(600, 100)
            injector.button(1, False)
            injector.button(1, True)
            injector.click(4)
            injector.move(200, 200)
            injector.button(1, False)
            injector.click(3)
        assert [(event.kind, *place) for event, place in zip(sink.events, places(sink.events), strict=True)] == [
            (Kind.MOVE, 100, 100),
            (Kind.BUTTON_DOWN, 100, 100),
            (Kind.BUTTON_UP, 600, 100),
            (Kind.MOVE, 200, 200),
            (Kind.BUTTON_DOWN, 200, 200),
            (Kind.BUTTON_UP, 200, 200),
        ]
        assert sink.withheld == {"excluded": 4}

    def test_what_the_desktop_says_at_a_press_comes_before_it(
        self, listening: Listening, injector: Injector, sink: ListeningSink, desktop: OpenDesktop
    ) -> None:
        desktop.presses = [Event(1, Kind.FOCUS, app="below the pointer")]
        with listening():
            injector.move(5, 5)
            injector.click()
        assert [event.kind for event in sink.events] == [Kind.MOVE, Kind.FOCUS, Kind.BUTTON_DOWN, Kind.BUTTON_UP]


Act = tuple[int, int, int, int]


def acts() -> Iterator[Act]:
    """2,000 rounds of five: two moves, a key, a click, with moves that no two are alike."""
    for number in range(2000):
        x, y = number * 7 % 1280, number * 11 % 800
        yield (MOTION, 0, x, y)
        yield (KEY_PRESS, 38 + number % 5, 0, 0)
        yield (KEY_RELEASE, 38 + number % 5, 0, 0)
        button = (1, 3, 4)[number % 3]
        yield (4, button, 0, 0)
        yield (5, button, 0, 0)


def test_ten_thousand_events_at_full_speed_are_all_there_in_order(
    listening: Listening, server: XServer, sink: ListeningSink
) -> None:
    connection = xcffib.connect(server.display)
    xtest, root = connection(xcffib.xtest.key), connection.get_setup().roots[0].root
    wanted: list[tuple[Kind, object]] = []
    with listening():
        for kind, detail, x, y in acts():
            xtest.FakeInput(kind, detail, 0, root, x, y, 0)
            if kind == MOTION:
                wanted.append((Kind.MOVE, (x, y)))
            elif kind in (KEY_PRESS, KEY_RELEASE):
                wanted.append((Kind.KEY_DOWN if kind == KEY_PRESS else Kind.KEY_UP, detail - 8))
            elif detail != 4:
                wanted.append((Kind.BUTTON_DOWN if kind == 4 else Kind.BUTTON_UP, detail))
            elif kind == 4:
                wanted.append((Kind.SCROLL, None))
        connection.core.GetInputFocus().reply()
        wait_for(lambda: len(sink.events) >= len(wanted), "all events")
    connection.disconnect()
    got = [
        (event.kind, place if event.kind == Kind.MOVE else event.code)
        for event, place in zip(sink.events, places(sink.events), strict=True)
    ]
    assert got == wanted
    times_us = [event.time_us for event in sink.events]
    assert times_us == sorted(times_us)


def test_it_changes_nothing_for_others(listening: Listening, injector: Injector, server: XServer) -> None:
    def state() -> list[str]:
        return [server.run(*command) for command in (["xset", "q"], ["xmodmap", "-pp"], ["setxkbmap", "-query"])]

    before = state()
    with listening():
        injector.click()
        injector.tap(38)
        assert state() == before
    assert state() == before
