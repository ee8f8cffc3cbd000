"""To which window a menu, a tooltip or a dialog belongs.

By what it names first (WM_TRANSIENT_FOR), then by what it shares with others: the connection to the X server, the
process, the client leader (ICCCM 5.1), the window group (ICCCM 4.1.2.4).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from taskreel.capture.sources.x11.facts import WindowFacts


def are_kin(one: WindowFacts, other: WindowFacts) -> bool:
    """Whether two windows are of one program, as far as they say."""
    return (
        _same(one.client, other.client)
        or _same(one.pid, other.pid)
        or _same(one.leader, other.leader)
        or _same(one.group, other.group)
    )


def ancestors(window: WindowFacts, windows: Mapping[int, WindowFacts]) -> Iterator[WindowFacts]:
    """The windows that a window stands before, by WM_TRANSIENT_FOR, nearest first. Ends where they go in a circle."""
    seen = {window.id}
    while (above := windows.get(window.transient_for)) is not None and above.id not in seen:
        seen.add(above.id)
        yield above
        window = above


def owner(window: WindowFacts, windows: Sequence[WindowFacts], focus: int = 0) -> WindowFacts | None:
    """The window to which one belongs: itself, if it is no popup; None if nothing says it.

    `windows` are all, bottom to top. Of several windows of the popup's program it is the one with the focus, else the
    topmost.
    """
    if not window.is_popup:
        return window
    by_id = {known.id: known for known in windows}
    if window.transient_for:
        for above in ancestors(window, by_id):
            if not above.is_popup:
                return above
    kin = [known for known in windows if not known.is_popup and are_kin(window, known)]
    return next((known for known in kin if known.id == focus), kin[-1] if kin else None)


def _same(one: int, other: int) -> bool:
    return one != 0 and one == other
