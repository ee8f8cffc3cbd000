"""`taskreel evaluate`: read a truth and a dataset, or recordings to join, and measure. See `docs/evaluation.md`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from taskreel.io import dataset as datasets
from taskreel.io.dataset import Dataset
from taskreel.io.names import SegmentName, SegmentNameError
from taskreel.io.segments import Segment
from taskreel.io.stores import Store, open_store
from taskreel.pipelines.options import RunOptions
from taskreel.transforms.admit import Admission, Consents
from taskreel.transforms.build import BuildOptions, build_span
from taskreel.transforms.dead import Dead
from taskreel.transforms.discover import Selection
from taskreel.transforms.evaluation.actions import COMPARED, ActionComparison, compare_actions, counts_by_type
from taskreel.transforms.evaluation.cuts import (
    CUT_COLUMNS,
    TASKREEL,
    CutOptions,
    Cuts,
    CutScore,
    cuts_of,
    cuts_of_labeled,
    score_cuts,
)
from taskreel.transforms.evaluation.findings import counts_by_reason, findings
from taskreel.transforms.evaluation.joined import Joined, draw, join
from taskreel.transforms.evaluation.observations import OBSERVED, observation_errors
from taskreel.transforms.prefetch import prefetched
from taskreel.transforms.steps import Draft

TRUTH_FOLDER = "truth/"
ACTIONS_FILE = "actions.jsonl"

CONTROL = "recorder_control"
"""A column of our own: whether an action started or stopped the recorder. It is work in no task, and ends none."""

_REMEDY = "give the truth of the very input that the dataset was made of"
_REQUIRED = {
    "participant": pa.string(),
    "recording": pa.string(),
    "episode": pa.int64(),
    "action": pa.string(),
    "start_us": pa.int64(),
    "end_us": pa.int64(),
    "first_seq": pa.int64(),
    "last_seq": pa.int64(),
}
_OPTIONAL = {
    **dict.fromkeys(("x", "y", "to_x", "to_y", "wheel_x_ticks", "wheel_y_ticks"), pa.float64()),
    **dict.fromkeys(("button", "text", "keys", "modifiers", "picture_hash"), pa.string()),
    **dict.fromkeys(("clicks", "count"), pa.int64()),
}
_COLUMNS = _REQUIRED | _OPTIONAL | {CONTROL: pa.bool_()}


class EvaluationError(ValueError):
    """What cannot be evaluated; the message names the place and the remedy."""


@dataclass(frozen=True)
class ConcatOptions:
    """How recordings are joined: so often, each time in an order and with pauses drawn from `seed`."""

    repeats: int = 10
    seed: int = 0
    as_of_us: int = 0
    """Decides about consent, as for a run."""
    build: BuildOptions = field(default_factory=lambda: RunOptions().build)

    def __post_init__(self) -> None:
        if self.repeats < 1 or self.seed < 0:
            raise ValueError("repeats has to be at least 1, seed at least 0")


def evaluate(truth_url: str, dataset_url: str, version: int | None, options: CutOptions) -> dict[str, Any]:
    """Measure a dataset against the truth of its input; the numbers that `--json` prints.

    Raises `EvaluationError` for what is no truth or not of this input, `FileNotFoundError` if there is no dataset.
    """
    truth = read_truth(truth_url)
    dataset = datasets.open(dataset_url, version)
    steps = _steps(dataset)
    steps, others = _of_same_input(truth, steps, truth_url, dataset_url)
    cuts = cuts_of(*(table.filter(pc.invert(table.column(CONTROL))) for table in (truth, steps)))
    compared = compare_actions(truth, steps)
    if not ((compared.step >= 0) & ~compared.differs["start_us"]).any():
        raise EvaluationError(f"{dataset_url}: none of its steps begins when an action of {truth_url} does: {_REMEDY}")
    episodes = dataset.episodes()
    left_out = pc.is_in(episodes.column("participant"), value_set=pa.array(others, pa.string()))
    episodes = episodes.filter(pc.invert(left_out))
    tasks = episodes.filter(pc.equal(episodes.column("kind"), "episode"))
    return {
        "kind": "truth",
        "truth": truth_url,
        "dataset": dataset_url,
        "version": dataset.version,
        "without_truth": others,
        "episodes": tasks.num_rows,
        "residues": _count(episodes, "kind", "residue"),
        "marked_episodes": _count(tasks, "cut_reason", "marker"),
        **_cut_values(cuts, options),
        "actions": _action_values(truth, steps, compared),
        "observations": asdict(observation_errors(truth, steps, compared)),
    }


def evaluate_joined(urls: list[str], concat: ConcatOptions, options: CutOptions) -> dict[str, Any]:
    """Join the recordings of some folders, build episodes of them in memory and measure the cuts.

    Raises `EvaluationError` if there are not two recordings, or one of them may not or cannot be read.
    """
    recordings = [recording for url in urls for recording in read_recordings(url, concat.as_of_us)]
    if len(recordings) < 2:
        raise EvaluationError(f"{', '.join(urls)}: {len(recordings)} recordings; at least 2 can be joined")
    rng = np.random.Generator(np.random.PCG64(concat.seed))
    steps = pa.concat_tables([_joined_steps(recordings, rng, number, concat.build) for number in range(concat.repeats)])
    if not steps.num_rows:
        raise EvaluationError(f"{', '.join(urls)}: nothing is done in these recordings")
    return {
        "kind": "concat",
        "folders": urls,
        "recordings": [segments[0].header.recording for segments in recordings],
        "repeats": concat.repeats,
        "seed": concat.seed,
        **_cut_values(cuts_of_labeled(steps), options),
    }


def shortfalls(
    values: dict[str, Any],
    *,
    min_f1: float | None = None,
    min_f1_30s: float | None = None,
    min_actions: float | None = None,
) -> list[str]:
    """What is worse than it may be, in words. An observation at or after its action is always one."""
    score, actions = values["segmentations"][TASKREEL], values.get("actions", {})
    limits = (
        ("F1 within 2 s", score["within_2_s"]["f1"], min_f1, "--min-f1"),
        ("F1 within 30 s", score["within_30_s"]["f1"], min_f1_30s, "--min-f1-30s"),
        ("the exact rate of actions", actions.get("exact_rate"), min_actions, "--min-actions"),
        ("the exact share of steps", actions.get("exact_share_of_steps"), min_actions, "--min-actions"),
    )
    lines = [
        f"{what} is {'not defined' if value is None else value}, below {option} {least}"
        for what, value, least, option in limits
        if least is not None and (value is None or value < least)
    ]
    observed = values.get("observations", {})
    for name in ("image_at_or_after_action", "approach_image_at_or_after_action"):
        if observed.get(name):
            lines.append(f"{observed[name]} steps have an observation that is not before their action ({name})")
    return lines


# ---------------------------------------------------------------------------------------------------- reading


def read_truth(url: str) -> pa.Table:
    """The actions of all participants below a truth's folder, or the folder that holds `truth/`, in order of the files.

    Columns are those of `actions.jsonl` that some action has. Raises `EvaluationError`.
    """
    store = open_store(url)
    files = [
        f"{folder}{ACTIONS_FILE}"
        for prefix in (TRUTH_FOLDER, "")
        for folder in store.folders(prefix)
        if folder.startswith(f"{prefix}participant=") and store.size_bytes(f"{folder}{ACTIONS_FILE}") is not None
    ]
    if not files:
        raise EvaluationError(
            f"{url}: no truth there (looked for truth/participant=…/{ACTIONS_FILE} and participant=…/)"
        )
    rows = [row for file in files for row in _truth_rows(store, file)]
    if not rows:
        raise EvaluationError(f"{url}: a truth without any action; there is nothing to evaluate")
    for row in rows:
        row[CONTROL] = CONTROL in (row.get("flags") or ())
    stated = {name for row in rows for name in row}
    schema = pa.schema([(name, kind) for name, kind in _COLUMNS.items() if name in stated])
    return pa.Table.from_pylist(rows, schema=schema)


def _truth_rows(store: Store, file: str) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(store.read(file).splitlines(), start=1):
        try:
            row = json.loads(line)
            fault = _fault(row)
        except (ValueError, RecursionError):  # what it says may quote the line
            fault = "not JSON"
        if fault:
            raise EvaluationError(f"{store.url_of(file)}, line {number}: {fault}; simulate again")
        yield row


def _fault(row: Any) -> str | None:
    """Why this is no action of a truth, without what is in it; None if it is one."""
    if not isinstance(row, dict):
        return "not an action"
    if missing := _REQUIRED.keys() - row.keys():
        return f"has no field {', '.join(sorted(missing))}"
    if isinstance(row["episode"], int) and row["episode"] < 0:
        return "field episode is below 0; what belongs to no task has null"
    nulls = [name for name in _REQUIRED if row[name] is None and name != "episode"]
    others = [name for name, kind in (_REQUIRED | _OPTIONAL).items() if not _may_be(row.get(name), kind)]
    if not isinstance(row.get("flags", []), list):
        others.append("flags")
    return f"field {', '.join(nulls + others)} is not of the kind that it has to be" if nulls or others else None


def _may_be(value: Any, kind: pa.DataType) -> bool:
    """Whether a value from JSON, null too, fits into a column."""
    if kind == pa.int64():
        return value is None or (type(value) is int and abs(value) < 1 << 63)
    return value is None or type(value) in ((str,) if kind == pa.string() else (int, float))


def _steps(dataset: Dataset) -> pa.Table:
    """The dataset's steps with what their episodes say of them; of the compared columns, those that it has."""
    shards = [dataset.open_shard(file) for file in dataset.shards() if file.rows]
    if not shards:
        raise EvaluationError(f"{dataset.store.url}: a dataset without steps; there is nothing to evaluate")
    wanted = dict.fromkeys([*CUT_COLUMNS, "recording", "flags", *COMPARED, *OBSERVED])
    columns = [name for name in wanted if all(name in shard.schema_arrow.names for shard in shards)]
    steps = pa.concat_tables([shard.read(columns=columns).replace_schema_metadata(None) for shard in shards])
    controls = [CONTROL in flags for flags in steps.column("flags").to_pylist()]
    steps = steps.drop_columns("flags").append_column(CONTROL, pa.array(controls, pa.bool_()))
    facts = dataset.episodes().select(["episode_id", "kind", "cut_reason", "confidence"])
    return steps.join(facts, "episode_id", join_type="inner").combine_chunks()


def _of_same_input(truth: pa.Table, steps: pa.Table, truth_url: str, dataset_url: str) -> tuple[pa.Table, list[str]]:
    """The steps of the people of whom there is a truth, and the others' names."""
    acted, seen = (set(table.column("participant").unique().to_pylist()) for table in (truth, steps))
    if missing := sorted(acted - seen):
        who = ", ".join(missing[:3]) + (" …" if len(missing) > 3 else "")
        raise EvaluationError(f"{truth_url} has participants that {dataset_url} has not ({who}): {_REMEDY}")
    steps = steps.filter(pc.is_in(steps.column("participant"), value_set=pa.array(sorted(acted), pa.string())))
    others = set(steps.column("recording").unique().to_pylist()) - set(truth.column("recording").unique().to_pylist())
    if others:
        raise EvaluationError(f"{dataset_url} has recordings of which {truth_url} has no action: {_REMEDY}")
    return steps, sorted(seen - acted)


def read_recordings(url: str, as_of_us: int) -> list[list[Segment]]:
    """The recordings below a folder, each its segments; raises `EvaluationError` for one that may not be read."""
    selection = Selection.of_input(url)
    store = open_store(selection.root)
    admission = Admission(Consents(store), as_of_us)
    entries = [entry for day in selection.days(store) for entry in selection.entries(store, day)]
    if not entries:
        raise EvaluationError(f"{url}: no segments there; give a folder that `taskreel import` or `simulate` wrote")
    recordings: dict[tuple[str, str], list[Segment]] = {}
    fetched = prefetched(
        [(_name(url, entry.name), entry.size_bytes) for entry in entries],
        lambda item: store.read(str(item[0])),
        size_bytes=lambda item: item[1],
        threads=16 if store.is_remote else 0,
        budget_bytes=64 << 20,
    )
    for (name, _), data in fetched:
        segment = admission.admit(name, data)
        if isinstance(segment, Dead):
            raise EvaluationError(f"{url}: {segment.segment}: {segment.message}")
        recordings.setdefault((name.participant, name.recording), []).append(segment)
    return [recordings[key] for key in sorted(recordings)]


def _name(url: str, path: str) -> SegmentName:
    try:
        return SegmentName.parse(path)
    except SegmentNameError as error:
        raise EvaluationError(f"{url}: {path}: {error}") from error


# ---------------------------------------------------------------------------------------------------- joining


def _joined_steps(
    recordings: list[list[Segment]], rng: np.random.Generator, number: int, build: BuildOptions
) -> pa.Table:
    """The steps of all recordings, joined once, with the number of the recording that each is from as `truth`."""
    order, pauses_us = draw(rng, len(recordings))
    joined = join([recordings[index] for index in order], pauses_us, participant=f"joined{number}")
    if not joined.segments:
        return _STEPS.empty_table()
    drafts = build_span(joined.segments, build).drafts
    return pa.concat_tables([_STEPS.empty_table(), *(_draft_steps(draft, joined, np.array(order)) for draft in drafts)])


_STEPS = pa.schema(
    [
        *((name, pa.string()) for name in ("participant", "session_id", "episode_id", "kind", "cut_reason")),
        ("confidence", pa.float64()),
        *((name, pa.int64()) for name in ("step", "start_us", "end_us", "truth")),
        *((name, pa.string()) for name in ("app", "title")),
    ]
)


def _draft_steps(draft: Draft, joined: Joined, recording: np.ndarray) -> pa.Table:
    rows = draft.steps.num_rows
    start_us = draft.steps.column("start_us")
    columns = {name: [draft.episode[name]] * rows for name in _STEPS.names if name in draft.episode} | {
        "step": np.arange(rows),
        "start_us": start_us,
        "end_us": pc.add(start_us, draft.steps.column("duration_us")),
        "truth": recording[joined.part_of(draft.steps.column("first_seq").to_numpy())],
        "app": draft.steps.column("app"),
        "title": draft.steps.column("title"),
    }
    return pa.table([pa.array(columns[field.name], field.type) for field in _STEPS], schema=_STEPS)


# ----------------------------------------------------------------------------------------------------- numbers


def _cut_values(cuts: Cuts, options: CutOptions) -> dict[str, Any]:
    return {
        "participants": len(cuts.steps.column("participant").unique()),
        "sessions": len(np.unique(cuts.found.group)),
        "steps": cuts.steps.num_rows,
        "boundaries": len(cuts.truth.boundaries()),
        "tolerances_s": list(options.tolerances_s),
        "segmentations": {name: _score_values(score) for name, score in score_cuts(cuts, options).items()},
        "cuts": [asdict(counts) for counts in counts_by_reason(cuts, options)],
        "findings": [asdict(finding) for finding in findings(cuts, options)],
    }


def _score_values(score: CutScore) -> dict[str, Any]:
    index = score.adjusted_rand_index
    values: dict[str, Any] = {"adjusted_rand_index": None if index is None else round(float(index), 6)}
    if score.gap_s is not None:
        values["gap_s"] = score.gap_s
    for tolerance_s, one in score.within_s.items():
        shares = {name: _rounded(getattr(one, name)) for name in ("precision", "recall", "f1")}
        values[f"within_{tolerance_s}_s"] = asdict(one) | shares
    return values


def _action_values(truth: pa.Table, steps: pa.Table, compared: ActionComparison) -> dict[str, Any]:
    by_type = {name: asdict(counts) for name, counts in counts_by_type(truth, steps, compared).items()}
    totals = {key: sum(counts[key] for counts in by_type.values()) for key in ("truth", "exact", "different", "missed")}
    differs = {name: int(where.sum()) for name, where in compared.differs.items() if where.any()}
    return {
        **totals,
        "spurious": len(compared.spurious),
        "exact_rate": _rounded(totals["exact"] / truth.num_rows),
        "exact_share_of_steps": _rounded(totals["exact"] / steps.num_rows),
        "by_type": by_type,
        "different_columns": dict(sorted(differs.items(), key=lambda item: (-item[1], item[0]))),
        "columns_compared": list(compared.differs),
        "columns_not_compared": [name for name in COMPARED if name not in compared.differs],
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)


def _count(table: pa.Table, column: str, value: str) -> int:
    return int(pc.sum(pc.equal(table.column(column), value)).as_py() or 0)
