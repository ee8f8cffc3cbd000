from __future__ import annotations

import base64
import contextlib
import io
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from owamcap_files import FORMATS, Said, screen, write_mcap, write_video
from PIL import Image

from taskreel.capture.importers.foreign import BadLine, ForeignRecordingError, Imported, ImportOptions
from taskreel.capture.importers.formats import import_recording
from taskreel.io.events import Flag, Kind

SAMPLE = Path(__file__).parents[2] / "data" / "owamcap"
BEGIN_NS = 1_768_131_731_000_000_000
MS_NS = 1_000_000
SECRET = "hunter2"


def imported(*paths: Path, layout: str | None = None) -> Imported:
    return import_recording("owamcap", paths, ImportOptions(layout=layout))


def key(at_ms: int, vk: int, down: bool = True) -> Said:
    return Said("KeyboardEvent", BEGIN_NS + at_ms * MS_NS, {"event_type": "press" if down else "release", "vk": vk})


def mouse(at_ms: int, what: str, **fields: Any) -> Said:
    return Said("MouseEvent", BEGIN_NS + at_ms * MS_NS, {"event_type": what, "x": at_ms, "y": 2 * at_ms} | fields)


def window(at_ms: int, title: str, handle: int = 1) -> Said:
    return Said("WindowInfo", BEGIN_NS + at_ms * MS_NS, {"title": title, "rect": [0, 0, 9, 9], "hWnd": handle})


def typed(result: Imported) -> str:
    return "".join(text for text in result.events.column("text").to_pylist() if text)


def picture(gray: int, *, size: tuple[int, int] = (32, 24)) -> np.ndarray:
    return np.full((size[1], size[0], 3), gray, np.uint8)


# ---------------------------------------------------------------------------------------------------- the sample


@pytest.fixture(scope="module")
def sample() -> Imported:
    return imported(SAMPLE)


def test_the_sample_says_what_was_done(sample: Imported) -> None:
    assert sample.bad_lines == ()
    assert sample.counts() == {
        "key_down": 11,
        "key_up": 9,
        "button_down": 1,
        "button_up": 1,
        "move": 216,
        "focus": 2,
        "screen": 17,
    }
    assert typed(sample) == "test text"
    press = next(row for row in sample.events.to_pylist() if row["kind"] == Kind.BUTTON_DOWN)
    assert (press["x"], press["y"], press["code"]) == (734 * 256, 1106 * 256, 1)


def test_each_letter_of_the_sample_is_seen_first_after_its_key(sample: Imported) -> None:
    """The proof that a message's time, and not the video's, is when its picture was on the screen."""
    rows = sample.events.to_pylist()
    screens = [row for row in rows if row["kind"] == Kind.SCREEN]
    letters = {}
    for row in screens:
        pixels = np.asarray(Image.open(io.BytesIO(row["picture"])).convert("L"))[95:112, 14:75]
        columns = np.flatnonzero((pixels < 90).any(axis=0))
        letters[row["time_us"]] = int(columns[-1]) if len(columns) else -1
    presses = [row["time_us"] for row in rows if row["kind"] == Kind.KEY_DOWN and row["text"]]
    for pressed in presses:
        before = [wide for time_us, wide in letters.items() if time_us < pressed]
        after = [wide for time_us, wide in letters.items() if pressed < time_us <= pressed + 40_000]
        assert max(after) > before[-1]


def test_the_samples_own_stop_keys_are_tagged_and_no_others(sample: Imported) -> None:
    tagged = [row for row in sample.events.to_pylist() if row["flags"] & Flag.RECORDER_CONTROL]
    assert [(row["key"], row["kind"]) for row in tagged] == [("ctrlleft", Kind.KEY_DOWN), ("c", Kind.KEY_DOWN)]


def test_the_samples_pictures_are_of_the_stated_size_and_say_how_much_changed(sample: Imported) -> None:
    screens = [row for row in sample.events.to_pylist() if row["kind"] == Kind.SCREEN]
    for row in screens:
        image = Image.open(io.BytesIO(row["picture"]))
        assert image.format == "WEBP"
        assert image.size == (row["picture_width_px"], row["picture_height_px"]) == (1025, 1017)
    changes = [row["picture_change_ppm"] for row in screens]
    assert changes[0] is None
    assert all(0 < change < 1000 for change in changes[1:])


def test_the_samples_alignment_is_reported_and_its_video_named(sample: Imported) -> None:
    assert sample.alignment is not None
    assert sample.alignment.pictures == 17
    assert 0 < sample.alignment.median_error_us < 100_000 < sample.alignment.max_error_us < 500_000
    assert any("recording-0.5.1.mkv beside the recording was taken" in note for note in sample.notes)


# ---------------------------------------------------------------------------------------------------- formats


def session(video: str) -> list[Said]:
    return [
        window(0, "a page"),
        key(10, ord("H")),
        key(20, ord("H"), down=False),
        screen(BEGIN_NS + 25 * MS_NS, video, 0, (32, 24)),
        mouse(30, "move"),
        mouse(40, "click", button="x1", pressed=True),
        mouse(50, "click", button="x1", pressed=False),
        mouse(55, "scroll", dx=-1, dy=2),
        screen(BEGIN_NS + 60 * MS_NS, video, 100 * MS_NS, (32, 24)),
        screen(BEGIN_NS + 65 * MS_NS, video, 200 * MS_NS, (32, 24)),
        window(70, "a page"),
        window(75, "another page"),
    ]


@pytest.mark.parametrize("version", FORMATS)
def test_all_formats_say_the_same(version: str, tmp_path: Path) -> None:
    write_video(tmp_path / "video.mkv", [(0, picture(0)), (100, picture(200)), (200, picture(210))])
    result = imported(write_mcap(tmp_path / "a.mcap", session("video.mkv"), version))
    rows = result.events.to_pylist()
    assert [Kind(row["kind"]).name for row in rows] == [
        "FOCUS",
        "KEY_DOWN",
        "KEY_UP",
        "SCREEN",
        "MOVE",
        "BUTTON_DOWN",
        "BUTTON_UP",
        "SCROLL",
        "SCREEN",
        "FOCUS",
    ]
    begin_us = BEGIN_NS // 1000
    assert [row["time_us"] - begin_us for row in rows] == [at * 1000 for at in (0, 10, 20, 25, 30, 40, 50, 55, 60, 75)]
    assert [row["seq"] for row in rows] == list(range(10))
    assert [row["title"] for row in rows if row["title"]] == ["a page", "another page"]
    assert (rows[1]["key"], rows[1]["code"], rows[1]["text"], rows[1]["flags"]) == ("h", 35, "h", Flag.UNKNOWN_LAYOUT)
    assert rows[5]["code"] == 8
    assert (rows[7]["wheel_x"], rows[7]["wheel_y"]) == (-120, 240)
    assert [row["picture_change_ppm"] for row in rows if row["kind"] == Kind.SCREEN] == [None, 1_000_000]
    assert result.bad_lines == ()


def test_pictures_can_be_embedded_or_files(tmp_path: Path) -> None:
    def png(gray: int) -> bytes:
        sink = io.BytesIO()
        Image.fromarray(picture(gray)).save(sink, "PNG")
        return sink.getvalue()

    (tmp_path / "there.png").write_bytes(png(50))
    data = base64.b64encode(png(100)).decode()
    references = [
        {"uri": f"data:image/png;base64,{data}"},
        {"uri": "folder/there.png"},
        {"type": "embedded", "format": "png", "data": data},
        {"uri": "https://example.org/secret.png"},
        {"uri": "data:image/png;base64,AAAA"},
    ]
    said = [
        Said("ScreenCaptured", BEGIN_NS + n * MS_NS, {"utc_ns": BEGIN_NS + n * MS_NS, "media_ref": reference})
        for n, reference in enumerate(references)
    ]
    result = imported(write_mcap(tmp_path / "a.mcap", said))
    rows = result.events.to_pylist()
    shown = [row["picture"] and np.asarray(Image.open(io.BytesIO(row["picture"])).convert("L"))[0, 0] for row in rows]
    assert shown == [100, 50, 100, None, None]
    assert [row["picture_hash"] is None for row in rows] == [False, False, False, True, True]
    assert result.missing_media == ("an embedded picture (1 pictures)", "secret.png (1 pictures)")


def test_media_that_are_not_there_are_named_and_do_not_stop_the_rest(tmp_path: Path) -> None:
    result = imported(write_mcap(tmp_path / "a.mcap", session("gone.mkv")))
    assert result.missing_media == ("gone.mkv (3 pictures)",)
    assert result.counts()["screen"] == 3
    assert result.counts()["key_down"] == 1
    assert result.events.column("picture").null_count == result.events.num_rows
    assert result.alignment is None


def test_a_video_that_is_none_is_missing(tmp_path: Path) -> None:
    (tmp_path / "video.mkv").write_bytes(b"no video at all")
    result = imported(write_mcap(tmp_path / "a.mcap", session("video.mkv")))
    assert result.missing_media == ("video.mkv (3 pictures that are not in it, or cannot be decoded)",)


def test_a_video_whose_times_start_again_is_read_again(tmp_path: Path) -> None:
    write_video(tmp_path / "video.mkv", [(0, picture(0)), (100, picture(100)), (200, picture(200))])
    wanted = (100, 200, 0, 100)
    said = [screen(BEGIN_NS + n * MS_NS, "video.mkv", pts * MS_NS, (32, 24)) for n, pts in enumerate(wanted)]
    rows = imported(write_mcap(tmp_path / "a.mcap", said)).events.to_pylist()
    assert [np.asarray(Image.open(io.BytesIO(row["picture"])))[0, 0, 0] for row in rows] == [100, 200, 0, 100]


def test_a_frame_that_the_video_does_not_have_is_missing(tmp_path: Path) -> None:
    write_video(tmp_path / "video.mkv", [(0, picture(0)), (100, picture(200))])
    result = imported(write_mcap(tmp_path / "a.mcap", session("video.mkv")))
    assert result.missing_media == ("video.mkv (1 pictures that are not in it, or cannot be decoded)",)
    assert result.alignment.pictures == 2


@pytest.mark.parametrize(
    "name", ["../outside.mkv", "{outside}", "..\\outside.mkv", "..", "", "\0", "x" * 300, "file://{outside}"]
)
def test_no_file_outside_of_the_recordings_folder_is_read(name: str, tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    outside = write_video(tmp_path / "outside.mkv", [(0, picture(0)), (100, picture(200)), (200, picture(90))])
    result = imported(write_mcap(inside / "a.mcap", session(name.format(outside=outside))))
    assert result.events.column("picture").null_count == result.events.num_rows


# ---------------------------------------------------------------------------------------------------- keys


def test_letters_are_where_the_layout_has_them_and_names_stay(tmp_path: Path) -> None:
    said = [key(n * 10 + up, ord(letter), down=not up) for n, letter in enumerate("AZQY") for up in (0, 1)]
    path = write_mcap(tmp_path / "a.mcap", said)
    for layout in ("us", "de", "fr"):
        result = imported(path, layout=layout)
        assert typed(result) == "azqy"
        assert result.events.column("key").to_pylist()[::2] == ["a", "z", "q", "y"]
        assert set(result.events.column("flags").to_pylist()) == {0}
        assert result.header.keyboard_layout == layout


def test_alt_gr_is_a_left_ctrl_that_nobody_pressed(tmp_path: Path) -> None:
    said = [key(0, 0xA2), key(1, 0xA5), key(20, ord("Q")), key(30, ord("Q"), False), key(40, 0xA2, False)]
    said += [key(41, 0xA5, False), key(50, ord("Q")), key(60, ord("Q"), False)]
    said += [key(70, 0xA2), key(80, ord("Q")), key(90, ord("Q"), False), key(95, 0xA2, False)]
    result = imported(write_mcap(tmp_path / "a.mcap", said), layout="de")
    assert typed(result) == "@q"
    assert result.events.num_rows == len(said)


def test_the_keypad_writes_digits_and_the_layouts_decimal_mark(tmp_path: Path) -> None:
    said = [key(n * 10 + up, vk, down=not up) for n, vk in enumerate((0x63, 0x6E, 0x61)) for up in (0, 1)]
    path = write_mcap(tmp_path / "a.mcap", said)
    assert typed(imported(path)) == "3.1"
    assert typed(imported(path, layout="de")) == "3,1"


def test_keys_whose_place_windows_decides_are_flagged(tmp_path: Path) -> None:
    path = write_mcap(tmp_path / "a.mcap", [key(0, 0xBA), key(1, 0xBA, False), key(2, 200), key(3, 200, False)])
    assert imported(path, layout="de").events.column("flags").to_pylist() == [Flag.UNKNOWN_LAYOUT] * 2 + [0] * 2
    assert imported(path, layout="us").events.column("flags").to_pylist() == [0] * 4
    assert imported(path).events.column("key").to_pylist() == [";", ";", "vk200", "vk200"]


def test_an_unknown_layout_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ForeignRecordingError, match="--layout nowhere"):
        imported(write_mcap(tmp_path / "a.mcap", []), layout="nowhere")


# ---------------------------------------------------------------------------------------------------- bad messages


BAD = [
    Said("KeyboardEvent", BEGIN_NS, {"event_type": "press", "vk": SECRET}),
    Said("KeyboardEvent", BEGIN_NS, {"event_type": SECRET, "vk": 65}),
    Said("KeyboardEvent", BEGIN_NS, {"event_type": "press", "vk": 65.5}),
    Said("KeyboardEvent", BEGIN_NS, {"event_type": "press", "vk": 65, "timestamp": -5}),
    Said("MouseEvent", BEGIN_NS, {"event_type": "click", "x": 1, "y": 1, "button": "left", "pressed": 1}),
    Said("MouseEvent", BEGIN_NS, {"event_type": "move", "x": 1e300, "y": 1}),
    Said("MouseEvent", BEGIN_NS, {"event_type": "move", "x": None, "y": 1}),
    Said("WindowInfo", BEGIN_NS, {"title": [SECRET]}),
    Said("ScreenCaptured", BEGIN_NS, {"utc_ns": 1, "media_ref": {"type": "embedded", "data": SECRET + "!"}}),
    Said("ScreenCaptured", BEGIN_NS, {"utc_ns": 1, "media_ref": 7}),
    Said("KeyboardEvent", BEGIN_NS, b"\xff" + SECRET.encode()),
    Said("KeyboardEvent", BEGIN_NS, b"[1, 2]"),
    Said("KeyboardEvent", BEGIN_NS, b"[" * 5000),
]
GOOD = [key(n * 10 + up, ord("A") + n % 26, down=not up) for n in range(12) for up in (0, 1)]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(GOOD)), st.sampled_from(BAD)), max_size=8))
def test_bad_messages_never_stop_the_rest_and_are_listed_by_number(
    tmp_path_factory: pytest.TempPathFactory, inserted: list[tuple[int, Said]]
) -> None:
    folder = tmp_path_factory.mktemp("mcap")
    said = [*GOOD]
    for place, bad in sorted(inserted, key=lambda pair: pair[0], reverse=True):
        said.insert(place, bad)
    result = imported(write_mcap(folder / "bad.mcap", said))
    assert result.events == imported(write_mcap(folder / "good.mcap", GOOD)).events
    assert [line.line for line in result.bad_lines] == [n for n, one in enumerate(said, start=1) if one in BAD]
    assert all(SECRET not in line.reason and line.file == "bad.mcap" for line in result.bad_lines)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_a_file_that_was_cut_off_gives_what_is_whole(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("cut")
    whole = write_mcap(folder / "whole.mcap", GOOD, chunk_bytes=400)
    content = whole.read_bytes()
    cut = folder / "cut.mcap"
    cut.write_bytes(content[: data.draw(st.integers(8, len(content) - 1))])
    result = imported(cut)
    expected = imported(whole).events.column("time_us").to_pylist()
    assert result.events.column("time_us").to_pylist() == expected[: result.events.num_rows]
    assert result.events.num_rows == len(expected) or result.bad_lines


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_whatever_is_damaged_it_is_a_recording_or_one_clear_error(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = write_mcap(tmp_path_factory.mktemp("damaged") / "a.mcap", GOOD, chunk_bytes=400)
    content = bytearray(path.read_bytes())
    times = set(imported(path).events.column("time_us").to_pylist())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    with contextlib.suppress(ForeignRecordingError):
        assert set(imported(path).events.column("time_us").to_pylist()) <= times


def test_a_damaged_chunk_costs_only_what_is_in_it(tmp_path: Path) -> None:
    path = write_mcap(tmp_path / "a.mcap", GOOD, chunk_bytes=400)
    whole = set(imported(path).events.column("time_us").to_pylist())
    content = bytearray(path.read_bytes())
    content[content.index(b"\x28\xb5\x2f\xfd") + 12] ^= 0xFF  # in the first zstd frame
    path.write_bytes(content)
    result = imported(path)
    assert result.bad_lines == (BadLine("a.mcap", 1, "a chunk of messages is damaged"),)
    assert 0 < result.events.num_rows < len(whole)
    assert set(result.events.column("time_us").to_pylist()) < whole


# ---------------------------------------------------------------------------------------------------- files


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 2), min_size=len(GOOD), max_size=len(GOOD)), st.randoms(use_true_random=False))
def test_several_files_are_one_recording(
    tmp_path_factory: pytest.TempPathFactory, homes: list[int], random: Any
) -> None:
    folder = tmp_path_factory.mktemp("several")
    paths = [
        write_mcap(folder / f"{home}.mcap", [one for one, at in zip(GOOD, homes, strict=True) if at == home])
        for home in range(3)
    ]
    random.shuffle(paths)
    one = imported(write_mcap(tmp_path_factory.mktemp("one") / "one.mcap", GOOD))
    several = imported(*paths, paths[0])
    assert several.events == one.events
    assert imported(folder).header == several.header


def test_a_file_without_messages_gives_a_recording_with_none(tmp_path: Path) -> None:
    result = imported(write_mcap(tmp_path / "a.mcap", []))
    assert (result.events.num_rows, result.counts(), result.bad_lines) == (0, {}, ())


def test_an_mcap_of_another_recorder_is_one_clear_error(tmp_path: Path) -> None:
    said = [Said("sensor_msgs/Image", BEGIN_NS, {}), Said("std_msgs/String", BEGIN_NS, {"data": SECRET})]
    with pytest.raises(ForeignRecordingError, match=r"a\.mcap: an MCAP file, but no message of it is OWAMcap's"):
        imported(write_mcap(tmp_path / "a.mcap", said, profile="ros2"))


def test_times_rise_and_windows_are_told_once(tmp_path: Path) -> None:
    said = [window(40, "b", 2), window(0, "a"), window(10, "a"), window(20, "a", 2), window(30, "b", 2), key(5, 65)]
    result = imported(write_mcap(tmp_path / "a.mcap", said))
    times = result.events.column("time_us").to_pylist()
    assert all(before <= after for before, after in pairwise(times))
    assert [title for title in result.events.column("title").to_pylist() if title] == ["a", "a", "b"]
    assert any("2 WindowInfo of the same window" in note for note in result.notes)
