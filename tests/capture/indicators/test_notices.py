"""Notifications, as a server on a private bus gets them."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from message_bus import PrivateBus, Program
from x_server import wait_for

from taskreel.capture.indicators.notices import Notices
from taskreel.capture.indicators.state import Phase

NAME = "org.freedesktop.Notifications"


@pytest.fixture
def bus() -> Iterator[PrivateBus]:
    with PrivateBus() as bus:
        yield bus


def test_each_new_phase_takes_the_place_of_the_notification_before(bus: PrivateBus) -> None:
    with Program(bus.address, NAME) as server:
        server.answers["Notify"] = ("u", (7,))
        notices = Notices("ctrl+p", bus.environ)
        for phase in (
            *(Phase.RECORDING, Phase.RECORDING, Phase.PAUSED, Phase.LOCKED),
            *(Phase.RECORDING, Phase.QUOTA, Phase.STOPPED),
        ):
            notices.show(phase)
        notices.close()
        shown = [values for _, values in server.calls]
    assert [(values[0], values[1]) for values in shown] == [("taskreel", 0)] + [("taskreel", 7)] * 4
    assert [(values[3], values[4]) for values in shown] == [
        ("Recording", "taskreel records what you do. ctrl+p pauses."),
        ("Recording is paused", "Nothing is recorded. ctrl+p resumes."),
        ("Recording", "taskreel records what you do. ctrl+p pauses."),
        ("Recording stopped: the disk space is used up", "Nothing is recorded until segments are published."),
        ("Recording ended", "Nothing is recorded."),
    ]
    assert [values[6]["urgency"] for values in shown] == [("y", 0), ("y", 0), ("y", 0), ("y", 1), ("y", 0)]
    assert notices.absence == ""


def test_without_a_server_or_a_bus_the_reason_is_said(bus: PrivateBus) -> None:
    notices = Notices("ctrl+p", bus.environ)
    notices.show(Phase.RECORDING)
    notices.close()
    assert f"{NAME} does not run" in notices.absence
    notices = Notices("ctrl+p", {})
    notices.show(Phase.RECORDING)
    notices.close()
    assert "no session bus" in notices.absence


def test_a_server_that_does_not_answer_does_not_hold_up_the_recorder(bus: PrivateBus) -> None:
    with Program(bus.address, NAME) as server:
        server.silent.add("Notify")
        notices = Notices("ctrl+p", bus.environ)
        began_s = time.monotonic()
        notices.show(Phase.RECORDING)
        assert time.monotonic() - began_s < 0.5
        wait_for(lambda: notices.absence, "the end of patience")
        assert "did not answer" in notices.absence
        notices.close()
