"""All indicators together: each shows the status, none raises, and what is absent is said."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from message_bus import PrivateBus, Program
from x_server import XServer, wait_for

from taskreel.capture.indicators import Indicators, Phase, Status, read_state
from taskreel.capture.settings import Settings

COMM = Path("/proc/self/comm")
STATUS = Status(pid=os.getpid(), phase=Phase.RECORDING, since_us=1, participant="p17", started_us=1, events=3)


@pytest.fixture(autouse=True)
def _process_name() -> Iterator[None]:
    name = COMM.read_text()
    yield
    COMM.write_text(name.strip())


def test_all_show_the_status(tmp_path: Path) -> None:
    stream = io.StringIO()
    with XServer() as x, PrivateBus() as bus, Program(bus.address, "org.freedesktop.Notifications") as server:
        server.answers["Notify"] = ("u", (1,))
        settings = Settings(tmp_path, display=x.display, pause_hotkey="ctrl+f9")
        indicators = Indicators(settings, lambda: None, stream=stream, environ=bus.environ)
        indicators.show(STATUS)
        assert read_state(tmp_path) == STATUS
        assert stream.getvalue().startswith("taskreel: ● REC p17 ")
        assert stream.getvalue().endswith("3 events  0 pictures  (ctrl+f9 pauses)\n")
        assert COMM.read_text() == "taskreel\n"
        wait_for(lambda: server.calls, "the notification")
        wait_for(lambda: indicators.absent == {"tray": "no tray runs on this display"}, "only the tray to be missing")
        indicators.close()
        indicators.close()
        indicators.show(STATUS)


def test_nothing_raises_where_nothing_works(tmp_path: Path) -> None:
    settings = Settings(tmp_path / "none", display=":4095")
    indicators = Indicators(settings, lambda: None, stream=_Closed(), environ={})
    for phase in Phase:
        indicators.show(Status(**vars(STATUS) | {"phase": phase}))
    wait_for(lambda: len(indicators.absent) == 4, "the reasons")
    assert set(indicators.absent) == {"state file", "terminal", "tray", "notices"}
    (tmp_path / "none").mkdir()
    indicators.show(STATUS)
    assert "state file" not in indicators.absent
    indicators.close()


class _Closed(io.StringIO):
    """A terminal that was closed."""

    def write(self, text: str) -> int:
        raise OSError(5, "Input/output error")


def test_without_the_libraries_the_remedy_is_said(tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules |= {'jeepney': None, 'xcffib': None}\n"
        "from pathlib import Path\n"
        "from taskreel.capture.indicators import Indicators\n"
        "from taskreel.capture.settings import Settings\n"
        "print(Indicators(Settings(Path('/none')), lambda: None).absent)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == (
        "{'tray': \"the library xcffib is missing: pip install 'taskreel[capture]'\", "
        "'notices': \"the library jeepney is missing: pip install 'taskreel[capture]'\"}\n"
    )
