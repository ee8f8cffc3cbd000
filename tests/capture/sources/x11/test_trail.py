"""Places of a batch against a pointer that is really moved on a screen."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from taskreel.capture.sources.protocol import Event
from taskreel.capture.sources.x11.devices import Motion
from taskreel.capture.sources.x11.trail import Trail
from taskreel.io.events import Flag, Kind

SCREEN_PX = (1000, 600)


def move(dx: float, dy: float, target: tuple[float, float] | None = None) -> tuple[Event, Motion]:
    return Event(0, Kind.MOVE), Motion(True, dx, dy, target, 0, 0)


def places(events: list[Event]) -> list[tuple[float, float] | None]:
    return [None if event.x is None or event.y is None else (event.x / 256, event.y / 256) for event in events]


def estimated(events: list[Event]) -> list[bool]:
    return [bool(event.flags & Flag.ESTIMATED) for event in events]


def test_from_the_last_place_it_goes_back() -> None:
    trail = Trail()
    trail.add(*move(10, 0))
    trail.add(*move(0, -20))
    trail.add(Event(0, Kind.BUTTON_DOWN))
    events = trail.settle(300, 200, SCREEN_PX)
    assert places(events) == [(300, 220), (300, 200), (300, 200)]
    assert estimated(events) == [True, False, False]
    assert not trail


def test_a_press_is_where_the_pointer_was_before_it_went_on() -> None:
    trail = Trail()
    trail.add(Event(0, Kind.BUTTON_DOWN))
    trail.add(*move(10, 5))
    events = trail.settle(310, 205, SCREEN_PX)
    assert places(events) == [(300, 200), (310, 205)]
    assert estimated(events) == [True, False]


def test_what_has_no_place_keeps_its_turn() -> None:
    trail = Trail()
    trail.add(*move(1, 1))
    trail.add_placeless(Event(0, Kind.KEY_DOWN))
    trail.add(*move(1, 1))
    events = trail.settle(5, 5, SCREEN_PX)
    assert [event.kind for event in events] == [Kind.MOVE, Kind.KEY_DOWN, Kind.MOVE]
    assert places(events) == [(4, 4), None, (5, 5)]
    assert estimated(events) == [True, False, False]


def test_it_does_not_leave_the_screen() -> None:
    trail = Trail()
    trail.add(*move(0, 0))
    trail.add(*move(-5000, 700))
    assert places(trail.settle(0, 599, SCREEN_PX)) == [(999, 0), (0, 599)]


def test_moves_of_xtest_to_places_with_a_click_between() -> None:
    trail = Trail()
    trail.add(*move(100, 200, (100, 200)))
    trail.add(Event(0, Kind.BUTTON_DOWN))
    trail.add(*move(300, 400, (300, 400)))
    events = trail.settle(300, 400, SCREEN_PX)
    assert places(events) == [(100, 200), (100, 200), (300, 400)]
    assert estimated(events) == [True, True, False]


def test_a_click_before_a_move_of_xtest_to_a_place_is_where_the_pointer_was_found_last() -> None:
    trail = Trail()
    trail.add(Event(0, Kind.BUTTON_DOWN))
    trail.settle(50, 60, SCREEN_PX)
    trail.add(Event(0, Kind.BUTTON_UP))
    trail.add(*move(300, 400, (300, 400)))
    assert places(trail.settle(300, 400, SCREEN_PX)) == [(50, 60), (300, 400)]


def test_what_is_dropped_is_counted() -> None:
    trail = Trail()
    trail.add(*move(1, 1))
    trail.add_placeless(Event(0, Kind.KEY_DOWN))
    assert trail.drop() == 2
    assert not trail


DISTANCE = st.integers(-12 * 16, 12 * 16).map(lambda sixteenths: sixteenths / 16)


@given(st.lists(st.tuples(DISTANCE, DISTANCE, st.booleans()), max_size=40), st.integers(0, 15), st.booleans())
def test_along_a_walk_no_place_is_off_by_more_than_a_pixel(
    walk: list[tuple[float, float, bool]], fraction: int, is_xtest: bool
) -> None:
    """The server keeps fractions of a pixel and says whole ones."""
    x, y = 500 + fraction / 16, 300.0
    trail, true = Trail(), []
    for dx, dy, is_click in walk:
        if is_click:
            trail.add(Event(0, Kind.BUTTON_DOWN))
        else:
            x, y = x + dx, y + dy
            trail.add(*move(dx, dy, (dx, dy) if is_xtest else None))
        true.append((x, y))
    events = trail.settle(int(x), int(y), SCREEN_PX)
    for (true_x, true_y), place, is_estimate in zip(true, places(events), estimated(events), strict=True):
        assert place is not None
        assert abs(place[0] - int(true_x)) <= 1
        assert abs(place[1] - int(true_y)) <= 1
        assert is_estimate or place == (int(x), int(y))
