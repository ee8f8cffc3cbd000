"""The table of actions, column by column."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from taskreel.io.events import POSITION_UNITS_PER_PX, WHEEL_UNITS_PER_TICK, Flag, Kind
from taskreel.io.schemas import PATH
from taskreel.transforms.actions.acts import Act, is_one_of
from taskreel.transforms.actions.keyboard import ANY_MODIFIER, printable_texts, typed_keys
from taskreel.transforms.actions.moves import POINTED
from taskreel.transforms.actions.parts import Parts
from taskreel.transforms.actions.paths import simplified
from taskreel.transforms.actions.presses import Presses
from taskreel.transforms.actions.ranges import expanded
from taskreel.transforms.actions.rules import ACTION_SCHEMA, MODIFIERS, ActionFlag, ActionOptions
from taskreel.transforms.actions.starters import Starters
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
_NUMBER = {name: number for number, name in enumerate(_NAMES)}
_NUMBER_OF_ACT = np.array([_NUMBER[_NAME_OF_ACT[act]] for act in Act], np.int32)
_NUMBER_OF_CLICK = np.array(
    [
        _NUMBER[name]
        for name in (*["click"] * 6, "middleClick", "rightClick", *["doubleClick"] * 4, *["tripleClick"] * 4)
    ],
    np.int32,
)
"""By four times the number of presses, and the code of the button; 1 for all but 2 and 3."""
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
        self.rank = rank[: len(self.first)]
        self.act = starters.act[self.last]
        self.head = starters.row[self.first]
        self.size = (self.last - self.first + 1).astype(np.int32)
        led = np.flatnonzero(parts.first < parts.start)
        self.approach_us = parts.start_us.copy()
        self.approach_us[led] = stream.time_us[parts.first[led]]
        self.code = stream.numbers("code")[self.head]

    def build(self) -> pa.Table:
        """All columns (`ACTION_SCHEMA`)."""
        count, is_computed = self._counts()
        columns = {
            "action": self._names(),
            **self._bounds(),
            **{name: self.stream.numbers(name)[self.parts.head] for name in ("recording", "device", "segment")},
            **self._positions(),
            "path": self._paths(),
            **self._of_buttons(),
            **self._wheel(),
            "text": self._texts(),
            "keys": self._spread(self._keys()),
            "count": count,
            "modifiers": self._modifiers(),
            **self.stream.windows(self.parts.head),
            "flags": self._flags(is_computed),
        }
        arrays = [_typed(columns[field.name], field.type) for field in ACTION_SCHEMA]
        return pa.table(arrays, schema=ACTION_SCHEMA)

    def _nulls(self) -> pa.Array:
        return pa.nulls(len(self.parts.head))

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
        own = _NUMBER_OF_ACT[self.act]
        if (click := self.act == Act.CLICK).any():
            by_code = np.where((self.code == 2) | (self.code == 3), self.code, 1)
            own = np.where(click, _NUMBER_OF_CLICK[4 * np.minimum(self.size, 3) + by_code], own)
        scroll = np.flatnonzero(self.act == Act.SCROLL)
        own[scroll[self.stream.numbers("wheel_y")[self.head[scroll]] == 0]] = _NUMBER["hscroll"]
        names = own
        if len(own) < len(self.parts.act):
            names = _NUMBER_OF_ACT[self.parts.act]
            names[self.rank] = own
        return pa.DictionaryArray.from_arrays(names, list(_NAMES))

    def _bounds(self) -> dict[str, np.ndarray]:
        stream, parts = self.stream, self.parts
        first_seq, last_seq = self._seqs()
        return {
            "start_us": parts.start_us,
            "end_us": stream.time_us[parts.end],
            "approach_us": self.approach_us,
            "first_seq": first_seq,
            "last_seq": last_seq,
        }

    def _seqs(self) -> tuple[np.ndarray, np.ndarray]:
        """The least and greatest seq of each action's events, in the recording of its head."""
        stream, parts = self.stream, self.parts
        seq, recording = stream.numbers("seq"), stream.numbers("recording")
        if recording.min() == recording.max() and (seq[1:] > seq[:-1]).all():
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
        before = self._before()
        cursor = stream.place(np.maximum(before, 0))
        columns = _px_columns("cursor_", *cursor, before >= 0)
        pointed = is_one_of(parts.act, *POINTED, Act.MOVE)
        if pointed.any():
            at = np.where(parts.act == Act.MOVE, parts.end, parts.head)
            columns |= _px_columns("", *stream.place(at), pointed)
        drags = np.flatnonzero(self.act == Act.DRAG)
        if len(drags):
            release = np.full(len(parts.head), -1)
            release[self.rank[drags]] = self.starters.up[self.last[drags]]
            columns |= _px_columns("to_", *stream.place(np.maximum(release, 0)), release >= 0)
        return {name: columns.get(name, self._nulls()) for name in ("x", "y", "to_x", "to_y", "cursor_x", "cursor_y")}

    def _before(self) -> np.ndarray:
        """The last row before the time at which each action, with its approach, began; -1 for none."""
        parts, time_us = self.parts, self.stream.time_us
        before = np.minimum(parts.first, parts.start) - 1
        later = np.flatnonzero((before >= 0) & (time_us[before] >= self.approach_us))
        before[later] = np.searchsorted(time_us, self.approach_us[later]) - 1
        return before

    def _paths(self) -> pa.Array:
        """The simplified ways of drags, and with `keep_moves` of moves."""
        press, end = self._ways()
        mine = np.flatnonzero(press >= 0)
        if not len(mine):
            return self._nulls()
        number, row, x, y = self._points(mine, press[mine], end[mine])
        begins = np.flatnonzero(np.diff(number, prepend=-1))
        keep = simplified(x, y, begins, self.rules.path_tolerance_px * POSITION_UNITS_PER_PX)
        number, row, x, y = number[keep], row[keep], x[keep], y[keep]
        since_us = self.stream.time_us[row] - self.parts.start_us[number]
        places = [pa.array(values) for values in (since_us, x / POSITION_UNITS_PER_PX, y / POSITION_UNITS_PER_PX)]
        lengths = np.bincount(number, minlength=len(press))
        offsets = pa.array(np.append(0, np.cumsum(lengths)).astype(np.int32))
        points = pa.StructArray.from_arrays(places, fields=list(PATH.value_type))
        return pa.ListArray.from_arrays(offsets, points, type=PATH, mask=pa.array(lengths == 0))

    def _ways(self) -> tuple[np.ndarray, np.ndarray]:
        """From and to which row the way of each action goes that has one; -1 for the others."""
        press, end = np.full(len(self.parts.head), -1), self.parts.end.copy()
        drags = np.flatnonzero(self.act == Act.DRAG)
        press[self.rank[drags]] = self.starters.row[self.last[drags]]
        end[self.rank[drags]] = self.starters.up[self.last[drags]]
        if self.rules.keep_moves:
            moves = self.parts.act == Act.MOVE
            press[moves] = self.parts.head[moves]
        return press, end

    def _points(
        self, actions: np.ndarray, first: np.ndarray, last: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """The known places on the ways of some actions: the action, row, x and y of each."""
        way, row = expanded(first, last + 1)
        number = actions[way]
        used = (self.stream.kind[row] == Kind.MOVE) & (self.owner[row] == number)
        used |= (row == first[way]) | (row == last[way])
        number, row = number[used], row[used]
        x, y, known = self.stream.place(row)
        return number[known], row[known], x[known], y[known]

    # ------------------------------------------------------------------------------------------------ what

    def _of_buttons(self) -> dict[str, pa.Array]:
        """Which button, and how many presses of it."""
        is_button = is_one_of(self.act, Act.CLICK, Act.DRAG, Act.MOUSE_DOWN, Act.MOUSE_UP)
        if not is_button.any():
            return {"button": self._nulls(), "clicks": self._nulls()}
        codes, number = _numbered(self.code if is_button.all() else np.where(is_button, self.code, 0))
        words = [_BUTTON_NAMES.get(value, f"button{value}") for value in codes]
        is_press = is_one_of(self.act, Act.CLICK, Act.DRAG)
        return {
            "button": self._spread(_words(number, words, ~is_button)),
            "clicks": self._spread(_masked(self.size, ~is_press)),
        }

    def _wheel(self) -> dict[str, pa.Array]:
        is_scroll = self.act == Act.SCROLL
        columns = dict.fromkeys(("wheel_x_ticks", "wheel_y_ticks"), self._nulls())
        if is_scroll.any():
            rows = np.flatnonzero(self.starters.act == Act.SCROLL)
            begins = np.searchsorted(rows, self.first[is_scroll])
            for axis in ("wheel_x", "wheel_y"):
                ticks = np.zeros(len(self.act))
                units = self.stream.numbers(axis)[self.starters.row[rows]].astype(np.int64)
                ticks[is_scroll] = np.add.reduceat(units, begins) / WHEEL_UNITS_PER_TICK
                columns[f"{axis}_ticks"] = self._spread(_masked(ticks, ~is_scroll))
        return columns

    def _texts(self) -> pa.Array:
        """What was typed, each backspace as the character that it is; the outcome of a task that ends."""
        texts = self._nulls()
        is_text = self.act == Act.TYPE
        if is_text.any():
            typing = self.starters.act == Act.TYPE
            typed = np.flatnonzero(typing)
            begins = np.cumsum(typing, dtype=np.int32)[self.first[is_text]] - 1
            joined = _joined(_letters(self.stream.keys, self.starters.row[typed]), begins)
            if self.rules.resolve_edits:
                joined = pa.array([_resolved(text) for text in joined.to_pylist()], pa.string())
            texts = self._spread(_at(joined, is_text))
        ends = self.parts.act == Act.TERMINATE
        if ends.any():
            outcomes = self.stream.events.column("key").take(pa.array(self.parts.head[ends])).combine_chunks()
            texts = pc.if_else(pa.array(ends), _at(outcomes.cast(pa.string()), ends), texts.cast(pa.string()))
        return texts

    def _keys(self) -> pa.Array:
        """The key of a press, the whole chord of a hotkey."""
        keys = self.stream.keys
        has_key = is_one_of(self.act, Act.HOTKEY, Act.PRESS, Act.KEY_DOWN, Act.KEY_UP)
        if not has_key.any():
            return pa.nulls(len(self.act))
        name = np.zeros(len(self.act), np.int64)
        name[has_key] = keys.name[self.head[has_key]]
        chord = np.where(self.act == Act.HOTKEY, keys.held(self.head) & ANY_MODIFIER, 0).astype(np.int64)
        used, number = _numbered(chord * len(keys.names) + name)
        words = [_chord(code // len(keys.names), keys.names[code % len(keys.names)]) for code in used]
        return _words(number, words, ~has_key)

    def _counts(self) -> tuple[pa.Array, np.ndarray]:
        """How many times keys acted, and whether that is computed; the latter of actions with starters."""
        starters = self.starters
        is_computed = np.zeros(len(self.act), bool)
        is_key = is_one_of(self.act, Act.HOTKEY, Act.PRESS)
        if not is_key.any():
            return self._nulls(), is_computed
        count = 1 + np.bincount(np.searchsorted(self.head, starters.leader), minlength=len(self.act))
        if not len(starters.keys.repeat):
            mine, computed = self._computed_counts(np.flatnonzero(is_key & (starters.up[self.first] >= 0)))
            count[mine] = computed
            is_computed[mine] = True
        count = np.minimum(count, _LARGEST_COUNT).astype(np.int32)
        return self._spread(_masked(count, ~is_key)), is_computed

    def _computed_counts(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of some actions of plain keys, those held so long that the key repeated, and how many times it acted."""
        keys, time_us = self.stream.keys, self.stream.time_us
        actions = actions[keys.is_plain[keys.name[self.head[actions]]]]
        held_us = time_us[self.starters.up[self.first[actions]]] - time_us[self.head[actions]]
        over_us = held_us - self.rules.repeat_delay_ms * 1000
        over = over_us > 0
        return actions[over], 2 + over_us[over] // (self.rules.repeat_interval_ms * 1000)

    def _modifiers(self) -> pa.Array:
        """The modifiers held at the head; one that is itself the key is left out."""
        keys, heads = self.stream.keys, self.parts.head
        mask = keys.held(heads) & np.uint8(ANY_MODIFIER)
        if not mask.any():
            return self._nulls()
        on_key = np.flatnonzero(is_one_of(self.parts.act, Act.PRESS))
        mask[on_key] &= ~keys.bit[keys.name[heads[on_key]]] if len(on_key) else mask[on_key]
        words = [_chord(value) for value in range(ANY_MODIFIER + 1)]
        return _words(mask, words, mask == 0)

    def _flags(self, is_computed: np.ndarray) -> np.ndarray:
        stream, starters = self.stream, self.starters
        flags = np.zeros(len(self.parts.head), np.int32)
        flags[self.rank[starters.action[starters.is_unpaired]]] = ActionFlag.UNPAIRED
        lost, until = _stuck(stream, starters.keys)
        if len(lost):
            flags[_within(self.parts.head, lost, until)] = ActionFlag.UNPAIRED
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
    none, space, backspace = len(keys.texts), len(keys.texts) + 1, len(keys.texts) + 2
    name, letter = keys.name[rows], keys.text[rows]
    if backspace > np.iinfo(letter.dtype).max:
        letter = letter.astype(np.int64)
    is_printable = printable_texts(keys)
    special = np.flatnonzero(typed_keys(keys)[name] | ~is_printable[letter])
    printed = np.where(is_printable[letter[special]], letter[special], none)
    by_name = name[special]
    printed[keys.are(lambda key: key == "space")[by_name] & (printed == none)] = space
    printed[keys.are(lambda key: key == "backspace")[by_name]] = backspace
    letter[special] = printed
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


def _numbered(codes: np.ndarray) -> tuple[list[int], np.ndarray]:
    """Values, in order, among them those that occur, and which of them each is."""
    low, high = int(codes.min()), int(codes.max())
    if low >= 0 and high < 1 << 8:
        return list(range(high + 1)), codes
    if high - low > len(codes) + (1 << 16):
        values, number = np.unique(codes, return_inverse=True)
        return values.tolist(), number
    used = np.flatnonzero(np.bincount(codes - low))
    number = np.zeros(high - low + 1, np.int32)
    number[used] = np.arange(len(used))
    return (used + low).tolist(), number[codes - low]


def _masked(values: np.ndarray, mask: np.ndarray) -> pa.Array:
    return pa.array(values, mask=mask if mask.any() else None)


def _words(number: np.ndarray, words: list[str], mask: np.ndarray) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(_masked(number.astype(np.int32), mask), pa.array(words, pa.string()))


def _px_columns(prefix: str, x: np.ndarray, y: np.ndarray, known: np.ndarray, where: np.ndarray) -> dict[str, pa.Array]:
    mask = ~(known & where)
    return {f"{prefix}{axis}": _masked(v / POSITION_UNITS_PER_PX, mask) for axis, v in (("x", x), ("y", y))}


def _typed(values: pa.Array | np.ndarray, kind: pa.DataType) -> pa.Array:
    if isinstance(values, pa.Array) and pa.types.is_null(values.type):
        return pa.nulls(len(values), kind)
    if isinstance(values, pa.Array):
        return values if values.type == kind else values.cast(kind)
    return pa.array(values, kind)
