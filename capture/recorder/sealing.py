"""Sealing: a journal becomes a segment in the outbox, exactly once, whatever is killed when.

Done by a process of its own, `python -m taskreel.capture.recorder.sealing`, one a segment: Arrow and a segment's
pictures would double the memory of a recorder that runs all day (38 MB without Arrow, 85 MB with it, before the first
picture), and a start every five minutes costs a thousandth of a core.

    recordings/<id>/part-00003.journal   1. written, fsynced, closed
    recordings/<id>/sealed/…/<name>      2. the segment, under a temporary name first, fsynced, renamed
                                         3. the journal is removed
    outbox/segments/v1/…/<name>          4. the segment is moved

After 2 the journal is not read again: what lies in `sealed/` has its first seq in its name.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from taskreel.capture.disk import move, sync_folder, write_whole
from taskreel.capture.recorder.journal import COLUMNS, Journal, read_journal
from taskreel.capture.recorder.pictures import PictureFolder, StoredPicture
from taskreel.io.kinds import POSITION_UNITS_PER_PX, Kind, Screen
from taskreel.io.names import SegmentName

if TYPE_CHECKING:
    import pyarrow as pa

JOURNAL = "part-{:05d}.journal"
PICTURES = "pictures"
SEALED = "sealed"
DAMAGED = ".damaged"
PICTURE_LOST = "picture_lost"


@dataclass(frozen=True)
class SealedPart:
    """What became of a journal. `name` is None if there was nothing in it."""

    name: SegmentName | None
    events: int = 0
    lost_pictures: int = 0
    damaged_frames: int = 0


def journals(recording: Path) -> list[Path]:
    """The journals of a recording that are not sealed yet, in order."""
    return sorted(recording.glob("part-*.journal"))


def seal(journal_path: Path, outbox: Path, *, is_last: bool = False) -> SealedPart:
    """Seal one journal into `outbox`. `is_last`: the recording is over and this is what is left of it.

    Raises `OSError` (the disk is full), after which nothing half-made has a name, and everything is still there.
    """
    with alone(journal_path.parent) as is_there:
        return _seal(journal_path, outbox, is_last) if is_there and journal_path.exists() else SealedPart(None)


@contextlib.contextmanager
def alone(recording: Path) -> Iterator[bool]:
    """Be the only process that seals a recording; whether it is still there.

    A recorder that is killed leaves a sealing process behind, which goes on while the next recorder recovers.
    """
    try:
        folder = os.open(recording, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        yield False
        return
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield recording.exists()
    finally:
        os.close(folder)


def _seal(journal_path: Path, outbox: Path, is_last: bool) -> SealedPart:
    recording = journal_path.parent
    try:
        journal = read_journal(journal_path.read_bytes())
    except ValueError:
        return _set_aside(journal_path)
    if journal is None or not journal.rows:
        journal_path.unlink(missing_ok=True)
        sync_folder(recording)
        return SealedPart(None)
    first_seq = int(journal.header["first_seq"])
    ready = _sealed_before(recording, first_seq)
    lost = 0
    if ready is None:
        data, name, lost = _segment(journal, recording, is_final=journal.has_end or is_last)
        ready = write_whole(recording / SEALED / str(name), data)
    name = SegmentName.parse(str(ready.relative_to(recording / SEALED)))
    journal_path.unlink(missing_ok=True)
    sync_folder(recording)
    move(ready, outbox / str(name))
    return SealedPart(name, len(journal.rows), lost, journal.damaged_frames)


def finish_moves(recording: Path, outbox: Path) -> None:
    """Move what was sealed when a process was killed before it could."""
    left = [seq for path in journals(recording) if (seq := _first_seq(path)) is not None]
    for ready in sealed(recording):
        name = SegmentName.parse(str(ready.relative_to(recording / SEALED)))
        if not any(seq <= name.first_seq for seq in left):
            move(ready, outbox / str(name))


def sealed(recording: Path) -> list[Path]:
    """Segments of a recording that are not in the outbox yet."""
    return sorted((recording / SEALED).rglob("*.parquet"))


def _segment(journal: Journal, recording: Path, *, is_final: bool) -> tuple[bytes, SegmentName, int]:
    from taskreel.io.segments import SegmentHeader, encode_segment

    fields = {name: value for name, value in journal.header.items() if name in SegmentHeader.__dataclass_fields__}
    screen = fields.pop("screen", None)
    header = SegmentHeader(**fields | {"screen": None if screen is None else _screen(screen), "final": is_final})
    events, lost = events_of(journal, PictureFolder(recording / PICTURES))
    header = replace(
        header,
        clock_anchors=tuple((int(a), int(b)) for a, b in header.clock_anchors),
        positions_per_px=1 if _is_whole_px(journal) else POSITION_UNITS_PER_PX,
    )
    name, data = encode_segment(header, events)
    return data, name, lost


def events_of(journal: Journal, pictures: PictureFolder) -> tuple[pa.Table, int]:
    """The journal's rows as `SEGMENT_SCHEMA`, and how many screen events have lost their picture and become gaps."""
    from taskreel.io.events import event_table

    columns: dict[str, list[Any]] = {name: [] for name in COLUMNS}
    for row in journal.rows.values():
        for name, value in zip(COLUMNS, row + [None] * (len(COLUMNS) - len(row)), strict=True):
            columns[name].append(_whole_text(value) if type(value) is str else value)
    keys = columns.pop("picture_key")
    shown = _Shown(pictures)
    described: dict[str, list[Any]] = {name: [] for name in ("hash", "dhash", "width_px", "height_px")}
    contents: list[bytes | None] = []
    for number, key in enumerate(keys):
        picture = shown.get(key) if key else None
        if key and picture is None:
            columns["kind"][number] = int(Kind.GAP)
            columns["text"][number] = PICTURE_LOST
            columns["picture_change_ppm"][number] = None
        for name, values in described.items():
            values.append(picture and getattr(picture, name))
        contents.append(shown.content_once(picture) if picture else None)
    filled: dict[str, object] = {**columns, "picture": contents, "seq": list(journal.rows)}
    filled |= {f"picture_{name}": values for name, values in described.items()}
    return event_table(filled), shown.lost


def _whole_text(text: str) -> str:
    """A text as UTF-8 can say it: a window's title may be any bytes."""
    return text.encode(errors="replace").decode()


def _is_whole_px(journal: Journal) -> bool:
    x, y = COLUMNS.index("x"), COLUMNS.index("y")
    places = (value for row in journal.rows.values() for value in row[x : y + 1] if value is not None)
    return all(value % POSITION_UNITS_PER_PX == 0 for value in places)


class _Shown:
    """The pictures of a segment: each is in it once, at the first event that shows it."""

    def __init__(self, pictures: PictureFolder) -> None:
        self._pictures = pictures
        self._known: dict[str, StoredPicture | None] = {}
        self._stored: set[str] = set()
        self.lost = 0

    def get(self, key: str) -> StoredPicture | None:
        if key not in self._known:
            self._known[key] = self._pictures.read(key)
        self.lost += self._known[key] is None
        return self._known[key]

    def content_once(self, picture: StoredPicture) -> bytes | None:
        if picture.hash in self._stored:
            return None
        self._stored.add(picture.hash)
        return picture.data


def _screen(values: dict[str, Any]) -> Screen:
    return Screen(**values | {"monitors": tuple(tuple(monitor) for monitor in values.get("monitors", ()))})


def _first_seq(journal_path: Path) -> int | None:
    try:
        journal = read_journal(journal_path.read_bytes())
    except ValueError:
        return None
    return None if journal is None else int(journal.header["first_seq"])


def _sealed_before(recording: Path, first_seq: int) -> Path | None:
    """The segment that was made of this journal before a process was killed: none is made of a later one before."""
    made = (path for path in sealed(recording) if SegmentName.from_file("x", path.name).first_seq >= first_seq)
    return next(made, None)


def _set_aside(journal_path: Path) -> SealedPart:
    """A journal whose header is damaged cannot be a segment. It is kept for a person."""
    journal_path.rename(journal_path.with_suffix(DAMAGED))
    sync_folder(journal_path.parent)
    return SealedPart(None, damaged_frames=1)


def main(arguments: list[str]) -> int:
    """`JOURNAL OUTBOX [last]`: seal one journal; prints one JSON object for the recorder."""
    with contextlib.suppress(PermissionError):  # a service may be forbidden to change its priority
        os.nice(10)
    part = seal(Path(arguments[0]), Path(arguments[1]), is_last="last" in arguments[2:])
    print(json.dumps(asdict(part) | {"name": part.name and part.name.file}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
