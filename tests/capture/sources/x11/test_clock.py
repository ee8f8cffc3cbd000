"""The server's time over its end after 49.7 days."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from taskreel.capture.sources.x11.clock import ServerClock

PERIOD_US = (1 << 32) * 1000
DAY_US = 86_400_000_000


@given(st.integers(0, 400 * DAY_US), st.integers(-24 * DAY_US, 24 * DAY_US))
def test_a_time_is_found_from_any_moment_within_24_days(true_us: int, away_us: int) -> None:
    server_ms = true_us // 1000 % (1 << 32)
    assert ServerClock().monotonic_us(server_ms, true_us + away_us) == true_us // 1000 * 1000


def test_over_the_end() -> None:
    clock = ServerClock()
    assert clock.monotonic_us((1 << 32) - 1, PERIOD_US + 5) == PERIOD_US - 1000
    assert clock.monotonic_us(0, PERIOD_US - 5) == PERIOD_US


def test_a_server_on_this_machine_has_no_offset() -> None:
    assert ServerClock.set_by(5_000_123, 5_000_123_999) == ServerClock(0)
    assert ServerClock.set_by(5, PERIOD_US + 5_000 - 900_000) == ServerClock(0)


@given(st.integers(0, (1 << 32) - 1), st.integers(0, 400 * DAY_US), st.integers(0, 49 * DAY_US))
def test_a_server_elsewhere_is_followed_from_its_first_time(server_ms: int, now_us: int, later_us: int) -> None:
    clock = ServerClock.set_by(server_ms, now_us)
    then_ms = (server_ms + later_us // 1000) % (1 << 32)
    there_us = clock.monotonic_us(then_ms, now_us + later_us)
    assert abs(there_us - (now_us + later_us)) <= 1_000_000
