from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from owamcap_files import write_video

from taskreel.capture.importers.foreign import ForeignRecordingError, Imported, ImportOptions
from taskreel.capture.importers.formats import import_recording
from taskreel.io.events import Kind

SAMPLE = Path(__file__).parents[3] / "examples" / "ducktrack"
METADATA = {"system": "Windows", "screen_width": 1000, "screen_height": 500, "start_time": "2024-05-01 10:00:00"}
BEGIN_US = 1_714_557_600_000_000
SECRET = "hunter2"

SOME: list[dict[str, Any]] = [
    {"time_stamp": 100.0, "action": "move", "x": 10.5, "y": 20},
    {"time_stamp": 100.25, "action": "click", "x": 10.5, "y": 20, "button": "left", "pressed": True},
    {"time_stamp": 100.5, "action": "click", "x": 10.5, "y": 20, "button": "left", "pressed": False},
    {"time_stamp": 100.75, "action": "press", "name": "H"},
    {"time_stamp": 101.0, "action": "release", "name": "H"},
    {"time_stamp": 101.25, "action": "scroll", "x": 1, "y": 2, "dx": 0, "dy": -1},
    {"time_stamp": 101.5, "top_window_name": "Notes"},
    {"time_stamp": 101.75, "action": "pause"},
    {"time_stamp": 102.0, "action": "resume"},
]


def recording(folder: Path, lines: list[Any], *, name: str = "events.jsonl", **metadata: Any) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "metadata.json").write_text(json.dumps(METADATA | metadata))
    texts = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
    (folder / name).write_bytes(b"".join(text + b"\n" for text in texts))
    return folder


def imported(*sources: Path) -> Imported:
    return import_recording("ducktrack", sources, ImportOptions())


def keys(folder: Path, *named: tuple[str | None, str | None], **metadata: Any) -> list[tuple[str | None, str | None]]:
    """Key and text of presses; each is a name, and what AgentNet's `pynput_key` says, if it is there."""
    lines = [
        {"time_stamp": n, "action": "press", "name": name} | ({} if said is None else {"pynput_key": said})
        for n, (name, said) in enumerate(named)
    ]
    result = imported(recording(folder, lines, **metadata))
    assert result.bad_lines == ()
    return list(zip(*(result.events.column(column).to_pylist() for column in ("key", "text")), strict=True))


# ---------------------------------------------------------------------------------------------------- what is read


def test_each_kind_of_line_is_its_event(tmp_path: Path) -> None:
    result = imported(recording(tmp_path, SOME))
    rows = result.events.to_pylist()
    assert [Kind(row["kind"]).name for row in rows] == [
        "MOVE",
        "BUTTON_DOWN",
        "BUTTON_UP",
        "KEY_DOWN",
        "KEY_UP",
        "SCROLL",
        "FOCUS",
        "PAUSE",
        "RESUME",
    ]
    assert [row["time_us"] - BEGIN_US for row in rows] == [250_000 * n for n in range(9)]
    assert (rows[0]["x"], rows[0]["y"]) == (2688, 5120)
    assert rows[1]["code"] == 1
    assert (rows[3]["key"], rows[3]["text"]) == ("h", "H")
    assert (rows[5]["wheel_x"], rows[5]["wheel_y"]) == (0, -120)
    assert (rows[6]["app"], rows[6]["title"]) == ("Notes", None)
    assert result.header.clock_anchors == ()
    assert result.header.coordinate_space == "physical"
    assert result.missing_media == ()


def test_the_sample_is_read_whole(tmp_path: Path) -> None:
    result = imported(SAMPLE)
    assert result.bad_lines == ()
    assert result.events.num_rows == 13_401
    assert result.header.coordinate_space == "logical"
    assert result.missing_media == ("the video that OBS recorded (.mp4, .mkv)",)


def test_keys_have_pyautoguis_names_and_the_text_that_they_made(tmp_path: Path) -> None:
    assert keys(tmp_path, ("a", None), ("space", None), ("enter", None), ("page_up", None), ("é", None)) == [
        ("a", "a"),
        ("space", " "),
        ("enter", None),
        ("pageup", None),
        ("é", "é"),
    ]
    windows = keys(tmp_path, ("cmd", None), ("cmd_r", None), ("alt_l", None))
    assert windows == [("winleft", None), ("winright", None), ("altleft", None)]
    mac = keys(tmp_path, ("cmd", None), ("alt", None), ("alt_r", None), system="Darwin")
    assert mac == [("command", None), ("optionleft", None), ("optionright", None)]


def test_what_a_shortcut_is_written_as_is_its_key_and_no_text(tmp_path: Path) -> None:
    assert keys(tmp_path, ("\x03", None), ("C", "'\\x03'"), ("C", "<67>"), ("C", "'C'"), ("5", "<101>")) == [
        ("c", None),
        ("c", None),
        ("c", None),
        ("c", "C"),
        ("5", "5"),
    ]


def test_a_key_that_pynput_could_not_name_is_a_key_all_the_same(tmp_path: Path) -> None:
    named = keys(tmp_path, (None, None), ("$Unknown (179)$", "<179>"), ("Caps Lock", "<20>"))
    assert named == [(None, None), ("vk179", None), ("capslock", None)]


def test_half_a_surrogate_pair_does_not_break_the_table(tmp_path: Path) -> None:
    lines = [{"time_stamp": 1, "action": "press", "name": "\ud83d"}, {"time_stamp": 2, "top_window_name": "\udc00"}]
    result = imported(recording(tmp_path, lines))
    result.events.validate(full=True)
    assert result.events.num_rows == 2


def test_positions_beyond_the_screen_are_kept_and_noted(tmp_path: Path) -> None:
    lines = [{"time_stamp": n, "action": "move", "x": x, "y": 0} for n, x in enumerate((999, 1000, -1, 4000))]
    result = imported(recording(tmp_path, lines))
    assert [x // 256 for x in result.events.column("x").to_pylist()] == [999, 1000, -1, 4000]
    assert any("3 positions lie outside the stated screen of 1000 x 500" in note for note in result.notes)


def test_buttons_beyond_the_third_have_x11s_numbers(tmp_path: Path) -> None:
    names = ("left", "middle", "right", "x1", "x2", "button8", "button9", "unknown")
    lines = [
        {"time_stamp": n, "action": "click", "x": 0, "y": 0, "button": name, "pressed": True}
        for n, name in enumerate(names)
    ]
    assert imported(recording(tmp_path, lines)).events.column("code").to_pylist() == [1, 2, 3, 8, 9, 8, 9, 0]


def test_agentnets_files_of_one_folder_are_one_recording(tmp_path: Path) -> None:
    recording(tmp_path, [line | {"event_idx": n} for n, line in enumerate(SOME) if "action" in line])
    (tmp_path / "top_window.jsonl").write_text('{"time_stamp": 101.5, "top_window_name": "Notes"}\n')
    (tmp_path / "element.jsonl").write_text('{"time_stamp": 101.5, "a11y_tree": {}}\n')
    whole = imported(recording(tmp_path / "one", SOME))
    assert imported(tmp_path).events == whole.events
    assert imported(tmp_path / "top_window.jsonl", tmp_path / "events.jsonl").events == whole.events


def test_windows_of_agentnets_descendants_have_titles(tmp_path: Path) -> None:
    line = {"time_stamp": 1, "top_window_name": "Notes", "app_name": "Notes", "window_title": "shopping"}
    row = imported(recording(tmp_path, [line])).events.to_pylist()[0]
    assert (row["app"], row["title"]) == ("Notes", "shopping")


# ---------------------------------------------------------------------------------------------------- order


@settings(max_examples=30, deadline=None)
@given(st.randoms(use_true_random=False))
def test_lines_out_of_order_are_sorted(tmp_path_factory: pytest.TempPathFactory, chance: random.Random) -> None:
    shuffled = [*SOME]
    chance.shuffle(shuffled)
    folder = tmp_path_factory.mktemp("order")
    assert imported(recording(folder, shuffled)).events == imported(recording(folder / "sorted", SOME)).events


def test_lines_of_one_time_stay_in_their_order(tmp_path: Path) -> None:
    lines = [{"time_stamp": 5, "action": "press", "name": name} for name in "cab"]
    first = {"time_stamp": 4, "action": "press", "name": "z"}
    assert imported(recording(tmp_path, [*lines, first])).events.column("key").to_pylist() == ["z", "c", "a", "b"]


def test_a_line_that_stands_there_twice_is_one_event_and_noted(tmp_path: Path) -> None:
    result = imported(recording(tmp_path, [SOME[0], *SOME, SOME[3]]))
    assert result.events == imported(recording(tmp_path / "once", SOME)).events
    assert result.notes == ("2 lines stood there twice, and are one event each",)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 2), min_size=len(SOME), max_size=len(SOME)))
def test_several_files_are_one_recording(tmp_path_factory: pytest.TempPathFactory, homes: list[int]) -> None:
    folder = tmp_path_factory.mktemp("several")
    for home in range(3):
        lines = [line for line, at in zip(SOME, homes, strict=True) if at == home]
        recording(folder, lines, name=f"events{home}.jsonl")
    whole = imported(recording(folder / "one", SOME))
    assert imported(folder).events == whole.events
    assert imported(*(folder / f"events{home}.jsonl" for home in (2, 0, 1))).events == whole.events


# ---------------------------------------------------------------------------------------------------- bad lines


BAD = [
    b"not json " + SECRET.encode(),
    b"\x89PNG\r\xff\xfe",
    b"[1]",
    b"[" * 5000,
    b"1" * 5000,
    json.dumps({"time_stamp": 100, "action": SECRET}).encode(),
    json.dumps({"time_stamp": SECRET, "action": "move", "x": 1, "y": 1}).encode(),
    json.dumps({"time_stamp": 1e300, "action": "move", "x": 1, "y": 1}).encode(),
    json.dumps({"time_stamp": -1, "action": "move", "x": 1, "y": 1}).encode(),
    json.dumps({"time_stamp": 1e11, "action": "move", "x": 1, "y": 1}).encode(),
    b'{"time_stamp": NaN, "action": "move", "x": 1, "y": 1}',
    b'{"time_stamp": 1, "action": "move", "x": ' + b"9" * 400 + b', "y": 1}',
    json.dumps({"time_stamp": 100, "action": "move", "x": 1}).encode(),
    json.dumps({"time_stamp": 100, "action": "click", "x": 1, "y": 1, "button": SECRET, "pressed": True}).encode(),
    json.dumps({"time_stamp": 100, "action": "click", "x": 1, "y": 1, "button": "left", "pressed": "yes"}).encode(),
    json.dumps({"time_stamp": 100, "action": "press"}).encode(),
    json.dumps({"time_stamp": 100, "action": "press", "name": [SECRET]}).encode(),
    json.dumps({"time_stamp": 100, "action": "press", "name": SECRET, "pynput_key": 5}).encode(),
    json.dumps({"time_stamp": 100, "top_window_name": 5}).encode(),
    json.dumps({"time_stamp": True, "action": "pause"}).encode(),
]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(SOME)), st.sampled_from(BAD)), max_size=12))
def test_bad_lines_never_stop_the_rest_and_are_listed_by_number(
    tmp_path_factory: pytest.TempPathFactory, inserted: list[tuple[int, bytes]]
) -> None:
    folder = tmp_path_factory.mktemp("bad")
    lines: list[Any] = [*SOME]
    for place, bad in sorted(inserted, key=lambda pair: pair[0], reverse=True):
        lines.insert(place, bad)
    result = imported(recording(folder, lines))
    assert result.events == imported(recording(folder / "good", SOME)).events
    assert [line.line for line in result.bad_lines] == [n for n, line in enumerate(lines, 1) if isinstance(line, bytes)]
    assert all(SECRET not in line.reason and line.file == "events.jsonl" for line in result.bad_lines)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(st.binary(max_size=40), st.sampled_from(BAD)), max_size=8))
def test_whatever_is_in_the_file_it_is_a_recording_or_one_clear_error(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]
) -> None:
    folder = recording(tmp_path_factory.mktemp("any"), lines)
    written = (folder / "events.jsonl").read_bytes().split(b"\n")
    if not any(line.strip() for line in written):
        assert imported(folder).events.num_rows == 0
        return
    with pytest.raises(ForeignRecordingError, match=r"events\.jsonl: no line of it is an event") as raised:
        imported(folder)
    assert SECRET not in str(raised.value)


def test_a_file_without_lines_gives_a_recording_with_none(tmp_path: Path) -> None:
    assert imported(recording(tmp_path, [])).events.num_rows == 0
    assert imported(recording(tmp_path, [b"", b"  "])).events.num_rows == 0


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        (b"{", "metadata.json: not JSON"),
        (b"{}", "metadata.json: field start_time"),
        (json.dumps(METADATA | {"start_time": "yesterday"}).encode(), "field start_time: YYYY-MM-DD"),
        (json.dumps(METADATA | {"start_time": "0001-01-01 00:00:00"}).encode(), "field start_time: a year"),
        (json.dumps(METADATA | {"screen_width": 0}).encode(), "field screen_width"),
        (None, "metadata.json: not there"),
    ],
)
def test_metadata_that_are_none_are_one_clear_error(metadata: bytes | None, message: str, tmp_path: Path) -> None:
    recording(tmp_path, SOME)
    (tmp_path / "metadata.json").unlink()
    if metadata is not None:
        (tmp_path / "metadata.json").write_bytes(metadata)
    with pytest.raises(ForeignRecordingError, match=message):
        imported(tmp_path)


# ---------------------------------------------------------------------------------------------------- video


def gray(value: int) -> np.ndarray:
    return np.full((24, 32, 3), value, np.uint8)


def test_the_video_is_put_on_the_events_clock_pauses_too(tmp_path: Path) -> None:
    states = {"STARTED": [100.5], "PAUSED": [101.5], "RESUMED": [111.5], "STOPPING": [112.5]}
    timings = {f"OBS_WEBSOCKET_OUTPUT_{state}": times for state, times in states.items()}
    folder = recording(tmp_path, SOME, obs_record_state_timings=timings)
    write_video(folder / "a.mkv", [(0, gray(0)), (500, gray(9)), (900, gray(90)), (1100, gray(180)), (1980, gray(190))])
    result = imported(folder)
    screens = [row for row in result.events.to_pylist() if row["kind"] == Kind.SCREEN]
    assert [row["time_us"] - BEGIN_US for row in screens] == [500_000, 1_400_000, 11_600_000]
    assert result.alignment is not None
    assert (result.alignment.pictures, result.alignment.offset_us) == (3, BEGIN_US + 500_000)
    assert result.alignment.max_error_us == 20_000


def test_agentnets_start_of_the_video_is_used_where_obs_said_nothing(tmp_path: Path) -> None:
    folder = recording(tmp_path, SOME, video_start_timestamp=100.25)
    write_video(folder / "a.mkv", [(0, gray(0)), (500, gray(90))])
    result = imported(folder)
    screens = [row for row in result.events.to_pylist() if row["kind"] == Kind.SCREEN]
    assert [row["time_us"] - BEGIN_US for row in screens] == [250_000, 750_000]
    assert result.alignment is not None
    assert result.alignment.max_error_us is None


def test_a_video_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    folder = recording(tmp_path, SOME, video_start_timestamp=100.25)
    (folder / "a.mp4").write_bytes(b"no video")
    assert imported(folder).missing_media == ("a.mp4 (cannot be decoded)",)
    recording(tmp_path, SOME)
    assert imported(folder).missing_media == ("a.mp4 (the metadata do not say when it began)",)
    assert imported(folder).events.num_rows == len(SOME)
