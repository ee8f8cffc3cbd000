"""What an import has to say: what was assumed, what is there, what is not. Nothing of what was recorded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from taskreel.capture.importers.foreign import Alignment, Imported

_LISTED = 10


def facts(imported: Imported, segments: int) -> dict[str, Any]:
    """The report for a program, as values of JSON; all bad lines are listed."""
    return {
        "recording": imported.header.recording,
        "segments": segments,
        "events": imported.events.num_rows,
        "kinds": imported.counts(),
        "coordinate_space": imported.coordinate_space,
        "clock": imported.clock,
        "keymap": imported.keymap,
        "alignment": asdict(imported.alignment) if imported.alignment else None,
        "missing_media": list(imported.missing_media),
        "notes": list(imported.notes),
        "bad_lines": [asdict(line) for line in imported.bad_lines],
    }


def page(imported: Imported, segments: int) -> str:
    """The report for a person."""
    rows = {
        "recording": imported.header.recording,
        "segments": str(segments),
        "events": f"{imported.events.num_rows:,}",
        **{f"  {kind}": f"{count:,}" for kind, count in imported.counts().items()},
        "coordinate space": imported.coordinate_space,
        "clock": imported.clock,
        "keymap": imported.keymap,
    }
    if imported.alignment:
        rows["pictures"] = _alignment(imported.alignment)
    lines = [f"{name:18}{value}" for name, value in rows.items()]
    lines += [f"{'not there':18}{media}" for media in imported.missing_media]
    lines += [f"{'note':18}{note}" for note in imported.notes]
    return "\n".join(lines)


def bad_line_report(imported: Imported) -> Iterator[str]:
    """How many lines could not be read, and the first of them by number."""
    bad = imported.bad_lines
    if not bad:
        return
    yield f"{len(bad):,} lines could not be read; the rest was imported:"
    for line in bad[:_LISTED]:
        yield f"  {line.file}, line {line.line}: {line.reason}"
    if len(bad) > _LISTED:
        yield f"  … and {len(bad) - _LISTED:,} more (all with --json)"


def _alignment(alignment: Alignment) -> str:
    found = f"{alignment.pictures} from a video that began at {alignment.offset_us / 1_000_000:.3f} s UTC"
    if alignment.max_error_us is None or alignment.median_error_us is None:
        return f"{found}; nothing was noted to check that by"
    median_ms, most_ms = alignment.median_error_us / 1000, alignment.max_error_us / 1000
    return f"{found}; its clock and the recorder's differ by {median_ms:.0f} ms (median), at most {most_ms:.0f} ms"
