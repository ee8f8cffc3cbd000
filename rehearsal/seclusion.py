"""A worker has no file of the machine that launched the job. Played on that machine, it must not see them either.

A module of this text is put into the worker's environment, where Python imports it at every start: reading or writing a
file below one of the hidden folders fails as if it were not there. Only what Python itself opens is seen by the hook;
a library in C may still get through, and to ask whether a file exists is not to open it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

_MODULE = "taskreel_rehearsal_hides"
"""Imported by a `.pth` file, as Debian's Python has a `sitecustomize` of its own that would be found before."""

_TEXT = '''\
"""Hides files of the launching machine from a worker that is rehearsed on it. Made by `taskreel rehearse`."""

import errno
import os
import sys

HIDDEN = {hidden!r}
SEEN = {seen!r}


def _is_below(path, folders):
    return any(path == folder or path.startswith(folder + "/") for folder in folders)


def _is_made_here(event, path, arguments):
    """Whether it is a new file or folder in /tmp, which a worker has, too."""
    makes = event == "os.mkdir" or (event == "open" and (arguments[2] or 0) & os.O_CREAT)
    return makes and os.path.dirname(path) == "/tmp" and not os.path.lexists(path)


def _hook(event, arguments):
    if event not in ("open", "os.listdir", "os.scandir", "os.mkdir", "os.remove", "os.rename", "os.chdir"):
        return
    try:
        path = os.path.abspath(os.fsdecode(arguments[0]))
    except (TypeError, ValueError, IndexError):
        return
    if not _is_below(path, HIDDEN) or _is_below(path, SEEN):
        return
    if not _is_made_here(event, path, arguments):
        raise FileNotFoundError(errno.ENOENT, "of the launching machine; a worker does not have it", path)
    SEEN.append(path)


sys.addaudithook(_hook)
'''


def hide(site_packages: Path, hidden: Sequence[Path], seen: Sequence[Path]) -> None:
    """Write the module: what is below `hidden` is not there, except what is below `seen`."""
    text = _TEXT.format(hidden=_names(hidden), seen=_names(seen))
    (site_packages / f"{_MODULE}.py").write_text(text, encoding="utf-8")
    (site_packages / f"{_MODULE}.pth").write_text(f"import {_MODULE}\n", encoding="utf-8")


def _names(folders: Sequence[Path]) -> list[str]:
    return sorted({str(folder.resolve()) for folder in folders} | {str(folder.absolute()) for folder in folders})
