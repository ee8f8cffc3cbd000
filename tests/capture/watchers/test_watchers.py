"""All watchers together: what is absent, how fast they stop, and a bus that comes back."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from message_bus import PrivateBus, Program
from x_server import wait_for

from taskreel.capture.settings import Settings
from taskreel.capture.sources.guards import Withholds
from taskreel.capture.watchers import Watchers, watcher

GNOME = "org.gnome.ScreenSaver"


def test_without_any_bus_all_is_absent_with_its_reason_and_nothing_raises(tmp_path: Path) -> None:
    nowhere = f"unix:path={tmp_path}/none"
    environ = {"DBUS_SYSTEM_BUS_ADDRESS": nowhere, "DBUS_SESSION_BUS_ADDRESS": "no address", "HOME": str(tmp_path)}
    watchers = Watchers(Settings(tmp_path), environ=environ)
    assert watchers.absent == {"buses": "not started"}
    guards = watchers.start()
    assert [(guard.reason, guard.withholds, guard.is_on) for guard in guards] == [
        ("locked", Withholds.ALL, False),
        ("password", Withholds.KEYS, False),
        ("ime", Withholds.TEXT, False),
    ]
    absent = watchers.absent
    assert list(absent) == ["logind", "screen locker", "passwords", "ibus", "fcitx"]
    assert nowhere in absent["logind"]
    assert all("no session bus" in absent[name] for name in ("screen locker", "passwords", "fcitx"))
    watchers.stop()
    watchers.stop()


def test_they_stop_within_200_ms_whatever_they_wait_for(tmp_path: Path) -> None:
    before = threading.active_count()
    with PrivateBus() as bus, Program(bus.address, GNOME, "org.freedesktop.login1", "org.fcitx.Fcitx5") as mute:
        mute.silent |= {"GetActive", "GetSession", "State", "org.freedesktop.login1.Manager.PreparingForSleep"}
        watchers = Watchers(Settings(tmp_path), environ=bus.environ | {"DBUS_SYSTEM_BUS_ADDRESS": bus.address})
        threading.Timer(0.3, watchers.stop).start()  # while they wait for answers
        began_s = time.monotonic()
        watchers.start()
        wait_for(lambda: threading.active_count() <= before + 1, "the end of all threads", 2)
        assert time.monotonic() - began_s < 1.5, "they do not wait for answers until the limit of a call"


def test_a_bus_that_comes_back_is_watched_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watcher, "RETRY_S", 0.05)
    environ = {"HOME": str(tmp_path)}
    changes: list[bool] = []
    watchers = Watchers(Settings(tmp_path), changed=lambda: changes.append(True), environ=environ)
    with PrivateBus() as bus, Program(bus.address, GNOME):
        environ |= bus.environ
        guard = watchers.start()[0]
        assert "screen locker" not in watchers.absent
    wait_for(lambda: "screen locker" in watchers.absent, "news of the loss")
    with PrivateBus() as bus, Program(bus.address, GNOME) as locker:
        environ |= bus.environ
        wait_for(lambda: "screen locker" not in watchers.absent, "the bus again")
        locker.emit("/org/gnome/ScreenSaver", GNOME, "ActiveChanged", "b", True)
        wait_for(lambda: watchers.session.is_locked, "the lock")
        assert guard.is_on
        assert changes
        watchers.stop()


def test_without_the_library_the_remedy_is_said() -> None:
    program = (
        "import sys; sys.modules['jeepney'] = None\n"
        "from pathlib import Path\n"
        "from taskreel.capture.settings import Settings\n"
        "from taskreel.capture.watchers import Watchers\n"
        "watchers = Watchers(Settings(Path('/none')))\n"
        "print(len(watchers.start()), watchers.absent)\n"
        "watchers.stop()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "3 {'buses': \"the library jeepney is missing: pip install 'taskreel[capture]'\"}\n"
