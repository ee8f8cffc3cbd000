"""The formats that can be imported. Their readers are imported when they are used: some need libraries of an extra."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import cast

from taskreel.capture.importers.control import tag_recorder_control
from taskreel.capture.importers.foreign import ForeignRecordingError, Imported, ImportOptions, Reader
from taskreel.capture.keymaps import UnknownLayoutError


class MissingLibraryError(ImportError):
    """A library that a format needs is not installed; the message names the extra to install."""


@dataclass(frozen=True)
class Format:
    """A format: where its reader is, and what a person has to know of it to choose it."""

    module: str
    function: str
    what: str

    def reader(self) -> Reader:
        """The function that reads the format. Raises `ImportError` if a library is missing."""
        return cast(Reader, getattr(import_module(f"{__package__}.{self.module}"), self.function))


FORMATS = {
    "ducktrack": Format("ducktrack", "read", "DuckTrack and AgentNet: events.jsonl, metadata.json, a video"),
    "owamcap": Format("owamcap", "read", "OWAMcap of open-world-agents: .mcap, a video"),
    "evemu": Format("kernel", "read_evemu", "evemu: kernel events of one or more devices, as text"),
    "libinput": Format("kernel", "read_libinput", "libinput record: kernel events of one or more devices, as YAML"),
}


def import_recording(name: str, sources: Sequence[Path], options: ImportOptions) -> Imported:
    """Read a session of the format `name`, with the recorder's own keys tagged.

    Raises `ForeignRecordingError` for what is not of the format, cannot be read or names no layout, and
    `MissingLibraryError` for what cannot be read here.
    """
    try:
        imported = FORMATS[name].reader()(sources, options)
    except UnknownLayoutError as error:
        raise ForeignRecordingError(f"--layout {options.layout}: {error}") from error
    except OSError as error:
        raise ForeignRecordingError(f"{error.filename}: cannot be read ({error.strerror})") from error
    except ImportError as error:
        raise MissingLibraryError(
            f"{name} needs the extra `import` (pip install 'taskreel[import]'): {error}"
        ) from error
    return replace(imported, events=tag_recorder_control(imported.events))
