"""A shard rewritten from other shards has the bytes of the one written from drafts, whatever was between."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from examples import examples
from taskreel.io.names import SegmentName
from taskreel.io.schemas import EPISODE_SCHEMA, IMAGE_COLUMNS
from taskreel.io.shards import RowGroupLimits
from taskreel.io.stores import LocalStore, StoreError
from taskreel.transforms import rewrite
from taskreel.transforms.layout import publish_shard
from taskreel.transforms.rewrite import rewrite_shard
from taskreel.transforms.steps import DRAFT_SCHEMA, STEP_FLAGS, Draft, Picture, Source
from taskreel.transforms.write import Shard, WriteOptions, decode_rows, encode_rows, write_shard

PARTICIPANTS = ("anna", "ben")
HASHES = 4


def file_of(participant: str) -> str:
    return SegmentName(participant, "r", 0, 9, 0, 1000, "0" * 12).file


def content(participant: str, picture: int) -> bytes:
    """Others than those of the other person with the same hash; sizes differ."""
    return f"{participant}{picture}".encode() * (3 + 7 * picture)


def place(participant: str, picture: int) -> Picture:
    offset = sum(len(content(participant, before)) for before in range(picture))
    size = len(content(participant, picture))
    return Picture(file_of(participant), offset, size, f"hash{picture}", 100 + picture, None if picture % 2 else 50)


def filled(store: LocalStore) -> LocalStore:
    """A store with a segment of each participant: its pictures, one after the other."""
    for participant in PARTICIPANTS:
        data = b"".join(content(participant, picture) for picture in range(HASHES))
        store.create(str(SegmentName.from_file(participant, file_of(participant))), data)
    return store


@dataclass(frozen=True)
class Row:
    """What a step shows: pictures by number, and one that the approach saw."""

    image: int | None
    approach: int | None
    text: str | None
    flags: int
    path: list[dict[str, Any]] | None


def draft(participant: str, start_us: int, number: int, rows: Sequence[Row]) -> Draft:
    """As `build` makes it: pictures are numbered in order of first use."""
    used = list(dict.fromkeys(p for row in rows for p in (row.image, row.approach) if p is not None))
    index = {picture: position for position, picture in enumerate(used)}
    blank = {"string": "x", "bool": False, "int": 1, "double": 0.5, "list": None}
    common = {f.name: next((v for k, v in blank.items() if str(f.type).startswith(k)), None) for f in DRAFT_SCHEMA}
    steps = [
        common
        | {"start_us": start_us + step, "source": step % 2, "picture": index.get(row.image)}
        | {"approach_picture": index.get(row.approach), "text": row.text, "flags": row.flags, "path": row.path}
        for step, row in enumerate(rows)
    ]
    facts = dict.fromkeys((field.name for field in EPISODE_SCHEMA if field.type == pa.string()), "x") | {
        "participant": participant,
        "episode_id": f"e{number}",
        "session_id": f"s{number % 2}",
        "start_us": start_us,
        "end_us": start_us + len(rows),
        "segments": [file_of(participant)],
        "revision": 0,
        "confidence": 1.0,
        "apps": [],
        "actions": {"click": len(rows)},
        "flags": [],
        "quality": 1.0,
        "consent_version": 1,
    }
    sources = [Source("r", "c", "px", "us", 1920, None, 1.0), Source("r2", "c", "px", "de", None, 1080, None)]
    pictures = [place(participant, picture) for picture in used]
    return Draft(facts, sources, pictures, pa.RecordBatch.from_pylist(steps, schema=DRAFT_SCHEMA))


pictures = st.none() | st.integers(0, HASHES - 1)
ways = st.none() | st.lists(st.fixed_dictionaries({"us": st.integers(0, 9), "x": st.floats(0, 9), "y": st.just(0.0)}))
rows_of_an_episode = st.lists(
    st.builds(Row, pictures, pictures, st.none() | st.text(max_size=3), st.integers(0, 2 ** len(STEP_FLAGS) - 1), ways),
    min_size=1,
    max_size=8,
)


@st.composite
def episodes(draw: st.DrawFn, max_size: int = 7) -> list[Draft]:
    """Episodes of two people; some begin at the same time, so that the id decides."""
    heads = draw(st.lists(st.tuples(st.sampled_from(PARTICIPANTS), st.integers(0, 2)), min_size=1, max_size=max_size))
    return [draft(who, start_us * 100, n, draw(rows_of_an_episode)) for n, (who, start_us) in enumerate(heads)]


limits = st.builds(RowGroupLimits, st.integers(1, 12), st.integers(1, 150))


@contextmanager
def folder() -> Iterator[LocalStore]:
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as root:
        yield filled(LocalStore(root))


def written(store: LocalStore, drafts: list[Draft], limits: RowGroupLimits, number: int = 0) -> pa.Table:
    """A shard from drafts, as the batch writes it; the rows of its episodes."""
    shard, options = Shard(drafts), WriteOptions(store.url, store.url, limits)
    name, size_bytes = publish_shard(
        store, lambda path: write_shard(shard, store, path, options), split="train", number=number, count=9
    )
    return pa.Table.from_batches([decode_rows(encode_rows(shard.episode_rows("train", name, size_bytes)))])


def rewritten(store: LocalStore, rows: pa.Table, limits: RowGroupLimits, number: int = 0) -> pa.Table:
    return rewrite_shard(store, rows, split="train", number=number, count=9, limits=limits)


def parted(rows: pa.Table, groups: Sequence[int]) -> Iterator[tuple[int, pa.Table]]:
    """Rows by the number of their group."""
    for number in sorted(set(groups)):
        yield number, rows.filter(pa.array([group == number for group in groups]))


def shown(store: LocalStore, shard: str) -> list[tuple[str, int, dict[str, Any]]]:
    """Per row of a shard (episode, step, the bytes that it shows, those of the approach by way of the row named)."""
    rows = pq.read_table(store.root / "steps" / shard).to_pylist()
    found = []
    for row in rows:
        images = {name: row[name] and row[name]["bytes"] for name in IMAGE_COLUMNS}
        if row["approach_image_row"] is not None:
            images["approach_image"] = rows[row["approach_image_row"]]["image"]["bytes"]
        found.append((row["episode_id"], row["step"], images))
    return found


@given(st.data(), episodes(), limits)
@pytest.mark.examples
@settings(max_examples=examples(30, in_soak=600))
def test_a_shard_from_shards_is_the_shard_from_drafts(
    data: st.DataObject, drafts: list[Draft], limits: RowGroupLimits
) -> None:
    groups = st.lists(st.integers(0, 3), min_size=len(drafts), max_size=len(drafts))
    first, second = data.draw(groups), data.draw(groups)
    others = data.draw(st.sampled_from([limits, RowGroupLimits(3, 20), RowGroupLimits()]))
    with folder() as store:
        batch = written(store, drafts, limits)
        small = pa.concat_tables(
            written(store, [one for one, group in zip(drafts, first, strict=True) if group == number], others, number)
            for number in sorted(set(first))
        )
        again = pa.concat_tables(rewritten(store, part, others, number) for number, part in parted(small, second))
        for rows in (small, again, batch):
            assert rewritten(store, rows, limits).equals(batch)


@given(episodes(), limits)
@pytest.mark.examples
@settings(max_examples=examples(20, in_soak=400))
def test_a_shard_shows_what_the_drafts_say(drafts: list[Draft], limits: RowGroupLimits) -> None:
    by_id = {one.episode["episode_id"]: one for one in drafts}
    with folder() as store:
        apart = pa.concat_tables(written(store, [one], limits, number) for number, one in enumerate(drafts))
        rows = rewritten(store, apart, limits)
        found = shown(store, rows.column("shard")[0].as_py())
    assert len(found) == sum(one.steps.num_rows for one in drafts)
    for episode_id, step, images in found:
        one = by_id[episode_id]
        numbers = one.steps.select(["picture", "approach_picture"]).to_pylist()[step]
        hashes = [None if number is None else one.pictures[number].hash for number in numbers.values()]
        expected = [value and content(one.episode["participant"], int(value.removeprefix("hash"))) for value in hashes]
        assert list(images.values()) == expected


@given(st.data(), episodes(), limits)
@pytest.mark.examples
@settings(max_examples=examples(15, in_soak=250))
def test_a_part_of_a_shards_episodes_is_the_shard_of_these(
    data: st.DataObject, drafts: list[Draft], limits: RowGroupLimits
) -> None:
    stays = data.draw(st.sets(st.sampled_from([one.episode["episode_id"] for one in drafts]), min_size=1))
    with folder() as store:
        all_ = written(store, drafts, limits)
        expected = written(store, [one for one in drafts if one.episode["episode_id"] in stays], limits)
        kept = all_.filter(pc.is_in(all_.column("episode_id"), pa.array(sorted(stays))))
        assert rewritten(store, kept, limits).equals(expected)


@pytest.mark.parametrize("held_bytes", [0, 30, 1000])
def test_how_much_is_held_does_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held_bytes: int) -> None:
    monkeypatch.setattr(rewrite, "_HELD_BYTES", held_bytes)
    monkeypatch.setattr(rewrite, "_OPEN_AT_ONCE", 1)
    store = filled(LocalStore(str(tmp_path)))
    looks = [Row(number % HASHES, (number + 1) % HASHES, None, 0, None) for number in range(9)]
    drafts = [draft(PARTICIPANTS[n % 2], n // 2 * 100, n, looks[n % 3 :]) for n in range(8)]
    batch = written(store, drafts, RowGroupLimits(7, 100))
    small = [written(store, drafts[n::3], RowGroupLimits(2, 40), n) for n in range(3)]
    assert rewritten(store, pa.concat_tables(small), RowGroupLimits(7, 100)).equals(batch)


def test_segments_are_not_needed(tmp_path: Path) -> None:
    store = filled(LocalStore(str(tmp_path)))
    drafts = [draft("anna", n * 100, n, [Row(n, 0, "a", 1, None)]) for n in range(3)]
    batch = written(store, drafts, RowGroupLimits())
    small = pa.concat_tables(written(store, [one], RowGroupLimits(), n) for n, one in enumerate(drafts))
    for entry in list(store.files("segments")):
        store.delete(entry.name)
    assert rewritten(store, small, RowGroupLimits()).equals(batch)


def test_a_shard_that_does_not_hold_what_the_rows_say_is_an_error_that_names_it(tmp_path: Path) -> None:
    store = filled(LocalStore(str(tmp_path)))
    rows = written(
        store, [draft("anna", n * 100, n, [Row(n, None, None, 0, None)]) for n in range(3)], RowGroupLimits()
    )
    one = rows.slice(0, 1)
    shard = one.column("shard")[0].as_py()
    elsewhere = one.set_column(EPISODE_SCHEMA.get_field_index("first_row"), "first_row", pa.array([2]))
    with pytest.raises(StoreError, match=f"{shard}: row 2 is not of the episode e0"):
        rewritten(store, elsewhere, RowGroupLimits())
    beyond = one.set_column(EPISODE_SCHEMA.get_field_index("first_row"), "first_row", pa.array([3]))
    with pytest.raises(StoreError, match=f"{shard}: has 3 rows"):
        rewritten(store, beyond, RowGroupLimits())
    (store.root / "steps" / shard).unlink()
    with pytest.raises(FileNotFoundError):
        rewritten(store, one, RowGroupLimits())
