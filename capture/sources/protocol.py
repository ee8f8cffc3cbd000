"""What a source of events is: the one small protocol between what watches a computer and what keeps events.

A source is opened, runs in a thread of its own until it is stopped, and hands events to a `Sink`. It keeps nothing. All
times in here are microseconds of CLOCK_MONOTONIC, which the kernel's input events and the X server share; the recorder
turns them into UTC. A recording that is closed (suspend, lock, a clock that jumped) stops its sources, and the next one
makes new ones: so each states at its start what it finds (the focus, the geometry), flagged `Flag.RESTATED`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from taskreel.capture.sources.guards import Guard
from taskreel.io.kinds import Kind, Screen


def monotonic_us() -> int:
    """Now, microseconds of CLOCK_MONOTONIC."""
    return time.monotonic_ns() // 1000


class SourceUnavailableError(RuntimeError):
    """A source cannot work on this machine. The message says what is missing and what to do, for a person."""


@dataclass(slots=True)
class Event:
    """Something that happened, as a source saw it: a row of `EVENT_SCHEMA` without `seq`.

    `time_us` is of CLOCK_MONOTONIC; `x` and `y` are in 1/256 px. `picture_key` names the picture of a screen event,
    which may be handed over later by `Sink.picture`: it is made by the source from the pixels (xxh3).
    """

    time_us: int
    kind: Kind
    flags: int = 0
    x: int | None = None
    y: int | None = None
    code: int | None = None
    wheel_x: int | None = None
    wheel_y: int | None = None
    key: str | None = None
    text: str | None = None
    app: str | None = None
    title: str | None = None
    url: str | None = None
    picture_key: str | None = None
    picture_change_ppm: int | None = None
    fingers: int | None = None


@dataclass(frozen=True)
class Picture:
    """An encoded picture (WebP): its bytes, its size in px, and its 64-bit difference hash (signed)."""

    data: bytes
    width_px: int
    height_px: int
    dhash: int


class Sink(Protocol):
    """Where a source's events go. Every method may be called from any thread.

    Each event that a source counts in `produced` ends in exactly one of `put`, `withhold` and `lose`.
    """

    def put(self, event: Event) -> None:
        """Hand an event over. Times need not rise: events are sorted if they come within 100 ms of their time.

        Blocks while the recorder's queue is full (minutes of a stalled disk): an event is never dropped for speed.
        """

    def withhold(self, reason: str, events: int = 1) -> None:
        """Count events that must not be kept. `reason` is a short name such as `excluded` or `keyboard_grab`."""

    def lose(self, reason: str, time_us: int, events: int = 0) -> None:
        """Something is missing from here on: a gap event with this reason, for so many of `produced`.

        Reasons are short names: `syn_dropped`, `device_lost`, `screen_blank`, `pictures_thinned`, `moved_window`.
        """

    def picture(self, key: str, picture: Picture) -> None:
        """The picture of all screen events with this key. Called once a key and recording."""


class Source(Protocol):
    """Something that is watched. Made with its settings; uses nothing of the system before `open`."""

    name: str
    """Short and stable: `x11`, `evdev`, `screens`."""
    produced: int
    """Events so far, counted where they are read, before anything is decided. Screen events count once made."""

    def open(self) -> SourceFacts:
        """Connect to what is watched. Raises `SourceUnavailableError` with the reason and the remedy."""

    def run(self, sink: Sink) -> None:
        """Watch until `stop`, in the caller's thread; then hand over what is held, let all handles go, return.

        Raises `SourceLostError` if what is watched is gone (the X server ended).
        """

    def stop(self) -> None:
        """Make `run` return soon (within 200 ms). From any thread, more than once, also before `run`."""

    def heed(self, event: Event) -> None:
        """An event that another source has just handed over. Called from its thread: returns at once, never raises."""


class SourceLostError(RuntimeError):
    """What a source watched is gone: the X server ended, all devices were taken away."""


@dataclass(frozen=True)
class SourceFacts:
    """What a source knows once it is open, for the segments' header. `guards` decide about all sources' events."""

    screen: Screen | None = None
    keyboard_layout: str = ""
    coordinate_space: str = ""
    guards: Sequence[Guard] = ()


@dataclass(frozen=True)
class Rect:
    """A rectangle on the screen in px; `x` and `y` may be negative or beyond the screen."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True)
class WindowView:
    """What lies on the screen that must not be in a picture.

    `fingerprint` is equal for two moments only if geometry, stacking and exclusion of all windows were the same all the
    time between them: a window that went away and came back was elsewhere in a picture taken meanwhile.
    `black` are the areas of excluded and private windows, with their popups and transients. `is_all_hidden`: nothing
    may be seen at all (the screen is locked or blank; the geometry is not known).
    """

    fingerprint: int
    black: tuple[Rect, ...] = ()
    is_all_hidden: bool = False


class WindowViews(Protocol):
    """Who can say what lies on the screen now; asked before and after each grab, from the thread of the screens."""

    def view(self) -> WindowView:
        """As of now: what the X server says when it is asked."""

    def close(self) -> None:
        """Let the connection go."""
