"""The whole road against what is known to have happened: the simulator's truth, and a real recording."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from taskreel.__main__ import main
from taskreel.capture.simulator import SimulationOptions, simulate
from taskreel.io import dataset as datasets
from taskreel.io.stores import LocalStore
from taskreel.pipelines.summary import facts
from taskreel.transforms.actions import Drop

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
AS_OF = "2027-01-01T00:00:00Z"
COMPARED = ("action", "start_us", "end_us", "first_seq", "last_seq", "text", "keys", "x", "y", "to_x", "to_y", "app")


def _command(*args: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(list(args))
    assert ended.value.code == 0


def _truth(folder: Path, name: str) -> list[dict]:
    files = sorted(folder.glob(f"truth/participant=*/{name}.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


@pytest.mark.parametrize(("seed", "screens"), [(5, "reuse"), (6, "reuse"), (7, "draw")])
def test_a_cohort_comes_out_as_it_was_acted(tmp_path: Path, seed: int, screens: str) -> None:
    options = SimulationOptions(participants=2, minutes=15, seed=seed, screens=screens)  # type: ignore[arg-type]
    simulate(LocalStore(str(tmp_path / "in")), options)
    _command("run", "--input", str(tmp_path / "in"), "--output", str(tmp_path / "out"), "--as-of", AS_OF)
    dataset = datasets.open(str(tmp_path / "out"))
    assert facts(dataset)["imbalances"] == []
    found = dataset.episodes().to_pylist()
    episodes = _truth(tmp_path / "in", "episodes")
    assert [(e["participant"], e["description"], e["outcome"]) for e in found if e["kind"] == "episode"] == [
        (e["participant"], e["description"], e["outcome"]) for e in episodes
    ]
    steps = dataset.steps([*COMPARED, "participant", "image_hash"]).to_pylist()
    acted = _truth(tmp_path / "in", "actions")
    key = {"key": lambda row: (row["participant"], row["first_seq"], row["start_us"])}
    names = (*COMPARED, "participant")
    assert [{n: s[n] for n in names} for s in sorted(steps, **key)] == [
        {n: a[n] for n in names} for a in sorted(acted, **key)
    ]
    pairs = zip(sorted(steps, **key), sorted(acted, **key), strict=True)
    assert all(step["image_hash"] == act["picture_hash"] for step, act in pairs)


def test_the_real_recording_is_in_its_steps(tmp_path: Path) -> None:
    source = str(EXAMPLES / "ducktrack")
    _command("import", "ducktrack", source, "--out", str(tmp_path / "in"), "--grant", "--segment-minutes", "0.2")
    _command("run", "--input", str(tmp_path / "in"), "--output", str(tmp_path / "out"), "--as-of", AS_OF)
    dataset = datasets.open(str(tmp_path / "out"))
    values = facts(dataset)
    assert sum(clicks or 0 for clicks in dataset.steps(["clicks"]).column("clicks").to_pylist()) == 22
    texts = [row["text"] for row in dataset.steps(["start_us", "text"]).sort_by("start_us").to_pylist() if row["text"]]
    assert texts == ["wikipedia", "transformer model"]
    assert values["events"]["read"] == 13_401
    assert set(values["events"]["dropped"]) <= {drop.name.lower() for drop in Drop}
    assert values["imbalances"] == []
