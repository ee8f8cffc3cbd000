"""Which windows are excluded: patterns, and what belongs to whom."""

from __future__ import annotations

import random
from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskreel.capture.settings import PRIVATE_TITLES
from taskreel.capture.sources.x11.exclusion import EXCLUDED, OWN, Exclusion
from taskreel.capture.sources.x11.facts import WindowFacts
from taskreel.capture.sources.x11.popups import are_kin

SECRET = Exclusion(["secret"], ["*private*"])
IDS = st.integers(0, 7)


@st.composite
def windows(draw: st.DrawFn) -> list[WindowFacts]:
    """Few of few programs, so that they share and name each other, also in circles and across what does not exist."""
    few = st.integers(0, 2)
    return [
        WindowFacts(
            id=id_,
            is_popup=draw(st.booleans()),
            class_name=draw(st.sampled_from(["", "Editor", "Secret"])),
            title=draw(st.sampled_from(["", "a private page"])),
            pid=draw(few),
            transient_for=draw(IDS),
            leader=draw(few),
            group=draw(few),
            client=draw(few),
        )
        for id_ in draw(st.lists(st.integers(1, 6), unique=True, max_size=6))
    ]


def is_named(window: WindowFacts) -> bool:
    return window.class_name == "Secret" or "private" in window.title


def oracle(all_windows: list[WindowFacts]) -> set[int]:
    """By walking from each window, one step after the other."""
    excluded = set()
    for window in all_windows:
        line, at = [], window
        while at not in line:
            line.append(at)
            at = next((other for other in all_windows if other.id == at.transient_for), line[-1])
        if any(is_named(one) for one in line):
            excluded.add(window.id)
        elif line[-1].is_popup or line[-1].transient_for:
            named = [other for other in all_windows if is_named(other)]
            if any(are_kin(one, other) for one in line for other in named):
                excluded.add(window.id)
    return excluded


@given(windows())
def test_reasons_are_those_of_the_oracle(all_windows: list[WindowFacts]) -> None:
    assert SECRET.reasons(all_windows) == dict.fromkeys(oracle(all_windows), EXCLUDED)


@given(windows(), st.randoms(use_true_random=False))
def test_the_order_of_windows_does_not_matter(all_windows: list[WindowFacts], dice: random.Random) -> None:
    shuffled = all_windows.copy()
    dice.shuffle(shuffled)
    assert SECRET.reasons(shuffled) == SECRET.reasons(all_windows)


@given(windows(), st.data())
def test_more_patterns_never_exclude_less(all_windows: list[WindowFacts], data: st.DataObject) -> None:
    more = Exclusion(["secret", *data.draw(st.lists(st.sampled_from(["editor", "e*", "x"])))], ["*private*"])
    assert SECRET.reasons(all_windows).items() <= more.reasons(all_windows).items()


@given(st.lists(st.text("ab*?.\n", max_size=5), max_size=3), st.text("ab.\n", max_size=5))
def test_patterns_are_globs(globs: list[str], text: str) -> None:
    window = WindowFacts(1, title=text)
    assert bool(Exclusion([], globs).reasons([window])) == any(fnmatchcase(text, glob) for glob in globs)


@given(st.text(max_size=8))
def test_a_text_without_wildcards_is_its_own_pattern_in_any_case(text: str) -> None:
    plain = text.replace("*", "").replace("?", "")
    for title in (plain, plain.casefold()):
        assert Exclusion([], [plain]).reasons([WindowFacts(1, title=title)]) == {1: EXCLUDED}


@pytest.mark.parametrize(
    "window",
    [
        WindowFacts(1, instance="SECRET"),
        WindowFacts(1, class_name="secret"),
        WindowFacts(1, process="Secret"),
        WindowFacts(1, title="My Private Page"),
    ],
)
def test_each_name_of_a_window_excludes_it(window: WindowFacts) -> None:
    assert SECRET.reasons([window]) == {1: EXCLUDED}


@pytest.mark.parametrize(
    ("title", "is_private"),
    [
        ("Start page [InPrivate] - Edge", True),
        ("Bank — Mozilla Firefox Private Browsing", True),
        ("Bank - Google Chrome (Incognito)", True),
        ("Bank - Google Chrome", False),
        ("Private matters - Mail", False),
        ("", False),
    ],
)
def test_private_titles_as_browsers_write_them(title: str, is_private: bool) -> None:
    assert bool(Exclusion([], PRIVATE_TITLES).reasons([WindowFacts(1, title=title)])) is is_private


def test_windows_of_taskreel_and_their_popups_are_its_own() -> None:
    own = WindowFacts(1, class_name="Taskreel", client=5)
    assert Exclusion([], []).reasons([own, WindowFacts(2, is_popup=True, client=5), WindowFacts(3, client=5)]) == {
        1: OWN,
        2: OWN,
    }


def test_no_patterns_exclude_nothing() -> None:
    assert Exclusion([], []).reasons([WindowFacts(1), WindowFacts(2, title="secret")]) == {}


def test_another_window_of_the_program_stays_while_an_unclaimed_popup_does_not() -> None:
    """A browser has a private window and another one: nothing says whose the popup is."""
    private, other = WindowFacts(1, title="a private page", pid=9), WindowFacts(2, title="news", pid=9)
    unclaimed = WindowFacts(3, is_popup=True, pid=9)
    claimed = WindowFacts(4, is_popup=True, pid=9, transient_for=2)
    assert SECRET.reasons([private, other, unclaimed, claimed]) == {1: EXCLUDED, 3: EXCLUDED}
