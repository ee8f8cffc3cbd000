"""The truth: the actions and episodes that a correct reducer finds in a participant's segments.

`actions.jsonl`, one line an action in order of time. `start_us` and `first_seq` are of the first key or button that
goes down, or the first tick (of a text that begins with a capital: of Shift), `end_us` and `last_seq` of the last
that goes up, or the last tick. Positions are in pixels; a text has "\\b" where Backspace was pressed. `app` and
`title` are those in focus at the start, `picture_hash` is of the last picture strictly before it.

`episodes.jsonl`, one line a task, from mark to mark; `apps` in order of first use, `actions` counts them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import numpy as np

from taskreel.capture.simulator.acts import Desk
from taskreel.capture.simulator.people import Person
from taskreel.capture.simulator.recording import Events
from taskreel.capture.simulator.script import Episode
from taskreel.io.events import WHEEL_UNITS_PER_TICK

Row = dict[str, Any]
_POINTED = ("click", "rightClick", "middleClick", "doubleClick", "dragTo", "scroll")


def action_rows(events: Events, desk: Desk, person: Person, recording: str, hashes: dict[int, str]) -> list[Row]:
    """The actions of one recording. `hashes`: of its pictures, by the index in `events.screen`."""
    script = desk.script
    seq, first, last = _extents(events, len(script.actions))
    focus = _latest(events.focus, events.time_us, events.time_us[first])
    screen = _latest(events.screen, events.time_us, events.time_us[first])
    ticks = np.zeros(len(first), np.int64)
    np.add.at(ticks, events.action[seq], events.wheel[seq] // WHEEL_UNITS_PER_TICK)
    columns = [events.time_us[first], events.time_us[last], first, last, focus, screen, ticks]
    columns += [place[row] for row in (first, last) for place in (events.x, events.y)]
    rows = []
    for action, values in zip(script.actions, np.array(columns).T.tolist(), strict=True):
        start_us, end_us, first_seq, last_seq, focus_index, screen_index, tick_sum, x, y, to_x, to_y = values
        focused = script.focuses[focus_index]
        application = person.applications[focused.application]
        pointed, dragged, scrolled = action.action in _POINTED, action.action == "dragTo", action.action == "scroll"
        rows.append(
            {
                "participant": person.participant,
                "recording": recording,
                "episode": action.episode,
                "action": action.action,
                "start_us": start_us,
                "end_us": end_us,
                "first_seq": first_seq,
                "last_seq": last_seq,
                "x": float(x) if pointed else None,
                "y": float(y) if pointed else None,
                "to_x": float(to_x) if dragged else None,
                "to_y": float(to_y) if dragged else None,
                "button": action.button,
                "text": action.text,
                "keys": action.keys,
                "wheel_x_ticks": 0.0 if scrolled else None,
                "wheel_y_ticks": float(tick_sum) if scrolled else None,
                "app": application.name,
                "title": application.titles[focused.page],
                "picture_hash": hashes.get(screen_index),
            }
        )
    return rows


def episode_rows(episodes: Iterable[Episode], actions: list[Row], participant: str) -> list[Row]:
    """The episodes of a participant, from all of the participant's actions."""
    apps: dict[int, dict[str, int]] = {}
    for row in actions:
        counts = apps.setdefault(row["episode"], {})
        counts[row["app"]] = counts.get(row["app"], 0) + 1
    return [
        {"participant": participant}
        | episode._asdict()
        | {"apps": list(apps.get(episode.episode, {})), "actions": sum(apps.get(episode.episode, {}).values())}
        for episode in episodes
    ]


def json_lines(rows: Iterable[Row]) -> bytes:
    """One JSON object a line, keys sorted."""
    return "".join(_ENCODER.encode(row) + "\n" for row in rows).encode()


def _extents(events: Events, actions: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The events that belong to actions, and the first and the last of each action."""
    seq = np.flatnonzero(events.action >= 0)
    first, last = np.full(actions, len(events)), np.full(actions, -1)
    np.minimum.at(first, events.action[seq], seq)
    np.maximum.at(last, events.action[seq], seq)
    return seq, first, last


def _latest(column: np.ndarray, time_us: np.ndarray, before_us: np.ndarray) -> np.ndarray:
    """The last value of a column strictly before each of some times; -1 if there is none."""
    rows = np.flatnonzero(column >= 0)
    place = np.searchsorted(time_us[rows], before_us, side="left")
    return np.append(-1, column[rows])[place]


_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"))
