"""The simulator: same bytes from the same seed, segments that read back, a truth that the reducer finds, people."""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageChops
from reducer_oracle import reduce_by_hand

from taskreel.capture.simulator import SimulationOptions, SimulationSummary, simulate
from taskreel.capture.simulator.dice import Dice, generators, skewed
from taskreel.capture.simulator.documents import APPLICATIONS
from taskreel.capture.simulator.layout import Layout
from taskreel.capture.simulator.screens import Painter, difference_hash
from taskreel.capture.simulator.windows import Window, clicked_button, resolved, typed
from taskreel.io.consent import ConsentRecord, refusal
from taskreel.io.events import POSITION_UNITS_PER_PX, Flag, Kind
from taskreel.io.names import SegmentName
from taskreel.io.segments import Segment, picture_hash, read_segment
from taskreel.io.stores import LocalStore
from taskreel.transforms.actions.reducer import reduce_actions
from taskreel.transforms.actions.rules import ActionFlag
from taskreel.transforms.merge import merge_segments

Row = dict[str, Any]
_NAMES = (
    "click doubleClick tripleClick rightClick middleClick moveTo dragTo scroll hscroll write press hotkey "
    "mouseDown mouseUp keyDown keyUp wait terminate"
)
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
        turned = [row[axis] for axis in ("wheel_x", "wheel_y") if row[axis] is not None]
        assert len(turned) == (row["kind"] == Kind.SCROLL)
        assert all(turn in (-120, 120) for turn in turned)
    keys = {row["key"]: row["code"] for row in rows if row["kind"] == Kind.KEY_DOWN}
    expected = {"a": 30, "q": 16, "m": 50, "space": 57, "enter": 28, "shiftleft": 42, "ctrlleft": 29, "backspace": 14}
    assert keys.items() >= expected.items()


def test_keys_and_buttons_go_up_before_they_go_down_again(written: tuple[LocalStore, SimulationSummary]) -> None:
    """But for what the recorder did not see: Enter that started it, and its own keys, still down when it stopped."""
    downs = {Kind.KEY_DOWN: 0, Kind.BUTTON_DOWN: 1000}
    ups = {Kind.KEY_UP: 0, Kind.BUTTON_UP: 1000}
    for segments in recordings(written[0]).values():
        held = {28}
        for row in rows_of(segments):
            if row["kind"] in downs:
                again = row["code"] + downs[row["kind"]] in held
                assert again == bool(row["flags"] & Flag.AUTO_REPEAT)
                held.add(row["code"] + downs[row["kind"]])
            elif row["kind"] in ups:
                held.remove(row["code"] + ups[row["kind"]])
            if row["kind"] == Kind.KEY_DOWN and row["text"] and row["text"].isascii():
                assert (42 in held) == (row["text"].lower() != row["text"] or row["text"] in '!?:"<>|~{}')
            elif row["kind"] == Kind.KEY_DOWN and row["text"] in tuple("€üößñæ"):
                assert 100 in held
        assert held == {29, 56, 16}
        last = [row for row in rows_of(segments) if row["kind"] == Kind.KEY_DOWN][-3:]
        assert all(row["flags"] == Flag.RECORDER_CONTROL for row in last)


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


NOT_COMPARED = {"participant", "recording", "device", "episode", "picture_hash"}


def by_reducer(segments: list[Segment]) -> list[Row]:
    """The actions in one recording, by the reducer."""
    return reduce_actions(merge_segments(segments).events).actions.to_pylist()


def by_hand(segments: list[Segment]) -> list[Row]:
    """The actions in one recording, by the second reducer."""
    return reduce_by_hand(merge_segments(segments).events.to_pylist())[0]


def compared(store: LocalStore, reduce: Callable[[list[Segment]], list[Row]]) -> Iterator[tuple[list[Row], list[Row]]]:
    """The truth of each recording, and what a reducer finds."""
    actions = truth(store, "actions")
    names = [name for name in actions[0] if name not in NOT_COMPARED]
    for recording, segments in recordings(store).items():
        expected = [row for row in actions if row["recording"] == recording]
        found = [row | {"flags": names_of(row["flags"])} for row in reduce(segments)]
        yield tuple(
            [{name: row[name] for name in names} for row in sorted(rows, key=lambda row: row["first_seq"])]
            for rows in (expected, found)
        )


def names_of(flags: int) -> list[str]:
    return [flag.name.lower() for flag in ActionFlag if flags & flag and flag.name]


def test_the_truth_is_what_the_reducer_finds(written: tuple[LocalStore, SimulationSummary]) -> None:
    assert written[1].actions == len(truth(written[0], "actions"))
    for expected, found in compared(written[0], by_reducer):
        assert found == expected


def test_the_truth_is_what_a_reading_of_the_page_gives(tmp_path: Path) -> None:
    store = LocalStore(str(tmp_path))
    simulate(
        store, SimulationOptions(participants=2, minutes=8, seed=3, task_minutes=2, screens="reuse", rare_share=0.3)
    )
    for expected, found in compared(store, by_hand):
        assert found == expected


def test_the_truth_tells_the_picture_before_each_action(written: tuple[LocalStore, SimulationSummary]) -> None:
    store = written[0]
    actions = truth(store, "actions")
    for recording, segments in recordings(store).items():
        screens = [(row["time_us"], row["picture_hash"]) for row in rows_of(segments) if row["kind"] == Kind.SCREEN]
        for row in actions:
            if row["recording"] == recording:
                assert row["picture_hash"] == [look for time_us, look in screens if time_us < row["start_us"]][-1]


def test_texts_with_their_typos_taken_back_are_texts(cohort: LocalStore) -> None:
    texts = [row["text"] for row in truth(cohort, "actions") if row["action"] == "write"]
    assert any("\b" in text for text in texts)
    assert all("\b" not in resolved("", text) for text in texts)
    assert sum(not text.isascii() for text in texts) > 50
    assert any(max(text) > "\uffff" for text in texts)
    assert any("é" in text for text in texts)
    assert any("ß" in text for text in texts)


def test_episodes_hold_all_actions_and_are_marked(written: tuple[LocalStore, SimulationSummary]) -> None:
    store, summary = written
    episodes, actions = truth(store, "episodes"), truth(store, "actions")
    assert summary.episodes == len(episodes) > OPTIONS.participants
    by_key = {(row["participant"], row["episode"]): row for row in episodes}
    counted = Counter((row["participant"], row["episode"]) for row in actions if row["episode"] is not None)
    assert {key: row["actions"] for key, row in by_key.items()} == counted
    for row in actions:
        if row["episode"] is not None:
            episode = by_key[row["participant"], row["episode"]]
            assert episode["start_us"] < row["start_us"] <= row["end_us"] <= episode["end_us"]
            assert row["app"] in episode["apps"]
        else:
            mine = [e for e in episodes if e["participant"] == row["participant"]]
            assert not any(e["start_us"] < row["start_us"] < e["end_us"] for e in mine)
    marks = [row for segments in recordings(store).values() for row in rows_of(segments)]
    for kind, edge in ((Kind.MARK_START, "start_us"), (Kind.MARK_END, "end_us")):
        found = {(row["time_us"], row["text"], row["key"]) for row in marks if row["kind"] == kind}
        outcome = kind == Kind.MARK_END
        assert found == {(row[edge], row["description"], row["outcome"] if outcome else None) for row in episodes}


def test_without_markers_people_do_the_same(tmp_path: Path) -> None:
    stores = []
    for markers in (True, False):
        stores.append(LocalStore(str(tmp_path / str(markers))))
        options = SimulationOptions(
            participants=1, minutes=12, task_minutes=2, screens="reuse", devices=2, markers=markers
        )
        simulate(stores[-1], options)
    kinds = {row["kind"] for segments in recordings(stores[1]).values() for row in rows_of(segments)}
    assert not kinds & {Kind.MARK_START, Kind.MARK_END}
    marked, unmarked = ([json.dumps(row) for row in truth(store, "episodes")] for store in stores)
    assert [json.loads(row) | {"actions": 0} for row in marked] == [
        json.loads(row) | {"actions": 0} for row in unmarked
    ]
    one, other = ([row for row in truth(store, "actions") if row["action"] != "terminate"] for store in stores)
    assert [row | {"first_seq": 0, "last_seq": 0} for row in one] == [
        row | {"first_seq": 0, "last_seq": 0} for row in other
    ]


def test_a_wrong_clock_is_told_by_its_anchors(tmp_path: Path) -> None:
    stores = [LocalStore(str(tmp_path / name)) for name in ("right", "wrong")]
    for store, offset_s in zip(stores, (0, -37.25), strict=True):
        simulate(
            store, SimulationOptions(participants=1, minutes=3, devices=2, screens="reuse", clock_offset_s=offset_s)
        )
    assert truth(stores[0], "actions") == truth(stores[1], "actions")
    right, wrong = (recordings(store) for store in stores)
    assert right.keys() == wrong.keys()
    moved = set()
    for recording, segments in wrong.items():
        (published, *trusted) = segments[0].header.clock_anchors
        offset_us = published[1] - trusted[0][1] if trusted else 0
        moved.add(offset_us)
        assert [row["time_us"] - offset_us for row in rows_of(segments)] == [
            row["time_us"] for row in rows_of(right[recording])
        ]
    assert moved == {0, -37_250_000}


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


def test_what_has_changed_on_the_screen_is_measured(written: tuple[LocalStore, SimulationSummary]) -> None:
    store = written[0]
    again = tiny = 0
    for number, segments in enumerate(recordings(store).values()):
        screens = [row for row in rows_of(segments) if row["kind"] == Kind.SCREEN]
        changes = [row["picture_change_ppm"] for row in screens]
        assert changes[0] is None
        for before, after in itertools.pairwise(screens):
            assert (before["picture_hash"] == after["picture_hash"]) == (after["picture_change_ppm"] == 0)
        again += sum(row["picture_change_ppm"] == 0 and not row["flags"] & Flag.RESTATED for row in screens[1:])
        tiny += sum(0 < change < 1000 for change in changes[1:])
        if number == 0:
            assert changes[1:6] == [changed_ppm(store, segments[0], *pair) for pair in itertools.pairwise(screens[:6])]
    assert again > 3
    assert tiny > 3


def changed_ppm(store: LocalStore, segment: Segment, before: Row, after: Row) -> int:
    """Of the screen, between two pictures of a segment."""
    images = []
    for row in (before, after):
        first = next(r for r in rows_of([segment]) if r["picture_hash"] == row["picture_hash"] and r["picture_bytes"])
        data = store.read_range(str(segment.name), first["picture_offset"], first["picture_bytes"])
        images.append(Image.open(io.BytesIO(data)).convert("RGB"))
    changed = np.asarray(ImageChops.difference(*images)).any(axis=2)
    return -(-1_000_000 * int(changed.sum()) // changed.size)


def test_actions_see_what_was_done_before_them(written: tuple[LocalStore, SimulationSummary]) -> None:
    """A screen that has changed is captured before the next action."""
    actions = truth(written[0], "actions")
    for recording in {row["recording"] for row in actions}:
        acted = (row for row in actions if row["action"] not in ("moveTo", "wait"))
        for action, following in itertools.pairwise(row for row in acted if row["recording"] == recording):
            if action["action"] == "write":
                assert following["picture_hash"] != action["picture_hash"]


def test_what_was_typed_and_clicked_is_to_be_seen() -> None:
    layout = Layout(800, 600)
    painter = Painter(APPLICATIONS, layout, None)
    blank = Window(APPLICATIONS[3].document(3, "Draft"))
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


# ------------------------------------------------------------------------------------------------------- people

COHORT = SimulationOptions(participants=8, minutes=240, seed=17, screens="reuse", markers=False)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> LocalStore:
    """Eight people for half a day, as they are by default, without markers."""
    store = LocalStore(str(tmp_path_factory.mktemp("cohort")))
    simulate(store, COHORT)
    return store


@pytest.fixture(scope="module")
def streams(cohort: LocalStore) -> dict[str, dict[str, Any]]:
    """Per participant: the times of input, and the changes of the window (time, what it is without its state)."""
    found: dict[str, dict[str, Any]] = {}
    for segments in recordings(cohort).values():
        events = merge_segments(segments).events
        time_us, kind = events.column("time_us").to_numpy(), events.column("kind").to_numpy()
        rows = events.filter(pc.equal(events.column("kind"), int(Kind.FOCUS))).to_pylist()
        windows = [(row["time_us"], (row["app"], re.sub(r"^\*| \(\d\)(?= - )", "", row["title"]))) for row in rows]
        changes = [after for before, after in itertools.pairwise(windows) if before[1] != after[1]]
        found[segments[0].header.participant] = {
            "input_us": time_us[(kind <= Kind.SCROLL)],
            "changes": changes,
        }
    return found


def tasks_of(store: LocalStore) -> dict[str, list[Row]]:
    found = defaultdict(list)
    for row in truth(store, "episodes"):
        found[row["participant"]].append(row)
    return found


def boundary_f1(found_us: list[int], true_us: list[int], tolerance_us: int = 30_000_000) -> float:
    """Each true boundary is found by at most one cut, and each cut finds at most one."""
    hits, cuts = 0, sorted(found_us)
    for time_us in sorted(true_us):
        near = next((cut for cut in cuts if abs(cut - time_us) <= tolerance_us), None)
        if near is not None:
            hits += 1
            cuts = [cut for cut in cuts if cut > near]
    return 2 * hits / (len(found_us) + len(true_us))


def test_the_default_cohort_does_everything(cohort: LocalStore) -> None:
    names = Counter(row["action"] for row in truth(cohort, "actions"))
    everything = set(_NAMES.split()) - {"terminate"}
    assert names.keys() == everything
    assert min(names.values()) >= 10
    actions = truth(cohort, "actions")
    assert {row["button"] for row in actions} >= {"left", "right", "middle", "button8", "button9"}
    assert {row["clicks"] for row in actions if row["action"] == "dragTo"} == {1, 2, 3}
    assert {row["modifiers"] for row in actions if row["action"] == "click"} == {None, "ctrl", "shift"}
    assert {row["modifiers"] for row in actions if row["action"] == "scroll"} == {None, "ctrl"}
    counted = [row for row in actions if (row["count"] or 1) > 1]
    assert {tuple(row["flags"]) for row in counted} == {(), ("estimated_count",)}
    assert {row["action"] for row in counted} == {"press", "hotkey"}
    pressed = {row["keys"] for row in actions if row["action"] == "press"}
    assert pressed >= {"winleft", "backspace", "tab", "enter"}
    assert sum("unpaired" in row["flags"] for row in actions) == COHORT.participants


def test_windows_change_every_17_seconds_within_tasks(cohort: LocalStore, streams: dict[str, dict[str, Any]]) -> None:
    tasks = tasks_of(cohort)
    total_us = sum(task["end_us"] - task["start_us"] for mine in tasks.values() for task in mine)
    count = 0
    for participant, mine in tasks.items():
        times = [time_us for time_us, _ in streams[participant]["changes"]]
        count += sum(task["start_us"] <= time_us < task["end_us"] for task in mine for time_us in times)
    assert total_us / count == pytest.approx(17e6, rel=0.1)


def test_tasks_take_12_minutes_with_a_wide_spread(cohort: LocalStore) -> None:
    minutes = [(t["end_us"] - t["start_us"]) / 60e6 for mine in tasks_of(cohort).values() for t in mine]
    assert np.mean(minutes) == pytest.approx(12, abs=1.5)
    assert np.quantile(minutes, 0.1) < 6
    assert np.quantile(minutes, 0.9) > 17
    assert max(minutes) < 48


def test_pauses_within_tasks_are_as_long_as_between(cohort: LocalStore, streams: dict[str, dict[str, Any]]) -> None:
    """Of those that are longer than a page takes to load. The long breaks that end a session are only between."""
    within: list[float] = []
    between: list[float] = []
    for participant, mine in tasks_of(cohort).items():
        input_us = streams[participant]["input_us"]
        for place in np.flatnonzero(np.diff(input_us) > 14e6):
            start_us, end_us = input_us[place : place + 2]
            inside = any(task["start_us"] < start_us and end_us < task["end_us"] for task in mine)
            if end_us - start_us < 600e6:
                (within if inside else between).append((end_us - start_us) / 1e6)
    assert len(within) > 2 * len(between)
    for share in (0.25, 0.5, 0.75):
        assert np.quantile(within, share) == pytest.approx(np.quantile(between, share), rel=0.5)


def test_neither_an_idle_gap_nor_a_change_of_window_tells_tasks_apart(
    cohort: LocalStore, streams: dict[str, dict[str, Any]]
) -> None:
    """Both baselines have to stay below 0.6, the idle gap whatever its length; they do so by far."""
    day_us = 10**12
    true_us, windows_us, idle_us = [], [], defaultdict(list)
    for number, (participant, mine) in enumerate(tasks_of(cohort).items()):
        shift_us = number * day_us
        true_us += [task["start_us"] + shift_us for task in mine[1:]]
        windows_us += [time_us + shift_us for time_us, _ in streams[participant]["changes"]]
        input_us = streams[participant]["input_us"]
        for gap_s in (5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 300):
            cuts = input_us[1:][np.diff(input_us) > gap_s * 1e6]
            idle_us[gap_s] += (cuts + shift_us).tolist()
    assert boundary_f1(true_us, true_us) == 1
    assert boundary_f1(windows_us, true_us) < 0.1
    best = max(boundary_f1(found, true_us) for found in idle_us.values())
    assert 0.1 < best < 0.5


def test_tasks_share_applications_and_documents_and_are_resumed(cohort: LocalStore) -> None:
    pairs = [pair for mine in tasks_of(cohort).values() for pair in itertools.pairwise(mine)]

    def main_application(task: Row) -> str:
        return task["documents"][0].rpartition(" - ")[2]

    assert np.mean([main_application(a) == main_application(b) for a, b in pairs]) > 0.3
    assert 0.2 < np.mean([bool(set(a["documents"]) & set(b["documents"])) for a, b in pairs]) < 0.7
    tasks = [task for mine in tasks_of(cohort).values() for task in mine]
    assert all(2 <= len(task["documents"]) <= 5 for task in tasks)
    assert 0.02 < np.mean([task["resumed"] is not None for task in tasks]) < 0.25
    for mine in tasks_of(cohort).values():
        for task in mine:
            if task["resumed"] is not None:
                assert task["resumed"] < task["episode"] - 1
                assert mine[task["resumed"]]["documents"] == task["documents"]


def test_interruptions_lead_elsewhere_and_back(cohort: LocalStore, streams: dict[str, dict[str, Any]]) -> None:
    """Within tasks people leave for applications that their task does not have, and return to the window they left."""
    returns, tasks = 0, 0
    for participant, mine in tasks_of(cohort).items():
        for task in mine:
            own = {document.rpartition(" - ")[2] for document in task["documents"]}
            inside = [
                (time_us, app in own, (app, title))
                for time_us, (app, title) in streams[participant]["changes"]
                if task["start_us"] < time_us < task["end_us"]
            ]
            runs = [(known, list(run)) for known, run in itertools.groupby(inside, key=lambda change: change[1])]
            for (_, before), (known, away), (_, after) in zip(runs, runs[1:], runs[2:], strict=False):
                returned = before[-1][2] == after[0][2]
                returns += not known and returned and 5e6 < after[0][0] - away[0][0] < 200e6
            tasks += 1
    assert returns / tasks > 1


def test_some_activity_belongs_to_no_task(cohort: LocalStore) -> None:
    stray = [row for row in truth(cohort, "actions") if row["episode"] is None]
    assert 0.002 < len(stray) / len(truth(cohort, "actions")) < 0.05


@given(mean=st.floats(5, 1000), shortest=st.floats(0.05, 0.5), longest=st.floats(3, 20))
@settings(max_examples=20, deadline=None)
def test_skewed_durations_have_their_mean_and_ends(mean: float, shortest: float, longest: float) -> None:
    durations = skewed(mean, shortest * mean, longest * mean)
    dice = Dice(generators(1, 5)[0])
    drawn = [durations.us(dice) / 1e6 for _ in range(4000)]
    assert shortest * mean - 1e-5 <= min(drawn) <= max(drawn) <= longest * mean
    assert np.mean(drawn) == pytest.approx(mean, rel=0.1)
    assert np.median(drawn) < mean


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
        clock_offset_s=st.sampled_from([0, 0.5, -3600]),
        task_minutes=st.floats(1, 8),
        window_s=st.floats(2, 40),
        think_s=st.floats(0.1, 3),
        pause_every_s=st.floats(10, 300),
        interruption_every_s=st.floats(10, 300),
        stray_share=st.floats(0, 1),
        rare_share=st.floats(0, 1),
        right_click_share=st.sampled_from([0, 0.2]),
    )
)
def test_any_options_give_whole_recordings(
    tmp_path_factory: pytest.TempPathFactory, options: SimulationOptions
) -> None:
    store = LocalStore(str(tmp_path_factory.mktemp("any")))
    simulate(store, options)
    for segments in recordings(store).values():
        rows = rows_of(segments)
        assert [row["seq"] for row in rows] == list(range(len(rows)))
        assert all(a["time_us"] <= b["time_us"] for a, b in itertools.pairwise(rows))
        anchors = segments[0].header.clock_anchors
        offset_us = anchors[0][1] - anchors[-1][1]
        assert options.start_us == rows[0]["time_us"] - offset_us
        assert rows[-1]["time_us"] - offset_us < options.stop_us
    if not options.clock_offset_s:
        for expected, found in compared(store, by_reducer):
            assert found == expected


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
        ("interruption_s", (5, 1)),
        ("pause_s", 1),
        ("longest_pause_s", 30),
        ("clock_offset_s", 90_000),
        ("picture_pool", 1),
        ("failure_share", 1.5),
        ("webp_quality", 101),
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
