"""What holds for all formats, and what the command `taskreel import` says and how it ends."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from taskreel.__main__ import app
from taskreel.capture.importers.foreign import BadLine, ForeignRecordingError, ImportOptions, content_id
from taskreel.capture.importers.formats import FORMATS, MissingLibraryError, import_recording
from taskreel.io.events import SEGMENT_SCHEMA
from taskreel.io.names import SegmentName
from taskreel.io.segments import read_segment

ROOT = Path(__file__).parents[3]
DATA = ROOT / "tests" / "data"
SAMPLES = {
    "ducktrack": ROOT / "examples" / "ducktrack",
    "owamcap": DATA / "owamcap",
    "evemu": DATA / "evemu" / "thinkpad-keyboard.events",
    "libinput": DATA / "libinput" / "keyboard-and-mouse.yml",
}
FILES = SAMPLES | {
    "ducktrack": SAMPLES["ducktrack"] / "events.jsonl",
    "owamcap": DATA / "owamcap" / "recording-0.5.1.mcap",
}
EMPTY = {"evemu": DATA / "evemu" / "roccat-kone-mouse.evemu"}


def run_import(*args: str | Path) -> Result:
    return CliRunner().invoke(app, ["import", *map(str, args)])


def of_another_kind(folder: Path) -> dict[str, Path]:
    """A file of each kind that is no recording."""
    sink = io.BytesIO()
    Image.new("RGB", (64, 64)).save(sink, "PNG")
    contents = {
        "png": sink.getvalue(),
        "csv": b"time,key\n1,a\n2,b\n",
        "txt": b"\n\nDear all,\n",
        "json": b'{"a": [1]}',
    }
    for suffix, content in contents.items():
        (folder / f"file.{suffix}").write_bytes(content)
    (folder / "metadata.json").write_bytes((SAMPLES["ducktrack"] / "metadata.json").read_bytes())
    return {suffix: folder / f"file.{suffix}" for suffix in contents}


# ---------------------------------------------------------------------------------------------------- all formats


@pytest.mark.parametrize("name", FORMATS)
def test_a_sample_keeps_what_a_reader_promises(name: str) -> None:
    imported = import_recording(name, [SAMPLES[name]], ImportOptions("c", "p7", "eu"))
    events = imported.events
    assert events.schema == SEGMENT_SCHEMA
    events.validate(full=True)
    assert events.column("seq").to_pylist() == list(range(events.num_rows))
    times = events.column("time_us").to_pylist()
    assert times == sorted(times)
    assert sum(imported.counts().values()) == events.num_rows > 0
    header = imported.header
    assert (header.consent_id, header.participant, header.region, header.source) == ("c", "p7", "eu", name)
    assert header.final
    assert all((imported.coordinate_space, imported.clock, imported.keymap))


@pytest.mark.parametrize("name", FORMATS)
def test_a_second_import_makes_the_same_segments(name: str, tmp_path: Path) -> None:
    for _ in range(2):
        assert run_import(name, SAMPLES[name], "--out", tmp_path, "--segment-minutes", "0.1").exit_code == 0
    once = [path.relative_to(tmp_path) for path in sorted(tmp_path.rglob("*.parquet"))]
    assert run_import(name, SAMPLES[name], "--out", tmp_path / "b", "--segment-minutes", "0.1").exit_code == 0
    assert once == [path.relative_to(tmp_path / "b") for path in sorted((tmp_path / "b").rglob("*.parquet"))]


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("suffix", ["png", "csv", "txt", "json"])
def test_a_file_of_another_kind_is_one_clear_error(name: str, suffix: str, tmp_path: Path) -> None:
    path = of_another_kind(tmp_path)[suffix]
    with pytest.raises(ForeignRecordingError, match=path.name) as raised:
        import_recording(name, [path], ImportOptions())
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("other", FORMATS)
def test_a_recording_of_another_format_is_one_clear_error(name: str, other: str) -> None:
    if name != other:
        with pytest.raises(ForeignRecordingError):
            import_recording(name, [FILES[other]], ImportOptions())


@pytest.mark.parametrize("name", FORMATS)
def test_a_source_that_is_not_there_or_holds_nothing_is_one_clear_error(name: str, tmp_path: Path) -> None:
    for source in (tmp_path / "gone", tmp_path):
        with pytest.raises(ForeignRecordingError, match=str(source)):
            import_recording(name, [source], ImportOptions())


def test_an_unknown_layout_is_one_clear_error() -> None:
    for name in ("owamcap", "evemu", "libinput"):
        with pytest.raises(ForeignRecordingError, match="--layout klingon"):
            import_recording(name, [SAMPLES[name]], ImportOptions(layout="klingon"))


def test_a_missing_library_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in [name for name in sys.modules if name.startswith(("mcap", "taskreel.capture.importers.mcap"))]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.delitem(sys.modules, "taskreel.capture.importers.owamcap", raising=False)
    monkeypatch.setitem(sys.modules, "mcap", None)
    with pytest.raises(MissingLibraryError, match=r"taskreel\[import\]"):
        import_recording("owamcap", [SAMPLES["owamcap"]], ImportOptions())


def test_ducktrack_without_a_video_needs_no_library_of_the_extra(tmp_path: Path) -> None:
    blocked = ("av", "mcap", "PIL", "xkbcommon", "yaml")
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({blocked}))\n"
        "from taskreel.__main__ import main\n"
        f"main(['import', 'ducktrack', {str(SAMPLES['ducktrack'])!r}, '--out', sys.argv[1]])"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path], check=True, capture_output=True)
    assert len(list(tmp_path.rglob("*.parquet"))) == 1


def test_the_id_of_a_recording_follows_from_its_files_in_any_order(tmp_path: Path) -> None:
    for name, content in (("a", b"1"), ("b", b"2"), ("c", b"1")):
        (tmp_path / name).write_bytes(content)
    a, b, c = (tmp_path / name for name in "abc")
    assert content_id([a, b]) == content_id([b, a]) == content_id([c, b]) != content_id([a, a])


# ---------------------------------------------------------------------------------------------------- the command


def test_the_command_says_what_was_assumed_and_what_to_type_next(tmp_path: Path) -> None:
    result = run_import("owamcap", SAMPLES["owamcap"], "--out", tmp_path / "in", "--participant", "p7", "--grant")
    assert result.exit_code == 0
    assert result.stderr == ""
    words = ("coordinate space", "clock", "keymap", "US keyboard is assumed", "key_down", "11", "screen", "17", "note")
    assert all(word in result.stdout for word in words)
    assert result.stdout.rstrip().endswith(f"next: taskreel run --input {tmp_path}/in --output {tmp_path}/in-dataset")
    assert (tmp_path / "in" / "consent" / "v1" / "imported.json").exists()
    (path,) = (tmp_path / "in").rglob("*.parquet")
    segment = read_segment(SegmentName.parse(str(path.relative_to(tmp_path / "in"))), path.read_bytes())
    assert (segment.header.participant, segment.header.source, segment.events.num_rows) == ("p7", "owamcap", 257)


def test_json_is_for_programs(tmp_path: Path) -> None:
    result = run_import("ducktrack", SAMPLES["ducktrack"], "--out", tmp_path, "--json")
    values = json.loads(result.stdout)
    assert values["events"] == sum(values["kinds"].values()) == 13_401
    assert (values["segments"], values["bad_lines"], values["alignment"]) == (1, [], None)
    assert values["missing_media"] == ["the video that OBS recorded (.mp4, .mkv)"]
    assert not (tmp_path / "consent").exists()


def test_bad_lines_are_counted_and_the_first_listed(tmp_path: Path) -> None:
    lines = (SAMPLES["ducktrack"] / "events.jsonl").read_text().splitlines()[:50]
    for number in range(0, 36, 3):
        lines.insert(number, "secret words")
    (tmp_path / "events.jsonl").write_text("\n".join(lines))
    (tmp_path / "metadata.json").write_bytes((SAMPLES["ducktrack"] / "metadata.json").read_bytes())
    result = run_import("ducktrack", tmp_path, "--out", tmp_path / "out")
    assert result.exit_code == 0
    said = result.stderr.splitlines()
    assert said[0] == "12 lines could not be read; the rest was imported:"
    assert said[1:3] == ["  events.jsonl, line 1: not JSON", "  events.jsonl, line 4: not JSON"]
    assert len(said) == 12
    assert said[-1].startswith("  … and 2 more")
    assert "secret" not in result.output
    values = json.loads(run_import("ducktrack", tmp_path, "--out", tmp_path / "out", "--json").stdout)
    assert [line["line"] for line in values["bad_lines"]] == list(range(1, 36, 3))
    assert values["bad_lines"][0] == {"file": "events.jsonl", "line": 1, "reason": "not JSON"}
    assert BadLine(**values["bad_lines"][0])


def test_a_recording_without_events_publishes_nothing(tmp_path: Path) -> None:
    result = run_import("evemu", EMPTY["evemu"], "--out", tmp_path / "out", "--grant")
    assert result.exit_code == 0
    assert "nothing was published" in result.stdout
    assert not list(tmp_path.rglob("*.*"))
    values = json.loads(run_import("evemu", EMPTY["evemu"], "--out", tmp_path / "out", "--json").stdout)
    assert (values["events"], values["segments"], values["kinds"]) == (0, 0, {})


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["morse", "file"], ["FORMAT morse", "ducktrack, owamcap, evemu, libinput"]),
        (["ducktrack", "nowhere"], ["nowhere", "not there"]),
        (["owamcap", str(FILES["ducktrack"])], ["events.jsonl", "not an MCAP file"]),
        (["owamcap", str(FILES["owamcap"]), "--layout", "klingon"], ["--layout klingon"]),
        (["ducktrack", str(SAMPLES["ducktrack"]), "--participant", "Anna Smith"], ["participant"]),
    ],
)
def test_what_cannot_be_done_is_one_clear_line_and_writes_nothing(
    args: list[str], words: list[str], tmp_path: Path
) -> None:
    result = run_import(*args, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("taskreel: ")
    assert all(word in line for word in words)
    assert not list(tmp_path.rglob("*.*"))


def test_an_output_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    result = run_import("ducktrack", SAMPLES["ducktrack"], "--out", tmp_path / "file" / "out")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert "file/out: cannot be written" in result.stderr


def test_the_help_names_every_format_and_an_example() -> None:
    text = run_import("--help").stdout
    assert all(name in text for name in FORMATS)
    assert "Example: taskreel import" in text
