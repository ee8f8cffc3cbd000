"""A journal holds what was written, whatever happens to its end, and all but the damaged frame otherwise."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskreel.capture.recorder.journal import COLUMNS, Journal, JournalWriter, read_journal, row
from taskreel.capture.sources.protocol import Event
from taskreel.io.kinds import Kind

FLUSHES = st.lists(st.integers(0, 5), min_size=1, max_size=8)


def write(path: Path, flushes: list[int], first_seq: int = 0) -> list[int]:
    """A journal of numbered moves, some a flush; its size after each flush."""
    writer = JournalWriter(path, {"first_seq": first_seq})
    sizes, number = [writer.size_bytes], 0
    for count in flushes:
        events = [Event(number + n, Kind.MOVE, x=256 * (number + n), y=0) for n in range(count)]
        writer.append([row(event, event.time_us) for event in events])
        number += count
        sizes.append(writer.size_bytes)
    writer.close()
    return sizes


def times(journal: Journal | None) -> dict[int, int]:
    assert journal is not None
    return {seq: values[0] for seq, values in journal.rows.items()}


@given(FLUSHES, st.integers(0, 1000))
def test_all_that_was_written_is_read(flushes: list[int], first_seq: int) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "j"
        write(path, flushes, first_seq)
        journal = read_journal(path.read_bytes())
    assert times(journal) == {first_seq + n: n for n in range(sum(flushes))}
    assert journal is not None
    assert not journal.damaged_frames


@given(FLUSHES, st.data())
def test_a_cut_tail_loses_the_unfinished_frame_only(flushes: list[int], data: Any) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "j"
        sizes = write(path, flushes)
        content = path.read_bytes()
    cut = data.draw(st.integers(0, len(content)))
    whole = sum(count for count, size in zip(flushes, sizes[1:], strict=True) if size <= cut)
    journal = read_journal(content[:cut])
    if cut < sizes[0]:
        assert journal is None
    else:
        assert times(journal) == {n: n for n in range(whole)}
        assert journal is not None
        assert not journal.damaged_frames, "a cut is what a kill does, and no damage"


@given(FLUSHES.filter(any), st.data())
def test_a_flipped_bit_loses_one_frame_and_leaves_the_numbers_of_the_others(flushes: list[int], data: Any) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "j"
        sizes = write(path, flushes)
        content = bytearray(path.read_bytes())
    bit = data.draw(st.integers(sizes[0] * 8, len(content) * 8 - 1))
    content[bit // 8] ^= 1 << bit % 8
    hit = next(n for n, size in enumerate(sizes[1:]) if bit // 8 < size)
    first = sum(flushes[:hit])
    all_rows = {n: n for n in range(sum(flushes))}
    without = {n: n for n in all_rows if not first <= n < first + flushes[hit]}
    assert times(read_journal(bytes(content))) in (without, all_rows)  # zstd passes over some bits of a frame's header


def test_a_damaged_header_is_said_if_anything_follows(tmp_path: Path) -> None:
    sizes = write(tmp_path / "j", [3])
    content = bytearray((tmp_path / "j").read_bytes())
    content[sizes[0] // 2] ^= 0xFF
    with pytest.raises(ValueError, match="header"):
        read_journal(bytes(content))


@given(st.lists(st.booleans(), min_size=1, max_size=20))
def test_what_is_retracted_leaves_no_hole_in_the_numbers(keeps: list[bool]) -> None:
    with TemporaryDirectory() as folder:
        writer = JournalWriter(Path(folder) / "j", {"first_seq": 10})
        writer.append([row(Event(n, Kind.MOVE), n) for n in range(len(keeps))])
        writer.append(retracted=[n for n, keep in enumerate(keeps) if not keep])
        writer.close()
        journal = read_journal((Path(folder) / "j").read_bytes())
    kept = [n for n, keep in enumerate(keeps) if keep]
    assert times(journal) == dict(enumerate(kept, 10))


def test_a_row_has_all_of_an_event() -> None:
    values: dict[str, Any] = {name: number for number, name in enumerate(COLUMNS, 1)}
    values |= {"kind": Kind.FOCUS, "key": "k", "text": "t", "app": "a", "title": "b", "url": "u", "picture_key": "p"}
    assert dict(zip(COLUMNS, row(Event(**values), 1), strict=True)) == values


def test_a_failed_write_leaves_no_part_of_a_frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    writer = JournalWriter(tmp_path / "j", {"first_seq": 0})
    writer.append([row(Event(0, Kind.MOVE), 0)])
    real, calls = os.write, []

    def full_disk(descriptor: int, data: bytes) -> int:
        calls.append(1)
        if len(calls) == 1:
            return real(descriptor, bytes(data)[:5])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full_disk)
    with pytest.raises(OSError, match="No space"):
        writer.append([row(Event(1, Kind.MOVE), 1)])
    monkeypatch.undo()
    writer.append([row(Event(2, Kind.MOVE), 2)])
    writer.close()
    assert times(read_journal((tmp_path / "j").read_bytes())) == {0: 0, 1: 2}
