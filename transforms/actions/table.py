"""The table of actions, column by column."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from taskreel.io.events import POSITION_UNITS_PER_PX, WHEEL_UNITS_PER_TICK, Flag, Kind
from taskreel.io.schemas import PATH
from taskreel.transforms.actions.parts import Parts
from taskreel.transforms.actions.paths import simplified
from taskreel.transforms.actions.presses import Presses
from taskreel.transforms.actions.ranges import expanded
from taskreel.transforms.actions.rules import ACTION_SCHEMA, MODIFIERS, ActionFlag, ActionOptions
from taskreel.transforms.actions.starters import ANY_MODIFIER, POINTED, Act, Starters, printable
from taskreel.transforms.actions.stream import Keys, Stream

_NAMES = (
    "click",
    "doubleClick",
    "tripleClick",
    "middleClick",
    "rightClick",
    "dragTo",
    "mouseDown",
    "mouseUp",
    "scroll",
    "hscroll",
    "write",
    "hotkey",
    "press",
    "keyDown",
    "keyUp",
    "moveTo",
    "wait",
    "terminate",
)
_NAME_OF_ACT = {
    Act.CLICK: "click",
    Act.DRAG: "dragTo",
    Act.MOUSE_DOWN: "mouseDown",
    Act.MOUSE_UP: "mouseUp",
    Act.SCROLL: "scroll",
    Act.TYPE: "write",
    Act.HOTKEY: "hotkey",
    Act.PRESS: "press",
    Act.KEY_DOWN: "keyDown",
    Act.KEY_UP: "keyUp",
    Act.MOVE: "moveTo",
    Act.WAIT: "wait",
    Act.TERMINATE: "terminate",
}
_BUTTON_NAMES = {1: "left", 2: "middle", 3: "right"}
_LARGEST_COUNT = np.iinfo(np.int32).max
_FLAG_OF_EVENT = {
    Flag.SYNTHETIC: ActionFlag.SYNTHETIC,
    Flag.RECORDER_CONTROL: ActionFlag.RECORDER_CONTROL,
    Flag.IME: ActionFlag.IME,
    Flag.UNKNOWN_LAYOUT: ActionFlag.UNKNOWN_LAYOUT,
    Flag.INFERRED: ActionFlag.INFERRED,
}


class Table:
    """Builds the table of a stream's actions. `rank`: the row of each action that has starters."""

    def __init__(
        self,
        stream: Stream,
        starters: Starters,
        parts: Parts,
        owner: np.ndarray,
        rank: np.ndarray,
        rules: ActionOptions,
    ) -> None:
        self.stream, self.starters, self.parts, self.owner, self.rules = stream, starters, parts, owner, rules
        self.first, self.last = starters.first, starters.last
        self.act = starters.act[self.last]
        self.rank = rank[: len(self.first)]

    def build(self) -> pa.Table:
        """All columns (`ACTION_SCHEMA`)."""
        stream, parts = self.stream, self.parts
        focus = stream.focus(parts.head)
        count, is_computed = self._counts()
        columns = {
            "action": self._names(),
            **self._bounds(),
            **{name: stream.numbers(name, parts.head) for name in ("recording", "device", "segment")},
            **self._positions(),
            "path": self._paths(),
            "button": self._spread(self._buttons()),
            "clicks": self._spread(self._clicks()),
            **self._wheel(),
            "text": self._texts(),
            "keys": self._spread(self._keys()),
            "count": self._spread(count),
            "modifiers": self._modifiers(),
            **{name: stream.of_focus(name, focus) for name in ("app", "title", "url")},
            "flags": self._flags(is_computed),
        }
        arrays = [_typed(columns[field.name], field.type) for field in ACTION_SCHEMA]
        return pa.table(arrays, schema=ACTION_SCHEMA)

    def _spread(self, values: pa.Array) -> pa.Array:
        """What is known of actions with starters, as a column of all; null for the others."""
        rows = len(self.parts.head)
        if len(values) == rows:
            return values
        index = np.full(rows, -1)
        index[self.rank] = np.arange(len(self.rank))
        return values.take(pa.array(index, mask=index < 0))

    # ------------------------------------------------------------------------------------------------ when

    def _names(self) -> pa.DictionaryArray:
        number = {name: index for index, name in enumerate(_NAMES)}
        of_act = np.array([number[_NAME_OF_ACT[act]] for act in Act], np.int32)
        names = of_act[self.parts.act]
        own = of_act[self.act]
        size = self.last - self.first + 1
        click = np.flatnonzero(self.act == Act.CLICK)
        code = self.stream.numbers("code", self.starters.row[self.first[click]])
        by_code = np.where(code == 2, number["middleClick"], np.where(code == 3, number["rightClick"], number["click"]))
        by_size = np.where(size[click] == 2, number["doubleClick"], number["tripleClick"])
        own[click] = np.where(size[click] == 1, by_code, by_size)
        scroll = np.flatnonzero(self.act == Act.SCROLL)
        sideways = self.stream.numbers("wheel_y", self.starters.row[self.first[scroll]]) == 0
        own[scroll[sideways]] = number["hscroll"]
        names[self.rank] = own
        return pa.DictionaryArray.from_arrays(names, list(_NAMES))

    def _bounds(self) -> dict[str, np.ndarray]:
        stream, parts = self.stream, self.parts
        first_seq, last_seq = self._seqs()
        return {
            "start_us": parts.start_us,
            "end_us": stream.time_us[parts.end],
            "approach_us": np.minimum(parts.start_us, stream.time_us[parts.first]),
            "first_seq": first_seq,
            "last_seq": last_seq,
        }

    def _seqs(self) -> tuple[np.ndarray, np.ndarray]:
        """The least and greatest seq of each action's events, in the recording of its head."""
        stream, parts = self.stream, self.parts
        seq, recording = stream.numbers("seq"), stream.numbers("recording")
        if recording.min() == recording.max() and (np.diff(seq) > 0).all():
            return seq[parts.start], seq[parts.end]
        rows = np.flatnonzero(self.owner >= 0)
        mine = self.owner[rows]
        counts = (rows >= parts.start[mine]) & (recording[rows] == recording[parts.head[mine]])
        counts &= (stream.kind[rows] != Kind.MOVE) | (rows > parts.head[mine]) | (parts.act[mine] == Act.MOVE)
        rows, mine = rows[counts], mine[counts]
        bounds = np.iinfo(np.int64)
        first, last = np.full(len(parts.head), bounds.max), np.full(len(parts.head), bounds.min)
        np.minimum.at(first, mine, seq[rows])
        np.maximum.at(last, mine, seq[rows])
        return first, last

    # ------------------------------------------------------------------------------------------------ where

    def _positions(self) -> dict[str, pa.Array]:
        stream, parts = self.stream, self.parts
        pointed = np.isin(parts.act, (*POINTED, Act.MOVE))
        x, y, known = stream.place_in_any_order(np.where(parts.act == Act.MOVE, parts.end, parts.head))
        release = np.full(len(parts.head), -1)
        drags = np.flatnonzero(self.act == Act.DRAG)
        release[self.rank[drags]] = self.starters.up[self.last[drags]]
        to_x, to_y, to_known = stream.place_in_any_order(np.maximum(release, 0))
        before = self._before()
        cursor_x, cursor_y, had_place = stream.place_in_any_order(np.maximum(before, 0))
        return {
            "x": _px(x, pointed & known),
            "y": _px(y, pointed & known),
            "to_x": _px(to_x, (release >= 0) & to_known),
            "to_y": _px(to_y, (release >= 0) & to_known),
            "cursor_x": _px(cursor_x, (before >= 0) & had_place),
            "cursor_y": _px(cursor_y, (before >= 0) & had_place),
        }

    def _before(self) -> np.ndarray:
        """The last row before the time at which each action, with its approach, began; -1 for none."""
        stream, parts = self.stream, self.parts
        began = np.minimum(parts.first, parts.start)
        waited = np.flatnonzero(parts.act == Act.WAIT)
        began[waited] = np.searchsorted(stream.time_us, parts.start_us[waited])
        return np.searchsorted(stream.time_us, stream.time_us[began]) - 1 if self._has_ties() else began - 1

    def _has_ties(self) -> bool:
        return bool((np.diff(self.stream.time_us) == 0).any())

    def _paths(self) -> pa.Array:
        """The simplified ways of drags, and with `keep_moves` of moves."""
        stream, parts = self.stream, self.parts
        press = np.full(len(parts.head), -1)
        drags = np.flatnonzero(self.act == Act.DRAG)
        press[self.rank[drags]] = self.starters.row[self.last[drags]]
        if self.rules.keep_moves:
            moves = parts.act == Act.MOVE
            press[moves] = parts.head[moves]
        mine = np.flatnonzero(press >= 0)
        number, row = expanded(press[mine], parts.end[mine] + 1)
        is_end = (row == press[mine][number]) | (row == self._release()[mine][number])
        is_on_way = (stream.kind[row] == Kind.MOVE) & (self.owner[row] == mine[number])
        x, y, known = stream.place_in_any_order(row)
        used = (is_end | is_on_way) & known
        number, row, x, y = number[used], row[used], x[used], y[used]
        begins = np.flatnonzero(np.diff(number, prepend=-1))
        keep = simplified(x, y, begins, self.rules.path_tolerance_px * POSITION_UNITS_PER_PX)
        number, row, x, y = number[keep], row[keep], x[keep], y[keep]
        since_us = stream.time_us[row] - parts.start_us[mine][number]
        places = pa.StructArray.from_arrays(
            [pa.array(since_us), pa.array(x / POSITION_UNITS_PER_PX), pa.array(y / POSITION_UNITS_PER_PX)],
            fields=list(PATH.value_type),
        )
        lengths = np.zeros(len(parts.head), np.int64)
        lengths[mine] = np.bincount(number, minlength=len(mine))
        offsets = pa.array(np.append(0, np.cumsum(lengths)).astype(np.int32))
        return pa.ListArray.from_arrays(offsets, places, type=PATH, mask=pa.array(lengths == 0))

    def _release(self) -> np.ndarray:
        release = self.parts.end.copy()
        drags = np.flatnonzero(self.act == Act.DRAG)
        release[self.rank[drags]] = self.starters.up[self.last[drags]]
        return release

    # ------------------------------------------------------------------------------------------------ what

    def _buttons(self) -> pa.DictionaryArray:
        is_button = np.isin(self.act, (Act.CLICK, Act.DRAG, Act.MOUSE_DOWN, Act.MOUSE_UP))
        code = self.stream.numbers("code", self.starters.row[self.first]).astype(np.int64)
        codes = np.unique(code[is_button])
        words = [_BUTTON_NAMES.get(value, f"button{value}") for value in codes.tolist()]
        return _words(np.searchsorted(codes, code), words, ~is_button)

    def _clicks(self) -> pa.Array:
        is_press = np.isin(self.act, (Act.CLICK, Act.DRAG))
        return pa.array((self.last - self.first + 1).astype(np.int32), mask=~is_press)

    def _wheel(self) -> dict[str, pa.Array]:
        columns = {}
        is_scroll = self.act == Act.SCROLL
        for axis in ("x", "y"):
            ticks = np.zeros(len(self.act))
            if is_scroll.any():
                rows = np.flatnonzero(self.starters.act == Act.SCROLL)
                units = self.stream.numbers(f"wheel_{axis}", self.starters.row[rows]).astype(np.int64)
                begins = np.searchsorted(rows, self.first[is_scroll])
                ticks[is_scroll] = np.add.reduceat(units, begins) / WHEEL_UNITS_PER_TICK
            columns[f"wheel_{axis}_ticks"] = self._spread(pa.array(ticks, mask=~is_scroll))
        return columns

    def _texts(self) -> pa.Array:
        """What was typed, each backspace as the character that it is; the outcome of a task that ends."""
        keys, starters = self.stream.keys, self.starters
        texts = pa.nulls(len(self.act), pa.string())
        typed = np.flatnonzero(starters.act == Act.TYPE)
        if len(typed):
            letters = _letters(keys, starters.row[typed])
            is_text = self.act == Act.TYPE
            begins = np.searchsorted(typed, self.first[is_text])
            joined = _joined(letters, begins)
            if self.rules.resolve_edits:
                joined = pa.array([_resolved(text) for text in joined.to_pylist()], pa.string())
            texts = _at(joined, is_text)
        texts = self._spread(texts)
        ends = self.parts.act == Act.TERMINATE
        if ends.any():
            outcomes = self.stream.events.column("key").take(pa.array(self.parts.head[ends])).combine_chunks()
            texts = pc.if_else(pa.array(ends), _at(outcomes.cast(pa.string()), ends), texts)
        return texts

    def _keys(self) -> pa.DictionaryArray:
        """The key of a press, the whole chord of a hotkey."""
        keys = self.stream.keys
        has_key = np.isin(self.act, (Act.HOTKEY, Act.PRESS, Act.KEY_DOWN, Act.KEY_UP))
        row = self.starters.row[self.first]
        name = np.zeros(len(row), np.int64)
        name[has_key] = keys.name_at(row[has_key])
        chord = np.where(self.act == Act.HOTKEY, self.starters.held[self.first] & ANY_MODIFIER, 0)
        code = chord * max(1, len(keys.names)) + name
        used = np.flatnonzero(np.bincount(code[has_key], minlength=1))
        number = np.zeros(code.max(initial=0) + 1, np.int64)
        number[used] = np.arange(len(used))
        words = (
            [_chord(int(value) // len(keys.names), keys.names[int(value) % len(keys.names)]) for value in used]
            if keys.names
            else []
        )
        return _words(number[code], words, ~has_key)

    def _counts(self) -> tuple[pa.Array, np.ndarray]:
        """How many times keys acted, and whether that is computed; of actions with starters."""
        stream, starters = self.stream, self.starters
        is_key = np.isin(self.act, (Act.HOTKEY, Act.PRESS))
        count = np.ones(len(self.act), np.int64)
        leaders = np.searchsorted(starters.row[self.first], starters.leader)
        np.add.at(count, leaders, 1)
        is_computed = np.zeros(len(self.act), bool)
        if not len(starters.keys.repeat):
            row, up = starters.row[self.first], starters.up[self.first]
            can = np.flatnonzero(is_key & (up >= 0))
            can = can[stream.keys.is_plain[stream.keys.name_at(row[can])]]
            over_us = stream.time_us[up[can]] - stream.time_us[row[can]] - self.rules.repeat_delay_ms * 1000
            can, over_us = can[over_us > 0], over_us[over_us > 0]
            count[can] = 2 + over_us // (self.rules.repeat_interval_ms * 1000)
            is_computed[can] = True
        return pa.array(np.minimum(count, _LARGEST_COUNT).astype(np.int32), mask=~is_key), is_computed

    def _modifiers(self) -> pa.DictionaryArray:
        """The modifiers held at the head; one that is itself the key is left out."""
        keys, heads = self.stream.keys, self.parts.head
        mask = keys.held(heads) & np.uint8(ANY_MODIFIER)
        on_key = np.flatnonzero(np.isin(self.parts.act, (Act.PRESS, Act.HOTKEY, Act.TYPE)))
        itself = keys.bit[keys.name_at(heads[on_key])] if len(on_key) else np.zeros(0, np.uint8)
        mask[on_key] &= ~itself
        words = [_chord(value) for value in range(ANY_MODIFIER + 1)]
        return _words(mask, words, mask == 0)

    def _flags(self, is_computed: np.ndarray) -> np.ndarray:
        stream, starters = self.stream, self.starters
        flags = np.zeros(len(self.parts.head), np.int32)
        flags[self.rank[starters.action[starters.unpaired]]] = ActionFlag.UNPAIRED
        flags[_within(self.parts.head, *_stuck(stream, starters.keys))] = ActionFlag.UNPAIRED
        flags[self.rank[is_computed]] |= ActionFlag.ESTIMATED_COUNT
        rows = np.flatnonzero(stream.flags)
        rows = rows[self.owner[rows] >= 0]
        if len(rows):
            np.bitwise_or.at(flags, self.owner[rows], _action_flags(stream.flags[rows], stream.kind[rows]))
        return flags


def _stuck(stream: Stream, presses: Presses) -> tuple[np.ndarray, np.ndarray]:
    """Where modifiers count as held whose release never came: until the key goes down again, or to the end."""
    mine = np.flatnonzero(stream.keys.is_modifier[presses.which])
    mine = mine[np.argsort(presses.which[mine], kind="stable")]
    down, which = presses.down[mine], presses.which[mine]
    end = np.full(len(mine), stream.rows)
    end[:-1] = np.where(which[1:] == which[:-1], down[1:], stream.rows)
    lost = presses.up[mine] < 0
    return down[lost], end[lost]


def _within(rows: np.ndarray, begins: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Whether each of some sorted rows lies in any of some ranges; `ends` are exclusive."""
    edges = np.zeros(len(rows) + 1, np.int64)
    np.add.at(edges, np.searchsorted(rows, begins), 1)
    np.subtract.at(edges, np.searchsorted(rows, ends), 1)
    return np.cumsum(edges[:-1]) > 0


def _action_flags(flags: np.ndarray, kind: np.ndarray) -> np.ndarray:
    """The flags that events give to their action."""
    result = np.zeros(len(flags), np.int32)
    for of_event, of_action in _FLAG_OF_EVENT.items():
        result |= np.where(flags & of_event != 0, np.int32(of_action), np.int32(0))
    on_key = (kind == Kind.KEY_DOWN) | (kind == Kind.KEY_UP)
    estimated = np.where(on_key, np.int32(ActionFlag.ESTIMATED_COUNT), np.int32(ActionFlag.ESTIMATED_POSITION))
    return result | np.where(flags & Flag.ESTIMATED != 0, estimated, np.int32(0))


def _chord(mask: int, *keys: str) -> str:
    return "+".join([*(name for bit, name in enumerate(MODIFIERS) if mask >> bit & 1), *keys])


def _resolved(text: str) -> str:
    """A text with its backspaces applied, as far as it reaches.

    >>> _resolved("\b\bteh\b\bhe")
    '\x08\x08the'
    """
    kept: list[str] = []
    for letter in text:
        if letter == "\b" and kept and kept[-1] != "\b":
            kept.pop()
        else:
            kept.append(letter)
    return "".join(kept)


def _letters(keys: Keys, rows: np.ndarray) -> pa.StringArray:
    """What the keyboard produced at some typed keys; a backspace is the character that it is."""
    name, text = keys.name_at(rows), keys.text_at(rows)
    by_name = keys.table(lambda key: key == "space").astype(np.int8) + 2 * keys.table(lambda key: key == "backspace")
    unprinted = np.array([not printable(value) for value in keys.texts], bool)
    none = len(keys.texts)
    letter = np.where(unprinted[text], none + (by_name[name] & 1), text)
    letter[by_name[name] == 2] = none + 2
    return pa.array([*keys.texts, "", " ", "\b"], pa.string()).take(pa.array(letter))


def _joined(letters: pa.StringArray, begins: np.ndarray) -> pa.StringArray:
    """Texts of consecutive letters, of the same buffer: only the offsets are new."""
    offsets = np.frombuffer(letters.buffers()[1], np.int32, len(letters) + 1, letters.offset * 4)
    offsets = np.append(offsets[begins], offsets[-1])
    return pa.StringArray.from_buffers(len(begins), pa.py_buffer(offsets), letters.buffers()[2])


def _at(values: pa.Array, where: np.ndarray) -> pa.Array:
    """Values in order at the places where something holds, null elsewhere."""
    if where.all():
        return values
    index = np.cumsum(where) - 1
    return values.take(pa.array(index, mask=~where))


def _words(number: np.ndarray, words: list[str], mask: np.ndarray) -> pa.DictionaryArray:
    indices = pa.array(number.astype(np.int32), mask=mask if mask.any() else None)
    return pa.DictionaryArray.from_arrays(indices, pa.array(words, pa.string()))


def _px(values: np.ndarray, valid: np.ndarray) -> pa.Array:
    return pa.array(values / POSITION_UNITS_PER_PX, pa.float64(), mask=None if valid.all() else ~valid)


def _typed(values: object, kind: pa.DataType) -> pa.Array:
    return values.cast(kind) if isinstance(values, pa.Array) else pa.array(values, kind)
