"""The limit of the bandwidth: never faster, and not much slower."""

from __future__ import annotations

import time
from itertools import accumulate
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spool_files import spool_with

from taskreel.capture.publisher.bandwidth import Throttle, bytes_per_s
from taskreel.capture.publisher.publish import PublishOptions, publish_once
from taskreel.io.stores import open_store
from taskreel.rehearsal.gcs.server import GcsServer


@pytest.mark.parametrize(
    ("text", "expected"), [("500k", 500_000), ("2M", 2_000_000), ("80000", 80_000), ("1.5M", 1_500_000), ("0.5k", 500)]
)
def test_a_rate_is_read(text: str, expected: int) -> None:
    assert bytes_per_s("--bandwidth", text) == expected


@pytest.mark.parametrize("text", ["", "k", "0", "-1k", "500K", "5G", "nan", "inf", "1e999", "0.1", "5 k b"])
def test_what_is_no_rate_is_refused_with_the_option(text: str) -> None:
    with pytest.raises(ValueError, match=r"--bandwidth .*500k"):
        bytes_per_s("--bandwidth", text)


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now_s += seconds


@given(
    st.floats(100, 1e7),
    st.lists(st.tuples(st.floats(0, 3), st.integers(1, 16_384)), min_size=1, max_size=40),
)
def test_in_no_time_passes_more_than_the_rate_allows(rate: float, blocks: list[tuple[float, int]]) -> None:
    clock = Clock()
    throttle = Throttle(rate, clock=clock, sleep=clock.sleep)
    sent = []
    for idle_s, count in blocks:
        clock.now_s += idle_s
        throttle.take(count)
        sent.append((clock.now_s, count))
    for first, (start_s, _) in enumerate(sent):
        total = 0
        for end_s, count in sent[first:]:
            total += count
            assert total <= rate * (end_s - start_s + 0.1) + sent[first][1] + 1e-3


@given(st.floats(100, 1e7), st.lists(st.integers(1, 16_384), min_size=1, max_size=40))
def test_no_block_waits_longer_than_the_rate_asks(rate: float, counts: list[int]) -> None:
    clock = Clock()
    throttle = Throttle(rate, clock=clock, sleep=clock.sleep)
    for count, total in zip(counts, accumulate(counts), strict=True):
        throttle.take(count)
        assert clock.now_s - 1000.0 <= total / rate + 1e-6


@pytest.mark.parametrize("place", ["gcs", "folder"])
def test_an_upload_goes_as_fast_as_it_may(place: str, gcs: GcsServer, tmp_path: Path) -> None:
    spool = spool_with(tmp_path / "spool", 0, 1, size_bytes=200_000)
    store = open_store("gs://lake/people" if place == "gcs" else str(tmp_path / "store"))
    began_s = time.monotonic()
    summary = publish_once(spool, store, PublishOptions(bandwidth_bytes_s=200_000))
    wall_s = time.monotonic() - began_s
    assert summary.sent_bytes == 400_000
    assert 1.8 < wall_s < 6.0  # 2 s; a machine under load may be late, never early
