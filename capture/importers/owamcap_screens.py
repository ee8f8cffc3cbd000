"""The screens of an OWAMcap recording: which picture a message means, and the pictures themselves.

A message names its picture by a file and, in a video, by its time there (`pts`). The picture of a message is the frame
with that very time, and it was on the screen when the message says. Proved on the sample of format 0.5.1: each letter
is to be seen for the first time in the frame of the first message after its key, 8 to 35 ms later. The video's own
times cannot be used for that: a frame's `pts` is about the time of the message *before* it, so by them letters would be
seen before they were typed. How far they are off is reported.

Media are looked for beside the recording only: what another computer wrote must not decide which file of this one is
read. Nothing is fetched from the network.
"""

from __future__ import annotations

import base64
import binascii
import io
import re
import statistics
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from taskreel.capture.frames import screen_events
from taskreel.capture.importers.fields import BadEventError, number, text
from taskreel.capture.importers.foreign import Alignment
from taskreel.capture.video import VideoError, frames_at
from taskreel.io.events import Kind

_VIDEO_SUFFIXES = (".mkv", ".mp4")
_LONGEST_NAME_BYTES = 255
_NO_NAME = "a picture without the name of a file"


@dataclass(frozen=True)
class Screen:
    """A screen: when it was seen, and where its picture is.

    `media` is the name of its file, without the folders of the computer that wrote it. The picture is in `embedded`, or
    in the file `beside`, at `pts_us` if that is a video; `beside` is None if there is no such file. `size`: width and
    height in px, where the message says them.
    """

    time_us: int
    media: str
    beside: Path | None = None
    pts_us: int | None = None
    embedded: bytes | None = None
    size: tuple[int, int] | None = None


@dataclass(frozen=True)
class SeenScreens:
    """Screen events in no order, what is not there, and how well the video's clock fits."""

    rows: list[dict[str, object]]
    missing: tuple[str, ...]
    alignment: Alignment | None
    notes: tuple[str, ...]


def picture_of(event: dict[str, Any], time_us: int, recording: Path) -> Screen:
    """What a message says of its picture, in any of the formats. Raises `BadEventError` if it names none."""
    reference = event.get("media_ref")
    reference = reference if isinstance(reference, dict) else event
    pts = next((reference[name] for name in ("pts_ns", "pts") if reference.get(name) is not None), None)
    pts_us = None if pts is None else int(number({"pts": pts}, "pts")) // 1000
    size = _size(event)
    if reference.get("type") == "embedded":
        return Screen(time_us, "an embedded picture", embedded=_base64(text(reference, "data")), size=size)
    uri = text(reference, "uri" if "uri" in reference else "path")
    if uri.startswith("data:"):
        return Screen(time_us, "an embedded picture", embedded=_base64(uri.partition(",")[2]), size=size)
    name = _file_name(uri)
    return Screen(time_us, name, _beside(recording, name), pts_us, size=size)


def read_screens(screens: Sequence[Screen]) -> SeenScreens:
    """The screen events. One whose picture is nowhere has none, and no hash."""
    ordered = sorted(screens, key=lambda screen: (screen.time_us, screen.pts_us or 0))
    lost: list[Screen] = []
    rows = list(screen_events(_frames(ordered, lost)))
    same = len(ordered) - len(lost) - len(rows)
    missing = Counter(_why_lost(screen) for screen in lost)
    without = set(lost)
    return SeenScreens(
        rows + [_without_picture(screen) for screen in lost],
        tuple(f"{media} ({count} pictures{why})" for (media, why), count in sorted(missing.items())),
        _alignment([screen for screen in ordered if screen.pts_us is not None and screen not in without]),
        tuple(_notes(ordered, same)),
    )


def _why_lost(screen: Screen) -> tuple[str, str]:
    """The file that should have the picture, and why that has not."""
    return (screen.beside.name, " that are not in it, or cannot be decoded") if screen.beside else (screen.media, "")


# ---------------------------------------------------------------------------------------------------- pictures


def _frames(ordered: Sequence[Screen], lost: list[Screen]) -> Iterator[tuple[int, np.ndarray]]:
    """The frames of screens with their times; screens without one are put into `lost`."""
    for beside, group in groupby(ordered, key=lambda screen: screen.pts_us is not None and screen.beside):
        some = list(group)
        pictures = _from_video(beside, some) if beside else map(_from_image, some)
        for screen, frame in zip(some, pictures, strict=True):
            if frame is None:
                lost.append(screen)
            else:
                yield screen.time_us, _cropped(frame, screen.size)


def _from_video(video: Path, screens: Sequence[Screen]) -> Iterator[np.ndarray | None]:
    """A frame for each screen, in the same order. The video is read once if its times rise as the screens' do."""
    pts_us = [screen.pts_us or 0 for screen in screens]
    falls = [place for place, (before, after) in enumerate(pairwise(pts_us), start=1) if after < before]
    for first, end in pairwise([0, *falls, len(pts_us)]):
        try:
            for frame in frames_at(video, pts_us[first:end]):
                yield frame[1] if frame else None
        except VideoError:  # raised before the first frame
            yield from [None] * (end - first)


def _from_image(screen: Screen) -> np.ndarray | None:
    try:
        data = screen.embedded or (screen.beside.read_bytes() if screen.beside else b"")
        return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    except (OSError, ValueError, Image.DecompressionBombError):
        return None


def _cropped(frame: np.ndarray, size: tuple[int, int] | None) -> np.ndarray:
    """The frame without the column and row that a codec adds where a length is odd."""
    if size is None:
        return frame
    width, height = size
    is_padded = 0 <= frame.shape[1] - width <= 1 and 0 <= frame.shape[0] - height <= 1
    return frame[:height, :width] if is_padded else frame


def _without_picture(screen: Screen) -> dict[str, object]:
    width, height = screen.size or (None, None)
    return {
        "time_us": screen.time_us,
        "kind": Kind.SCREEN,
        "picture_width_px": width,
        "picture_height_px": height,
    }


# ---------------------------------------------------------------------------------------------------- names


def _beside(recording: Path, name: str) -> Path | None:
    """The file beside the recording: of that name, else with the recording's own name and a video's suffix."""
    names = [name, *(recording.stem + suffix for suffix in _VIDEO_SUFFIXES)]
    return next((path for path in map(recording.with_name, names) if path.is_file()), None)


def _file_name(uri: str) -> str:
    """The last part of a path or an address: never a path, so that no other folder can be meant by it."""
    name = re.split(r"[/\\]", uri.partition("?")[0])[-1]
    is_name = "\0" not in name and name not in ("", ".", "..") and len(name.encode()) <= _LONGEST_NAME_BYTES
    return name if is_name else _NO_NAME


def _base64(data: str) -> bytes:
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise BadEventError("field media_ref: an embedded picture that is not base64") from None


def _size(event: dict[str, Any]) -> tuple[int, int] | None:
    shape = event.get("shape")
    if isinstance(shape, list) and len(shape) == 2 and all(type(n) is int and 0 < n < 1 << 20 for n in shape):
        return shape[0], shape[1]
    return None


# ---------------------------------------------------------------------------------------------------- findings


def _alignment(in_videos: Sequence[Screen]) -> Alignment | None:
    """How the videos' own times lie to the messages' times: the offset is that of the first video."""
    offsets: dict[Path | None, int] = {}
    errors = []
    for video in dict.fromkeys(screen.beside for screen in in_videos):
        differences = [screen.time_us - (screen.pts_us or 0) for screen in in_videos if screen.beside == video]
        offsets[video] = statistics.median_low(differences)
        errors += [abs(difference - offsets[video]) for difference in differences]
    if not errors:
        return None
    return Alignment(len(errors), next(iter(offsets.values())), statistics.median_low(errors), max(errors))


def _notes(ordered: Sequence[Screen], same: int) -> Iterator[str]:
    if same:
        yield f"{same} pictures show nothing new and make no event"
    renamed = {screen.media: screen.beside.name for screen in ordered if screen.beside}
    for media, beside in sorted(renamed.items()):
        if media != beside:
            yield f"{media} is not there; {beside} beside the recording was taken"
