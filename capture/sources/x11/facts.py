"""What a window says of itself, in its properties."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WindowFacts:
    """A top-level window of a program, without the frame of the window manager. 0 and "" are: it does not say.

    `instance` and `class_name` are the two parts of WM_CLASS, `process` the name of the process `pid`. `transient_for`,
    `leader` (WM_CLIENT_LEADER) and `group` (of WM_HINTS) are other windows. `client` is the same for all windows that
    were made over one connection to the X server, whatever they say. `is_popup`: no window manager manages it (it is
    override-redirect): a menu, a tooltip, a list of completions.
    """

    id: int
    is_popup: bool = False
    instance: str = ""
    class_name: str = ""
    title: str = ""
    pid: int = 0
    process: str = ""
    transient_for: int = 0
    leader: int = 0
    group: int = 0
    client: int = 0

    @property
    def app(self) -> str | None:
        """The program's name, as the program spells it; None if it does not say."""
        return self.class_name or self.instance or None
