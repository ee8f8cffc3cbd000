"""Import recordings of kernel events: evemu's text and libinput's YAML, of one or several devices of a session.

What the events mean is `taskreel.capture.kernel`'s; here files become devices, one clock and a recording.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from taskreel.capture.importers import evemu
from taskreel.capture.importers.foreign import (
    BadLine,
    ForeignRecordingError,
    Imported,
    ImportOptions,
    recording_header,
    session_files,
)
from taskreel.capture.importers.kernel_files import DeviceFile, Recorded
from taskreel.capture.kernel.devices import Pointing
from taskreel.capture.kernel.interpret import ASSUMED_SCREEN_PX, Interpretation, interpret
from taskreel.capture.keymaps import AnyKeymap, keymap_for

RELATIVE, DEVICE = "relative", "device"
"""Coordinate spaces: where the pointer got to from its unknown beginning; the area of a device that knows places."""

_UTC_FROM_US = 1_000_000_000_000_000
"""Times from here on (2001) are UTC. Others count from the start of the recorder or of the machine."""
_CLOCK_BACK_WORTH_SAYING_US = 1000


def read_evemu(sources: Sequence[Path], options: ImportOptions) -> Imported:
    """Read the evemu files of one session, one file a device."""
    return _read("evemu", evemu.read_evemu_file, session_files(sources, evemu.SUFFIXES), options)


def read_libinput(sources: Sequence[Path], options: ImportOptions) -> Imported:
    """Read the files by `libinput record` of one session, each of one or several devices."""
    from taskreel.capture.importers import libinput  # needs PyYAML, which evemu's text does not

    return _read("libinput", libinput.read_libinput_file, session_files(sources, libinput.SUFFIXES), options)


def _read(
    source: str, read_file: Callable[[Path], DeviceFile], paths: Sequence[Path], options: ImportOptions
) -> Imported:
    paths = sorted(set(paths))
    files = [read_file(path) for path in paths]
    recorded = sorted((one for file in files for one in file.devices), key=_identity)
    keymap = keymap_for(options.layout)
    is_utc = _is_utc(paths, files)
    interpretation = interpret([(one.device, one.events) for one in recorded], keymap)
    first_us = int(interpretation.events.column("time_us")[0].as_py()) if interpretation.events.num_rows else 0
    header = replace(
        recording_header(source, paths, options),
        coordinate_space=_space(recorded),
        keyboard_layout=options.layout or "",
        clock_anchors=((first_us, first_us),) if is_utc else (),
    )
    return Imported(
        header,
        interpretation.events,
        coordinate_space=_about_space(header.coordinate_space),
        clock=_about_clock(is_utc),
        keymap=_about_keymap(keymap),
        bad_lines=tuple(sorted((line for file in files for line in file.bad_lines), key=_line_order)),
        notes=(*(note for file in files for note in file.notes), *_notes(recorded, interpretation)),
    )


def _identity(recorded: Recorded) -> tuple[str, str]:
    """What a device is sorted by, so that the order of files means nothing."""
    return hashlib.sha256(recorded.events.tobytes()).hexdigest(), repr(recorded.device)


def _line_order(bad: BadLine) -> tuple[str, int, str]:
    return bad.file, bad.line, bad.reason


# ---------------------------------------------------------------------------------------------------- clock


def _is_utc(paths: Sequence[Path], files: Sequence[DeviceFile]) -> bool:
    """Whether the files' times are UTC. Raises `ForeignRecordingError` if some are and some are not."""
    starts = [(path, _start_us(file)) for path, file in zip(paths, files, strict=True)]
    known = [(path, start >= _UTC_FROM_US) for path, start in starts if start is not None]
    utc = [path for path, is_utc in known if is_utc]
    other = [path for path, is_utc in known if not is_utc]
    if utc and other:
        raise ForeignRecordingError(
            f"{other[0]}: its times count from a start that it does not say, those of {utc[0]} are UTC; "
            "nobody knows how they lie to one another: import them apart"
        )
    return bool(utc)


def _start_us(file: DeviceFile) -> int | None:
    return min((int(one.events["time_us"].min()) for one in file.devices if len(one.events)), default=None)


def _about_clock(is_utc: bool) -> str:
    if is_utc:
        return "the kernel's wall clock, UTC"
    return (
        "counted from a start that the recording does not say; told as if that had been 1970-01-01T00:00:00Z. "
        "Several files are taken to have begun together"
    )


# ---------------------------------------------------------------------------------------------------- what was assumed


def _space(recorded: Sequence[Recorded]) -> str:
    """`device` if only devices that know places move the pointer, else `relative`."""
    absolute = any(one.device.pointing in (Pointing.TABLET, Pointing.TOUCHSCREEN) for one in recorded)
    relative = any(one.device.pointing is Pointing.TOUCHPAD or one.is_moving for one in recorded)
    return DEVICE if absolute and not relative else RELATIVE


def _about_space(space: str) -> str:
    if space == DEVICE:
        width, height = ASSUMED_SCREEN_PX
        return f"device: the device's area, scaled to {width}×{height} px, since no kernel event says the screen"
    return (
        "relative: pixels from where the pointer was at first, integrated from motion and flagged as estimated; "
        "a count of a mouse is a pixel, since the desktop's acceleration is not known"
    )


def _about_keymap(keymap: AnyKeymap) -> str:
    if keymap.is_assumed:
        return "no layout was named: a US keyboard is assumed, and all text is flagged (unknown_layout)"
    return f"the layout {keymap.layout} of XKB, with all locks off at first"


def _notes(recorded: Sequence[Recorded], interpretation: Interpretation) -> Iterator[str]:
    pads = [one.device for one in recorded if one.device.pointing is Pointing.TOUCHPAD]
    guessed = sum(not pad.has_resolution() for pad in pads)
    if guessed:
        yield f"{guessed} touchpad(s) do not say their resolution: their size is assumed"
    if pads:
        yield "what fingers on a touchpad did is as libinput's defaults with tapping on would have it"
    if interpretation.clock_back_us > _CLOCK_BACK_WORTH_SAYING_US:
        yield f"the clock was set back by {interpretation.clock_back_us} µs in all: times go on from there"
    if interpretation.ignored:
        total = sum(interpretation.ignored.values())
        yield f"{total} kernel events are not used: {', '.join(sorted(interpretation.ignored))}"
