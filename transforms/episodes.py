"""Episodes: where one task ends and the next begins.

Markers come first. Without them, for now, an idle gap: a baseline that a scored segmentation replaces.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SECOND_US = 1_000_000


@dataclass(frozen=True)
class EpisodeOptions:
    """The limits of an episode.

    `idle_gap_s`: without markers, a pause this long between actions ends an episode (a baseline: people pause
    for less within most tasks). `max_steps`, `max_minutes`: longer ones are cut, so that memory has a bound.
    `min_steps`: unmarked pieces with fewer are tagged as residue.
    """

    idle_gap_s: float = 120.0
    max_steps: int = 1000
    max_minutes: float = 60.0
    min_steps: int = 2

    def __post_init__(self) -> None:
        if self.idle_gap_s <= 0 or self.max_steps < 1 or self.max_minutes <= 0 or self.min_steps < 1:
            raise ValueError("idle_gap_s, max_steps, max_minutes and min_steps have to be positive")


@dataclass(frozen=True)
class Task:
    """A task that the person marked; `end_us` is exclusive, and None if its end was never marked."""

    start_us: int
    end_us: int | None
    description: str | None
    outcome: str | None


@dataclass(frozen=True)
class Episode:
    """Actions `first` to `end` (exclusive) of a session. `kind` is `episode` or `residue`."""

    first: int
    end: int
    kind: str
    cut_reason: str
    confidence: float
    task: Task | None = None


def cut_episodes(start_us: np.ndarray, end_us: np.ndarray, tasks: list[Task], options: EpisodeOptions) -> list[Episode]:
    """Cut a session's actions (int64 times of shape (actions,), in order) into episodes that hold all of them.

    `cut_reason` says why an episode begins where it does: `marker`, `session`, `idle` or `limit`.
    """
    actions = len(start_us)
    if not actions:
        return []
    start_us = np.maximum.accumulate(start_us)  # two devices: an action may begin before the one it follows
    task = _task_of(start_us, tasks)
    idle_us = np.concatenate([[0], start_us[1:] - np.maximum.accumulate(end_us)[:-1]])
    is_idle = (idle_us > options.idle_gap_s * SECOND_US) & (task < 0)
    is_marked = np.diff(task, prepend=task[0]) != 0
    starts = np.flatnonzero(is_idle | is_marked | (np.arange(actions) == 0))
    episodes = []
    for first, end in zip(starts, np.append(starts[1:], actions), strict=True):
        mine = tasks[task[first]] if task[first] >= 0 else None
        reason = "marker" if mine or is_marked[first] else "idle" if is_idle[first] else "session"
        kind = "episode" if mine or (not tasks and end - first >= options.min_steps) else "residue"
        confidence = 1.0 if mine else 0.5
        whole = Episode(int(first), int(end), kind, reason, confidence, mine)
        episodes += _within_limits(whole, start_us, options)
    return episodes


def _task_of(start_us: np.ndarray, tasks: list[Task]) -> np.ndarray:
    """The index of the task in which each action begins, -1 for none. Tasks are in order and do not overlap."""
    if not tasks:
        return np.full(len(start_us), -1)
    begins = np.array([task.start_us for task in tasks])
    ends = np.array([np.iinfo(np.int64).max if task.end_us is None else task.end_us for task in tasks])
    index = np.searchsorted(begins, start_us, side="right") - 1
    return np.where((index >= 0) & (start_us < ends[np.maximum(index, 0)]), index, -1)


def _within_limits(episode: Episode, start_us: np.ndarray, options: EpisodeOptions) -> list[Episode]:
    pieces, first = [], episode.first
    longest_us = int(options.max_minutes * 60 * SECOND_US)
    while first < episode.end:
        in_time = int(np.searchsorted(start_us[first : episode.end], start_us[first] + longest_us))
        end = min(episode.end, first + options.max_steps, first + max(1, in_time))
        is_cut = first != episode.first
        reason, confidence = ("limit", 0.0) if is_cut else (episode.cut_reason, episode.confidence)
        pieces.append(Episode(first, end, episode.kind, reason, confidence, episode.task))
        first = end
    return pieces
