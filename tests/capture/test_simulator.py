"""The simulator: same bytes from the same seed, segments that read back, and a truth that a plain reducer finds."""

from __future__ import annotations

import bisect
import hashlib
import io
import itertools
import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageChops

from taskreel.capture.simulator import SimulationOptions, SimulationSummary, simulate
from taskreel.capture.simulator.layout import Layout
from taskreel.capture.simulator.screens import Painter, difference_hash
from taskreel.capture.simulator.windows import APPLICATIONS, Window, clicked_button, resolved, typed
from taskreel.io.consent import ConsentRecord, refusal
from taskreel.io.events import POSITION_UNITS_PER_PX, Flag, Kind
from taskreel.io.names import SegmentName
from taskreel.io.segments import Segment, picture_hash, read_segment
from taskreel.io.stores import LocalStore

Row = dict[str, Any]
OPTIONS = SimulationOptions(
    participants=2, minutes=16, seed=11, devices=2, task_minutes=2, segment_minutes=2, width_px=960, height_px=600
)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[LocalStore, SimulationSummary]:
    store = LocalStore(str(tmp_path_factory.mktemp("drawn")))
    return store, simulate(store, OPTIONS)


def digests(store: LocalStore) -> dict[str, str]:
    return {entry.name: hashlib.sha256(store.read(entry.name)).hexdigest() for entry in store.files()}


def recordings(store: LocalStore) -> dict[str, list[Segment]]:
    found = defaultdict(list)
    for entry in store.files("segments/"):
        name = SegmentName.parse(entry.name)
        found[name.recording].append(read_segment(name, store.read(entry.name)))
    return {key: sorted(found[key], key=lambda segment: segment.name.first_seq) for key in sorted(found)}


def rows_of(segments: list[Segment]) -> list[Row]:
    rows = [row for segment in segments for row in segment.events.to_pylist()]
    return sorted(rows, key=lambda row: row["seq"])


def truth(store: LocalStore, file: str) -> list[Row]:
    entries = [entry.name for entry in store.files("truth/") if entry.name.endswith(f"/{file}.jsonl")]
    return [json.loads(line) for name in entries for line in store.read(name).splitlines()]


# ------------------------------------------------------------------------------------------------------- bytes


@pytest.mark.parametrize("screens", ["draw", "reuse"])
def test_the_same_seed_gives_the_same_bytes(tmp_path: Path, screens: str) -> None:
    options = SimulationOptions(participants=2, minutes=3, seed=4, screens=screens, width_px=640, height_px=400)  # type: ignore[arg-type]
    first, second = LocalStore(str(tmp_path / "a")), LocalStore(str(tmp_path / "b"))
    assert simulate(first, options) == simulate(second, options)
    assert digests(first) == digests(second)
    simulate(first, options)
    assert digests(first) == digests(second)


def test_another_seed_gives_other_people_and_events(tmp_path: Path) -> None:
    stores = [LocalStore(str(tmp_path / str(seed))) for seed in (1, 2)]
    for seed, store in zip((1, 2), stores, strict=True):
        simulate(store, SimulationOptions(participants=1, minutes=2, seed=seed, screens="reuse"))
    assert not digests(stores[0]).keys() & digests(stores[1]).keys()


def test_a_participant_does_not_depend_on_how_many_there_are(tmp_path: Path) -> None:
    few, many = LocalStore(str(tmp_path / "few")), LocalStore(str(tmp_path / "many"))
    simulate(few, SimulationOptions(participants=1, minutes=2, screens="reuse"))
    simulate(many, SimulationOptions(participants=3, minutes=2, screens="reuse"))
    assert digests(few).items() <= digests(many).items()


# ---------------------------------------------------------------------------------------------------- segments


def test_segments_read_back_without_a_gap(written: tuple[LocalStore, SimulationSummary]) -> None:
    store, summary = written
    found = recordings(store)
    assert len(found) == OPTIONS.participants * OPTIONS.devices
    assert summary.segments == sum(map(len, found.values()))
    assert summary.bytes == sum(entry.size_bytes for entry in store.files("segments/"))
    for segments in found.values():
        rows = rows_of(segments)
        assert [row["seq"] for row in rows] == list(range(len(rows)))
        assert all(a["time_us"] <= b["time_us"] for a, b in itertools.pairwise(rows))
        assert [segment.header.final for segment in segments] == [False] * (len(segments) - 1) + [True]
    assert summary.events == sum(segment.events.num_rows for segments in found.values() for segment in segments)


def test_each_segment_can_be_read_alone(written: tuple[LocalStore, SimulationSummary]) -> None:
    for segments in recordings(written[0]).values():
        before: list[Row] = []
        for segment in segments:
            rows = rows_of([segment])
            focus, screen = rows[:2]
            assert focus["kind"] == Kind.FOCUS
            assert focus["flags"] == Flag.RESTATED
            assert screen["kind"] == Kind.SCREEN
            assert screen["picture_bytes"] > 0
            if before:
                assert screen["flags"] == Flag.RESTATED
                assert latest(before, Kind.FOCUS, "title") == focus["title"]
                assert latest(before, Kind.SCREEN, "picture_hash") == screen["picture_hash"]
            before += rows


def latest(rows: list[Row], kind: Kind, column: str) -> Any:
    return [row[column] for row in rows if row["kind"] == kind][-1]


def test_values_are_as_the_event_table_says(written: tuple[LocalStore, SimulationSummary]) -> None:
    rows = [row for segments in recordings(written[0]).values() for row in rows_of(segments)]
    for row in rows:
        pointer = row["kind"] in (Kind.MOVE, Kind.SCROLL, Kind.BUTTON_DOWN, Kind.BUTTON_UP)
        key = row["kind"] in (Kind.KEY_DOWN, Kind.KEY_UP)
        assert (row["x"] is not None) == (row["y"] is not None) == pointer
        assert not pointer or 0 <= row["x"] < OPTIONS.width_px * POSITION_UNITS_PER_PX
        assert not key or (row["code"] > 0 and row["key"])
        assert row["text"] is None or row["kind"] in (Kind.KEY_DOWN, Kind.MARK_START, Kind.MARK_END)
        assert (row["wheel_y"] is not None) == (row["kind"] == Kind.SCROLL)
    keys = {row["key"]: row["code"] for row in rows if row["kind"] == Kind.KEY_DOWN}
    expected = {"a": 30, "q": 16, "m": 50, "space": 57, "enter": 28, "shiftleft": 42, "ctrlleft": 29, "backspace": 14}
    assert keys.items() >= expected.items()


def test_keys_and_buttons_go_up_before_they_go_down_again(written: tuple[LocalStore, SimulationSummary]) -> None:
    downs = {Kind.KEY_DOWN: 0, Kind.BUTTON_DOWN: 1000}
    ups = {Kind.KEY_UP: 0, Kind.BUTTON_UP: 1000}
    for segments in recordings(written[0]).values():
        held: set[int] = set()
        for row in rows_of(segments):
            if row["kind"] in downs:
                assert row["code"] + downs[row["kind"]] not in held
                held.add(row["code"] + downs[row["kind"]])
            elif row["kind"] in ups:
                held.remove(row["code"] + ups[row["kind"]])
            if row["kind"] == Kind.KEY_DOWN and row["text"]:
                assert (42 in held) == (row["text"].lower() != row["text"] or row["text"] in '!?:"<>|~{}')
        assert not held


def test_consent_covers_every_segment(written: tuple[LocalStore, SimulationSummary]) -> None:
    store = written[0]
    records = [ConsentRecord.from_json(store.read(entry.name)) for entry in store.files("consent/")]
    by_id = {record.consent_id: record for record in records}
    assert len(by_id) == OPTIONS.participants
    for segments in recordings(store).values():
        for segment in segments:
            header = segment.header
            assert not refusal(
                by_id[header.consent_id],
                consent_id=header.consent_id,
                consent_version=header.consent_version,
                participant=header.participant,
                region=header.region,
                first_us=header.first_us,
                last_us=header.last_us,
                as_of_us=header.last_us,
            )


# -------------------------------------------------------------------------------------------------------- truth


def test_the_truth_is_what_a_plain_reducer_finds(written: tuple[LocalStore, SimulationSummary]) -> None:
    store, summary = written
    actions = truth(store, "actions")
    assert summary.actions == len(actions)
    for recording, segments in recordings(store).items():
        expected = [row for row in actions if row["recording"] == recording]
        compared = reduce_plainly(rows_of(segments))
        assert compared == [{key: row[key] for key in found} for row, found in zip(expected, compared, strict=True)]
    kinds = Counter(row["action"] for row in actions)
    assert set(kinds) >= {"click", "doubleClick", "dragTo", "scroll", "write", "press", "hotkey"}


def test_texts_with_their_typos_taken_back_are_texts(written: tuple[LocalStore, SimulationSummary]) -> None:
    texts = [row["text"] for row in truth(written[0], "actions") if row["text"]]
    assert any("\b" in text for text in texts)
    assert all("\b" not in resolved("", text) and text.isascii() for text in texts)


def test_episodes_hold_all_actions_and_are_marked(written: tuple[LocalStore, SimulationSummary]) -> None:
    store, summary = written
    episodes, actions = truth(store, "episodes"), truth(store, "actions")
    assert summary.episodes == len(episodes) > OPTIONS.participants
    by_key = {(row["participant"], row["episode"]): row for row in episodes}
    counted = Counter((row["participant"], row["episode"]) for row in actions)
    assert {key: row["actions"] for key, row in by_key.items()} == counted
    for row in actions:
        episode = by_key[row["participant"], row["episode"]]
        assert episode["start_us"] < row["start_us"] <= row["end_us"] < episode["end_us"]
        assert row["app"] in episode["apps"]
    marks = [row for segments in recordings(store).values() for row in rows_of(segments)]
    for kind, edge in ((Kind.MARK_START, "start_us"), (Kind.MARK_END, "end_us")):
        found = {(row["time_us"], row["text"], row["key"]) for row in marks if row["kind"] == kind}
        outcome = kind == Kind.MARK_END
        assert found == {(row[edge], row["description"], row["outcome"] if outcome else None) for row in episodes}


def test_without_markers_there_are_none(tmp_path: Path) -> None:
    store = LocalStore(str(tmp_path))
    simulate(store, SimulationOptions(participants=1, minutes=2, screens="reuse", markers=False))
    kinds = {row["kind"] for segments in recordings(store).values() for row in rows_of(segments)}
    assert not kinds & {Kind.MARK_START, Kind.MARK_END}
    assert truth(store, "episodes")


def reduce_plainly(events: list[Row]) -> list[Row]:
    """The actions in one recording, by the rules of section 5 of the design, one event after the other."""
    reducer = PlainReducer()
    for event in events:
        if not event["flags"] & Flag.RESTATED:
            reducer.see(event)
    screens = [(row["time_us"], row["picture_hash"]) for row in events if row["kind"] == Kind.SCREEN]
    focuses = [(row["time_us"], row["app"], row["title"]) for row in events if row["kind"] == Kind.FOCUS]
    for action in reducer.actions:
        action["picture_hash"] = before(screens, action["start_us"])[1]
        action["app"], action["title"] = before(focuses, action["start_us"])[1:]
    return reducer.actions


def before(rows: list[tuple[Any, ...]], time_us: int) -> tuple[Any, ...]:
    return rows[bisect.bisect_left(rows, time_us, key=lambda row: row[0]) - 1]


class PlainReducer:
    """Written for reading, not for speed."""

    modifiers = ("ctrlleft", "altleft", "shiftleft", "winleft")
    own = ("enter", "tab", "esc", "up", "down", "left", "right", "home", "end", "delete", "pageup", "pagedown")

    def __init__(self) -> None:
        self.actions: list[Row] = []
        self.by_key: dict[str, Row] = {}
        self.waiting: list[Row] = []
        self.writing: Row | None = None
        self.typed_us = 0
        self.scrolling: Row | None = None
        self.press: Row | None = None
        self.farthest_px = 0.0

    def see(self, event: Row) -> None:
        kind = Kind(event["kind"])
        x, y = ((event[c] or 0) / POSITION_UNITS_PER_PX for c in ("x", "y"))
        if kind == Kind.MOVE and self.press:
            distance_px = ((x - self.press["x"]) ** 2 + (y - self.press["y"]) ** 2) ** 0.5
            self.farthest_px = max(self.farthest_px, distance_px)
        elif kind == Kind.BUTTON_DOWN:
            self.writing = self.scrolling = None
            self.press, self.farthest_px = event | {"x": x, "y": y}, 0.0
        elif kind == Kind.BUTTON_UP:
            self.release(event, x, y)
        elif kind == Kind.SCROLL:
            self.writing = None
            self.turn(event, x, y)
        elif kind == Kind.FOCUS:
            self.writing = self.scrolling = None
        elif kind == Kind.KEY_DOWN:
            self.scrolling = None
            self.key_down(event)
        elif kind == Kind.KEY_UP:
            self.end(self.by_key.pop(event["key"]), event)

    def begin(self, action: str, event: Row, **values: Any) -> Row:
        row = {"action": action, "start_us": event["time_us"], "first_seq": event["seq"]} | values
        self.actions.append(row)
        self.end(row, event)
        return row

    def end(self, action: Row, event: Row) -> None:
        action["end_us"], action["last_seq"] = event["time_us"], event["seq"]

    def release(self, event: Row, x: float, y: float) -> None:
        down, self.press = self.press, None
        assert down
        button = {1: "left", 2: "middle", 3: "right"}[down["code"]]
        if self.farthest_px >= 10:
            row = self.begin("dragTo", down, x=down["x"], y=down["y"], to_x=x, to_y=y, button=button)
        elif self.actions and self.is_second(self.actions[-1], down, button):
            row = self.actions[-1]
            row["action"] = "doubleClick"
        else:
            name = {"left": "click", "right": "rightClick", "middle": "middleClick"}[button]
            row = self.begin(name, down, x=down["x"], y=down["y"], button=button)
        self.end(row, event)

    def is_second(self, action: Row, down: Row, button: str) -> bool:
        near = action["action"] == "click" and abs(action["x"] - down["x"]) + abs(action["y"] - down["y"]) <= 5
        return near and action["button"] == button and down["time_us"] - action["start_us"] <= 500_000

    def turn(self, event: Row, x: float, y: float) -> None:
        ticks = event["wheel_y"] / 120
        joined = self.scrolling
        if not joined or event["time_us"] - joined["end_us"] > 2_000_000 or ticks * joined["wheel_y_ticks"] < 0:
            self.scrolling = joined = self.begin("scroll", event, x=x, y=y, wheel_x_ticks=0.0, wheel_y_ticks=0.0)
        joined["wheel_y_ticks"] += ticks
        self.end(joined, event)

    def key_down(self, event: Row) -> None:
        key = event["key"]
        if key in self.modifiers:
            self.waiting.append(event)
            self.by_key[key] = {}
            if key != "shiftleft":
                self.writing = None
            return
        held = [m for m in self.modifiers if m in self.by_key]
        if set(held) - {"shiftleft"}:
            names = ["meta" if m == "winleft" else m.removesuffix("left") for m in held]
            row = self.begin("hotkey", self.waiting[0], keys="+".join([*names, key]))
            self.waiting_belong_to(row)
        elif key in self.own:
            self.writing = None
            row = self.begin("press", event, keys=key)
        else:
            row = self.type(event, "\b" if key == "backspace" else event["text"])
        self.by_key[key] = row
        self.end(row, event)

    def type(self, event: Row, text: str) -> Row:
        if not self.writing or event["time_us"] - self.typed_us >= 1_000_000:
            self.writing = self.begin("write", (self.waiting or [event])[0], text="")
        self.writing["text"] += text
        self.typed_us = event["time_us"]
        self.waiting_belong_to(self.writing)
        return self.writing

    def waiting_belong_to(self, action: Row) -> None:
        for event in self.waiting:
            self.by_key[event["key"]] = action
        self.waiting = []


# ----------------------------------------------------------------------------------------------------- pictures


def stored_pictures(store: LocalStore) -> Iterator[tuple[Row, bytes]]:
    for segments in recordings(store).values():
        for segment in segments:
            for row in segment.events.to_pylist():
                if row["picture_bytes"] is not None:
                    yield row, store.read_range(str(segment.name), row["picture_offset"], row["picture_bytes"])


def test_pictures_open_and_are_what_their_events_say(written: tuple[LocalStore, SimulationSummary]) -> None:
    store, summary = written
    count = 0
    for row, data in stored_pictures(store):
        count += 1
        assert picture_hash(data) == row["picture_hash"]
        if count % 10 == 0:
            image = Image.open(io.BytesIO(data))
            assert image.size == (row["picture_width_px"], row["picture_height_px"])
            assert difference_hash(image) == row["picture_dhash"]
    assert count == summary.pictures


def test_pictures_without_bytes_are_in_the_same_segment(written: tuple[LocalStore, SimulationSummary]) -> None:
    for segments in recordings(written[0]).values():
        for segment in segments:
            screens = [row for row in rows_of([segment]) if row["kind"] == Kind.SCREEN]
            with_bytes = [row["picture_hash"] for row in screens if row["picture_bytes"] is not None]
            assert len(with_bytes) == len(set(with_bytes))
            assert set(with_bytes) == {row["picture_hash"] for row in screens}


def test_actions_see_the_picture_before_them(written: tuple[LocalStore, SimulationSummary]) -> None:
    """A screen that has changed is captured before the next action, so consecutive pictures differ."""
    for segments in recordings(written[0]).values():
        screens = [r for r in rows_of(segments) if r["kind"] == Kind.SCREEN and not r["flags"] & Flag.RESTATED]
        assert all(a["picture_hash"] != b["picture_hash"] for a, b in itertools.pairwise(screens))
    actions = truth(written[0], "actions")
    for recording in {row["recording"] for row in actions}:
        rows = [row for row in actions if row["recording"] == recording]
        for action, following in itertools.pairwise(rows):
            if action["action"] == "write":
                assert following["picture_hash"] != action["picture_hash"]


def test_what_was_typed_and_clicked_is_to_be_seen() -> None:
    layout = Layout(800, 600)
    painter = Painter(APPLICATIONS[:3], layout, None)
    blank = Window(0)
    empty, lines = painter.draw(blank), painter.draw(typed(blank, "Dear Mx\br Smith", "document", layout))
    box = ImageChops.difference(empty, lines).getbbox()
    assert box
    assert box[1] >= layout.line_at(layout.rows - 1)[1]
    corrected = painter.draw(typed(blank, "Dear Mr Smith", "document", layout))
    assert lines.tobytes() == corrected.tobytes()
    pressed = painter.draw(clicked_button(blank, 2, "List"))
    left, top, right, bottom = layout.button(2)
    assert len(set(pressed.crop((left, top, right, bottom)).tobytes())) == 2
    assert pressed.getpixel((left + 2, top + 2)) != empty.getpixel((left + 2, top + 2))


# ------------------------------------------------------------------------------------------------------ options


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    options=st.builds(
        SimulationOptions,
        participants=st.integers(1, 2),
        minutes=st.sampled_from([1, 1.5, 4, 9]),
        seed=st.integers(0, 2**40),
        segment_minutes=st.sampled_from([1, 2.5, 5]),
        screens=st.just("reuse"),
        width_px=st.sampled_from([640, 1001, 1920]),
        height_px=st.sampled_from([400, 777]),
        devices=st.integers(1, 3),
        markers=st.booleans(),
        task_minutes=st.floats(1, 8),
        window_s=st.floats(2, 40),
        think_s=st.floats(0.1, 3),
        pause_share=st.floats(0, 0.3),
        right_click_share=st.sampled_from([0, 0.2]),
    )
)
def test_any_options_give_whole_recordings(
    tmp_path_factory: pytest.TempPathFactory, options: SimulationOptions
) -> None:
    store = LocalStore(str(tmp_path_factory.mktemp("any")))
    simulate(store, options)
    actions = truth(store, "actions")
    for recording, segments in recordings(store).items():
        rows = rows_of(segments)
        assert [row["seq"] for row in rows] == list(range(len(rows)))
        assert all(a["time_us"] <= b["time_us"] for a, b in itertools.pairwise(rows))
        assert options.start_us == rows[0]["time_us"]
        assert rows[-1]["time_us"] < options.stop_us
        found = reduce_plainly(rows)
        expected = [row for row in actions if row["recording"] == recording]
        assert found == [{key: row[key] for key in seen} for row, seen in zip(expected, found, strict=True)]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("participants", 0),
        ("minutes", 0.5),
        ("seed", -1),
        ("screens", "draw twice"),
        ("width_px", 100),
        ("height_px", 20_000),
        ("region", "US!"),
        ("devices", 0),
        ("task_minutes", float("inf")),
        ("idle_s", (5, 1)),
        ("failure_share", 1.5),
        ("webp_quality", 101),
        ("long_idle_share", 0.99),
    ],
)
def test_options_are_checked(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        SimulationOptions(**{field: value})  # type: ignore[arg-type]


def test_progress_is_told(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    options = SimulationOptions(participants=3, minutes=1, screens="reuse", width_px=640, height_px=400)
    summary = simulate(LocalStore(str(tmp_path)), options, lambda index, n: told.append((index, n)))
    assert told == [(0, 3), (1, 3), (2, 3)]
    assert summary.participants == 3
