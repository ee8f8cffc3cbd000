"""What can be asked of the simulator."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

MIN_WIDTH_PX = 640
MIN_HEIGHT_PX = 400
MAX_SIDE_PX = 16_383
"""The longest side of a WebP picture."""


@dataclass(frozen=True)
class SimulationOptions:
    """A cohort of simulated people. Times end in their unit; a pair is the shortest and the longest.

    What is made:

    - `start_us`: when all recordings begin, microseconds UTC; every event lies within `minutes` of it.
    - `screens`: "draw" draws a picture after each action that has changed the screen; "reuse" takes pictures from a
      small pool, at most some `pictures_per_minute`, and is for streams of events at full speed.
    - `markers`: whether people mark where each task starts and ends. What they do is the same without.
    - `devices`: per participant; each has a recording of its own, and each task is done at one of them.
    - `clock_offset_s`: how far the clocks of all devices but the first are ahead. Their events are published with
      times that are wrong by this, and their clock anchors tell: the first is what the clock made of the time, the
      second what it really was. The truth has the real times.
    - `webp_quality`: None for lossless, which is faster and smaller for what is drawn here.

    How people work; why these values is in `docs/simulator.md`:

    - `task_minutes`: the mean length of a task, from a sixth of it to nearly four times as long.
    - `window_s`: the mean time in one window within a task. `think_s`: the mean pause between two actions.
    - `pause_s`: the mean of longer pauses, from 2 s to `longest_pause_s`: between tasks, and every `pause_every_s`
      within them. A share of those between tasks, `break_share`, are `break_s`, long enough for another session.
    - `interruption_s`: how long interruptions take, which come every `interruption_every_s` and return to the task.
    - `stray_share`: of the pauses between tasks have `stray_s` of activity in them that belongs to no task.
    - `completion_share`: of tasks end with what completes them: save, send, commit, close.
    - `same_application_share`: of tasks have the main application of the task before; `shared_share`: of the other
      documents of a task are of the task before; `resumed_share`: of tasks go on with one from before the last.
    - `one_off_share`: of window changes lead to a document that is looked at once.
    - `rare_share`: of acts are of the rare kinds: triple clicks, holds, chords, zooming, keys held and the like.
    """

    participants: int = 3
    minutes: float = 20
    seed: int = 0
    start_us: int = 1_767_603_600_000_000
    segment_minutes: float = 5
    screens: Literal["draw", "reuse"] = "draw"
    width_px: int = 1280
    height_px: int = 800
    region: str = "us"
    markers: bool = True
    devices: int = 1
    clock_offset_s: float = 0
    task_minutes: float = 12
    window_s: float = 17
    think_s: float = 1.8
    pause_s: float = 40
    longest_pause_s: float = 480
    pause_every_s: float = 240
    break_s: tuple[float, float] = (610, 900)
    break_share: float = 0.05
    interruption_s: tuple[float, float] = (10, 120)
    interruption_every_s: float = 300
    stray_share: float = 0.15
    stray_s: tuple[float, float] = (15, 120)
    completion_share: float = 0.85
    same_application_share: float = 0.35
    shared_share: float = 0.15
    resumed_share: float = 0.1
    one_off_share: float = 0.12
    failure_share: float = 0.15
    right_click_share: float = 0.03
    rare_share: float = 0.06
    pictures_per_minute: float = 2
    picture_pool: int = 8
    webp_quality: int | None = None

    def __post_init__(self) -> None:
        self._check_counts()
        self._check_durations()
        self._check_shares()
        if self.screens not in ("draw", "reuse"):
            raise ValueError(f"screens is {self.screens!r}; expected 'draw' or 'reuse'")
        if not re.fullmatch(r"[a-z0-9-]+", self.region):
            raise ValueError(f"region {self.region!r} has to be lower-case letters, digits and hyphens")
        if not -86_400 <= self.clock_offset_s <= 86_400:
            raise ValueError(f"clock_offset_s is {self.clock_offset_s}; at most a day, 86400, is expected")
        if self.start_us + self.clock_offset_s * 1_000_000 < 0:
            raise ValueError(f"clock_offset_s is {self.clock_offset_s}: that is before 1970")

    def _check_counts(self) -> None:
        least = {"participants": 1, "seed": 0, "start_us": 0, "devices": 1, "picture_pool": 2}
        least |= {"width_px": MIN_WIDTH_PX, "height_px": MIN_HEIGHT_PX}
        for name, value in least.items():
            if not isinstance(getattr(self, name), int) or getattr(self, name) < value:
                raise ValueError(f"{name} is {getattr(self, name)!r}; a whole number of at least {value} is expected")
        for name in ("width_px", "height_px"):
            if getattr(self, name) > MAX_SIDE_PX:
                raise ValueError(f"{name} is {getattr(self, name)}; at most {MAX_SIDE_PX} is expected")
        if self.webp_quality is not None and not 0 <= self.webp_quality <= 100:
            raise ValueError(f"webp_quality is {self.webp_quality}; expected 0 to 100, or None for lossless")

    def _check_durations(self) -> None:
        least = {"minutes": 1, "segment_minutes": 1, "task_minutes": 1, "window_s": 2, "think_s": 0.1}
        least |= {"pause_s": 4, "pause_every_s": 10, "interruption_every_s": 10, "pictures_per_minute": 0.01}
        least |= {"longest_pause_s": self.pause_s}
        for name, value in least.items():
            if not value <= getattr(self, name) < float("inf"):
                raise ValueError(f"{name} is {getattr(self, name)}; at least {value} is expected")
        for name in ("break_s", "interruption_s", "stray_s"):
            shortest, longest = getattr(self, name)
            if not 0 < shortest <= longest < float("inf"):
                raise ValueError(f"{name} is {shortest, longest}; (shortest, longest) above 0 is expected")

    def _check_shares(self) -> None:
        for name in (name for name in self.__dataclass_fields__ if name.endswith("_share")):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}; expected 0 to 1")

    @property
    def stop_us(self) -> int:
        """When all recordings have ended, microseconds UTC."""
        return self.start_us + round(self.minutes * 60_000_000)
