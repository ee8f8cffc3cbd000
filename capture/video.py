"""Frames of a video file, by their time in it. PyAV decodes one after another, so a video is never whole in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

NEAREST_US = 50_000
"""A frame that is farther from the wanted time is another frame: three frames at 60 a second."""


class VideoError(ValueError):
    """A file from which no frame can be decoded."""


def video_frames(path: Path) -> Iterator[tuple[int, np.ndarray]]:
    """The frames of the first video stream: µs from the start of the video, and `uint8` RGB (height, width, 3)."""
    return ((time_us, _rgb(frame)) for time_us, frame in _decoded(path))


def frames_at(path: Path, times_us: Iterable[int]) -> Iterator[tuple[int, np.ndarray] | None]:
    """For each wanted time (µs in the video, not falling) the nearest frame; None if it is over `NEAREST_US` away."""
    frames = _decoded(path)
    before, after = None, next(frames, None)
    for wanted_us in times_us:
        while after and after[0] <= wanted_us:
            before, after = after, next(frames, None)
        near = [frame for frame in (before, after) if frame and abs(frame[0] - wanted_us) <= NEAREST_US]
        nearest = min(near, key=lambda frame: abs(frame[0] - wanted_us), default=None)
        yield nearest and (nearest[0], _rgb(nearest[1]))


def _decoded(path: Path) -> Iterator[tuple[int, av.VideoFrame]]:
    """Frames as they lie in the file. A file that is cut off in the middle ends where it can be decoded no further."""
    try:
        container = av.open(str(path))
    except (OSError, av.FFmpegError) as error:
        raise VideoError(f"{path}: not a video that can be decoded") from error
    with container:
        if not container.streams.video:
            raise VideoError(f"{path}: has no video stream")
        stream = container.streams.video[0]
        time_base = stream.time_base or Fraction(1, av.time_base)
        try:
            for frame in container.decode(stream):
                if frame.pts is not None:
                    yield int(frame.pts * time_base * 1_000_000), frame
        except av.FFmpegError:
            return


def _rgb(frame: av.VideoFrame) -> np.ndarray:
    return frame.to_ndarray(format="rgb24")
