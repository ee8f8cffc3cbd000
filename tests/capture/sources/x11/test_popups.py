"""To which window a popup belongs."""

from __future__ import annotations

import pytest

from taskreel.capture.sources.x11.facts import WindowFacts
from taskreel.capture.sources.x11.popups import are_kin, owner

FIRST = WindowFacts(1, class_name="Editor", pid=7, client=1)
SECOND = WindowFacts(2, class_name="Editor", pid=7, client=1)
OTHER = WindowFacts(3, class_name="Mail", pid=8, client=2)


def popup(id_: int = 9, *, pid: int = 0, transient_for: int = 0, client: int = 0) -> WindowFacts:
    return WindowFacts(id_, is_popup=True, pid=pid, transient_for=transient_for, client=client)


def test_a_managed_window_is_its_own_owner_even_as_a_dialog() -> None:
    dialog = WindowFacts(4, transient_for=1)
    assert owner(dialog, [FIRST, dialog]) is dialog


def test_what_a_popup_names_decides_over_what_it_shares() -> None:
    menu = popup(pid=8, transient_for=1, client=2)
    assert owner(menu, [FIRST, OTHER, menu]) is FIRST


def test_a_submenu_belongs_to_the_window_of_its_menu() -> None:
    menu, submenu = popup(9, transient_for=1), popup(10, transient_for=9)
    assert owner(submenu, [FIRST, OTHER, menu, submenu]) is FIRST


@pytest.mark.parametrize(("focus", "expected"), [(1, FIRST), (2, SECOND), (3, SECOND), (0, SECOND)])
def test_of_several_it_is_the_one_with_the_focus_or_the_topmost(focus: int, expected: WindowFacts) -> None:
    menu = popup(pid=7)
    assert owner(menu, [FIRST, SECOND, OTHER, menu], focus) is expected


def test_menus_that_name_each_other_end() -> None:
    one, two = popup(9, transient_for=10), popup(10, transient_for=9, pid=8)
    assert owner(one, [OTHER, one, two]) is None
    assert owner(two, [OTHER, one, two]) is OTHER


def test_a_popup_that_says_nothing_belongs_to_nobody() -> None:
    assert owner(popup(), [FIRST, OTHER, WindowFacts(5)]) is None


@pytest.mark.parametrize("field", ["pid", "leader", "group", "client"])
def test_each_thing_in_common_makes_kin_but_not_that_both_say_nothing(field: str) -> None:
    assert are_kin(WindowFacts(1, **{field: 5}), WindowFacts(2, **{field: 5}))
    assert not are_kin(WindowFacts(1, **{field: 5}), WindowFacts(2, **{field: 6}))
    assert not are_kin(WindowFacts(1, **{field: 0}), WindowFacts(2, **{field: 0}))
