"""The process's name, so that lists of processes show who records."""

from __future__ import annotations

from pathlib import Path

from taskreel.capture.settings import OWN_NAME


def show_process_name() -> None:
    """Call this process `taskreel` (`ps -e`, `top`, `pgrep taskreel`). Raises `OSError` where there is no /proc.

    The command's line (`ps aux`) says it, too: it has the name of the program. Source: proc(5), `/proc/pid/comm`.
    """
    Path("/proc/self/comm").write_text(OWN_NAME, encoding="ascii")
