"""After lost events a device's keys are as it says, and the rest of what was read is not taken twice."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from taskreel.capture.kernel.streams import Frame
from taskreel.capture.sources.evdev.resync import HeldKeys, held_before

KEYS = st.sampled_from([29, 30, 42, 0x110])


def history(presses: list[int]) -> list[tuple[int, int, int]]:
    """Each key named goes down, or up if it is down: what a device can do."""
    down: set[int] = set()
    events = []
    for code in presses:
        down ^= {code}
        events.append((1, code, int(code in down)))
    return events


def held_after(events: list[tuple[int, int, int]]) -> set[int]:
    down: set[int] = set()
    for _, code, value in events:
        (down.add if value else down.discard)(code)
    return down


@given(st.lists(KEYS, max_size=30), st.data())
def test_what_is_held_is_right_after_the_loss_and_at_the_end(presses: list[int], data: st.DataObject) -> None:
    events = history(presses)
    lost_from = data.draw(st.integers(0, len(events)))
    lost_to = data.draw(st.integers(lost_from, len(events)))
    before, after = events[:lost_from], [Frame(9, [event]) for event in events[lost_to:]]

    keys = HeldKeys()
    keys.update(Frame(1, before))
    restated = keys.restated(5, held_before(held_after(events), after))

    assert restated.is_restated
    assert keys.codes == held_after(events[:lost_to])
    assert held_after(before + restated.events) == held_after(events[:lost_to])
    assert len({code for _, code, _ in restated.events}) == len(restated.events)
    for frame in after:
        keys.update(frame)
    assert keys.codes == held_after(events)


def test_only_keys_and_buttons_are_held() -> None:
    keys = HeldKeys()
    keys.update(Frame(1, [(1, 0x14A, 1), (1, 0x145, 1), (1, 30, 1), (1, 30, 2), (2, 0, 4)]))
    assert keys.codes == {30}
    assert keys.restated(2, {0x14A, 0x110}).events == [(1, 30, 0), (1, 0x110, 1)]
