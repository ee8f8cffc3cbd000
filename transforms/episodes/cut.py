"""The function that cuts a session into episodes: marks first, else the cheapest segmentation; then the limits."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pyarrow as pa

from taskreel.transforms.actions.rules import ActionFlag
from taskreel.transforms.episodes.code_length import ONE_BIT
from taskreel.transforms.episodes.model import SECOND_US, Episode, EpisodeOptions, Task
from taskreel.transforms.episodes.segmentation import Evidence, Piece, Prices, cheapest
from taskreel.transforms.episodes.units import units_of

_MOST_IF_BLIND_PERCENT = 30
"""Idle time and completion alone say little."""


def cut_episodes(actions: pa.Table, tasks: list[Task], options: EpisodeOptions) -> list[Episode]:
    """Cut a session's actions (`ACTION_SCHEMA`, in order) into episodes and residues that hold each action once.

    `tasks` are those that the person marked, in order, not overlapping. `cut_reason` says why an episode begins where
    it does: `marker`, `session`, `recorder`, `idle`, `context`, `completion` (the strongest evidence) or `limit`.
    """
    if not actions.num_rows:
        return []
    first, end = _without_controls(actions)
    work = actions.slice(first, end - first)
    found = [Episode(0, first, "residue", "session", 1.0)] if first else []
    if end > first:
        found += [
            _shifted(episode, first) for episode in (_marked(work, tasks) if tasks else _segmented(work, options))
        ]
    if end < actions.num_rows:
        found.append(Episode(end, actions.num_rows, "residue", "recorder", 1.0))
    start_us = np.maximum.accumulate(actions.column("start_us").to_numpy())
    return [piece for episode in found for piece in _within_limits(episode, start_us, options)]


def _without_controls(actions: pa.Table) -> tuple[int, int]:
    """The actions but those by which the recorder was started and stopped, at the ends: first and end (exclusive)."""
    is_work = np.flatnonzero(actions.column("flags").to_numpy() & ActionFlag.RECORDER_CONTROL == 0)
    return (int(is_work[0]), int(is_work[-1]) + 1) if len(is_work) else (actions.num_rows, actions.num_rows)


def _shifted(episode: Episode, by: int) -> Episode:
    reason = "recorder" if by and episode.first == 0 and not episode.task else episode.cut_reason
    return replace(episode, first=episode.first + by, end=episode.end + by, cut_reason=reason)


def _marked(actions: pa.Table, tasks: list[Task]) -> list[Episode]:
    """Marked tasks are episodes, and all else is residue: who marks tasks has said where there is none."""
    task = _task_of(actions, tasks)
    starts = np.flatnonzero(np.diff(task, prepend=-2))
    episodes = []
    for first, end in zip(starts.tolist(), [*starts[1:].tolist(), len(task)], strict=True):
        mine = tasks[task[first]] if task[first] >= 0 else None
        reason = "marker" if mine or first else "session"
        episodes.append(Episode(first, end, "episode" if mine else "residue", reason, 1.0, mine))
    return episodes


def _task_of(actions: pa.Table, tasks: list[Task]) -> np.ndarray:
    """The index of the task in which each action begins, -1 for none. A `terminate` belongs to the task it ends."""
    start_us = np.maximum.accumulate(actions.column("start_us").to_numpy())
    is_end = np.array(actions.column("action").to_pylist()) == "terminate"
    start_us = start_us - is_end
    begins = np.array([task.start_us for task in tasks])
    ends = np.array([np.iinfo(np.int64).max if task.end_us is None else task.end_us for task in tasks])
    index = np.searchsorted(begins, start_us, side="right") - 1
    return np.where((index >= 0) & (start_us < ends[np.maximum(index, 0)]), index, -1)


def _segmented(actions: pa.Table, options: EpisodeOptions) -> list[Episode]:
    units = units_of(actions)
    prices = Prices(units, options)
    whole = Piece(0, len(units))
    pieces = [whole] if prices.is_residue(whole) else cheapest(prices)  # not two errands of one short session
    judged = [("session", 1.0), *(_judged(prices.weigh(*pair), prices, options) for pair in itertools.pairwise(pieces))]
    episodes = []
    for piece, (reason, confidence) in zip(pieces, judged, strict=True):
        first, end = int(units.first[piece.first]), int(units.first[piece.end])
        is_short = end - first < options.min_steps or (len(pieces) > 1 and prices.is_residue(piece))
        episodes.append(Episode(first, end, "residue" if is_short else "episode", reason, confidence))
    return episodes


def _judged(cut: Evidence, prices: Prices, options: EpisodeOptions) -> tuple[str, float]:
    """Reason and confidence of a cut."""
    if cut.margin <= 0:
        return "limit", 0.0
    evidence = {"context": cut.context, "idle": cut.idle, "completion": cut.completion}
    reason = max(evidence, key=lambda name: evidence[name])
    percent = 100 * cut.margin // (cut.margin + options.sure_bits * ONE_BIT)
    if prices.is_blind:
        percent = min(percent, _MOST_IF_BLIND_PERCENT)
    return reason, percent / 100


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
