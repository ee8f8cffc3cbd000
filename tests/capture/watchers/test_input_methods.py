"""Input methods on private buses: small programs play IBus and Fcitx, and the real Fcitx 5 says that it has none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from message_bus import PrivateBus, Program
from x_server import XServer, wait_for

from taskreel.capture.settings import Settings
from taskreel.capture.sources.guards import Guard, Withholds
from taskreel.capture.watchers import Watchers, input_methods, watcher
from taskreel.capture.watchers.input_methods import FcitxWatcher, IbusWatcher
from taskreel.capture.watchers.session import Causes

IBUS = "org.freedesktop.IBus"


@pytest.fixture(scope="module")
def bus() -> Iterator[PrivateBus]:
    with PrivateBus() as bus:
        yield bus


@pytest.fixture
def causes() -> Causes:
    return Causes(Guard("ime", Withholds.TEXT))


def engine(name: str) -> tuple[str, tuple[object, ...]]:
    """As IBus sends it: a serialized `IBusEngineDesc` in a variant."""
    return "v", (("(sa{sv}ss)", ("IBusEngineDesc", {}, name, "Long name")),)


def test_ibus_is_asked_at_the_start_and_heard_after(bus: PrivateBus, causes: Causes) -> None:
    with Program(bus.address, IBUS) as ibus:
        ibus.answers[f"{IBUS}.GlobalEngine"] = engine("anthy")
        watcher = IbusWatcher(causes, {"IBUS_ADDRESS": bus.address})
        watcher.start()
        watcher.wait(20)
        assert causes.guard.is_on
        for name, is_on in (("xkb:us::eng", False), ("libpinyin", True), ("", False)):
            ibus.emit("/org/freedesktop/IBus", IBUS, "GlobalEngineChanged", "s", name)
            wait_for(lambda is_on=is_on: causes.guard.is_on == is_on, f"engine {name}")
        watcher.stop()
        watcher.join(20)


def test_ibus_without_an_engine_is_not_active_and_may_come_and_go(
    causes: Causes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watcher, "RETRY_S", 0.1)
    environ = {"HOME": "/none"}
    ibus_watcher = IbusWatcher(causes, environ)
    ibus_watcher.start()
    ibus_watcher.wait(20)
    assert ibus_watcher.absence == "IBus does not run"
    with PrivateBus() as bus, Program(bus.address, IBUS) as ibus:
        environ["IBUS_ADDRESS"] = bus.address
        wait_for(lambda: not ibus_watcher.absence, "IBus")
        assert not causes.guard.is_on
        ibus.emit("/org/freedesktop/IBus", IBUS, "GlobalEngineChanged", "s", "anthy")
        wait_for(lambda: causes.guard.is_on, "the engine")
        del environ["IBUS_ADDRESS"]
    wait_for(lambda: not causes.guard.is_on, "the end of IBus")
    ibus_watcher.stop()
    ibus_watcher.join(20)


def test_fcitx_is_asked_again_and_again(bus: PrivateBus, causes: Causes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(input_methods, "FCITX_EVERY_S", 0.05)
    watcher = FcitxWatcher(causes, {"DBUS_SESSION_BUS_ADDRESS": bus.address})
    watcher.start()
    watcher.wait(20)
    assert watcher.absence == "Fcitx 5 does not run"
    with Program(bus.address, "org.fcitx.Fcitx5") as fcitx:
        for state, method, is_on in (
            (2, "pinyin", True),
            (1, "pinyin", False),
            (2, "mozc", True),
            (2, "keyboard-us", False),
        ):
            fcitx.answers |= {"State": ("i", (state,)), "CurrentInputMethod": ("s", (method,))}
            wait_for(lambda is_on=is_on: causes.guard.is_on == is_on, f"{method} in state {state}")
            assert not watcher.absence
        fcitx.answers["CurrentInputMethod"] = ("s", ("pinyin",))
        wait_for(lambda: causes.guard.is_on, "the input method")
    wait_for(lambda: not causes.guard.is_on, "the end of Fcitx")
    watcher.stop()
    watcher.join(20)


def test_the_real_fcitx_is_understood(tmp_path: Path) -> None:
    with XServer() as x, PrivateBus(x.env()) as bus:
        x.start("fcitx5", env=bus.environ)
        watchers = Watchers(Settings(tmp_path, display=x.display), environ=bus.environ)
        guards = {guard.reason: guard for guard in watchers.start()}
        wait_for(lambda: "fcitx" not in watchers.absent, "Fcitx 5")
        assert not guards["ime"].is_on, "it has only layouts"
        watchers.stop()
