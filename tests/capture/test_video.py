from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from owamcap_files import write_video

from taskreel.capture.video import NEAREST_US, VideoError, frames_at, video_frames

TIMES_MS = [0, 20, 60, 320, 340, 900]


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    frames = [(time_ms, np.full((16, 16, 3), 40 * n, np.uint8)) for n, time_ms in enumerate(TIMES_MS)]
    return write_video(tmp_path_factory.mktemp("video") / "a.mkv", frames)


def test_frames_come_with_their_times(video: Path) -> None:
    assert [(time_us, int(frame[0, 0, 0])) for time_us, frame in video_frames(video)] == [
        (time_ms * 1000, 40 * n) for n, time_ms in enumerate(TIMES_MS)
    ]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 1_000_000), max_size=8))
def test_the_nearest_frame_is_found_or_none(video: Path, wanted: list[int]) -> None:
    wanted.sort()
    found = list(frames_at(video, wanted))
    for wanted_us, frame in zip(wanted, found, strict=True):
        distances = [abs(time_ms * 1000 - wanted_us) for time_ms in TIMES_MS]
        if min(distances) > NEAREST_US:
            assert frame is None
        else:
            assert frame is not None
            assert abs(frame[0] - wanted_us) == min(distances)
            assert frame[1][0, 0, 0] == 40 * TIMES_MS.index(frame[0] // 1000)


@pytest.mark.parametrize("content", [b"", b"no video", b"\x1a\x45\xdf\xa3" + b"\0" * 100])
def test_a_file_that_is_no_video_is_one_error(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    path.write_bytes(content)
    with pytest.raises(VideoError, match=r"a\.mkv"):
        list(video_frames(path))


def test_a_video_that_was_cut_off_gives_the_frames_before(video: Path, tmp_path: Path) -> None:
    content = video.read_bytes()
    for end in range(len(content) // 2, len(content), 97):
        path = tmp_path / f"{end}.mkv"
        path.write_bytes(content[:end])
        try:
            times = [time_us // 1000 for time_us, _ in video_frames(path)]
        except VideoError:
            continue
        assert times == TIMES_MS[: len(times)]
