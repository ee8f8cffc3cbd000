"""Commit: one DoFn on one key makes the run's result the dataset's next version, or changes nothing.

`commit` makes it the whole of the dataset, `commit_changes` puts what was built into the place of what it replaces.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import apache_beam as beam
import pyarrow as pa

from taskreel.io.card import write_card
from taskreel.io.names import SHA_DIGITS, SegmentName
from taskreel.io.schemas import EPISODE_SCHEMA, SPLITS
from taskreel.io.shards import RowGroupLimits
from taskreel.io.stores import Store, open_store
from taskreel.io.tables import (
    ConflictError,
    commit_episodes,
    committed_version,
    current_version,
    metadata_of,
    part_paths,
    publish_steps,
    read_parts,
)
from taskreel.transforms import metrics
from taskreel.transforms.accounts import Account
from taskreel.transforms.assign import ShardOptions, split_of
from taskreel.transforms.changes import (
    BuiltSpan,
    FileKey,
    dead_files,
    groups_of,
    merge_dead_letters,
    past_retention,
    resolve,
    spans_of,
    touches,
)
from taskreel.transforms.dead import Dead, dead_letters
from taskreel.transforms.exchange import exchange
from taskreel.transforms.known import listing_days, longest_of, near_days
from taskreel.transforms.late import LATE_FOLDER, Late, late_of, new_late
from taskreel.transforms.spans import SpanOptions
from taskreel.transforms.taken import Taken
from taskreel.transforms.write import decode_rows

ROWS, ACCOUNT, DEAD, START = "rows", "account", "dead", "start"
TAKEN, LATE = "taken", "late"
DEAD_LETTER_FOLDER = "dead-letter"
_REBASE_TRIES = 10
_PARTS_AT_ONCE = 16
LISTED_BYTES = "listed_bytes."
"""Prefix of the account's numbers that are the sizes of the segments of a split."""


@dataclass(frozen=True)
class CommitOptions:
    """What the commit needs to know. `base_version` was read at launch; `metadata` is stored with the commit."""

    output: str
    run_id: str
    base_version: int | None
    metadata: dict[str, Any] = field(default_factory=dict)


class CommitDataset(beam.PTransform):
    """{ROWS: rows of `episodes`, ACCOUNT: numbers, DEAD: lines} → one element: the committed version, or None."""

    def __init__(self, options: CommitOptions) -> None:
        super().__init__()
        self.options = options

    def expand(self, inputs: dict[str, Any]) -> Any:
        """Bring everything to one key; the start element sees to it that a run without episodes commits, too."""
        parts = [inputs[tag] | f"Tag/{tag}" >> beam.Map(_tagged, tag) for tag in (ROWS, ACCOUNT, DEAD)]
        start = inputs[ACCOUNT].pipeline | "Start" >> beam.Create([("commit", (START, b""))])
        together = (*parts, start) | "Together" >> beam.Flatten()
        return together | "GroupForCommit" >> beam.GroupByKey() | "Commit" >> beam.ParDo(_CommitDoFn(self.options))


def _tagged(element: bytes | str, tag: str) -> tuple[str, tuple[str, bytes]]:
    return "commit", (tag, element.encode() if isinstance(element, str) else element)


class _CommitDoFn(beam.DoFn):
    def __init__(self, options: CommitOptions) -> None:
        self._options = options

    def process(self, element: tuple[str, Iterable[tuple[str, bytes]]]) -> Iterator[int | None]:
        parts: dict[str, list[bytes]] = {ROWS: [], ACCOUNT: [], DEAD: [], START: []}
        for tag, data in element[1]:
            parts[tag].append(data)
        store = open_store(self._options.output)
        yield metrics.commit_or_lose(lambda: commit(store, parts, self._options))


def listed_account(listed: tuple[str, int]) -> str:
    """(split, bytes of its segments) as an account, which is how it comes to the commit."""
    split, size_bytes = listed
    return json.dumps({LISTED_BYTES + split: size_bytes})


def commit(store: Store, parts: dict[str, list[bytes]], options: CommitOptions) -> int:
    """Write the dead letters, make the rows the whole of `episodes`, publish `steps`, replace the card; the version.

    Safe to repeat and to run at once. Raises `ConflictError` if another run has committed since `base_version`.
    """
    rows = pa.Table.from_batches([decode_rows(data) for data in parts[ROWS]], schema=EPISODE_SCHEMA)
    lines = [data.decode() for data in parts[DEAD]]
    total = account_of(parts[ACCOUNT], lines)
    listed = total.under(LISTED_BYTES)
    metadata = {
        **options.metadata,
        "run_id": options.run_id,
        "account": {name: count for name, count in total.as_dict().items() if not name.startswith(LISTED_BYTES)},
        "dead_letter": write_dead_letters(store, lines),
        "imbalances": total.imbalances(),
        "listed_bytes": {split: listed.get(split, 0) for split in SPLITS},
    }
    version = commit_episodes(store, rows, base_version=options.base_version, run_id=options.run_id, metadata=metadata)
    publish_steps(store)
    write_card(store)
    return version


def account_of(accounts: Iterable[bytes], dead: Iterable[str]) -> Account:
    """The sum of a run's accounts and of what its dead letters add."""
    numbers = [json.loads(data) for data in accounts]
    return Account.total([*numbers, *(Dead(**json.loads(line)).account().as_dict() for line in dead)])


def write_dead_letters(store: Store, lines: list[str]) -> str | None:
    """Dead letters, under a name made from their content; None if there are none."""
    return _write_lines(store, DEAD_LETTER_FOLDER, lines) if lines else None


def _write_lines(store: Store, folder: str, lines: list[str]) -> str:
    data = dead_letters(lines)
    name = f"{folder}/{hashlib.sha256(data).hexdigest()[:SHA_DIGITS]}.jsonl"
    store.create(name, data)
    return name


# ------------------------------------------------------------------------------------------------ what changed


@dataclass(frozen=True)
class ChangeOptions:
    """What a commit of changes needs to know.

    `base_version` is the one that the run began from; with `rebase` (a stream, the only committer of its job) it counts
    for nothing: the changes are resolved against the latest version, again if another run was faster, and `run_id` is
    that of the job. `spans` bounds how far from a segment its span can begin; `limits` are for shards that are
    written again; `metadata` is stored with the commit.
    """

    output: str
    run_id: str
    base_version: int | None
    metadata: dict[str, Any]
    spans: SpanOptions
    shards: ShardOptions = field(default_factory=ShardOptions)
    limits: RowGroupLimits = field(default_factory=RowGroupLimits)
    rebase: bool = False


def commit_changes(store: Store, parts: dict[str, list[bytes]], options: ChangeOptions) -> int | None:
    """Commit what was built in the place of what it replaces, publish `steps`, replace the card.

    `parts` are ROWS, ACCOUNT, DEAD, TAKEN and LATE, each may be left out. The version of the commit; None if nothing
    changes: then there is no commit. Safe to repeat and to run at once. Raises `ConflictError` if another run has
    committed since `base_version`, or, with `rebase`, has committed by other options.
    """
    parts = {tag: sorted(parts.get(tag, ())) for tag in (ROWS, ACCOUNT, DEAD, TAKEN, LATE)}
    noted = _noted_late(store) if options.rebase or parts[LATE] else set()
    if options.rebase:
        options = replace(options, run_id=f"{options.run_id}-{_digest(parts)}")
        version = _commit_onto_latest(store, parts, options, noted)
    else:
        version = _commit_once(store, parts, options, noted)
    if version is not None:
        publish_steps(store)
        write_card(store)
    return version


def _digest(parts: dict[str, list[bytes]]) -> str:
    """The same for the same elements, so that a bundle that is tried again is known by it."""
    digest = hashlib.blake2b(digest_size=8)
    for tag, elements in parts.items():
        for element in elements:
            digest.update(b"%s %d\0" % (tag.encode(), len(element)) + element)
    return digest.hexdigest()


def _commit_onto_latest(
    store: Store, parts: dict[str, list[bytes]], options: ChangeOptions, noted: set[FileKey]
) -> int | None:
    for _ in range(_REBASE_TRIES):
        base_version = current_version(store)
        _check_same_making(store, base_version, options)
        try:
            return _commit_once(store, parts, replace(options, base_version=base_version), noted)
        except ConflictError:
            metrics.count(lost_races=1)
    raise ConflictError(f"{store.url}: others committed before this in {_REBASE_TRIES} tries")


def _check_same_making(store: Store, base_version: int | None, options: ChangeOptions) -> None:
    """Rows that were made by other rules must not come together."""
    base = {} if base_version is None else metadata_of(store, base_version)
    for name in ("options", "versions"):
        mine = json.loads(json.dumps(options.metadata.get(name)))
        if name in base and mine is not None and base[name] != mine:
            raise ConflictError(f"{store.url}: another run has committed with other {name}; start again with the same")


def _commit_once(
    store: Store, parts: dict[str, list[bytes]], options: ChangeOptions, noted: set[FileKey]
) -> int | None:
    """One try; `noted` are the late segments that were in `late/` before the first."""
    committed = committed_version(store, options.run_id)
    if committed is not None:
        return committed
    news = _News.of(parts)
    base = _Base.read(store, options, news)
    others = options.spans if options.rebase else None
    found = resolve(base.spans, groups_of(news.built, news.rows), others, base.dead)
    unread, waiting = past_retention(news.missing, base.spans, base.dead)
    lines = [*news.dead, *unread]
    letters = merge_dead_letters(base.letters, lines, news.built, found)
    late = new_late([*news.late, *late_of(found.late)], noted | found.final | dead_files(letters))
    if not (found.added or found.removed or late) and letters == base.letters:
        return None
    total = Account.total(
        [account_of(parts[ACCOUNT], lines).as_dict(), waiting.as_dict(), *(one.account().as_dict() for one in late)]
    )
    taken_up = [*found.accepted, *(one for one in news.missing if touches(one, base.spans))]
    metadata = {
        **options.metadata,
        "run_id": options.run_id,
        "account": total.as_dict(),
        "dead_letter": write_dead_letters(store, letters),
        "imbalances": total.imbalances(),
        "listed_bytes": _listed_bytes(base, taken_up, options.shards),
    }
    if late:
        _write_lines(store, LATE_FOLDER, [one.to_json() for one in late])
    changed = exchange(
        news.rows,
        base.parts,
        found,
        others=lambda: _other_parts(store, options.base_version, base.parts),
        rewrite=lambda rows: _rewritten(store, rows, options.limits),
    )
    version = commit_episodes(
        store,
        changed.rows,
        replaces=changed.replaces,
        base_version=options.base_version,
        run_id=options.run_id,
        metadata=metadata,
    )
    metrics.count(late=len(late))
    for line in unread:
        metrics.count_dead(Dead(**json.loads(line)))
    return version


@dataclass(frozen=True)
class _News:
    """What came to the commit."""

    rows: pa.Table
    dead: list[str]
    built: list[Taken]
    missing: list[Taken]
    late: list[Late]

    @classmethod
    def of(cls, parts: dict[str, list[bytes]]) -> _News:
        taken = [Taken.from_json(line) for line in parts[TAKEN]]
        return cls(
            pa.Table.from_batches([decode_rows(data) for data in parts[ROWS]], schema=EPISODE_SCHEMA),
            [line.decode() for line in parts[DEAD]],
            [one for one in taken if not one.missing],
            [one for one in taken if one.missing],
            [Late.from_json(line) for line in parts[LATE]],
        )

    @property
    def names(self) -> list[SegmentName]:
        """Every segment that is spoken of."""
        return [name for one in (*self.built, *self.missing) for name in one.names] + [one.name for one in self.late]


@dataclass(frozen=True)
class _Base:
    """What the version before says of the segments that came: parts of `episodes`, spans, dead letters."""

    parts: dict[str, pa.Table]
    spans: list[BuiltSpan]
    letters: list[str]
    dead: set[FileKey]
    listed_bytes: dict[str, int]

    @classmethod
    def read(cls, store: Store, options: ChangeOptions, news: _News) -> _Base:
        """Only the parts of the days on which a span of one of the segments can begin; in a stream, or one near it."""
        version, names = options.base_version, news.names
        metadata = {} if version is None else metadata_of(store, version)
        days = {day for name in names for day in _days_of(name, options)}
        parts = read_parts(store, part_paths(store, version, days))
        rows = pa.concat_tables([EPISODE_SCHEMA.empty_table(), *parts.values()])
        letter = metadata.get("dead_letter")
        letters = store.read(letter).decode().splitlines() if letter else []
        spans = spans_of(rows, {name.participant for name in names})
        return cls(parts, spans, sorted(letters), dead_files(letters), metadata.get("listed_bytes", {}))


def _days_of(name: SegmentName, options: ChangeOptions) -> list[str]:
    return near_days(name, options.spans) if options.rebase else listing_days(name.day, longest_of(options.spans))


def _noted_late(store: Store) -> set[FileKey]:
    """The segments that files in `late/` name already."""
    lines = (line for entry in store.files(f"{LATE_FOLDER}/") for line in store.read(entry.name).splitlines())
    return {Late.from_json(line).key for line in lines}


def _listed_bytes(base: _Base, taken_up: list[Taken], options: ShardOptions) -> dict[str, int]:
    """The sizes of all segments that the dataset has taken up, by split."""
    listed = dict.fromkeys(SPLITS, 0) | base.listed_bytes
    known = base.dead | {(span.participant, file) for span in base.spans for file in span.files}
    new = {(one.participant, file): size for one in taken_up for file, size in one.segments}
    for (participant, file), size_bytes in new.items():
        if (participant, file) not in known:
            listed[split_of(participant, options)] += size_bytes
    return listed


def _other_parts(store: Store, version: int | None, known: Collection[str]) -> Iterator[dict[str, pa.Table]]:
    paths = [path for path in part_paths(store, version) if path not in known]
    for first in range(0, len(paths), _PARTS_AT_ONCE):
        yield read_parts(store, paths[first : first + _PARTS_AT_ONCE])


def _rewritten(store: Store, rows: pa.Table, limits: RowGroupLimits) -> pa.Table:
    from taskreel.transforms.rewrite import rewrite_shard

    split = rows.column("split")[0].as_py()
    return rewrite_shard(store, rows, split=split, number=0, count=1, limits=limits)
