"""Memory that is not needed goes back to the system at once."""

from __future__ import annotations

import ctypes

_M_MMAP_THRESHOLD = -3
_LARGE_BYTES = 4 << 20


def give_back_large_buffers() -> None:
    """Have the C library let go of each buffer of 4 MB and more as soon as it is freed. For the whole process.

    glibc keeps them otherwise, since it takes a size that was freed once for a usual one: 40 MB of frames and of what
    the WebP encoder needed for a moment (measured at 1920 x 1080). Other C libraries do not.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
