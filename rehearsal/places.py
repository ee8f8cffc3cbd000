"""Places in the stand-in's store: what is put there before a rehearsal, and what is there afterwards."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from taskreel.rehearsal.gcs.server import GcsServer

Files = Sequence[tuple[str, Path]]
"""(name below a folder, file)."""


def buckets_of(words: Iterable[str]) -> set[str]:
    """The buckets of all `gs://` places among options, given as `--name=place` or as words of their own."""
    places = [part for word in words for part in (word, word.partition("=")[2]) if part.startswith("gs://")]
    return {_split(place)[0] for place in places}


def files_below(folder: Path | None) -> list[tuple[str, Path]]:
    """The files below a folder, sorted; nothing where there is no folder."""
    if folder is None:
        return []
    return sorted((path.relative_to(folder).as_posix(), path) for path in folder.rglob("*") if path.is_file())


def halves(files: Files) -> list[Files]:
    """What is there when a stream starts for the first time, and what comes before the second: later segments."""
    segments = [file for file in files if file[0].startswith("segments/")]
    early, late = segments[: -(-len(segments) // 2)], segments[-(-len(segments) // 2) :]
    return [[file for file in files if file not in segments] + early, late]


def put(gcs: GcsServer, place: str, files: Files) -> None:
    """Store files below a place."""
    bucket, prefix = _split(place)
    for name, path in files:
        gcs.put(bucket, f"{prefix}{name}", path.read_bytes())


def objects_below(gcs: GcsServer, place: str) -> dict[str, bytes]:
    """The objects below a place, by their names there."""
    bucket, prefix = _split(place)
    found = gcs.objects(bucket).items()
    return {name.removeprefix(prefix): bytes(stored.data) for name, stored in found if name.startswith(prefix)}


def write(objects: Mapping[str, bytes], deleted: Iterable[Path], folder: Path) -> None:
    """Make a folder hold these objects, without the files that the job deleted. Nothing else there is touched."""
    for path in deleted:
        path.unlink(missing_ok=True)
    for name, data in objects.items():
        path = folder / name
        if not path.is_file() or path.read_bytes() != data:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)


def read(gcs: GcsServer, place: str) -> bytes | None:
    """The bytes of one object, None if it is not there."""
    bucket, _, name = place.removeprefix("gs://").partition("/")
    if bucket not in {one.name for one in gcs.store.buckets()}:
        return None
    stored = gcs.objects(bucket).get(name)
    return bytes(stored.data) if stored else None


def _split(place: str) -> tuple[str, str]:
    bucket, _, prefix = place.removeprefix("gs://").rstrip("/").partition("/")
    return bucket, f"{prefix}/" if prefix else ""
