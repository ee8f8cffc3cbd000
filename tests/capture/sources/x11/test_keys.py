"""Keys of a real X server: the text is what a terminal received, whatever is done to the keyboard meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from pathlib import Path

import pytest
import xcffib
import xcffib.xkb
import xcffib.xproto
from listening_sink import ListeningSink
from open_desktop import OpenDesktop
from x_server import Injector, XServer, end, wait_for

from taskreel.capture.sources.protocol import Event, SourceFacts
from taskreel.io.events import Flag, Kind

Listening = Callable[[], AbstractContextManager[SourceFacts]]
SHIFT, CAPS, CTRL, ALT, ALTGR, MENU, ENTER = 50, 66, 37, 64, 108, 135, 36
SPARE = 250
US = {
    name: code
    for first, row in ((10, "1234567890-="), (24, "qwertyuiop[]"), (38, "asdfghjkl;'`"), (51, "\\zxcvbnm,./"))
    for code, name in enumerate(row, first)
} | {" ": 65}


class Terminal:
    """An xterm that keeps what it receives."""

    def __init__(self, server: XServer, path: Path) -> None:
        self._got, ready = path / "got", path / "ready"
        command = f"stty -icanon -echo; echo $WINDOWID >{ready}; cat >{self._got}"
        self._process = server.start("xterm", "-u8", "-e", "sh", "-c", command)
        wait_for(lambda: ready.exists() and ready.read_text().endswith("\n"), "xterm")
        active = f"window id # {int(ready.read_text()):#x}\n"
        wait_for(lambda: server.run("xprop", "-root", "_NET_ACTIVE_WINDOW").endswith(active), "a focused window")
        self._begin = 0
        self._try(Injector(server.display))

    def _try(self, injector: Injector) -> None:
        """Type until something arrives: the first key after a change of keymap may be lost, even to xterm."""
        for digit in "123456789":
            injector.tap(US[digit])
            with suppress(TimeoutError):
                wait_for(lambda digit=digit: self.text.endswith(digit), "a digit", 2.0)
                break
        injector.close()
        self._begin = len(self.text)
        assert self._begin, "xterm receives nothing"

    @property
    def text(self) -> str:
        """What it has received so far."""
        return self._got.read_text()[self._begin :] if self._got.exists() else ""

    def line(self) -> str:
        """The line that it received, once it is there."""
        wait_for(lambda: self.text.endswith("\n"), "a line")
        return self.text

    def close(self) -> None:
        end(self._process)


@pytest.fixture
def terminal(server: XServer, tmp_path: Path) -> Iterator[Terminal]:
    server.run("setxkbmap", "-layout", "us", "-option", "")
    terminal = Terminal(server, tmp_path)
    yield terminal
    terminal.close()
    server.run("setxkbmap", "-layout", "us", "-option", "")
    server.run("xset", "r", "rate", "660", "25")


def line_of(events: list[Event]) -> str:
    """What the events say was written, with the Enter that has no text."""
    downs = [event for event in events if event.kind == Kind.KEY_DOWN]
    return "".join("\n" if event.key == "enter" else event.text or "" for event in downs)


def type_us(injector: Injector, text: str) -> None:
    for character in text:
        injector.tap(US[character])


class TestText:
    def test_us_with_shift_and_caps_lock(
        self, listening: Listening, injector: Injector, sink: ListeningSink, terminal: Terminal
    ) -> None:
        with listening() as facts:
            injector.tap(SHIFT, US["h"])
            type_us(injector, "ello, it's [2] ")
            injector.tap(CAPS)
            type_us(injector, "caps 7")
            injector.tap(SHIFT, US["x"])
            injector.tap(CAPS)
            injector.tap(ENTER)
            got = terminal.line()
        assert got == line_of(sink.events) == "Hello, it's [2] CAPS 7x\n"
        assert facts.keyboard_layout == "us"

    def test_layouts_that_change_while_typing(
        self, listening: Listening, injector: Injector, sink: ListeningSink, terminal: Terminal, server: XServer
    ) -> None:
        with listening():
            type_us(injector, "zy")
            server.run("setxkbmap", "de")
            type_us(injector, "zy-;")
            injector.tap(US["`"])  # a dead circumflex
            type_us(injector, "a")
            injector.tap(SHIFT, US["a"])
            injector.tap(US["="])  # a dead acute
            injector.tap(SHIFT, US["e"])
            injector.tap(ALTGR, US["q"])
            injector.tap(ALTGR, US["e"])
            server.run("setxkbmap", "fr")
            type_us(injector, "qa12[e")
            injector.tap(SHIFT, US["["])  # a dead diaeresis
            type_us(injector, "i")
            server.run("setxkbmap", "us")
            type_us(injector, "q")
            injector.tap(ENTER)
            got = terminal.line()
        assert got == line_of(sink.events) == "zyyzßöâAÉ@€aq&éêïq\n"

    def test_groups(
        self, listening: Listening, injector: Injector, sink: ListeningSink, terminal: Terminal, server: XServer
    ) -> None:
        server.run("setxkbmap", "-layout", "us,de", "-option", "grp:menu_toggle")
        with listening() as facts:
            type_us(injector, "y")
            injector.tap(MENU)
            type_us(injector, "y;")
            injector.tap(MENU)
            type_us(injector, "y")
            injector.tap(ENTER)
            got = terminal.line()
        assert got == line_of(sink.events) == "yzöy\n"
        assert facts.keyboard_layout == "us,de"
        assert [event.key for event in sink.of(Kind.KEY_UP) if event.code in (21, 39)] == ["y", "z", "ö", "y"]

    def test_a_group_that_a_program_locks(
        self, listening: Listening, injector: Injector, sink: ListeningSink, terminal: Terminal, server: XServer
    ) -> None:
        server.run("setxkbmap", "-layout", "us,de")
        connection = xcffib.connect(server.display)
        xkb = connection(xcffib.xkb.key)
        xkb.UseExtension(1, 0).reply()
        with listening():
            xkb.LatchLockState(0x100, 0, 0, True, 1, 0, False, 0, is_checked=True).check()
            type_us(injector, "y")
            xkb.LatchLockState(0x100, 0, 0, True, 0, 0, False, 0, is_checked=True).check()
            type_us(injector, "y")
            injector.tap(ENTER)
            got = terminal.line()
        connection.disconnect()
        assert got == line_of(sink.events) == "zy\n"

    def test_a_layout_that_was_set_and_locks_that_were_on_before(
        self, listening: Listening, injector: Injector, sink: ListeningSink, terminal: Terminal, server: XServer
    ) -> None:
        server.run("setxkbmap", "de")
        injector.tap(CAPS)
        with listening() as facts:
            type_us(injector, "y;")
            injector.tap(CAPS)
            injector.tap(ENTER)
            got = terminal.line()
        assert got == line_of(sink.events) == "ZÖ\n"
        assert facts.keyboard_layout == "de"

    def test_compose(
        self, listening: Listening, injector: Injector, sink: ListeningSink, terminal: Terminal, server: XServer
    ) -> None:
        server.run("setxkbmap", "-option", "compose:menu")
        with listening():
            injector.tap(MENU)
            type_us(injector, "'e")
            injector.tap(MENU)
            type_us(injector, "---")
            injector.tap(SHIFT, US["a"])
            injector.tap(ENTER)
            got = terminal.line()
        assert got == line_of(sink.events) == "é—A\n"

    def test_characters_that_a_program_puts_on_a_spare_key(
        self, listening: Listening, injector: Injector, sink: ListeningSink, terminal: Terminal, server: XServer
    ) -> None:
        connection = xcffib.connect(server.display)

        def remap(keysym: int) -> None:
            connection.core.ChangeKeyboardMapping(1, SPARE, 2, [keysym, keysym], is_checked=True).check()

        with listening():
            type_us(injector, "a")
            for number, character in enumerate("☃Ж中", 1):
                remap(0x1000000 + ord(character))
                injector.tap(SPARE)
                wait_for(lambda number=number: len(sink.of(Kind.KEY_UP)) == 1 + number, "the key")
                wait_for(lambda character=character: terminal.text.endswith(character), "the character")
            remap(0)
            type_us(injector, "b")
            injector.tap(ENTER)
            got = terminal.line()
        connection.disconnect()
        assert got == line_of(sink.events) == "a☃Ж中b\n"

    def test_shortcuts_write_nothing(self, listening: Listening, injector: Injector, sink: ListeningSink) -> None:
        with listening():
            for modifier in (CTRL, ALT, 133):
                injector.tap(modifier, US["j"])
        assert [event.text for event in sink.events] == [None] * 12
        assert [event.key for event in sink.of(Kind.KEY_DOWN)] == ["ctrlleft", "j", "altleft", "j", "winleft", "j"]
        assert {event.code for event in sink.events} == {29, 36, 56, 125}


class TestRepeat:
    def test_a_held_key_writes_as_often_as_a_terminal_receives_it(
        self, listening: Listening, injector: Injector, sink: ListeningSink, terminal: Terminal, server: XServer
    ) -> None:
        with listening():
            server.run("xset", "r", "rate", "200", "10")  # slow: a busy server is late at each repeat
            injector.key(US["d"], True)
            time.sleep(0.6)  # how long a person holds it
            injector.key(SHIFT, True)
            time.sleep(0.4)
            injector.key(US["d"], False)
            injector.key(SHIFT, False)
            injector.key(US["c"], True)
            time.sleep(0.1)
            injector.key(US["c"], False)
            injector.tap(ENTER)
            got = terminal.line()
        written = line_of(sink.events)
        assert abs(len(got) - len(written)) <= 1
        for character in "dDc":
            assert written.count(character) == pytest.approx(got.count(character), abs=1)
        assert got.count("d") > 3
        assert got.count("D") > 2
        repeats = [event for event in sink.events if event.flags & Flag.AUTO_REPEAT]
        assert all(event.flags & Flag.ESTIMATED and event.kind == Kind.KEY_DOWN for event in repeats)
        assert {event.code for event in repeats} == {32}
        times_us = [event.time_us for event in repeats]
        assert times_us == list(range(times_us[0], times_us[-1] + 1, 100_000))

    def test_repeats_come_while_the_key_is_held(
        self, listening: Listening, injector: Injector, sink: ListeningSink, server: XServer
    ) -> None:
        server.run("xset", "r", "rate", "200", "25")
        with listening():
            injector.key(US["d"], True)
            wait_for(lambda: len(sink.events) > 5, "repeats")
            injector.key(US["d"], False)
        server.run("xset", "r", "rate", "660", "25")

    def test_nothing_repeats_when_it_is_switched_off(
        self, listening: Listening, injector: Injector, sink: ListeningSink, server: XServer
    ) -> None:
        server.run("xset", "r", "rate", "20", "100")
        with listening():
            server.run("xset", "r", "off")
            injector.key(US["d"], True)
            time.sleep(0.2)
            injector.key(US["d"], False)
            server.run("xset", "r", "on")
            server.run("xset", "-r", str(US["e"]))
            injector.key(US["e"], True)
            time.sleep(0.2)
            injector.key(US["e"], False)
        server.run("xset", "r", str(US["e"]))
        server.run("xset", "r", "rate", "660", "25")
        assert [event.kind for event in sink.events] == [Kind.KEY_DOWN, Kind.KEY_UP] * 2


class TestWithheld:
    def test_keys_that_must_not_be_kept_are_counted_and_their_releases_too(
        self, listening: Listening, injector: Injector, sink: ListeningSink, desktop: OpenDesktop
    ) -> None:
        with listening():
            injector.key(US["a"], True)
            wait_for(lambda: len(sink.events) == 1, "the first key")
            desktop.keys = "excluded"
            injector.key(US["a"], False)
            injector.tap(SHIFT, US["s"])
            injector.key(US["d"], True)
            wait_for(lambda: sink.withheld["excluded"] == 5, "the withheld keys")
            desktop.keys = None
            injector.key(US["d"], False)
            type_us(injector, "f")
        assert [(event.kind, event.text) for event in sink.events] == [
            (Kind.KEY_DOWN, "a"),
            (Kind.KEY_UP, None),
            (Kind.KEY_DOWN, "f"),
            (Kind.KEY_UP, None),
        ]
        assert sink.withheld == {"excluded": 6}

    def test_modifiers_are_followed_while_keys_are_withheld(
        self, listening: Listening, injector: Injector, sink: ListeningSink, desktop: OpenDesktop
    ) -> None:
        desktop.keys = "excluded"
        with listening():
            injector.tap(CAPS)
            wait_for(lambda: sink.withheld["excluded"] == 2, "the withheld keys")
            desktop.keys = None
            type_us(injector, "a")
            injector.tap(CAPS)
        assert line_of(sink.events) == "A"

    def test_no_dead_key_goes_on_over_keys_that_are_withheld(
        self, listening: Listening, injector: Injector, sink: ListeningSink, desktop: OpenDesktop, server: XServer
    ) -> None:
        server.run("setxkbmap", "de")
        with listening():
            injector.tap(US["`"])  # kept, and then something is typed elsewhere
            wait_for(lambda: len(sink.events) == 2, "the dead key")
            desktop.keys = "excluded"
            type_us(injector, "s`")  # the last one is dead, too
            wait_for(lambda: sink.withheld["excluded"] == 4, "the withheld keys")
            desktop.keys = None
            type_us(injector, "a")
        server.run("setxkbmap", "us")
        assert line_of(sink.events) == "a"

    def test_repeats_are_withheld_with_their_press(
        self, listening: Listening, injector: Injector, sink: ListeningSink, desktop: OpenDesktop, server: XServer
    ) -> None:
        server.run("xset", "r", "rate", "200", "25")
        desktop.keys = "password"
        with listening():
            injector.key(US["a"], True)
            wait_for(lambda: sink.withheld["password"] == 1, "the press")
            desktop.keys = None
            wait_for(lambda: sink.withheld["password"] > 3, "repeats")
            injector.key(US["a"], False)
        server.run("xset", "r", "rate", "660", "25")
        assert sink.events == []


def test_news_of_the_desktop_come_before_the_key(
    listening: Listening, injector: Injector, sink: ListeningSink, desktop: OpenDesktop
) -> None:
    desktop.news = [Event(1, Kind.FOCUS, Flag.RESTATED, app="first")]
    with listening():
        wait_for(lambda: len(sink.events) == 1, "what it finds")
        desktop.news = [Event(2, Kind.FOCUS, app="second")]
        injector.tap(US["a"])
        wait_for(lambda: len(sink.events) == 4, "the key")
        desktop.tell(Event(3, Kind.FOCUS, app="third"))
        wait_for(lambda: len(sink.events) == 5, "what it tells by itself")
    assert [event.kind for event in sink.events] == [Kind.FOCUS, Kind.FOCUS, Kind.KEY_DOWN, Kind.KEY_UP, Kind.FOCUS]


def test_an_answer_that_was_asked_before_a_key_is_not_used_for_it(
    listening: Listening, injector: Injector, sink: ListeningSink, desktop: OpenDesktop
) -> None:
    with listening():
        injector.tap(US["a"])
        wait_for(lambda: len(sink.events) == 2, "the first key")
        desktop.keys = "password"
        injector.tap(US["b"])
        wait_for(lambda: sink.withheld["password"] == 2, "the second key")
    assert {event.text for event in sink.events} == {"a", None}
