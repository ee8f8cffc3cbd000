"""Commands on the versions of a dataset: compact, versions, rollback, vacuum."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from taskreel.app import BUSY, FAULTS, JsonOption, app, fail, store_at, without_warnings

DatasetArgument = Annotated[str, typer.Argument(metavar="DATASET", help="A dataset; a folder or gs:// place.")]


@app.command(epilog="Example: taskreel versions out/dataset")
def versions(
    dataset: DatasetArgument,
    last: Annotated[int, typer.Option(help="How many to show, the newest; 0 shows all.", min=0)] = 20,
    json_: JsonOption = False,
) -> None:
    """List the versions of a dataset: when, by what, and how much is in each. The newest first."""
    from itertools import islice

    from taskreel.io.stores import StoreError
    from taskreel.io.times import iso_from_us
    from taskreel.io.versions import history

    try:
        found = list(islice(history(store_at(dataset)), last or None))
    except (FileNotFoundError, StoreError) as error:
        fail(str(error))
    rows = [
        {
            "version": version.version,
            "time": iso_from_us(version.time_us),
            **{name: version.metadata.get(name) for name in ("kind", "as_of", "run_id")},
            **dict.fromkeys(("episodes", "residues", "steps")),
            **version.metadata.get("totals", {}),
        }
        for version in found
    ]
    if json_:
        print(json.dumps(rows))
        return
    print(f"{'version':>7}  {'committed':20}  {'kind':11}  {'as of':20}  {'episodes':>9}  {'steps':>9}")
    for row in rows:
        shown = {name: "-" if value is None else value for name, value in row.items()}
        time, as_of = _to_the_second(shown["time"]), _to_the_second(shown["as_of"])
        print(
            f"{shown['version']:>7}  {time:20}  {shown['kind']:11}  {as_of:20}  "
            f"{shown['episodes']:>9}  {shown['steps']:>9}"
        )


def _to_the_second(time: str) -> str:
    return f"{time[:19]}Z" if time[10:11] == "T" else time


@app.command(epilog="Example: taskreel rollback out/dataset 41")
def rollback(
    dataset: DatasetArgument,
    version: Annotated[int, typer.Argument(help="The version to go back to; see `taskreel versions`.", min=0)],
    json_: JsonOption = False,
) -> None:
    """Make an older version the dataset again, as a new version. Nothing is removed: that can be undone, too."""
    import uuid

    from taskreel.io import versions as versioning
    from taskreel.io.stores import StoreError
    from taskreel.io.tables import ConflictError

    try:
        made = versioning.rollback(store_at(dataset), version, run_id=uuid.uuid4().hex)
    except ConflictError as error:
        fail(f"{error}. Nothing was changed; run again", BUSY)
    except (FileNotFoundError, StoreError, versioning.NoVersionError) as error:
        fail(str(error))
    if json_:
        print(json.dumps({"version": made, "restored": version}))
    else:
        print(f"{dataset}: version {made} is what version {version} was")


@app.command(epilog="Examples: taskreel vacuum out/dataset --keep 7d --dry-run; taskreel vacuum out/dataset --keep 36h")
def vacuum(
    dataset: DatasetArgument,
    keep: Annotated[
        str,
        typer.Option(help="For how long versions stay readable; longer than the longest run takes, e.g. 7d or 36h."),
    ] = "7d",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")] = False,
    json_: JsonOption = False,
) -> None:
    """Remove files that are in no version of the last days: of older versions, and what killed runs left."""
    from taskreel.io import versions as versioning
    from taskreel.io.stores import StoreError

    try:
        removed = versioning.vacuum(store_at(dataset), keep_hours=_hours("--keep", keep), dry_run=dry_run)
    except (FileNotFoundError, StoreError, ValueError) as error:
        fail(str(error))
    if json_:
        print(json.dumps({"removed": [] if dry_run else removed, "would_remove": removed if dry_run else []}))
        return
    for name in removed:
        print(name)
    print(f"{dataset}: {len(removed)} files {'would be ' if dry_run else ''}removed")


def _hours(option: str, text: str) -> int:
    """Hours of "7d" or "36h"; raises `ValueError` that names the option."""
    number, unit = text[:-1], text[-1:]
    if not (number.isascii() and number.isdigit()) or unit not in ("d", "h"):
        raise ValueError(f"{option} {text}: a number of days or hours is expected, such as 7d or 36h")
    return int(number) * (24 if unit == "d" else 1)


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    epilog="Example: taskreel compact out/dataset",
)
def compact(context: typer.Context, dataset: DatasetArgument, json_: JsonOption = False) -> None:
    """Rewrite small shards into those that one batch run over the same segments gives, to the byte.

    Segments are not read: they may be past their retention. Older versions stay as they are until `taskreel vacuum`.
    Any option of Beam passes through, after DATASET.
    """
    without_warnings()
    from rich.console import Console

    from taskreel.io.stores import StoreError
    from taskreel.pipelines.compaction import compact as compact_dataset
    from taskreel.pipelines.errors import JobFailedError, LaunchError, LostRaceError
    from taskreel.pipelines.terminal import progress_display

    if dataset.startswith("-"):
        fail(f"{dataset}: DATASET comes first, then options of Beam")
    try:
        with progress_display(Console(stderr=True)) as show:
            outcome = compact_dataset(dataset, context.args, on_progress=show)
    except (LaunchError, StoreError) as error:
        fail(str(error))
    except LostRaceError as error:
        fail(str(error), BUSY)
    except JobFailedError as error:
        fail(str(error), FAULTS)
    changes = outcome.metadata["shards"] if outcome.is_new else {"added": [], "removed": []}
    added, removed = len(changes["added"]), len(changes["removed"])
    if json_:
        facts = {"version": outcome.version, "new": outcome.is_new, "shards_added": added, "shards_removed": removed}
        print(json.dumps(facts | {"wall_s": round(outcome.wall_s, 3), "run_id": outcome.run_id}, sort_keys=True))
    elif outcome.is_new:
        print(f"{dataset}: version {outcome.version} has {added} new shards in place of {removed}")
    else:
        print(f"{dataset}: version {outcome.version} is compact already; there is nothing to do")
