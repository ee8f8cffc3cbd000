"""`taskreel evaluate` on real runs: what is good scores well, and each thing that is made wrong shows."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from inputs import DUCKTRACK, copy_of
from typer.testing import CliRunner

from taskreel.__main__ import app
from taskreel.capture.simulator import SimulationOptions, simulate
from taskreel.io.stores import LocalStore

AS_OF = "2027-01-01T00:00:00Z"
Row = dict[str, Any]


def invoke(*args: object, code: int = 0) -> str:
    """What a command prints; it ends with `code`."""
    result = CliRunner().invoke(app, [str(arg) for arg in args])
    assert result.exit_code == code, result.output
    return result.stdout


def evaluation(cohort: Path, dataset: Path, *args: object, code: int = 0) -> dict[str, Any]:
    """The numbers."""
    return json.loads(invoke("evaluate", "--truth", cohort, "--dataset", dataset, "--json", *args, code=code))


def refused(*args: object) -> str:
    """The one line of a command that was refused."""
    result = CliRunner().invoke(app, [str(arg) for arg in args])
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    (line,) = result.stderr.strip().splitlines()
    return line


def cohort_and_dataset(folder: Path, **options: Any) -> tuple[Path, Path]:
    """A simulated cohort, and the dataset that a run makes of it."""
    simulate(
        LocalStore(str(folder / "in")),
        SimulationOptions(**{"participants": 2, "minutes": 20, "task_minutes": 4, **options}),
    )
    invoke("run", "--input", folder / "in", "--output", folder / "out", "--as-of", AS_OF)
    return folder / "in", folder / "out"


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A small cohort with marked tasks. Read it only."""
    return cohort_and_dataset(tmp_path_factory.mktemp("good"), seed=5, screens="reuse")


def perturbed(dataset: Path, target: Path, change: Callable[[list[Row]], list[Row]]) -> Path:
    """A copy of a dataset in which the steps of each shard that has any were changed behind its back."""
    copy_of(dataset, target)
    for file in (target / "steps").glob("*.parquet"):
        steps = pq.read_table(file)
        if steps.num_rows:
            rows = change(sorted(steps.to_pylist(), key=lambda row: (row["participant"], row["start_us"])))
            pq.write_table(pa.Table.from_pylist(rows, schema=steps.schema), file)
    return target


def first_row(rows: list[Row], **values: Any) -> Row:
    return next(row for row in rows if all(row[name] == value for name, value in values.items()))


# ----------------------------------------------------------------------------------------- against a truth


def test_a_marked_cohort_scores_as_it_has_to(good: tuple[Path, Path]) -> None:
    values = evaluation(*good, "--min-f1", 0.98, "--min-actions", 0.995)
    assert values["marked_episodes"] > 0
    assert values["boundaries"] > 2
    ours, idle = values["segmentations"]["taskreel"], values["segmentations"]["idle_gap"]
    assert ours["within_2_s"]["f1"] >= 0.98
    assert ours["adjusted_rand_index"] > 0.9
    assert idle["within_30_s"]["f1"] < 0.9
    assert values["actions"]["exact_rate"] >= 0.995
    assert values["actions"]["truth"] == sum(counts["truth"] for counts in values["actions"]["by_type"].values())
    errors = {name: count for name, count in values["observations"].items() if name not in ("steps", "compared")}
    assert set(errors.values()) == {0}
    assert values["observations"]["compared"] > 100


def test_names_of_numbers_are_stable(good: tuple[Path, Path]) -> None:
    values = evaluation(*good)
    common = {"kind", "participants", "sessions", "steps", "boundaries", "tolerances_s", "segmentations", "cuts"}
    assert set(values) == common | {"findings", "truth", "dataset", "version", "episodes", "residues"} | {
        "marked_episodes",
        "actions",
        "observations",
    }
    assert list(values["segmentations"]) == ["idle_gap", "idle_gap_best", "taskreel", "window_change"]
    score = values["segmentations"]["idle_gap"]
    assert set(score) == {"adjusted_rand_index", "gap_s", "within_2_s", "within_30_s"}
    assert set(score["within_2_s"]) == {"truth", "found", "matched", "precision", "recall", "f1"}


def test_the_page_fits_a_terminal_and_names_everything(good: tuple[Path, Path]) -> None:
    page = invoke("evaluate", "--truth", good[0], "--dataset", good[1])
    for words in ("taskreel", "idle gap 120 s", "window change", "precision", "exact rate", "begin at a marker"):
        assert words in page
    for words in ("image at or after its action", "Why it was cut", "What to look at"):
        assert words in page
    assert "…" not in page


def test_the_folder_of_the_truth_itself_will_do(good: tuple[Path, Path]) -> None:
    cohort, dataset = good
    one, other = evaluation(cohort, dataset), evaluation(cohort / "truth", dataset)
    assert {name: value for name, value in one.items() if name != "truth"} == {
        name: value for name, value in other.items() if name != "truth"
    }


@pytest.mark.parametrize("options", [{"markers": False}, {"devices": 2, "minutes": 30}])
def test_an_unmarked_cohort_and_one_with_two_devices(tmp_path: Path, options: dict[str, Any]) -> None:
    values = evaluation(*cohort_and_dataset(tmp_path, seed=3, screens="reuse", **options))
    assert (values["marked_episodes"] == 0) == (options.get("markers") is False)
    assert values["actions"]["exact_rate"] >= 0.995
    assert values["boundaries"] > 2


def test_a_wrong_action_shows(good: tuple[Path, Path], tmp_path: Path) -> None:
    def change(rows: list[Row]) -> list[Row]:
        first_row(rows, action="write")["text"] += "?"
        first_row(rows, action="click")["x"] += 1
        first_row(rows, action="press")["action"] = "hotkey"
        return rows

    before, after = (
        evaluation(good[0], place)["actions"] for place in (good[1], perturbed(good[1], tmp_path / "d", change))
    )
    assert after["exact"] == before["exact"] - 3
    assert after["different"] == before["different"] + 3
    for name in ("text", "x", "action"):
        assert after["different_columns"][name] == before["different_columns"].get(name, 0) + 1
    assert after["by_type"]["write"]["different"] == before["by_type"]["write"]["different"] + 1
    assert after["exact_rate"] == round(after["exact"] / after["truth"], 6)


def test_a_missing_and_an_invented_step_show(good: tuple[Path, Path], tmp_path: Path) -> None:
    def change(rows: list[Row]) -> list[Row]:
        gone = first_row(rows, action="scroll")
        invented = dict(first_row(rows, action="click")) | {"first_seq": 9_000_000, "last_seq": 9_000_001}
        return [*(row for row in rows if row is not gone), invented]

    before, after = (
        evaluation(good[0], place)["actions"] for place in (good[1], perturbed(good[1], tmp_path / "d", change))
    )
    assert after["missed"] == before["missed"] + 1
    assert after["by_type"]["scroll"]["missed"] == before["by_type"]["scroll"]["missed"] + 1
    assert after["spurious"] == before["spurious"] + 1
    assert after["by_type"]["click"]["spurious"] == before["by_type"]["click"]["spurious"] + 1


def two_episodes(rows: list[Row]) -> tuple[list[Row], list[Row]]:
    """The steps of the first two episodes of one session of the first person in a shard."""
    names = list(dict.fromkeys(row["episode_id"] for row in rows if row["session_id"] == rows[0]["session_id"]))
    return tuple([row for row in rows if row["episode_id"] == name] for name in names[:2])  # type: ignore[return-value]


def test_a_shifted_boundary_shows(good: tuple[Path, Path], tmp_path: Path) -> None:
    def change(rows: list[Row]) -> list[Row]:
        first, second = two_episodes(rows)
        late_us = second[0]["start_us"] + 2_000_000
        for row in [row for row in second if row["start_us"] <= late_us]:
            row |= {"episode_id": first[0]["episode_id"], "step": len(first) + row["step"]}
        return rows

    before, after = (evaluation(good[0], place) for place in (good[1], perturbed(good[1], tmp_path / "d", change)))
    near, wide = (
        [values["segmentations"]["taskreel"][f"within_{s}_s"]["matched"] for values in (before, after)] for s in (2, 30)
    )
    assert near[1] == near[0] - 1
    assert wide[1] == wide[0]
    (moved,) = [one for one in after["findings"] if one["kind"] == "moved" and one not in before["findings"]]
    assert moved["off_us"] > 2_000_000
    assert (
        after["segmentations"]["taskreel"]["adjusted_rand_index"]
        < before["segmentations"]["taskreel"]["adjusted_rand_index"]
    )


def test_a_boundary_that_was_missed_shows(good: tuple[Path, Path], tmp_path: Path) -> None:
    def change(rows: list[Row]) -> list[Row]:
        first, second = two_episodes(rows)
        for row in second:
            row |= {"episode_id": first[0]["episode_id"], "step": len(first) + row["step"]}
        return rows

    before, after = (evaluation(good[0], place) for place in (good[1], perturbed(good[1], tmp_path / "d", change)))
    one, other = (values["segmentations"]["taskreel"]["within_30_s"] for values in (before, after))
    assert (other["found"], other["matched"], other["truth"]) == (one["found"] - 1, one["matched"] - 1, one["truth"])
    assert (
        sum(f["kind"] == "missed" for f in after["findings"])
        == sum(f["kind"] == "missed" for f in before["findings"]) + 1
    )


def test_an_image_after_its_action_shows_and_is_never_good(good: tuple[Path, Path], tmp_path: Path) -> None:
    def change(rows: list[Row]) -> list[Row]:
        row = next(row for row in rows if row["image_time_us"])
        row |= {"image_time_us": row["start_us"] + 1, "image_age_us": -1}
        rows[-1]["image_hash"] = "0" * 32
        return rows

    wrong = perturbed(good[1], tmp_path / "d", change)
    observations = evaluation(good[0], wrong, code=1)["observations"]
    assert {name: observations[name] for name in ("image_at_or_after_action", "image_age_wrong", "image_differs")} == {
        "image_at_or_after_action": 1,
        "image_age_wrong": 1,
        "image_differs": 1,
    }


def test_a_column_that_a_dataset_has_not_is_not_compared(good: tuple[Path, Path], tmp_path: Path) -> None:
    copy_of(good[1], tmp_path / "d")
    for file in (tmp_path / "d" / "steps").glob("*.parquet"):
        if (steps := pq.read_table(file)).num_rows:
            pq.write_table(steps.drop_columns(["text"]), file)
    actions = evaluation(good[0], tmp_path / "d")["actions"]
    assert "text" in actions["columns_not_compared"]
    assert actions["exact_rate"] >= 0.995


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        (["--min-f1", 1.01], ["F1 within 2 s", "--min-f1 1.01"]),
        (["--min-f1-30s", 1.01], ["F1 within 30 s", "--min-f1-30s 1.01"]),
        (["--min-actions", 1.01], ["exact rate", "--min-actions 1.01"]),
    ],
)
def test_what_is_below_a_limit_is_said_and_ends_with_1(
    good: tuple[Path, Path], limits: list[Any], words: list[str]
) -> None:
    args = ["evaluate", "--truth", str(good[0]), "--dataset", str(good[1]), "--json", *map(str, limits)]
    result = CliRunner().invoke(app, args)
    assert result.exit_code == 1
    assert json.loads(result.stdout)["kind"] == "truth"
    assert all(word in result.stderr for word in words)


# ---------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ([], ["--truth", "--dataset", "--concat"]),
        (["--truth", "{in}"], ["--dataset"]),
        (["--dataset", "{out}"], ["--truth"]),
        (["--truth", "{out}", "--dataset", "{out}"], ["no truth", "actions.jsonl"]),
        (["--truth", "{in}", "--dataset", "{in}"], ["no dataset"]),
        (["--truth", "{in}", "--dataset", "{in}/nowhere"], ["nowhere"]),
        (["--truth", "{in}", "--dataset", "{out}", "--version", "7"], ["7"]),
        (["--truth", "{in}", "--dataset", "{out}", "{in}"], ["--concat"]),
        (["--truth", "s3://b", "--dataset", "{out}"], ["s3://b"]),
        (["--concat"], ["folders"]),
        (["--concat", "{in}", "--truth", "{in}"], ["--truth"]),
        (["--concat", "{in}", "--min-actions", "0.5"], ["--min-actions"]),
        (["--concat", "{in}", "--as-of", "today"], ["--as-of"]),
        (["--concat", "{in}", "{out}"], ["no segments there"]),
    ],
)  # fmt: skip
def test_bad_use_is_one_clear_line(good: tuple[Path, Path], args: list[str], words: list[str]) -> None:
    line = refused("evaluate", *(arg.format(**{"in": good[0], "out": good[1]}) for arg in args))
    assert all(word in line for word in words), line


def test_a_truth_of_other_people_or_of_another_time_is_refused(good: tuple[Path, Path], tmp_path: Path) -> None:
    options = {"participants": 2, "minutes": 20.0, "screens": "reuse"}
    simulate(LocalStore(str(tmp_path / "others")), SimulationOptions(**options, seed=6))  # type: ignore[arg-type]
    line = refused("evaluate", "--truth", tmp_path / "others", "--dataset", good[1])
    assert "participants" in line
    later = SimulationOptions(**options, seed=5, start_us=1_777_000_000_000_007)  # type: ignore[arg-type]
    simulate(LocalStore(str(tmp_path / "later")), later)
    line = refused("evaluate", "--truth", tmp_path / "later", "--dataset", good[1])
    assert "begins when" in line


def test_a_dataset_of_a_part_of_the_people_is_refused(good: tuple[Path, Path], tmp_path: Path) -> None:
    one = sorted((good[0] / "truth").iterdir())[0].name.removeprefix("participant=")
    invoke("run", "--input", good[0], "--output", tmp_path / "out", "--as-of", AS_OF, "--participants", one)
    line = refused("evaluate", "--truth", good[0], "--dataset", tmp_path / "out")
    assert "participants" in line
    assert one not in line


_LINE = (
    b'{"participant":"p","recording":"r","episode":0,"action":%b,"start_us":%b,"end_us":1,"first_seq":1,"last_seq":2,'
    b'"x":%b}'
)


@pytest.mark.parametrize(
    ("line", "word"),
    [
        (b"{", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"\xff", "not JSON"),
        (b"[]", "not an action"),
        (b'{"participant":"p"}', "recording"),
        (_LINE % (b'"secret"', b'"x"', b"null"), "start_us"),
        (_LINE % (b'"secret"', b"true", b"null"), "start_us"),
        (_LINE % (b'"secret"', b"1" * 30, b"null"), "start_us"),
        (_LINE % (b"null", b"1", b"null"), "action"),
        (_LINE % (b'"secret"', b"1", b'"3.5"'), "field x"),
        ((_LINE % (b'"secret"', b"1", b"null")).replace(b'"episode":0', b'"episode":-1'), "episode is below 0"),
    ],
)  # fmt: skip
def test_a_truth_that_cannot_be_read_is_named_with_its_line(
    good: tuple[Path, Path], tmp_path: Path, line: bytes, word: str
) -> None:
    copy_of(good[0] / "truth", tmp_path / "truth")
    file = next((tmp_path / "truth").glob("*/actions.jsonl"))
    first, _, rest = file.read_bytes().partition(b"\n")
    file.write_bytes(first + b"\n" + line + b"\n" + rest)
    said = refused("evaluate", "--truth", tmp_path, "--dataset", good[1])
    assert all(word in said for word in (word, "line 2", "actions.jsonl")), said
    assert "secret" not in said


# ------------------------------------------------------------------------------------------------- joined


@pytest.fixture(scope="module")
def episodes(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three folders: a real recording, one simulated, two simulated."""
    folder = tmp_path_factory.mktemp("episodes")
    invoke("import", "ducktrack", DUCKTRACK, "--out", folder / "real", "--grant")
    for name, people, seed in (("one", 1, 1), ("two", 2, 2)):
        options = SimulationOptions(participants=people, minutes=4, seed=seed, screens="reuse")
        simulate(LocalStore(str(folder / name)), options)
    return [folder / name for name in ("real", "one", "two")]


def joined(episodes: list[Path], *args: object, code: int = 0) -> dict[str, Any]:
    return json.loads(invoke("evaluate", "--concat", *episodes, "--as-of", AS_OF, "--json", *args, code=code))


def test_joined_recordings_are_scored_at_their_joints(episodes: list[Path]) -> None:
    values = joined(episodes, "--repeats", 6)
    assert (values["kind"], len(values["recordings"]), values["repeats"]) == ("concat", 4, 6)
    assert values["boundaries"] == 6 * 3
    assert values["sessions"] == 6
    assert list(values["segmentations"]) == ["idle_gap", "idle_gap_best", "taskreel", "window_change"]
    assert all(score["within_2_s"]["truth"] == 18 for score in values["segmentations"].values())
    assert "marker" not in {cut["cut_reason"] for cut in values["cuts"]}  # though two of the three folders have marks
    missed = {(one["before"], one["after"]) for one in values["findings"] if one["kind"] == "missed"}
    assert missed <= {(a, b) for a in range(4) for b in range(4) if a != b}


def test_the_same_seed_gives_the_same_joins(episodes: list[Path]) -> None:
    assert joined(episodes, "--repeats", 2) == joined(episodes, "--repeats", 2)
    one, other = (joined(episodes, "--repeats", 2, "--seed", seed) for seed in (1, 2))
    assert one["findings"] != other["findings"]


def test_limits_and_the_page_of_joined_recordings(episodes: list[Path]) -> None:
    joined(episodes, "--repeats", 1, "--min-f1", 1.01, code=1)
    page = invoke("evaluate", "--concat", *episodes, "--as-of", AS_OF, "--repeats", 2)
    assert "joined 2 times, seed 0" in page
    assert "…" not in page


def test_one_recording_cannot_be_joined(episodes: list[Path]) -> None:
    assert "at least 2" in refused("evaluate", "--concat", episodes[0], "--as-of", AS_OF)


def test_what_nobody_consented_to_is_not_read(episodes: list[Path], tmp_path: Path) -> None:
    invoke("import", "ducktrack", DUCKTRACK, "--out", tmp_path / "real")
    line = refused("evaluate", "--concat", tmp_path / "real", episodes[1], "--as-of", AS_OF)
    assert "consent" in line
    assert "segments/v1/" in line


def test_a_damaged_segment_is_named(episodes: list[Path], tmp_path: Path) -> None:
    copy_of(episodes[0], tmp_path / "real")
    file = next((tmp_path / "real").rglob("*.parquet"))
    file.write_bytes(file.read_bytes()[:-9])
    assert file.name in refused("evaluate", "--concat", tmp_path / "real", episodes[1], "--as-of", AS_OF)
