"""What lies on the screen that must not be in a picture."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from x_programs import GTK, QT, Program, start_manager, start_toolkit
from x_server import Injector, XServer, end, wait_for

from taskreel.capture.settings import Settings
from taskreel.capture.sources.protocol import Rect, SourceLostError, SourceUnavailableError, WindowView
from taskreel.capture.sources.x11.views import XWindowViews, _is_blank

SECRET = "KeePassXC"


@pytest.fixture
def program(bare: XServer) -> Iterator[Program]:
    program = Program(bare.display)
    yield program
    program.close()


@pytest.fixture
def views(bare: XServer, tmp_path: Path) -> Iterator[XWindowViews]:
    views = XWindowViews(Settings(tmp_path, display=bare.display))
    yield views
    views.close()


def test_nothing_excluded_is_nothing_black_and_the_same_is_the_same(program: Program, views: XWindowViews) -> None:
    program.window(app="Editor")
    first = views.view()
    assert first == WindowView(first.fingerprint)
    assert views.view() == first


def test_black_is_the_excluded_window_with_its_border(program: Program, views: XWindowViews) -> None:
    program.window((0, 0, 300, 300), app="Editor")
    program.window((-10, 20, 100, 50), app=SECRET, border=3)
    program.window((0, 0, 200, 200), app="Mail")  # also where another window covers it
    assert views.view().black == (Rect(-10, 20, 106, 56),)


def test_every_change_of_geometry_and_stacking_gives_another_fingerprint(program: Program, views: XWindowViews) -> None:
    window, other = program.window((0, 0, 50, 50), app=SECRET), program.window((0, 0, 50, 50), app="Mail")
    seen = [views.view().fingerprint]
    for change in (
        lambda: program.move(window, 5, 5),
        lambda: program.move(other, 9, 9),
        lambda: program.raise_(window),
        lambda: program.core.UnmapWindow(window),
        lambda: program.core.MapWindow(window),
        lambda: program.window(app="New"),
        lambda: program.destroy(other),
        lambda: program.put(window, "WM_CLASS", "plain\0Plain\0"),
    ):
        change()
        program.sync()
        seen.append(views.view().fingerprint)
        assert views.view().fingerprint == seen[-1]
    assert len(set(seen)) == len(seen)


def test_a_window_that_moved_away_and_back_is_not_the_same(program: Program, views: XWindowViews) -> None:
    window = program.window((0, 0, 50, 50), app=SECRET)
    before = views.view()
    program.move(window, 500, 5)
    program.move(window, 0, 0)
    after = views.view()
    assert after.black == before.black
    assert after.fingerprint != before.fingerprint


def test_a_title_that_becomes_private_is_black_at_once_and_no_longer_after(
    program: Program, views: XWindowViews
) -> None:
    window = program.window((0, 0, 50, 50), app="Firefox", title="News — Mozilla Firefox")
    assert views.view().black == ()
    program.put(window, "_NET_WM_NAME", "Bank — Mozilla Firefox Private Browsing", "UTF8_STRING")
    assert views.view().black == (Rect(0, 0, 50, 50),)
    program.put(window, "_NET_WM_NAME", "News — Mozilla Firefox", "UTF8_STRING")
    assert views.view().black == ()


def test_popups_and_dialogs_of_an_excluded_window_are_black(program: Program, views: XWindowViews) -> None:
    secret = program.window((0, 0, 50, 50), app=SECRET)
    program.window((0, 60, 20, 20), title="Unlock", transient_for=secret)
    program.window((0, 90, 30, 30), is_popup=True)  # over the same connection
    stranger = Program(views._display)
    stranger.window((500, 0, 9, 9), is_popup=True, pid=1)
    stranger.window((600, 0, 8, 8), is_popup=True, pid=1, transient_for=secret)
    assert set(views.view().black) == {Rect(0, 0, 50, 50), Rect(0, 60, 20, 20), Rect(0, 90, 30, 30), Rect(600, 0, 8, 8)}
    stranger.close()


def test_a_window_that_is_not_mapped_is_not_black_but_its_popup_is(program: Program, views: XWindowViews) -> None:
    secret = program.window((0, 0, 50, 50), app=SECRET, is_mapped=False)
    program.window((0, 90, 30, 30), is_popup=True, transient_for=secret)
    assert views.view().black == (Rect(0, 90, 30, 30),)


def test_windows_that_come_and_go_leave_nothing_behind(program: Program, views: XWindowViews) -> None:
    views.view()
    stack = views._stack
    before = len(stack._tops), len(stack._top_of), len(stack._server.selected)
    for _ in range(20):
        outer = program.window(app=SECRET)
        program.window(parent=outer)
        views.view()
        program.destroy(outer)
        program.destroy(program.window())
    assert views.view().black == ()
    assert (len(stack._tops), len(stack._top_of), len(stack._server.selected)) == before


def test_all_is_hidden_while_the_screen_saver_is_active(bare: XServer, views: XWindowViews) -> None:
    assert not views.view().is_all_hidden
    bare.run("xset", "s", "activate")
    wait_for(lambda: views.view().is_all_hidden, "the screen saver")
    bare.run("xset", "s", "reset")
    wait_for(lambda: not views.view().is_all_hidden, "no screen saver")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (SimpleNamespace(power_level=0, state=1), False),  # DPMS is enabled, and the monitors are on
        (SimpleNamespace(power_level=1, state=1), True),
        (SimpleNamespace(power_level=3, state=1), True),
        (SimpleNamespace(state=0), False),
        (SimpleNamespace(state=1), True),
        (SimpleNamespace(state=3), False),  # the screen saver is disabled
        (None, False),
    ],
)
def test_what_servers_say_when_nothing_can_be_seen(answer: SimpleNamespace | None, expected: bool) -> None:
    """Xvfb has no DPMS, so its answer is made here."""
    assert _is_blank(answer) is expected


def test_with_a_window_manager_the_whole_frame_is_black(managed: XServer, tmp_path: Path) -> None:
    program, views = Program(managed.display), XWindowViews(Settings(tmp_path, display=managed.display))
    plain = program.window((600, 300, 200, 100), app="Editor")
    secret = program.window((100, 100, 200, 100), app=SECRET, title="Passwords")
    wait_for(lambda: {plain, secret} <= set(program.clients()), "managed windows")
    wait_for(lambda: len(views.view().black) == 1, "one black window")
    (black,) = views.view().black
    x, y = program.inside(secret)
    assert black.x <= x
    assert black.y < y - 10, "the bar shows the title"
    assert black.x + black.width >= x + 200
    assert black.y + black.height >= y + 100
    assert black.height < 160
    program.destroy(secret)
    wait_for(lambda: views.view().black == (), "no black window")
    program.close()
    views.close()


def test_a_window_manager_that_starts_later_and_ends_changes_nothing(tmp_path: Path) -> None:
    with XServer() as x:
        program, views = Program(x.display), XWindowViews(Settings(tmp_path, display=x.display))
        program.window((100, 100, 200, 100), app=SECRET)
        assert views.view().black == (Rect(100, 100, 200, 100),)
        manager = x.start("openbox", "--sm-disable")
        wait_for(lambda: views.view().black and views.view().black[0].height > 100, "a frame")
        end(manager)
        wait_for(lambda: views.view().black and views.view().black[0].height == 100, "no frame")
        program.close()
        views.close()


@pytest.mark.parametrize("text", [GTK, QT], ids=["gtk", "qt"])
def test_the_menu_of_an_excluded_program_is_black(text: str, tmp_path: Path) -> None:
    with XServer() as x:
        start_manager(x)
        eyes, injector = Program(x.display), Injector(x.display)
        window = start_toolkit(x, text, "keepassxc", "Passwords", eyes)
        views = XWindowViews(Settings(tmp_path, display=x.display, excluded_titles=("Passwords",)))
        before = eyes.mapped().keys()
        assert len(views.view().black) == 1
        left, top = eyes.inside(window)
        injector.move(left + 15, top + 10)
        injector.click()
        wait_for(lambda: eyes.mapped().keys() - before, "the menu")
        menu = next(iter(eyes.mapped().keys() - before))
        place = Rect(*eyes.mapped()[menu])
        assert place in views.view().black
        for part in (eyes, injector, views):
            part.close()


def test_a_server_that_has_ended_is_told(tmp_path: Path) -> None:
    with XServer() as x:
        views = XWindowViews(Settings(tmp_path, display=x.display))
        views.view()
    with pytest.raises(SourceLostError):
        views.view()
    views.close()
    with pytest.raises(SourceUnavailableError, match="is it running"):
        XWindowViews(Settings(tmp_path, display=x.display)).view()
