from __future__ import annotations

import io
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from PIL import Image

from taskreel.capture.frames import PPM, VISIBLE_DIFFERENCE, changed_ppm, screen_events
from taskreel.io.events import Kind
from taskreel.io.segments import picture_hash

FRAME = npst.arrays(np.uint8, (3, 4, 3), elements=st.sampled_from([0, 10, 24, 25, 48, 49, 255]))


@given(FRAME, FRAME)
def test_a_pixel_changed_if_any_channel_differs_visibly(before: np.ndarray, after: np.ndarray) -> None:
    changed = 0
    for row in range(3):
        for column in range(4):
            pairs = zip(before[row, column].tolist(), after[row, column].tolist(), strict=True)
            changed += any(abs(one - other) > VISIBLE_DIFFERENCE for one, other in pairs)
    ppm = changed_ppm(before, after)
    assert (ppm == 0) == (changed == 0)
    assert 0 <= ppm - changed * PPM / 12 < 1
    assert changed_ppm(after, before) == ppm


def test_one_pixel_of_a_large_screen_is_a_change() -> None:
    before = np.zeros((2160, 3840, 3), np.uint8)
    after = before.copy()
    after[7, 9, 2] = 255
    assert changed_ppm(before, after) == 1


def test_another_size_is_another_screen() -> None:
    assert changed_ppm(np.zeros((2, 3, 3), np.uint8), np.zeros((3, 2, 3), np.uint8)) == PPM


@settings(deadline=None)
@given(st.lists(FRAME, max_size=6))
def test_a_frame_makes_an_event_if_it_differs_from_the_last_that_made_one(frames: list[np.ndarray]) -> None:
    rows = list(screen_events(enumerate(frames)))
    shown: list[int] = []
    for number, frame in enumerate(frames):
        if not shown or changed_ppm(frames[shown[-1]], frame):
            shown.append(number)
    assert [row["time_us"] for row in rows] == shown
    changes = [changed_ppm(frames[a], frames[b]) for a, b in pairwise(shown)]
    assert [row["picture_change_ppm"] for row in rows] == [None, *changes][: len(rows)]


def test_a_slow_fade_is_seen() -> None:
    frames = [np.full((4, 4, 3), gray, np.uint8) for gray in range(0, 200, 10)]
    assert [row["time_us"] for row in screen_events(enumerate(frames))] == list(range(0, 20, 3))


def test_a_picture_is_the_frame_without_loss() -> None:
    frame = np.random.default_rng(1).integers(0, 255, (50, 70, 3), np.uint8)
    (row,) = screen_events([(5, frame)])
    data = row["picture"]
    assert isinstance(data, bytes)
    image = Image.open(io.BytesIO(data))
    assert image.format == "WEBP"
    np.testing.assert_array_equal(np.asarray(image), frame)
    assert row["picture_hash"] == picture_hash(data)
    assert (row["picture_width_px"], row["picture_height_px"], row["kind"]) == (70, 50, Kind.SCREEN)


@pytest.mark.parametrize("step", [VISIBLE_DIFFERENCE, VISIBLE_DIFFERENCE + 1])
def test_the_threshold_is_where_it_says(step: int) -> None:
    frames = [(n, np.full((2, 2, 3), n * step, np.uint8)) for n in range(2)]
    assert len(list(screen_events(frames))) == (1 if step == VISIBLE_DIFFERENCE else 2)
