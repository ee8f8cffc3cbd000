"""The card: `README.md` of a dataset, which says what is in it and names its current files.

`datasets` and the Hugging Face hub read `configs.data_files` from it, so that no reader has to glob a folder.
"""

from __future__ import annotations

from deltalake import DeltaTable

from taskreel.io.schemas import SPLITS
from taskreel.io.stores import Store
from taskreel.io.tables import (
    EPISODES,
    STEPS,
    Commit,
    File,
    metadata_of,
    open_table,
    published_by,
    table_files,
    totals_of,
)

CARD = "README.md"

_TEXT = """\
# A taskreel dataset

{episodes} episodes and {steps} steps, made by taskreel from recordings of work at a computer, with the consent of the
people recorded. Version {version} of the table `episodes`, as of {as_of}.

| split | shards | steps |
|---|---|---|
{splits}

- `episodes/` and `steps/` are Delta tables; the files that are current are those that their logs (and the header of
  this card) name. Read no folder by globbing.
- `steps` has one row a step: an observation (`image`, the last distinct screen strictly before the action) and an
  action. Steps of one episode are contiguous and in order. Nobody is in two splits.
- Rows of `episodes` with `kind = residue` belong to no task.
- What was refused or could not be read is in `dead-letter/`, with the reason.

```python
from datasets import load_dataset

steps = load_dataset("path/of/this/folder")  # by the list of files in the header of this card
```
"""


def write_card(store: Store) -> None:
    """Make the card say what the tables say now; no card where nothing is published."""
    steps = open_table(store, STEPS)
    version = published_by(steps)
    if version is not None:
        store.replace(CARD, _card(store, Commit(version, metadata_of(store, version)), steps).encode())


def card(store: Store, commit: Commit) -> str:
    """The card's text for the version that `steps` publishes. From the logs: its cost does not grow with the rows."""
    return _card(store, commit, open_table(store, STEPS))


def _card(store: Store, commit: Commit, steps: DeltaTable | None) -> str:
    files = sorted(table_files(steps).values()) if steps is not None else []
    splits = {split: [file for file in files if file.path.startswith(f"{split}-")] for split in SPLITS}
    table = "\n".join(f"| {s} | {len(fs)} | {sum(file.rows for file in fs)} |" for s, fs in splits.items())
    totals = totals_of(store, commit)
    text = _TEXT.format(
        episodes=totals["episodes"],
        steps=totals["steps"],
        version=commit.version,
        as_of=commit.metadata.get("as_of", "unknown"),
        splits=table,
    )
    return _header(store, commit, splits) + text


def _header(store: Store, commit: Commit, splits: dict[str, list[File]]) -> str:
    """YAML, as the hub reads it. A split without steps is left out, for `datasets` raises on one that has no data."""
    lines = ["---", "configs:", "- config_name: steps", "  default: true", "  data_files:"]
    named = {split: files for split, files in splits.items() if any(file.rows for file in files)} or splits
    for split, files in named.items():
        lines += [f"  - split: {split}", "    path:", *(f"    - {STEPS}/{file.path}" for file in files)]
    episodes = open_table(store, EPISODES, commit.version)
    if episodes is not None and (paths := sorted(table_files(episodes))):
        lines += ["- config_name: episodes", "  data_files:", "  - split: train", "    path:"]
        lines += [f"    - {EPISODES}/{path}" for path in paths]
    return "\n".join([*lines, "---", "", ""])
