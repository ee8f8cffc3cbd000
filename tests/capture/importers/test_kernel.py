"""evemu and libinput files: real samples against their own lines; files that are broken, many or of another kind."""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from taskreel.capture.importers.foreign import ForeignRecordingError, Imported, ImportOptions
from taskreel.capture.importers.formats import import_recording
from taskreel.capture.importers.kernel import read_evemu, read_libinput
from taskreel.capture.segmenter import segments
from taskreel.io.events import Flag, Kind
from taskreel.io.segments import read_segment

DATA = Path(__file__).parents[2] / "data"
EVEMU = sorted(DATA.glob("evemu/*.ev*"))
LIBINPUT = sorted(DATA.glob("libinput/*.yml"))
PAD_AND_KEYS, KEYS_AND_MOUSE = DATA / "libinput/touchpad-and-hidden-keys.yml", DATA / "libinput/keyboard-and-mouse.yml"

OPTIONS = ImportOptions(consent_id="c1", participant="p1", region="de")
X11 = {0x110: 1, 0x111: 3, 0x112: 2, 0x113: 8, 0x114: 9, 0x100: 8, 0x101: 9}


def raw_events(path: Path) -> list[tuple[int, int, int, int]]:
    """(microseconds, type, code, value) of an evemu file, by splitting its lines: no code in common with the reader."""
    events = []
    for line in path.read_text().splitlines():
        if line.startswith("E:"):
            time, kind, code, value = line[2:].split("#")[0].split()
            second, micro = time.split(".")
            events.append((int(second) * 10**6 + int(micro), int(kind, 16), int(code, 16), int(value)))
    return events


def rows(imported: Imported, *kinds: Kind) -> list[Any]:
    return [row for row in imported.events.to_pylist() if row["kind"] in kinds]


@pytest.mark.parametrize("path", EVEMU, ids=lambda path: path.name)
class TestRealSamples:
    def test_times_lie_within_the_recording(self, path: Path) -> None:
        times = [time_us for time_us, *_ in raw_events(path)]
        for time_us in read_evemu([path], OPTIONS).events.column("time_us").to_pylist():
            assert times[0] <= time_us <= times[-1]

    def test_all_lines_are_read(self, path: Path) -> None:
        assert read_evemu([path], OPTIONS).bad_lines == ()

    def test_buttons_that_were_pressed_are_those_of_the_source(self, path: Path) -> None:
        """A tap is a click that nobody pressed: it is flagged, and not in the source."""
        source = [(time, X11[code], value) for time, kind, code, value in raw_events(path) if kind == 1 and code in X11]
        found = [
            (row["time_us"], row["code"], int(row["kind"] == Kind.BUTTON_DOWN))
            for row in rows(read_evemu([path], OPTIONS), Kind.BUTTON_DOWN, Kind.BUTTON_UP)
            if not row["flags"] & Flag.INFERRED
        ]
        assert found == source

    def test_inferred_clicks_are_whole(self, path: Path) -> None:
        found = rows(read_evemu([path], OPTIONS), Kind.BUTTON_DOWN, Kind.BUTTON_UP)
        inferred = [(row["kind"], row["code"]) for row in found if row["flags"] & Flag.INFERRED]
        assert inferred[::2] == [(Kind.BUTTON_DOWN, code) for _, code in inferred[1::2]]
        assert len(inferred) == (4 if "double-tap" in path.name else 0)

    def test_wheel_ticks_are_kept(self, path: Path) -> None:
        source = Counter[int]()
        for _, kind, code, value in raw_events(path):
            if kind == 2:
                source[code] += value * 120
        if not source:
            return
        scrolls = rows(read_evemu([path], OPTIONS), Kind.SCROLL)
        assert (sum(row["wheel_x"] for row in scrolls), sum(row["wheel_y"] for row in scrolls)) == (
            source[6],
            source[8],
        )

    def test_motion_of_mice_ends_where_its_counts_do(self, path: Path) -> None:
        source = Counter[int]()
        for _, kind, code, value in raw_events(path):
            if kind == 2:
                source[code] += value * 256
        moves = rows(read_evemu([path], OPTIONS), Kind.MOVE)
        if source[0] or source[1]:
            assert (moves[-1]["x"], moves[-1]["y"]) == (source[0], source[1])
        assert all(row["flags"] == Flag.ESTIMATED for row in moves)

    def test_keys_are_those_of_the_source_matched_or_not(self, path: Path) -> None:
        source = [(time, code, value) for time, kind, code, value in raw_events(path) if kind == 1 and code < 0x100]
        found = rows(read_evemu([path], OPTIONS), Kind.KEY_DOWN, Kind.KEY_UP)
        assert [(row["time_us"], row["code"], int(row["kind"] == Kind.KEY_DOWN)) for row in found] == source

    def test_it_can_be_published(self, path: Path) -> None:
        imported = import_recording("evemu", [path], OPTIONS)
        back = (
            [read_segment(name, data) for name, data in segments(imported.header, imported.events)]
            if (imported.events.num_rows)
            else []
        )
        assert sum(segment.events.num_rows for segment in back) == imported.events.num_rows


def test_the_samples_are_what_their_names_say() -> None:
    by_name = {path.name: read_evemu([path], OPTIONS) for path in EVEMU}
    assert by_name["roccat-kone-mouse.evemu"].events.num_rows == 0
    assert by_name["ps2-mouse.events"].counts() == {"move": 2707}
    press = rows(by_name["cypress-touchpad-two-finger-press.events"], Kind.BUTTON_DOWN)
    assert [(row["code"], row["fingers"]) for row in press] == [(3, 2)]
    scroll = by_name["synaptics-two-finger-scroll.events"]
    assert set(scroll.counts()) == {"scroll"}
    assert {row["flags"] for row in rows(scroll, Kind.SCROLL)} == {Flag.ESTIMATED}


def test_the_keys_that_stopped_the_recorder_are_tagged() -> None:
    keys = rows(
        import_recording("evemu", [DATA / "evemu/thinkpad-keyboard.events"], OPTIONS), Kind.KEY_DOWN, Kind.KEY_UP
    )
    assert [(row["key"], row["flags"]) for row in keys] == [
        ("enter", 0),
        ("ctrlleft", Flag.RECORDER_CONTROL),
        ("c", Flag.RECORDER_CONTROL),
    ]


class TestClocks:
    def test_utc_is_told_by_its_size(self) -> None:
        imported = read_evemu([DATA / "evemu/ps2-mouse.events"], OPTIONS)
        first_us = imported.events.column("time_us")[0].as_py()
        assert imported.clock == "the kernel's wall clock, UTC"
        assert imported.header.clock_anchors == ((first_us, first_us),)

    def test_another_start_is_said_and_anchored_nowhere(self) -> None:
        imported = read_evemu([DATA / "evemu/thinkpad-keyboard.events"], OPTIONS)
        assert "1970-01-01" in imported.clock
        assert imported.header.clock_anchors == ()

    def test_files_of_both_kinds_are_refused(self) -> None:
        with pytest.raises(ForeignRecordingError, match=r"thinkpad-keyboard.*ps2-mouse.*apart"):
            read_evemu([DATA / "evemu/ps2-mouse.events", DATA / "evemu/thinkpad-keyboard.events"], OPTIONS)

    def test_a_file_without_events_has_no_clock(self) -> None:
        both = [DATA / "evemu/ps2-mouse.events", DATA / "evemu/roccat-kone-mouse.evemu"]
        assert read_evemu(both, OPTIONS).counts() == {"move": 2707}


# ---------------------------------------------------------------------------------------------------- many files


def files_that_fit() -> list[Path]:
    return [
        DATA / "evemu" / name
        for name in (
            "thinkpad-keyboard.events",
            "alps-touchpad-double-tap.events",
            "synaptics-touchpad.events",
            "roccat-kone-mouse.evemu",
        )
    ]


@settings(max_examples=20, deadline=None)
@given(st.permutations(files_that_fit()))
def test_files_in_any_order_are_one_recording(paths: list[Path]) -> None:
    assert read_evemu(paths, OPTIONS) == read_evemu(files_that_fit(), OPTIONS)


@pytest.mark.parametrize("names", [("1.events", "2.events"), ("2.events", "1.events")])
def test_the_names_of_files_mean_nothing(names: tuple[str, str], tmp_path: Path) -> None:
    """Not even for two keyboards with a press at the very same time."""
    for name, code in zip(names, ("001e", "0030"), strict=True):
        (tmp_path / name).write_text(f"E: 1.000000 0001 {code} 1\nE: 1.000000 0000 0000 0\n")
    assert read_evemu([tmp_path], OPTIONS).events.column("key").to_pylist() == ["b", "a"]


def test_files_of_a_session_are_merged_by_time() -> None:
    apart = [read_evemu([path], OPTIONS) for path in files_that_fit()]
    together = read_evemu(files_that_fit(), OPTIONS)
    assert together.events.num_rows == sum(one.events.num_rows for one in apart)
    assert Counter(together.events.column("kind").to_pylist()) == sum(
        (Counter(one.events.column("kind").to_pylist()) for one in apart), Counter()
    )


def test_a_file_that_is_named_twice_is_one(tmp_path: Path) -> None:
    path = tmp_path / "mouse.events"
    path.write_bytes((DATA / "evemu/ps2-mouse.events").read_bytes())
    assert read_evemu([path, tmp_path], OPTIONS) == read_evemu([path], OPTIONS)


# ---------------------------------------------------------------------------------------------------- bad lines

GARBAGE = [
    "E: 1.0 0001",
    "E: 1.0 0001 001c x secret",
    "E: 99999999999999.0 1 1e 1",
    "E: 1.000000 1 1e 4294967296",
    "Q: 1",
    "garbage",
    "P: zz",
    "B: 01",
    "A: 00 1 2",
    "\x00\x01\x02",
    "E:1.000000 0001 001e 1 1",
    "\N{SNOWMAN}",
]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
@pytest.mark.parametrize("name", ["thinkpad-keyboard.events", "alps-touchpad-double-tap.events", "scrollpoint.events"])
def test_bad_lines_anywhere_leave_the_rest(name: str, tmp_path: Path, data: st.DataObject) -> None:
    lines = (DATA / "evemu" / name).read_text().splitlines()
    places = data.draw(st.lists(st.tuples(st.integers(0, len(lines)), st.sampled_from(GARBAGE)), max_size=6))
    expected = []
    for place, garbage in sorted(places, reverse=True):
        lines.insert(place, garbage)
    path = tmp_path / name
    path.write_text("\n".join(lines))
    imported = read_evemu([path], OPTIONS)
    expected = [number for number, line in enumerate(lines, start=1) if line in GARBAGE]
    assert [bad.line for bad in imported.bad_lines] == expected
    assert {bad.file for bad in imported.bad_lines} <= {name}
    assert imported.events.equals(read_evemu([DATA / "evemu" / name], OPTIONS).events)


def test_reasons_hold_nothing_that_was_recorded(tmp_path: Path) -> None:
    path = tmp_path / "a.events"
    path.write_text("N: keyboard\n" + "\n".join(GARBAGE))
    said = " ".join(bad.reason for bad in read_evemu([path], OPTIONS).bad_lines)
    assert said
    assert not re.search(r"secret|4294967296|garbage|001c", said)


@pytest.mark.parametrize("line", ["E: 1.5 1 1e 1", "E: 1.500000 0001 001E 001\t# KEY", "E:  1.500000 1 1e 1   "])
def test_ways_to_write_an_event(tmp_path: Path, line: str) -> None:
    path = tmp_path / "a.events"
    path.write_text(line + "\r\n")
    (row,) = read_evemu([path], OPTIONS).events.to_pylist()
    assert (row["time_us"], row["key"]) == (1_500_000, "a")


# ---------------------------------------------------------------------------------------------------- other kinds


@pytest.mark.parametrize(
    ("reader", "text"),
    [
        (read_evemu, ""),
        (read_evemu, "version: 1\ndevices: []\n"),
        (read_evemu, "\x89PNG\r\n\x1a\n"),
        (read_libinput, ""),
        (read_libinput, "E: 1.0 1 1e 1\n"),
        (read_libinput, "version: 2\ndevices: []\n"),
        (read_libinput, "- 1\n- 2\n"),
        (read_libinput, "version: 1\n"),
        (read_libinput, "\x89PNG\r\n\x1a\n"),
        (read_libinput, "[" * 20_000),
    ],
)
def test_a_file_of_another_kind_is_one_clear_error(tmp_path: Path, reader: Any, text: str) -> None:
    path = tmp_path / "a.yml"
    path.write_text(text)
    with pytest.raises(ForeignRecordingError, match=r"a\.yml"):
        reader([path], OPTIONS)


def test_a_description_alone_is_a_recording_without_events(tmp_path: Path) -> None:
    path = tmp_path / "a.evemu"
    path.write_text("# EVEMU 1.3\nN: mouse\n")
    assert read_evemu([path], OPTIONS).events.num_rows == 0


def test_an_unknown_layout_is_a_clear_error() -> None:
    with pytest.raises(ForeignRecordingError, match="--layout xx"):
        import_recording("evemu", EVEMU[:1], ImportOptions(layout="xx"))


# ---------------------------------------------------------------------------------------------------- libinput


class TestLibinput:
    def test_a_touchpad_and_a_keyboard_that_hides_its_keys(self) -> None:
        imported = import_recording("libinput", [PAD_AND_KEYS], OPTIONS)
        assert imported.bad_lines == ()
        clicks = rows(imported, Kind.BUTTON_DOWN)
        assert [(row["code"], row["fingers"]) for row in clicks] == [(1, 1), (3, 2)]
        assert rows(imported, Kind.MOVE)[-1]["x"] == 20 * 12 * 256
        keys = rows(imported, Kind.KEY_DOWN)
        assert [row["key"] for row in keys] == [None, None, "enter", "ctrlleft", None]
        assert {row["text"] for row in keys} == {None}
        assert [bool(row["flags"] & Flag.UNKNOWN_LAYOUT) for row in keys] == [True, True, False, False, True]
        assert any("--show-keycodes" in note for note in imported.notes)
        assert "1 libinput entries are not used" in imported.notes

    def test_a_keyboard_that_shows_its_keys_and_a_fine_wheel(self) -> None:
        imported = read_libinput([KEYS_AND_MOUSE], ImportOptions(layout="us"))
        downs = rows(imported, Kind.KEY_DOWN)
        assert [row["text"] for row in downs] == [None, "H", "i", None, "!", "!", "!", None]
        assert [bool(row["flags"] & Flag.AUTO_REPEAT) for row in downs] == [False] * 5 + [True] * 2 + [False]
        assert sum(row["wheel_y"] for row in rows(imported, Kind.SCROLL)) == -240
        assert imported.header.keyboard_layout == "us"

    def test_the_same_keys_in_a_german_layout(self) -> None:
        downs = rows(read_libinput([KEYS_AND_MOUSE], ImportOptions(layout="de")), Kind.KEY_DOWN)
        assert {row["flags"] & Flag.UNKNOWN_LAYOUT for row in downs} == {0}

    def test_scan_codes_give_hidden_keys_away_without_comments(self, tmp_path: Path) -> None:
        path = tmp_path / "a.yml"
        path.write_text(re.sub(r" +#.*", "", PAD_AND_KEYS.read_text()))
        assert read_libinput([path], OPTIONS).events.equals(read_libinput([PAD_AND_KEYS], OPTIONS).events)

    def test_another_way_to_write_the_same_yaml(self, tmp_path: Path) -> None:
        import yaml

        path = tmp_path / "a.yml"
        path.write_text(yaml.safe_dump(yaml.safe_load(PAD_AND_KEYS.read_text()), default_flow_style=False))
        assert read_libinput([path], OPTIONS).events.equals(read_libinput([PAD_AND_KEYS], OPTIONS).events)

    def test_a_recorder_that_was_killed_leaves_what_it_wrote(self, tmp_path: Path) -> None:
        whole = PAD_AND_KEYS.read_text()
        path = tmp_path / "a.yml"
        path.write_text(whole[: whole.rindex("# EV_KEY") - 12])
        imported = read_libinput([path], OPTIONS)
        assert len(imported.bad_lines) == 1
        assert imported.events.num_rows == read_libinput([PAD_AND_KEYS], OPTIONS).events.num_rows - 1

    @pytest.mark.parametrize("path", LIBINPUT, ids=lambda path: path.name)
    def test_it_can_be_published(self, path: Path) -> None:
        imported = import_recording("libinput", [path], OPTIONS)
        (segment,) = [read_segment(name, data) for name, data in segments(imported.header, imported.events)]
        assert segment.events.num_rows == imported.events.num_rows
        assert segment.header.source == "libinput"


BAD_YAML = [
    "{{{",
    "  - ][",
    "\x01\x02",
    "!!! [ not yaml",
    "        - [1, 2, 3]",
    "        - [a, 0, 1, 30, 1]",
    "        - [0, 0, 1, 30, 4294967296]",
    "        - [-1, 0, 1, 30, 1]",
    "        - secret",
    "\N{SNOWMAN}: [",
]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_bad_lines_of_events_leave_the_rest(tmp_path: Path, data: st.DataObject) -> None:
    """Lines go in after an event's line."""
    lines = KEYS_AND_MOUSE.read_text().splitlines()
    after = [number for number, line in enumerate(lines, start=1) if line.startswith("        - [")]
    places = data.draw(st.lists(st.tuples(st.sampled_from(after), st.sampled_from(BAD_YAML)), max_size=6))
    for place, garbage in sorted(places, reverse=True):
        lines.insert(place, garbage)
    path = tmp_path / "a.yml"
    path.write_text("\n".join(lines) + "\n")
    imported = read_libinput([path], OPTIONS)
    assert [bad.line for bad in imported.bad_lines] == [n for n, line in enumerate(lines, start=1) if line in BAD_YAML]
    assert imported.events.equals(read_libinput([KEYS_AND_MOUSE], OPTIONS).events)
    assert not any("secret" in bad.reason for bad in imported.bad_lines)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
@pytest.mark.parametrize(("reader", "path"), [(read_evemu, EVEMU[0]), (read_libinput, KEYS_AND_MOUSE)])
def test_damaged_files_are_read_or_refused_and_nothing_else(
    reader: Any, path: Path, tmp_path: Path, data: st.DataObject
) -> None:
    content = bytearray(path.read_bytes())
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=8)):
        content[place] = data.draw(st.integers(0, 255))
    damaged = tmp_path / "damaged"
    damaged.write_bytes(bytes(content[: data.draw(st.integers(0, len(content)))]))
    with contextlib.suppress(ForeignRecordingError):
        reader([damaged], OPTIONS).events.validate(full=True)
