"""Pictures as WebP, made in a thread of their own behind a short queue."""

from __future__ import annotations

import io
import queue
import threading
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import numpy as np
from PIL import Image

from taskreel.capture.frames import difference_hash
from taskreel.capture.sources.protocol import Picture, Sink
from taskreel.capture.sources.screens.predictor import is_lossless_smaller

QUEUE = 3
"""Frames that wait to be encoded, at 8.3 MB each for 1920 x 1080."""

LOSSLESS = {"lossless": True, "quality": 0, "method": 1}
"""25 to 75 ms for a screen of text at 1920 x 1080; higher methods take twice as long and are no smaller. From quality
25 on, libwebp looks for repetitions thoroughly: 0.4 times the bytes, but 50 to 120 ms and 15 MB more of memory, more
than a quarter of a core at two pictures a second."""

LOSSY = {"quality": 80, "method": 0}
"""35 to 60 ms; method 4 takes 150 ms for 5 % less."""


@dataclass(frozen=True)
class _Job:
    key: str
    image: Image.Image
    options: dict[str, Any]


def encode(pixels: np.ndarray) -> Picture:
    """A frame (`uint32`, height x width) as a picture: WebP, lossless if that is likely smaller, else quality 80."""
    return _encode(image_of(pixels), options_for(pixels))


def image_of(pixels: np.ndarray) -> Image.Image:
    """A copy of a frame as an RGB image."""
    height, width = pixels.shape
    return Image.frombuffer("RGB", (width, height), np.ascontiguousarray(pixels), "raw", "BGRX", 0, 1)


def options_for(pixels: np.ndarray) -> dict[str, Any]:
    """How to encode a frame, as PIL's options."""
    return LOSSLESS if is_lossless_smaller(pixels) else LOSSY


def _encode(image: Image.Image, options: dict[str, Any]) -> Picture:
    into = io.BytesIO()
    image.save(into, "WEBP", **options)
    return Picture(into.getvalue(), image.width, image.height, difference_hash(image))


class Encoder:
    """Encodes frames one after the other and hands the pictures to a sink. At the end all that wait are made."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._jobs: queue.Queue[_Job | None] = queue.Queue()
        self._failed: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="screens-encoder")

    def __enter__(self) -> Encoder:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._jobs.put(None)
        self._thread.join()
        if error is None:
            self.check()

    @property
    def waiting(self) -> int:
        """Frames in the queue, without the one that is being encoded."""
        return self._jobs.qsize()

    def check(self) -> None:
        """Raises what went wrong in the thread, if anything did."""
        if self._failed is not None:
            raise self._failed

    def submit(self, key: str, pixels: np.ndarray) -> None:
        """Encode a frame, which is copied. The caller sees to it that no more than `QUEUE` wait."""
        self._jobs.put(_Job(key, image_of(pixels), options_for(pixels)))

    def _run(self) -> None:
        try:
            while (job := self._jobs.get()) is not None:
                self._sink.picture(job.key, _encode(job.image, job.options))
                del job
        except BaseException as error:
            self._failed = error
