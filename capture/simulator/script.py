"""The script of a recording: everything that is done at one device, as columns, before it becomes events.

Acting is sequential and plain Python, but appends only one row an act; the hundred events of an act are made later,
for the whole recording at once, by `pointer.expand_paths` and `typing_.expand_strokes`. Times are microseconds UTC,
positions pixels, `action` an index into `Script.actions`, or -1.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from taskreel.capture.simulator.windows import Window
from taskreel.io.events import Kind

NEVER_US = -1
"""The time of what is not in the recording: a press before it began, a release after it ended."""


class Action(NamedTuple):
    """What was done, as far as events do not say it; `episode` is None between tasks.

    `modifiers` are those held when it began, "ctrl+shift"; `flags` what has to be known of it.
    """

    action: str
    episode: int | None
    button: str | None = None
    clicks: int | None = None
    text: str | None = None
    keys: str | None = None
    count: int | None = None
    modifiers: str | None = None
    flags: tuple[str, ...] = ()


class Path(NamedTuple):
    """A pointer movement; `bend` is how far it leaves the straight line, as a share of its length.

    Only of a movement that is an action of its own, a hover, does `action` say so.
    """

    start_us: int
    duration_us: int
    x: int
    y: int
    to_x: int
    to_y: int
    bend: float
    action: int = -1


class Button(NamedTuple):
    """A button that goes down or up; `code` as in the event table."""

    time_us: int
    down: bool
    code: int
    action: int


class Ticks(NamedTuple):
    """Turns of the wheel, `step_us` apart; `x` and `y` say which way each turns it: 1 is right, and up."""

    start_us: int
    turns: int
    step_us: int
    x: int
    y: int
    action: int


class Strokes(NamedTuple):
    """Keys pressed one after the other. The characters are those of `typing_`; intervals begin at `first_interval`."""

    start_us: int
    keys: str
    first_interval: int
    action: int


class Held(NamedTuple):
    """A key that is held while others are pressed, or pressed with one held, or long.

    `down_us` or `up_us` may be `NEVER_US`. `repeats`: how often the keyboard tells that it is still down. `typed`:
    whether it produces its text.
    """

    down_us: int
    up_us: int
    key: str
    action: int
    repeats: int = 0
    typed: bool = False
    flags: int = 0


class Focus(NamedTuple):
    """A window takes focus, or its title changes."""

    time_us: int
    application: int
    title: str
    url: str | None


class Look(NamedTuple):
    """The screen is captured. `again`: it has not changed since; `action`: that of waiting for it."""

    time_us: int
    window: Window
    again: bool = False
    action: int = -1


class Mark(NamedTuple):
    """The person marks the start or the end of a task; `outcome` is null at the start."""

    time_us: int
    kind: Kind
    description: str
    outcome: str | None
    action: int = -1


class Episode(NamedTuple):
    """A task as it was done; `documents` by the names of their windows, the main one first."""

    episode: int
    start_us: int
    end_us: int
    description: str
    outcome: str
    documents: tuple[str, ...]
    resumed: int | None


@dataclass
class Script:
    """All that is done at one device."""

    actions: list[Action] = field(default_factory=list)
    paths: list[Path] = field(default_factory=list)
    buttons: list[Button] = field(default_factory=list)
    ticks: list[Ticks] = field(default_factory=list)
    strokes: list[Strokes] = field(default_factory=list)
    held: list[Held] = field(default_factory=list)
    focuses: list[Focus] = field(default_factory=list)
    looks: list[Look] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)

    def add(self, action: Action) -> int:
        """Add an action; its index."""
        self.actions.append(action)
        return len(self.actions) - 1
