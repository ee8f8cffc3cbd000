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

    - `start_us`: when all recordings begin, microseconds UTC; every event lies within `minutes` of it.
    - `screens`: "draw" draws a picture before each action whose screen has changed; "reuse" takes pictures
      from a small pool, `pictures_per_minute` of them, and is for streams of events at full speed.
    - `markers`: whether people mark where each task starts and ends.
    - `devices`: per participant; each has a recording of its own, and each task is done at one of them.
    - `task_minutes`: the mean length of a task. `window_s`: the mean time in one window within a task.
    - `think_s`: the mean pause between two actions; one in `1 / pause_share` has a pause of `pause_s` besides.
    - between tasks: `idle_s`; for a share of them `long_idle_s`, or `break_s`, long enough for another session.
    - `webp_quality`: None for lossless, which is faster and smaller for what is drawn here.

    Raises `ValueError` that names the field.
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
    task_minutes: float = 4
    window_s: float = 17
    think_s: float = 0.7
    pause_s: tuple[float, float] = (4, 40)
    pause_share: float = 0.015
    idle_s: tuple[float, float] = (10, 60)
    long_idle_s: tuple[float, float] = (125, 300)
    long_idle_share: float = 0.2
    break_s: tuple[float, float] = (610, 900)
    break_share: float = 0.06
    failure_share: float = 0.15
    right_click_share: float = 0.03
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

    def _check_counts(self) -> None:
        least = {"participants": 1, "seed": 0, "start_us": 0, "devices": 1, "picture_pool": 1}
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
        for name in ("minutes", "segment_minutes", "task_minutes"):
            if not 1 <= getattr(self, name) < float("inf"):
                raise ValueError(f"{name} is {getattr(self, name)}; at least 1 is expected")
        for name, least in (("window_s", 2), ("think_s", 0.1), ("pictures_per_minute", 0.01)):
            if not least <= getattr(self, name) < float("inf"):
                raise ValueError(f"{name} is {getattr(self, name)}; at least {least} is expected")
        for name in ("pause_s", "idle_s", "long_idle_s", "break_s"):
            shortest, longest = getattr(self, name)
            if not 0 < shortest <= longest < float("inf"):
                raise ValueError(f"{name} is {shortest, longest}; (shortest, longest) above 0 is expected")

    def _check_shares(self) -> None:
        for name in ("pause_share", "long_idle_share", "break_share", "failure_share", "right_click_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}; expected 0 to 1")
        if self.long_idle_share + self.break_share > 1:
            raise ValueError("long_idle_share and break_share are together more than 1")

    @property
    def stop_us(self) -> int:
        """When all recordings have ended, microseconds UTC."""
        return self.start_us + round(self.minutes * 60_000_000)
