"""The video that OBS recorded beside the events of DuckTrack or the AgentNet tool, as screen events.

The recorder notes on its own clock when OBS said that it started, paused, resumed and stopped; the AgentNet tool also
notes when it asked OBS to start (`video_start_timestamp`). While OBS pauses, the video's time stands still.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from taskreel.capture.importers.fields import BadEventError, clock_us
from taskreel.capture.importers.foreign import Alignment

if TYPE_CHECKING:
    import numpy as np

VIDEO_SUFFIXES = (".mp4", ".mkv", ".mov", ".flv")


@dataclass(frozen=True)
class VideoClock:
    """When OBS recorded: ranges of the recorder's clock, from a start to the next pause or stop, which may lack."""

    recorded_us: tuple[tuple[int, int | None], ...]

    def at(self, video_us: int) -> int:
        """The recorder's time of a moment of the video."""
        for begin, end in self.recorded_us[:-1]:
            if end is None or video_us < end - begin:
                return begin + video_us
            video_us -= end - begin
        return self.recorded_us[-1][0] + video_us


@dataclass(frozen=True)
class Video:
    """Screen events on the recorder's clock, how well they lie on it, and the videos that could not be used."""

    rows: list[dict[str, object]]
    alignment: Alignment | None
    missing: tuple[str, ...]


def video_clock(metadata: Mapping[str, Any]) -> VideoClock | None:
    """The clock of the video by the metadata; None if they do not say when it began."""
    starts = _noted(metadata, "STARTED")[:1] or _seconds([metadata.get("video_start_timestamp")])
    if not starts:
        return None
    begins = sorted([*starts, *_noted(metadata, "RESUMED")])
    ends = sorted([*_noted(metadata, "PAUSED"), *(_noted(metadata, "STOPPING") or _noted(metadata, "STOPPED"))[:1]])
    return VideoClock(tuple((begin, next((end for end in ends if end >= begin), None)) for begin in begins))


def read_video(folder: Path, clock: VideoClock | None) -> Video:
    """The screens of the folder's video, the first by name."""
    videos = [path for path in sorted(folder.iterdir()) if path.suffix.lower() in VIDEO_SUFFIXES]
    if not videos:
        return Video([], None, ("the video that OBS recorded (.mp4, .mkv)",) if clock else ())
    if not clock:
        return Video([], None, tuple(f"{video.name} (the metadata do not say when it began)" for video in videos))
    others = tuple(f"{video.name} (a second video)" for video in videos[1:])
    from taskreel.capture.frames import screen_events
    from taskreel.capture.video import VideoError

    frames = _FramesOnClock(videos[0], clock)
    try:
        rows = list(screen_events(frames))
    except VideoError:
        return Video([], None, (f"{videos[0].name} (cannot be decoded)", *others))
    return Video(rows, _alignment(len(rows), frames.last_us, clock), others)


class _FramesOnClock:
    """The frames of a video with the recorder's time of each. `last_us` is the time of the last that was given."""

    def __init__(self, video: Path, clock: VideoClock) -> None:
        self.last_us = clock.at(0)
        self._video = video
        self._clock = clock

    def __iter__(self) -> Iterator[tuple[int, np.ndarray]]:
        from taskreel.capture.video import video_frames

        for video_us, frame in video_frames(self._video):
            self.last_us = self._clock.at(video_us)
            yield self.last_us, frame


def _alignment(pictures: int, last_us: int, clock: VideoClock) -> Alignment:
    """The error is what can be seen of it: how far the video's last frame is from where OBS stopped."""
    begin_us, stopped_us = clock.recorded_us[0][0], clock.recorded_us[-1][1]
    error_us = None if stopped_us is None else abs(last_us - stopped_us)
    return Alignment(pictures, begin_us, error_us, error_us)


def _noted(metadata: Mapping[str, Any], state: str) -> list[int]:
    timings = metadata.get("obs_record_state_timings")
    times = timings.get(f"OBS_WEBSOCKET_OUTPUT_{state}") if isinstance(timings, dict) else None
    return _seconds(times if isinstance(times, list) else [])


def _seconds(times: Sequence[object]) -> list[int]:
    """The times among these, in µs."""
    found = []
    for time in times:
        try:
            found.append(clock_us({"time": time}, "time"))
        except BadEventError:
            continue
    return found
