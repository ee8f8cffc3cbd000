from __future__ import annotations

import io
import threading
import time

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from listening_sink import ListeningSink
from PIL import Image

from taskreel.capture.frames import difference_hash
from taskreel.capture.sources.protocol import Picture
from taskreel.capture.sources.screens.encode import Encoder, encode
from taskreel.capture.sources.screens.predictor import is_lossless_smaller


@settings(max_examples=25)
@given(seed=st.integers(0, 99), height=st.integers(1, 200), width=st.integers(1, 200))
def test_lossless_is_to_the_pixel(seed: int, height: int, width: int) -> None:
    rng = np.random.default_rng(seed)
    colors = rng.integers(0, 1 << 24, 4, np.uint32) | 0xFF000000
    pixels = np.full((height, width), colors[0], np.uint32)
    for color in colors[1:]:
        pixels[rng.integers(0, height) :, rng.integers(0, width) :] = color
    assume(is_lossless_smaller(pixels))
    picture = encode(pixels)
    assert picture.data[12:16] == b"VP8L"
    assert (picture.width_px, picture.height_px) == (width, height)
    assert (rgb(picture) == channels(pixels)).all()


def test_a_photo_is_lossy_and_like_it() -> None:
    rough = np.random.default_rng(1).integers(0, 255, (9, 9, 3), np.uint8)
    image = Image.fromarray(rough).resize((320, 200), Image.Resampling.BICUBIC)
    red, green, blue = (np.asarray(image)[..., channel].astype(np.uint32) for channel in range(3))
    picture = encode(0xFF000000 | red << 16 | green << 8 | blue)
    assert picture.data[12:16] == b"VP8 "
    assert np.abs(rgb(picture).astype(int) - np.asarray(image)).mean() < 4
    assert picture.dhash == difference_hash(image)


def test_what_waits_is_handed_over_at_the_end() -> None:
    sink = ListeningSink()
    frames = {f"key {color}": np.full((40, 50), 0xFF000000 | color, np.uint32) for color in (1, 0x200, 0x30000)}
    with Encoder(sink) as encoder:
        for key, pixels in frames.items():
            encoder.submit(key, pixels)
            pixels[:] = 0  # the encoder has its own copy
    assert list(sink.pictures) == list(frames)
    assert [rgb(picture)[0, 0].tolist() for picture in sink.pictures.values()] == [[0, 0, 1], [0, 2, 0], [3, 0, 0]]


def test_frames_in_the_queue_are_counted() -> None:
    sink = SlowSink()
    with Encoder(sink) as encoder:
        for number in range(3):
            encoder.submit(f"{number}", np.zeros((8, 8), np.uint32))
        assert sink.is_asked.wait(20)
        assert encoder.waiting == 2
        sink.may_go_on.set()


def test_what_goes_wrong_in_the_thread_is_raised_at_the_end() -> None:
    with pytest.raises(OSError, match="disk full"), Encoder(FullSink()) as encoder:
        encoder.submit("key", np.zeros((8, 8), np.uint32))


def test_what_goes_wrong_in_the_thread_is_raised_when_asked() -> None:
    def ask() -> None:
        until_s = time.monotonic() + 20
        while time.monotonic() < until_s:
            encoder.check()
            time.sleep(0.01)

    encoder = Encoder(FullSink()).__enter__()
    encoder.submit("key", np.zeros((8, 8), np.uint32))
    with pytest.raises(OSError, match="disk full"):
        ask()
    with pytest.raises(OSError, match="disk full"):
        encoder.__exit__(None, None, None)


class SlowSink(ListeningSink):
    def __init__(self) -> None:
        super().__init__()
        self.is_asked, self.may_go_on = threading.Event(), threading.Event()

    def picture(self, key: str, picture: Picture) -> None:
        self.is_asked.set()
        assert self.may_go_on.wait(20)


class FullSink(ListeningSink):
    def picture(self, key: str, picture: Picture) -> None:
        raise OSError("disk full")


def rgb(picture: Picture) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(picture.data)).convert("RGB"))


def channels(pixels: np.ndarray) -> np.ndarray:
    return np.stack([pixels >> 16 & 255, pixels >> 8 & 255, pixels & 255], -1).astype(np.uint8)
