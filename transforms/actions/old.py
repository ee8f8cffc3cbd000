"""Actions: what the person did, from the events of a session. One pure function, `reduce_actions`.

The vocabulary and the defaults are in `docs/actions.md`. How it works, on arrays and not event by event:

1. Downs are paired with ups, per device and button or key.
2. *Starters* are the events that can begin an action: button downs, wheel ticks, presses of keys that are not
   modifiers, and modifiers tapped alone. Each gets a class.
3. A starter *joins* the one before it on its device (the second click of a double click, the next letter, the next
   tick) or begins a new action. That is all there is to an action: a run of joined starters.
4. Every event is given an *owner*: an action, or the named class of events that belong to none.

Distances and times are compared as integers, so that no decision depends on how a processor rounds.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from taskreel.io.events import POSITION_UNITS_PER_PX, WHEEL_UNITS_PER_TICK, Flag, Kind

REDUCER_VERSION = "1"

MODIFIERS = ("ctrl", "alt", "shift", "meta")
"""In the order in which a hotkey names them."""

_MODIFIER_OF_KEY = {
    **{f"{name}{side}": name for name in ("ctrl", "alt", "shift") for side in ("", "left", "right")},
    **dict.fromkeys(("win", "winleft", "winright", "command", "cmd", "meta", "super"), "meta"),
}
_LEVEL_SHIFTS = ("altgr", "capslock", "numlock", "fn")
"""Keys that only change what other keys produce: never part of a hotkey."""

_BACKSPACE = "backspace"
_TYPED_KEYS = ("space", _BACKSPACE)
_NEVER_TEXT = ("enter", "return", "tab", "esc", "escape", "delete")


@dataclass(frozen=True)
class ActionOptions:
    """The rules' thresholds; each default and its reason is in `docs/actions.md`."""

    multi_click_ms: int = 500
    multi_click_px: int = 5
    drag_px: int = 10
    scroll_gap_ms: int = 2000
    typing_gap_ms: int = 1000
    approach_pause_ms: int = 200
    approach_longest_ms: int = 2000


class Drop(IntEnum):
    """Why an event belongs to no action. Negative, so that an owner is an action's number or one of these."""

    MOVE = -1
    SCREEN = -2
    FOCUS = -3
    MARKER = -4
    STATE = -5
    BUTTON_UP_WITHOUT_DOWN = -6
    KEY_UP_WITHOUT_DOWN = -7
    MODIFIER = -8
    OUTSIDE_SESSION = -9
    DUPLICATE = -10


ACTION_SCHEMA = pa.schema(
    [
        pa.field("action", pa.string(), nullable=False),
        pa.field("start_us", pa.int64(), nullable=False),
        pa.field("end_us", pa.int64(), nullable=False),
        pa.field("approach_us", pa.int64(), nullable=False),
        pa.field("recording", pa.int32(), nullable=False),
        pa.field("device", pa.int32(), nullable=False),
        pa.field("segment", pa.int32(), nullable=False),
        pa.field("first_seq", pa.int64(), nullable=False),
        pa.field("last_seq", pa.int64(), nullable=False),
        pa.field("x", pa.float64()),
        pa.field("y", pa.float64()),
        pa.field("to_x", pa.float64()),
        pa.field("to_y", pa.float64()),
        pa.field("cursor_x", pa.float64()),
        pa.field("cursor_y", pa.float64()),
        pa.field("button", pa.string()),
        pa.field("wheel_x_ticks", pa.float64()),
        pa.field("wheel_y_ticks", pa.float64()),
        pa.field("text", pa.string()),
        pa.field("keys", pa.string()),
        pa.field("modifiers", pa.string()),
        pa.field("app", pa.string()),
        pa.field("title", pa.string()),
        pa.field("url", pa.string()),
        pa.field("unpaired", pa.bool_(), nullable=False),
    ]
)
"""One row an action. `start_us` is the first down or tick, `approach_us` the first move of the approach (or the
start), `cursor_*` the pointer's place before that, all positions in px. `unpaired`: a release that never came."""


@dataclass(frozen=True)
class Reduction:
    """Actions (`ACTION_SCHEMA`) in order of their first starter, and each event's owner, int32, shape (events,)."""

    actions: pa.Table
    owner: np.ndarray


class _Class(IntEnum):
    CLICK = 0
    DRAG = 1
    SCROLL = 2
    TYPE = 3
    HOTKEY = 4
    PRESS = 5


def reduce_actions(events: pa.Table, options: ActionOptions | None = None) -> Reduction:
    """The actions in a session's events (`MERGED_SCHEMA`, in its order), on each device apart."""
    rules = options or ActionOptions()
    device = events.column("device").to_numpy()
    owner = np.zeros(len(device), np.int32)
    tables, heads, parts = [ACTION_SCHEMA.empty_table()], [np.zeros(0, np.int64)], []
    for number in np.unique(device):
        rows = np.flatnonzero(device == number)
        actions, head, mine = _reduce_device(events if len(rows) == len(device) else events.take(pa.array(rows)), rules)
        parts.append((rows, mine, sum(map(len, heads))))
        tables.append(actions)
        heads.append(rows[head])
    order = np.argsort(np.concatenate(heads), kind="stable")
    rank = np.empty(len(order), np.int32)
    rank[order] = np.arange(len(order))
    for rows, mine, before in parts:
        owned = mine >= 0
        mine[owned] = rank[mine[owned] + before]
        owner[rows] = mine
    table = pa.concat_tables(tables)
    return Reduction(table if len(parts) < 2 else table.take(pa.array(order)), owner)


def _reduce_device(events: pa.Table, rules: ActionOptions) -> tuple[pa.Table, np.ndarray, np.ndarray]:
    """The actions of one device, the row of each one's first starter, and each event's owner."""
    stream = _Stream(events)
    presses = _pair(stream, (Kind.BUTTON_DOWN, Kind.BUTTON_UP), stream.code)
    keys = _pair(stream, (Kind.KEY_DOWN, Kind.KEY_UP), stream.key)
    starters = _starters(stream, presses, keys, rules).grouped(stream, rules)
    owner = _owners(stream, presses, keys, starters, rules)
    head = np.unique(starters.action, return_index=True)[1]
    if not len(head):
        return ACTION_SCHEMA.empty_table(), head, owner
    return _table(stream, starters, presses, owner), starters.event[head], owner


class _Stream:
    """The columns of an event table as arrays of shape (events,), with what holds at each event."""

    def __init__(self, events: pa.Table) -> None:
        self.events = events
        self.rows = events.num_rows
        self.time_us = events.column("time_us").to_numpy()
        self.kind = events.column("kind").to_numpy()
        self.seq = events.column("seq").to_numpy()
        self.device = events.column("device").to_numpy()
        self.code = pc.fill_null(events.column("code"), 0).to_numpy().astype(np.int64)
        self.x, self.y = _carried(events)
        self._keys()
        self.focus = _last_at_or_before(self._focus_changes())
        """The row of the focus event that holds at each event, -1 for none."""

    def _focus_changes(self) -> np.ndarray:
        """Where a window took focus. What a segment states again at its start is no change, unless it differs."""
        rows = np.flatnonzero(self.kind == Kind.FOCUS)
        windows = self.events.select(["app", "title", "url"]).take(pa.array(rows)).to_pylist()
        restated = self.events.column("flags").to_numpy()[rows] & Flag.RESTATED != 0
        changes = np.zeros(self.rows, bool)
        for number, row in enumerate(rows.tolist()):
            changes[row] = not (restated[number] and number and windows[number] == windows[number - 1])
        return changes

    def _keys(self) -> None:
        """Key names as small numbers, the tables that say what each number is, and modifiers held."""
        rows = np.flatnonzero((self.kind == Kind.KEY_DOWN) | (self.kind == Kind.KEY_UP))
        names = self.events.column("key").take(pa.array(rows)).combine_chunks()
        encoded = pc.fill_null(names, "").dictionary_encode()
        self.key_names: list[str] = encoded.dictionary.to_pylist()
        self.key = np.full(self.rows, -1, np.int64)
        self.key[rows] = encoded.indices.to_numpy()
        modifier = [_MODIFIER_OF_KEY.get(name) for name in self.key_names]
        self.is_modifier = np.array([m is not None for m in modifier] + [False])[self.key]
        self.is_level_shift = np.array([name in _LEVEL_SHIFTS for name in self.key_names] + [False])[self.key]
        self.held: dict[str, np.ndarray] = {}
        """Per modifier that is used at all, whether one of its keys is held at each event."""
        self.altgr = np.zeros(self.rows, bool)
        for number, (key, name) in enumerate(zip(self.key_names, modifier, strict=True)):
            if name:
                self.held[name] = self.held.get(name, False) | self._is_held(number)
            elif key == "altgr":
                self.altgr = self._is_held(number)

    def _is_held(self, key: int) -> np.ndarray:
        """Whether the last event of a key at or before each event is a down."""
        last = _last_at_or_before(self.key == key)
        return (last >= 0) & (self.kind[last] == Kind.KEY_DOWN)


@dataclass(frozen=True)
class _Pairs:
    """Downs and their ups: rows of events, and per event the index of its pair or -1. An up of -1 never came."""

    down: np.ndarray
    up: np.ndarray
    of_event: np.ndarray


def _pair(stream: _Stream, kinds: tuple[Kind, Kind], which: np.ndarray) -> _Pairs:
    """Pair each down with the next event of the same button or key, if that is an up."""
    rows = np.flatnonzero((stream.kind == kinds[0]) | (stream.kind == kinds[1]))
    order = rows[np.argsort(which[rows], kind="stable")]
    is_down = stream.kind[order] == kinds[0]
    followed = np.zeros(len(order), bool)
    followed[:-1] = is_down[:-1] & ~is_down[1:] & (which[order[1:]] == which[order[:-1]])
    up = np.where(followed, np.roll(order, -1), -1)[is_down] if len(order) else np.zeros(0, np.int64)
    down = order[is_down]
    by_time = np.argsort(down, kind="stable")
    down, up = down[by_time], up[by_time]
    of_event = np.full(stream.rows, -1, np.int64)
    of_event[down] = np.arange(len(down))
    of_event[up[up >= 0]] = np.flatnonzero(up >= 0)
    return _Pairs(down, up, of_event)


@dataclass(frozen=True)
class _Starters:
    """Events that can begin an action, in order: their row, their class, and (once grouped) their action."""

    event: np.ndarray
    kind: np.ndarray
    action: np.ndarray

    def grouped(self, stream: _Stream, rules: ActionOptions) -> _Starters:
        """Give each starter the number of its action."""
        joins = _joins(stream, self.event, self.kind, rules)
        kind = _settle_typing(stream, self.kind, joins, self.event)
        return _Starters(self.event, kind, np.cumsum(~joins) - 1)


def _starters(stream: _Stream, presses: _Pairs, keys: _Pairs, rules: ActionOptions) -> _Starters:
    key_rows = keys.down[~stream.is_level_shift[keys.down]]
    plain = key_rows[~stream.is_modifier[key_rows]]
    scrolls = np.flatnonzero(stream.kind == Kind.SCROLL)
    alone = _tapped_alone(stream, keys, np.concatenate([plain, presses.down, scrolls]))
    button_class = np.where(_is_drag(stream, presses, rules), _Class.DRAG, _Class.CLICK)
    event = np.concatenate([presses.down, scrolls, plain, alone])
    kind = np.concatenate(
        [
            button_class,
            np.full(len(scrolls), _Class.SCROLL),
            _key_class(stream, plain),
            np.full(len(alone), _Class.PRESS),
        ]
    )
    order = np.argsort(event, kind="stable")
    return _Starters(event[order], kind[order], np.zeros(len(order), np.int64))


def _key_class(stream: _Stream, rows: np.ndarray) -> np.ndarray:
    commands = [stream.held[name][rows] for name in MODIFIERS if name != "shift" and name in stream.held]
    is_hotkey = np.logical_or.reduce(commands) if commands else np.zeros(len(rows), bool)
    is_hotkey &= ~stream.altgr[rows]
    text = stream.events.column("text").take(pa.array(rows))
    has_text = pc.fill_null(pc.greater(pc.utf8_length(text), 0), False).to_numpy(zero_copy_only=False)
    named = np.array([*stream.key_names, ""], dtype=object)[stream.key[rows]]
    is_typed = (has_text | np.isin(named, _TYPED_KEYS)) & ~np.isin(named, _NEVER_TEXT)
    return np.where(is_hotkey, _Class.HOTKEY, np.where(is_typed, _Class.TYPE, _Class.PRESS))


def _tapped_alone(stream: _Stream, keys: _Pairs, others: np.ndarray) -> np.ndarray:
    """Modifiers that went down and up with no other key, button or tick in between."""
    taps = np.flatnonzero(stream.is_modifier[keys.down] & (keys.up >= 0))
    if not len(taps):
        return np.zeros(0, np.int64)
    down, up = keys.down[taps], keys.up[taps]
    mods = np.sort(np.concatenate([keys.down[stream.is_modifier[keys.down]], others]))
    return down[np.searchsorted(mods, up) - np.searchsorted(mods, down, side="right") == 0]


def _is_drag(stream: _Stream, presses: _Pairs, rules: ActionOptions) -> np.ndarray:
    """Whether the pointer was ever `drag_px` or more away from the press while the button was down."""
    press, row = _ranges(presses.down, presses.up + 1)
    origin = presses.down[press]
    distance2 = (stream.x[row] - stream.x[origin]) ** 2 + (stream.y[row] - stream.y[origin]) ** 2
    far = distance2 >= (rules.drag_px * POSITION_UNITS_PER_PX) ** 2
    return np.bincount(press[far], minlength=len(presses.down)) > 0


def _joins(stream: _Stream, event: np.ndarray, kind: np.ndarray, rules: ActionOptions) -> np.ndarray:
    """Whether each starter continues the one before it."""
    joins = np.zeros(len(event), bool)
    before, after = event[:-1], event[1:]
    elapsed_us = stream.time_us[after] - stream.time_us[before]
    alike = kind[:-1] == kind[1:]
    same_focus = stream.focus[before] == stream.focus[after]
    near2 = (stream.x[after] - stream.x[before]) ** 2 + (stream.y[after] - stream.y[before]) ** 2
    click = (
        (stream.code[before] == stream.code[after])
        & (elapsed_us <= rules.multi_click_ms * 1000)
        & (near2 <= (rules.multi_click_px * POSITION_UNITS_PER_PX) ** 2)
    )
    scroll = (
        (elapsed_us <= rules.scroll_gap_ms * 1000)
        & (_direction(stream, before) == _direction(stream, after))
        & same_focus
    )
    typing = (elapsed_us < rules.typing_gap_ms * 1000) & same_focus
    joins[1:] = alike & np.select(
        [kind[1:] == _Class.CLICK, kind[1:] == _Class.SCROLL, kind[1:] == _Class.TYPE], [click, scroll, typing], False
    )
    return _at_most_three_clicks(joins, kind)


def _direction(stream: _Stream, rows: np.ndarray) -> np.ndarray:
    """The axis and sign of a tick, as one number."""
    wheel_x = pc.fill_null(stream.events.column("wheel_x").take(pa.array(rows)), 0).to_numpy()
    wheel_y = pc.fill_null(stream.events.column("wheel_y").take(pa.array(rows)), 0).to_numpy()
    return np.where(wheel_y != 0, np.sign(wheel_y), 2 * np.sign(wheel_x))


def _at_most_three_clicks(joins: np.ndarray, kind: np.ndarray) -> np.ndarray:
    """A fourth quick click begins a new action, as it does in text editors."""
    start = np.maximum.accumulate(np.where(joins, 0, np.arange(len(joins))))
    in_run = np.arange(len(joins)) - start
    return joins & ~((kind == _Class.CLICK) & (in_run % 3 == 0))


def _settle_typing(stream: _Stream, kind: np.ndarray, joins: np.ndarray, event: np.ndarray) -> np.ndarray:
    """A run of nothing but backspaces is no text: its presses become actions of their own. Changes `joins`."""
    backspace = stream.key_names.index(_BACKSPACE) if _BACKSPACE in stream.key_names else -2
    run = np.cumsum(~joins) - 1
    is_text = (kind == _Class.TYPE) & (stream.key[event] != backspace)
    has_text = np.bincount(run[is_text], minlength=len(run)) > 0
    erases = (kind == _Class.TYPE) & ~has_text[run]
    joins[erases] = False
    return np.where(erases, _Class.PRESS, kind)


def _owners(stream: _Stream, presses: _Pairs, keys: _Pairs, starters: _Starters, rules: ActionOptions) -> np.ndarray:
    owner = _unowned(stream)
    owner[starters.event] = starters.action
    for pairs in (presses, keys):
        closed = (pairs.up >= 0) & (owner[pairs.down] >= 0)
        owner[pairs.up[closed]] = owner[pairs.down[closed]]
    _own_modifiers(stream, keys, starters, owner)
    _own_drags(stream, presses, owner, starters)
    _own_approaches(stream, starters, owner, rules)
    return owner


def _unowned(stream: _Stream) -> np.ndarray:
    """The drop class that each event has if no action takes it."""
    by_kind = np.full(max(Kind) + 1, Drop.STATE, np.int32)
    by_kind[Kind.MOVE] = Drop.MOVE
    by_kind[Kind.SCREEN] = Drop.SCREEN
    by_kind[Kind.FOCUS] = Drop.FOCUS
    by_kind[[Kind.MARK_START, Kind.MARK_END]] = Drop.MARKER
    by_kind[Kind.BUTTON_UP] = Drop.BUTTON_UP_WITHOUT_DOWN
    by_kind[Kind.KEY_UP] = Drop.KEY_UP_WITHOUT_DOWN
    owner = by_kind[stream.kind]
    owner[(stream.kind == Kind.KEY_DOWN) & (stream.is_modifier | stream.is_level_shift)] = Drop.MODIFIER
    return owner


def _own_modifiers(stream: _Stream, keys: _Pairs, starters: _Starters, owner: np.ndarray) -> None:
    """A modifier's down belongs to the first action begun while it was held, its up to the last one."""
    is_held_key = stream.is_modifier | stream.is_level_shift
    down = keys.down[is_held_key[keys.down] & (owner[keys.down] == Drop.MODIFIER)]
    up = _next_up(stream, down)
    first = np.searchsorted(starters.event, down)
    last = np.searchsorted(starters.event, up) - 1
    used, released = first <= last, up < stream.rows
    owner[up[released & ~used]] = Drop.MODIFIER
    owner[down[used]] = starters.action[first[used]]
    owner[up[released & used]] = starters.action[last[released & used]]


def _next_up(stream: _Stream, down: np.ndarray) -> np.ndarray:
    """Per down, the row at which its key next comes up, whether it repeats until then or not; past the end if never."""
    up = np.full(len(down), stream.rows)
    for key in np.unique(stream.key[down]):
        mine = np.flatnonzero(stream.key[down] == key)
        ups = np.append(np.flatnonzero((stream.key == key) & (stream.kind == Kind.KEY_UP)), stream.rows)
        up[mine] = ups[np.searchsorted(ups, down[mine])]
    return up


def _own_drags(stream: _Stream, presses: _Pairs, owner: np.ndarray, starters: _Starters) -> None:
    """Moves between a press and its release belong to its action; of several presses to the last one still down."""
    closed = presses.up >= 0
    down, up = presses.down[closed], presses.up[closed]
    press, row = _ranges(down, up)
    moves = stream.kind[row] == Kind.MOVE
    owner[row[moves]] = owner[down[press[moves]]]  # where ranges overlap, the later press is assigned last


def _ranges(first: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All rows of some ranges, range by range, and the number of the range that each is of."""
    lengths = np.maximum(end - first, 0)
    number = np.repeat(np.arange(len(lengths)), lengths)
    return number, np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths) + first[number]


def _own_approaches(stream: _Stream, starters: _Starters, owner: np.ndarray, rules: ActionOptions) -> None:
    """The last run of moves without a pause before a pointer action leads to it."""
    moves = np.flatnonzero((stream.kind == Kind.MOVE) & (owner == Drop.MOVE))
    first = np.flatnonzero(np.diff(starters.action, prepend=-1) > 0)
    pointer = first[np.isin(starters.kind[first], (_Class.CLICK, _Class.DRAG, _Class.SCROLL))]
    if not len(moves) or not len(pointer):
        return
    start = starters.event[pointer]
    paused = np.diff(stream.time_us[moves], prepend=stream.time_us[moves[0]]) > rules.approach_pause_ms * 1000
    run_start = np.maximum.accumulate(np.where(paused, np.arange(len(moves)), 0))
    end = np.searchsorted(moves, start)
    last = np.maximum(end - 1, 0)
    earliest = np.searchsorted(stream.time_us[moves], stream.time_us[start] - rules.approach_longest_ms * 1000)
    begin = np.maximum(run_start[last], earliest)
    previous = np.concatenate([[-1], starters.event[:-1]])[pointer]
    begin = np.maximum(begin, np.searchsorted(moves, previous))
    leads = (end > 0) & (stream.time_us[start] - stream.time_us[moves[last]] <= rules.approach_pause_ms * 1000)
    number, index = _ranges(begin, np.where(leads, end, begin))
    owner[moves[index]] = starters.action[pointer][number]


# ------------------------------------------------------------------------------------------------ the table


def _table(stream: _Stream, starters: _Starters, presses: _Pairs, owner: np.ndarray) -> pa.Table:
    by_action = np.argsort(starters.action, kind="stable")
    event, kind, action = starters.event[by_action], starters.kind[by_action], starters.action[by_action]
    first = np.flatnonzero(np.diff(action, prepend=-1))
    last = np.append(first[1:], len(action)) - 1
    head, tail, size = event[first], event[last], last - first + 1
    bounds = _bounds(stream, owner, head, len(first))
    pressed = np.isin(kind[first], (_Class.CLICK, _Class.DRAG))
    pointed = pressed | (kind[first] == _Class.SCROLL)
    focus = stream.focus[head]
    columns = {
        "action": _action_names(stream, kind[first], head, size),
        **bounds,
        "recording": stream.events.column("recording").to_numpy()[head],
        "device": stream.device[head],
        "segment": stream.events.column("segment").to_numpy()[head],
        **_positions(stream, presses, head, tail, kind[first], pointed, bounds["approach_us"]),
        "button": _buttons(stream, head, pressed),
        **_wheel(stream, event, first, kind[first]),
        "text": _texts(stream, event, first, kind[first]),
        "keys": _keys(stream, head, kind[first]),
        "modifiers": _held_names(stream, head),
        **{name: _of_focus(stream, name, focus) for name in ("app", "title", "url")},
        "unpaired": _unpaired(stream, presses, head, pressed),
    }
    arrays = [pa.array(columns[field.name], field.type) for field in ACTION_SCHEMA]
    return pa.table(arrays, schema=ACTION_SCHEMA)


def _bounds(stream: _Stream, owner: np.ndarray, head: np.ndarray, actions: int) -> dict[str, np.ndarray]:
    """Times and seqs of the events that each action owns in its first starter's recording."""
    owned = np.flatnonzero(owner >= 0)
    mine = owner[owned]
    recording = stream.events.column("recording").to_numpy()
    seqs = recording[owned] == recording[head[mine]]
    is_act = (stream.kind[owned] != Kind.MOVE) | (owned > head[mine])
    start = np.full(actions, np.iinfo(np.int64).max)
    approach, end = start.copy(), np.full(actions, np.iinfo(np.int64).min)
    first_seq, last_seq = start.copy(), end.copy()
    time_us = stream.time_us[owned]
    np.minimum.at(start, mine[is_act], time_us[is_act])
    np.maximum.at(end, mine[is_act], time_us[is_act])
    np.minimum.at(approach, mine, time_us)
    np.minimum.at(first_seq, mine[is_act & seqs], stream.seq[owned[is_act & seqs]])
    np.maximum.at(last_seq, mine[is_act & seqs], stream.seq[owned[is_act & seqs]])
    return {
        "start_us": start,
        "end_us": end,
        "approach_us": approach,
        "first_seq": first_seq,
        "last_seq": last_seq,
    }


def _action_names(stream: _Stream, kind: np.ndarray, head: np.ndarray, size: np.ndarray) -> pa.Array:
    names = np.array(["click", "dragTo", "scroll", "write", "hotkey", "press"], dtype=object)[kind]
    is_click = kind == _Class.CLICK
    clicks = np.array(["click", "doubleClick", "tripleClick"], dtype=object)[np.minimum(size, 3) - 1]
    names[is_click] = clicks[is_click]
    for code, name in ((2, "middleClick"), (3, "rightClick")):
        names[is_click & (size == 1) & (stream.code[head] == code)] = name
    wheel_y = pc.fill_null(stream.events.column("wheel_y").take(pa.array(head)), 0).to_numpy()
    names[(kind == _Class.SCROLL) & (wheel_y == 0)] = "hscroll"
    return pa.array(names, pa.string())


def _positions(
    stream: _Stream,
    presses: _Pairs,
    head: np.ndarray,
    tail: np.ndarray,
    kind: np.ndarray,
    pointed: np.ndarray,
    approach_us: np.ndarray,
) -> dict[str, pa.Array]:
    known = stream.events.column("x").is_valid().to_numpy()
    has_position = np.maximum.accumulate(np.where(known, 1, 0))[head] > 0 if len(head) else known
    release = np.full(len(head), -1, np.int64)
    drags = np.flatnonzero(kind == _Class.DRAG)
    release[drags] = presses.up[presses.of_event[tail[drags]]]
    before = np.searchsorted(stream.time_us, approach_us) - 1
    had_position = (before >= 0) & (np.maximum.accumulate(np.where(known, 1, 0))[np.maximum(before, 0)] > 0)
    columns = {}
    for axis, values in (("x", stream.x), ("y", stream.y)):
        columns[axis] = _px(values[head], pointed & has_position)
        columns[f"to_{axis}"] = _px(values[np.maximum(release, 0)], (release >= 0) & has_position)
        columns[f"cursor_{axis}"] = _px(values[np.maximum(before, 0)], had_position)
    return columns


def _px(values: np.ndarray, valid: np.ndarray) -> pa.Array:
    return pa.array(values / POSITION_UNITS_PER_PX, pa.float64(), mask=~valid)


def _buttons(stream: _Stream, head: np.ndarray, pressed: np.ndarray) -> pa.Array:
    codes = stream.code[head]
    names = np.array(["left", "middle", "right"], dtype=object)[np.clip(codes, 1, 3) - 1]
    other = pressed & ((codes < 1) | (codes > 3))
    names[other] = [f"button{code}" for code in codes[other]]
    return pa.array(names, pa.string(), mask=~pressed)


def _wheel(stream: _Stream, event: np.ndarray, first: np.ndarray, kind: np.ndarray) -> dict[str, pa.Array]:
    columns = {}
    for axis in ("x", "y"):
        units = pc.fill_null(stream.events.column(f"wheel_{axis}").take(pa.array(event)), 0).to_numpy()
        ticks = np.add.reduceat(units.astype(np.int64), first) / WHEEL_UNITS_PER_TICK
        columns[f"wheel_{axis}_ticks"] = pa.array(ticks, pa.float64(), mask=kind != _Class.SCROLL)
    return columns


def _texts(stream: _Stream, event: np.ndarray, first: np.ndarray, kind: np.ndarray) -> pa.Array:
    """What was typed, each backspace as the character that it is."""
    letters = pc.fill_null(stream.events.column("text").take(pa.array(event)), "")
    letters = letters.combine_chunks() if isinstance(letters, pa.ChunkedArray) else letters
    if _BACKSPACE in stream.key_names:
        erased = stream.key[event] == stream.key_names.index(_BACKSPACE)
        letters = pc.if_else(pa.array(erased), "\b", letters)
    offsets = pa.array(np.append(first, len(event)), pa.int32())
    texts = pc.binary_join(pa.ListArray.from_arrays(offsets, letters), "")
    return pc.if_else(pa.array(kind == _Class.TYPE), texts, pa.scalar(None, pa.string()))


def _keys(stream: _Stream, head: np.ndarray, kind: np.ndarray) -> pa.Array:
    """The key of a press, the whole chord of a hotkey."""
    names = np.array([*stream.key_names, ""], dtype=object)[stream.key[head]]
    is_hotkey = kind == _Class.HOTKEY
    if is_hotkey.any():
        held = _held_names(stream, head[is_hotkey]).to_pylist()
        names[is_hotkey] = [f"{chord}+{name}" for chord, name in zip(held, names[is_hotkey], strict=True)]
    return pa.array(names, pa.string(), mask=~(is_hotkey | (kind == _Class.PRESS)))


def _held_names(stream: _Stream, rows: np.ndarray) -> pa.Array:
    """The modifiers held at some rows, as "ctrl+shift"; null for none."""
    held = np.zeros(len(rows), np.int64)
    for bit, name in enumerate(MODIFIERS):
        if name in stream.held:
            itself = np.array([_MODIFIER_OF_KEY.get(key) == name for key in stream.key_names] + [False])[
                stream.key[rows]
            ]
            held |= (stream.held[name][rows] & ~itself).astype(np.int64) << bit
    chords = ["+".join(name for bit, name in enumerate(MODIFIERS) if chord >> bit & 1) for chord in range(16)]
    return pa.array(np.array(chords, dtype=object)[held], pa.string(), mask=held == 0)


def _of_focus(stream: _Stream, column: str, focus: np.ndarray) -> pa.Array:
    return stream.events.column(column).take(pa.array(focus, mask=focus < 0)).combine_chunks()


def _unpaired(stream: _Stream, presses: _Pairs, head: np.ndarray, pressed: np.ndarray) -> np.ndarray:
    unpaired = np.zeros(len(head), bool)
    if len(presses.up):
        unpaired[pressed] = presses.up[presses.of_event[head[pressed]]] < 0
    return unpaired


def _carried(events: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    """The pointer's last known place at each event, int64 in 1/256 px; 0 before the first."""
    last = _last_at_or_before(events.column("x").is_valid().to_numpy())
    places = []
    for axis in ("x", "y"):
        values = pc.fill_null(events.column(axis), 0).to_numpy().astype(np.int64)
        places.append(np.where(last >= 0, values[last], 0))
    return places[0], places[1]


def _last_at_or_before(wanted: np.ndarray) -> np.ndarray:
    """Per event, the row of the last event for which `wanted` holds, or -1."""
    return np.maximum.accumulate(np.where(wanted, np.arange(len(wanted)), -1))
