"""The names by which a running job is updated: labels, states, timers and coders. Changing one breaks the update."""

from __future__ import annotations

from pathlib import Path

import apache_beam as beam
from apache_beam.transforms.userstate import StateSpec, TimerSpec

from taskreel.pipelines.episodes import Launch
from taskreel.pipelines.options import RunOptions, RunPlaces, StreamingOptions
from taskreel.pipelines.streaming import streaming_pipeline
from taskreel.transforms.buffer import _BufferDoFn
from taskreel.transforms.sessionize import _SessionizeDoFn

GOLDEN = Path(__file__).parent / "streaming_labels.txt"


def labels(tmp_path: Path, run_id: str) -> list[str]:
    pipeline = beam.Pipeline()
    places = RunPlaces(str(tmp_path), str(tmp_path / "out"), 0)
    streaming_pipeline(pipeline, places, RunOptions(), StreamingOptions(), Launch(run_id, None, "runner"), None)
    transforms = pipeline.to_runner_api().components.transforms.values()
    names = {transform.unique_name for transform in transforms}
    return sorted(name for name in names if not name.startswith("ref_") and "<lambda at" not in name)


def test_the_labels_are_those_of_the_file(tmp_path: Path) -> None:
    """If this is meant to change: rewrite the file, and say in the CHANGELOG that running jobs have to be drained."""
    assert labels(tmp_path, "one") == GOLDEN.read_text().splitlines()


def test_the_keys_of_states_have_a_coder_that_gives_equal_keys_equal_bytes(tmp_path: Path, caplog) -> None:
    labels(tmp_path, "one")
    assert [record.message for record in caplog.records if "coder" in record.message] == []


def test_the_labels_are_the_same_for_each_launch(tmp_path: Path) -> None:
    assert labels(tmp_path, "one") == labels(tmp_path, "another")


def test_states_and_timers_have_these_names_and_coders() -> None:
    assert described(_SessionizeDoFn) == {
        "names": "StrUtf8Coder",
        "due_ms": "VarIntCoder",
        "closed_ms": "VarIntCoder",
        "round": "VarIntCoder",
        "ts-due": "WATERMARK",
    }
    assert described(_BufferDoFn) == {
        "parts": "TupleCoder[StrUtf8Coder, BytesCoder]",
        "weight": "VarIntCoder",
        "ts-after": "REAL_TIME",
        "ts-end": "WATERMARK",
    }


def described(dofn: type[beam.DoFn]) -> dict[str, str]:
    specs = [spec for spec in vars(dofn).values() if isinstance(spec, StateSpec | TimerSpec)]
    return {
        spec.name: str(spec.coder) if isinstance(spec, StateSpec) else str(spec.time_domain).rpartition(".")[2]
        for spec in specs
    }
