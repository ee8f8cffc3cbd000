"""Pictures of a screen: which of them look new, how much of the screen changed, and how they are kept.

A frame is a `uint8` array of height x width x 3, RGB. A picture is a frame as lossless WebP.

*Visibly changed* is a pixel of which any channel differs by more than `VISIBLE_DIFFERENCE` of 255. Measured on the
OWAMcap sample (18 frames of HEVC): codec noise in the first predicted frames reaches 24, and from
25 on only the caret and the letters remain; the palest highlight that is in common use (Windows' hovered row,
#E5F3FF on white) differs by 26.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator

import numpy as np
from PIL import Image

from taskreel.io.kinds import Kind, picture_hash

VISIBLE_DIFFERENCE = 24
PPM = 1_000_000


def changed_ppm(before: np.ndarray, after: np.ndarray) -> int:
    """How many pixels a million changed visibly, rounded up: 0 only if none did. All of them if the size changed."""
    if before.shape != after.shape:
        return PPM
    return -(-changed_pixels(before, after) * PPM // (before.shape[0] * before.shape[1]))


def changed_pixels(before: np.ndarray, after: np.ndarray) -> int:
    """How many pixels changed visibly, of two equally shaped `uint8` arrays whose last axis are 3 or 4 channels."""
    differs = (np.maximum(before, after) - np.minimum(before, after)) > VISIBLE_DIFFERENCE
    if differs.shape[-1] == 4:
        return int(np.count_nonzero(differs.view(np.uint32)))  # half the time: a pixel is one word
    return int(np.count_nonzero(differs[..., 0] | differs[..., 1] | differs[..., 2]))


def screen_events(frames: Iterable[tuple[int, np.ndarray]]) -> Iterator[dict[str, object]]:
    """Of frames with their times (µs UTC, rising) the screen events, as columns of `SEGMENT_SCHEMA`.

    A frame in which nothing changed visibly since the event before makes no event. It is compared with the last frame
    that made one, so that a slow fade is seen, too.
    """
    shown = None
    for time_us, frame in frames:
        change = None if shown is None else changed_ppm(shown, frame)
        if change != 0:
            yield {"time_us": time_us, "kind": Kind.SCREEN, "picture_change_ppm": change} | _picture_columns(frame)
            shown = frame


def difference_hash(image: Image.Image) -> int:
    """The 64-bit difference hash (Krawetz, 2013) as a signed integer: is each of 9 x 8 areas lighter than the next?"""
    small = np.asarray(image.convert("L").resize((9, 8), Image.Resampling.BOX), np.int16)
    bits = np.packbits(small[:, 1:] < small[:, :-1])
    return int.from_bytes(bits.tobytes(), "big", signed=True)


def _picture_columns(frame: np.ndarray) -> dict[str, object]:
    image = Image.fromarray(frame)
    sink = io.BytesIO()
    image.save(sink, "WEBP", lossless=True, quality=0, method=0)
    data = sink.getvalue()
    return {
        "picture": data,
        "picture_hash": picture_hash(data),
        "picture_dhash": difference_hash(image),
        "picture_width_px": image.width,
        "picture_height_px": image.height,
    }
