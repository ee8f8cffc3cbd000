"""The one way to connect by xcffib: with all extensions known that any part of the recorder uses.

xcffib keeps the extensions that were imported in a dict that each new connection walks through. An import in another
thread meanwhile makes it grow, and the connection fails: seen once in some dozen starts of two threads.
"""

from __future__ import annotations

from typing import Any

import xcffib
import xcffib.damage
import xcffib.dpms
import xcffib.randr
import xcffib.res
import xcffib.screensaver
import xcffib.xfixes
import xcffib.xproto


def connect(display: str) -> Any:
    """A connection to a display, `$DISPLAY` if it is empty. Raises `xcffib.ConnectionException`."""
    return xcffib.connect(display or None)  # type: ignore[no-untyped-call]
