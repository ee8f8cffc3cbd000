"""The truth: the actions and episodes that a correct reducer finds in a participant's segments.

`actions.jsonl`, one line an action in order of time, with the names and arguments of `docs/actions.md`:

- `start_us` and `first_seq` are of the first of its events (of a text that begins with a capital: Shift), `end_us` and
  `last_seq` of the last. A `wait` has only its screen's seq, and starts where the action before it ended.
- Times are what they really were, also where a device's clock was wrong. Positions are in pixels.
- A text has "\\b" where Backspace was pressed. `flags` are those that follow from events, not from pictures.
- `app`, `title` and `url` are those in focus at its first starter, `picture_hash` is of the last picture strictly
  before its start.
- `episode` is null for what belongs to no task.

Not told are `path`, `cursor_x`, `cursor_y` and `approach_us`: they follow from the moves alone.

`episodes.jsonl`, one line a task, from mark to mark; `documents` are the titles of its working set, the main one first,
`resumed` is the episode that it goes on with, `apps` in order of first use, `actions` counts them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import numpy as np

from taskreel.capture.simulator.acts import Desk
from taskreel.capture.simulator.people import Device, Person
from taskreel.capture.simulator.recording import Events
from taskreel.capture.simulator.script import Action, Episode
from taskreel.capture.simulator.typing_ import KEYS
from taskreel.io.events import WHEEL_UNITS_PER_TICK, Kind

Row = dict[str, Any]
_HELD_KEYS = [ord(KEYS[name]) for name in ("ctrlleft", "altleft", "shiftleft", "altgr")]
_CLICKS = ("click", "rightClick", "middleClick", "doubleClick", "tripleClick")
_STILL = (*_CLICKS, "dragTo", "mouseDown", "mouseUp", "scroll", "hscroll")
"""Actions whose place is that of their first pointer event."""


def action_rows(events: Events, desk: Desk, person: Person, device: Device, hashes: dict[int, str]) -> list[Row]:
    """The actions of one recording. `hashes`: of its pictures, by the index in `events.screen`."""
    actions, focuses = desk.script.actions, desk.script.focuses
    seq, first, last = _extents(events, len(actions))
    start_us = _starts(actions, events.time_us[first], events.time_us[last])
    columns = [
        start_us,
        events.time_us[last],
        first,
        last,
        _latest(events.focus, np.arange(len(events)), _heads(events, seq, first) + 1),
        _latest(events.screen, events.time_us, start_us),
        _ticks(events.wheel_x, events, seq, len(actions)),
        _ticks(events.wheel_y, events, seq, len(actions)),
        *_places(events, actions, seq),
    ]
    rows = []
    for action, values in zip(actions, np.array(columns).T.tolist(), strict=True):
        begin_us, end_us, first_seq, last_seq, focus, screen, ticks_x, ticks_y, x, y, to_x, to_y = values
        pointed, dragged = action.action in (*_STILL, "moveTo"), action.action == "dragTo"
        scrolled = action.action in ("scroll", "hscroll")
        rows.append(
            {
                "participant": person.participant,
                "device": device.device,
                "recording": device.recording,
                "episode": action.episode,
                "action": action.action,
                "start_us": begin_us,
                "end_us": end_us,
                "first_seq": first_seq,
                "last_seq": last_seq,
                "x": float(x) if pointed else None,
                "y": float(y) if pointed else None,
                "to_x": float(to_x) if dragged else None,
                "to_y": float(to_y) if dragged else None,
                "button": action.button,
                "clicks": action.clicks,
                "text": action.text,
                "keys": action.keys,
                "count": action.count,
                "modifiers": action.modifiers,
                "wheel_x_ticks": float(ticks_x) if scrolled else None,
                "wheel_y_ticks": float(ticks_y) if scrolled else None,
                "app": person.applications[focuses[focus].application].name,
                "title": focuses[focus].title,
                "url": focuses[focus].url,
                "flags": list(action.flags),
                "picture_hash": hashes.get(screen),
            }
        )
    return rows


def episode_rows(episodes: Iterable[Episode], actions: list[Row], participant: str) -> list[Row]:
    """The episodes of a participant, from all of the participant's actions."""
    apps: dict[int | None, dict[str, int]] = {}
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


def _starts(actions: list[Action], first_us: np.ndarray, last_us: np.ndarray) -> np.ndarray:
    """When each action began; a wait: when all before it had ended."""
    waits = np.array([action.action == "wait" for action in actions], bool)
    ended_us = np.maximum.accumulate(np.where(waits, 0, last_us))
    return np.where(waits, ended_us, first_us)


def _heads(events: Events, seq: np.ndarray, first: np.ndarray) -> np.ndarray:
    """The event by which each action is placed in the stream: the first that is not of a key that is merely held."""
    held = np.isin(events.key, _HELD_KEYS) & (events.kind == Kind.KEY_DOWN)
    head = np.full(len(first), len(events))
    starters = seq[~held[seq]]
    np.minimum.at(head, events.action[starters], starters)
    return np.minimum(head, len(events) - 1)


def _ticks(wheel: np.ndarray, events: Events, seq: np.ndarray, actions: int) -> np.ndarray:
    ticks = np.zeros(actions, np.int64)
    np.add.at(ticks, events.action[seq], wheel[seq] // WHEEL_UNITS_PER_TICK)
    return ticks


def _places(events: Events, actions: list[Action], seq: np.ndarray) -> list[np.ndarray]:
    """x, y of each action: of its first pointer event, of a hover the last; and of the last, where a drag goes to."""
    seq = seq[events.x[seq] >= 0]
    first, last = np.full(len(actions), len(events) - 1), np.zeros(len(actions), np.int64)
    np.minimum.at(first, events.action[seq], seq)
    np.maximum.at(last, events.action[seq], seq)
    hover = np.array([action.action == "moveTo" for action in actions], bool)
    place = np.where(hover, last, first)
    return [events.x[place], events.y[place], events.x[last], events.y[last]]


def _latest(column: np.ndarray, order: np.ndarray, before: np.ndarray) -> np.ndarray:
    """The last value of a column strictly before some places in an order; -1 if there is none."""
    rows = np.flatnonzero(column >= 0)
    place = np.searchsorted(order[rows], before, side="left")
    return np.append(-1, column[rows])[place]


_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"))
