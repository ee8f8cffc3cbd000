"""How fast events become actions: `python -m bench.reducer`.

Millions of events a second on one core: CPU time of one process, pyarrow with one thread, the best of several runs.
The input are tables as a span's merge hands them over (`MERGED_SCHEMA`, plain strings), and the same with strings
that are dictionary-encoded. Text and the table of actions are part of it. Beside it the oracle of the tests, which
goes event by event.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
from rich.console import Console

from bench.__main__ import RESULTS, machine, markdown, table
from taskreel.io.events import Kind
from taskreel.transforms.actions.reducer import reduce_actions
from taskreel.transforms.actions.rules import ActionOptions
from taskreel.transforms.merge import MERGED_SCHEMA

START_US = 1_767_603_600_000_000
TEXTS = ("text", "key", "app", "title", "url", "picture_hash")
LETTERS = np.array([*"etaoinshrdlucmfwypvbgkjqxz", "space", "backspace", "enter", "left", "shiftleft", "ctrlleft"])
LETTER, SPACE, BACKSPACE, ENTER, LEFT, SHIFT, CTRL = 0, 26, 27, 28, 29, 30, 31


class Recorder:
    """Writes down events as columns: each method adds one part of a stream, of shape (events,), after the last."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.parts: list[dict[str, np.ndarray]] = []

    def add(self, kind: np.ndarray, pause_us: np.ndarray, **columns: np.ndarray) -> None:
        """Some events, each so long after the one before."""
        self.parts.append({"kind": kind, "pause_us": pause_us, **columns})

    def moves(self, events: int) -> None:
        """Strokes of 5 to 60 moves, 8 ms apart; pauses between."""
        pause_us = np.full(events, 8_000)
        breaks = np.cumsum(self.rng.integers(5, 60, events // 5))
        breaks = breaks[breaks < events]
        pause_us[breaks] = self.rng.integers(100_000, 2_000_000, len(breaks))
        self.add(np.full(events, Kind.MOVE), pause_us, **self.places(events, self.rng.integers(-6, 7, (2, events))))

    def clicks(self, events: int) -> None:
        """Presses of 80 ms; a fifth are the second of a double click, and every tenth is of the right button."""
        presses = events // 2
        pause_us = np.empty((presses, 2), np.int64)
        again = self.rng.random(presses) < 0.2
        pause_us[:, 0] = np.where(again, 150_000, self.rng.integers(600_000, 4_000_000, presses))
        pause_us[:, 1] = self.rng.integers(50_000, 120_000, presses)
        steps = np.where(again, 0, self.rng.integers(-300, 300, (2, presses)))
        code = np.where(self.rng.random(presses) < 0.1, 3, 1)
        code[1:][again[1:]] = code[:-1][again[1:]]
        kind = np.tile([Kind.BUTTON_DOWN, Kind.BUTTON_UP], presses)
        places = self.places(2 * presses, np.stack([steps, np.zeros_like(steps)], axis=2).reshape(2, -1))
        self.add(kind, pause_us.ravel(), code=np.repeat(code, 2), **places)

    def keys(self, events: int) -> None:
        """Words with spaces, backspaces, Enter, arrows, capitals and copying; a key is down for 60 ms."""
        taps = events // 2
        key = self.rng.integers(LETTER, SPACE, taps)
        special = self.rng.random(taps)
        for below, code in ((0.03, LEFT), (0.05, ENTER), (0.09, BACKSPACE), (0.25, SPACE)):
            key[(special < below) & (key < SPACE)] = code
        order = np.arange(2 * taps).reshape(taps, 2)
        for modifier, every in ((SHIFT, 30), (CTRL, 60)):  # a tap of the one around the tap of a letter
            around = np.arange(every, taps - 2, every)
            key[around], key[around + 1] = modifier, self.rng.integers(LETTER, SPACE, len(around))
            order[around, 1], order[around + 1] = order[around + 1, 1], order[around + 1] - 1
        place = np.argsort(order.ravel())
        code = np.repeat(key, 2)[place]
        kind = np.tile([Kind.KEY_DOWN, Kind.KEY_UP], taps)[place]
        pause_us = self.rng.integers(20_000, 160_000, 2 * taps)
        pause_us[:: 2 * 80] = 3_000_000
        self.add(kind, pause_us, key=code)

    def ticks(self, events: int) -> None:
        """The wheel, mostly down."""
        wheel = np.where(self.rng.random(events) < 0.1, 120, -120)
        pause_us = self.rng.integers(20_000, 200_000, events)
        self.add(
            np.full(events, Kind.SCROLL), pause_us, wheel_y=wheel, **self.places(events, np.zeros((2, events), int))
        )

    def windows(self) -> None:
        """Another window, and a screen of it."""
        self.add(np.array([Kind.FOCUS, Kind.SCREEN]), np.array([50_000, 200_000]), number=self.rng.integers(0, 50, 2))

    def places(self, events: int, steps: np.ndarray) -> dict[str, np.ndarray]:
        """Positions by steps in px, kept on the screen."""
        x, y = np.cumsum(steps, axis=1) % np.array([[1920], [1080]])
        return {"x": x * 256, "y": y * 256}

    def table(self) -> pa.Table:
        """The session's table, strings plain."""
        kind, pause_us = self._column("kind"), self._column("pause_us")
        rows = len(kind)
        columns = {
            "seq": np.arange(rows),
            "time_us": START_US + np.cumsum(pause_us),
            "kind": kind,
            "flags": np.zeros(rows, np.int32),
            **{name: self._nullable(name) for name in ("x", "y", "code", "wheel_y")},
            **self._words(kind),
            **{name: np.zeros(rows, np.int32) for name in ("device", "recording", "segment")},
        }
        arrays = [
            pa.array(columns[field.name], field.type) if field.name in columns else pa.nulls(rows, field.type)
            for field in MERGED_SCHEMA
        ]
        return pa.table(arrays, schema=MERGED_SCHEMA)

    def _column(self, name: str, missing: int = 0) -> np.ndarray:
        return np.concatenate([part.get(name, np.full(len(part["kind"]), missing)) for part in self.parts])

    def _nullable(self, name: str) -> pa.Array:
        missing = -(2**31)
        values = self._column(name, missing)
        return pa.array(values.astype(np.int32), mask=values == missing)

    def _words(self, kind: np.ndarray) -> dict[str, pa.Array]:
        key, number = self._column("key", -1), self._column("number", -1)
        texts = pa.array([*LETTERS[:SPACE], " ", None, "\n", None, None, None], pa.string())
        typed = (key >= 0) & (kind == Kind.KEY_DOWN)
        windows = pa.array([f"window {n}" for n in range(50)], pa.string())
        return {
            "key": pa.array(LETTERS, pa.string()).take(pa.array(key, mask=key < 0)),
            "text": texts.take(pa.array(key, mask=~typed)),
            **dict.fromkeys(("app", "title"), windows.take(pa.array(number, mask=kind != Kind.FOCUS))),
            "picture_hash": windows.take(pa.array(number, mask=kind != Kind.SCREEN)),
        }


def moves_only(events: int) -> pa.Table:
    recorder = Recorder(1)
    recorder.moves(events)
    return recorder.table()


def keys_only(events: int) -> pa.Table:
    recorder = Recorder(2)
    recorder.keys(events)
    return recorder.table()


def clicks_only(events: int) -> pa.Table:
    recorder = Recorder(3)
    recorder.clicks(events)
    return recorder.table()


def mixed(events: int) -> pa.Table:
    """Of each event that is no move, three moves; another window every 150 events."""
    recorder = Recorder(4)
    for _ in range(events // 1200):
        for part, size in (("moves", 600), ("clicks", 60), ("moves", 300), ("keys", 200), ("ticks", 32)):
            getattr(recorder, part)(size)
            recorder.windows()
    return recorder.table()


STREAMS: dict[str, Callable[[int], pa.Table]] = {
    "moves only": moves_only,
    "keys only": keys_only,
    "clicks only": clicks_only,
    "mixed": mixed,
}


def with_dictionaries(events: pa.Table) -> pa.Table:
    """The same table with its strings dictionary-encoded."""
    for name in TEXTS:
        index = events.schema.get_field_index(name)
        events = events.set_column(index, name, events.column(name).dictionary_encode())
    return events


def seconds(do: Callable[[], object], times: int) -> float:
    """The least CPU time of some runs."""
    taken_s = []
    for _ in range(times):
        began_s = time.process_time()
        do()
        taken_s.append(time.process_time() - began_s)
    return min(taken_s)


def oracle_speed(events: pa.Table) -> float:
    """Events a second of the oracle on the first of some events, in millions."""
    sys.path.append(str(Path(__file__).parent.parent / "tests" / "support"))
    from reducer_oracle import reduce_by_hand

    rows = events.to_pylist()
    return len(rows) / seconds(lambda: reduce_by_hand(rows), 1) / 1e6


def measure(name: str, events: int, oracle_events: int, times: int) -> dict[str, object]:
    """One row of the table."""
    stream = STREAMS[name](events)
    encoded = with_dictionaries(stream)
    kept = ActionOptions(keep_moves=True)
    ways = {
        "plain strings": lambda: reduce_actions(stream),
        "dictionaries": lambda: reduce_actions(encoded),
        "keep_moves": lambda: reduce_actions(stream, kept),
    }
    millions = stream.num_rows / 1e6
    speed = {f"{way}, M/s": round(millions / seconds(do, times), 1) for way, do in ways.items()}
    actions = reduce_actions(stream).actions.num_rows
    by_hand = round(oracle_speed(stream.slice(0, oracle_events)), 4)
    return {
        "events": name,
        "M events": round(millions, 1),
        "M actions": round(actions / 1e6, 2),
        **speed,
        "oracle, M/s": by_hand,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--millions", type=float, default=5)
    parser.add_argument("--oracle-events", type=int, default=2000, help="it takes quadratic time")
    parser.add_argument("--times", type=int, default=5)
    args = parser.parse_args()
    pa.set_cpu_count(1)
    rows = [measure(name, int(args.millions * 1e6), args.oracle_events, args.times) for name in STREAMS]
    Console(width=160).print(table(rows))
    how = f"CPU time, one thread, best of {args.times}"
    text = f"# python -m bench.reducer --millions {args.millions:g}\n\n{machine()}. {how}.\n\n"
    (RESULTS / "reducer.md").write_text(text + markdown(rows) + "\n")


if __name__ == "__main__":
    main()
