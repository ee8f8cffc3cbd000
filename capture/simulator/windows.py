"""What a window shows after what was done in it. Values and pure functions."""

from __future__ import annotations

from dataclasses import dataclass, replace

from taskreel.capture.simulator.documents import Application, Document, WindowKind
from taskreel.capture.simulator.layout import Box, Layout

_KEPT_LINES = 60
_KEPT_CELLS = 80
_MOST_SCROLL = 400
EARLIER_LINES = 60
"""What a document holds before anything is typed."""


@dataclass(frozen=True)
class Window:
    """What one window shows. Equal windows look the same, so a picture is drawn only when this has changed.

    `lines`: what was typed, `cells`: (column, row, text) of a grid, `point`: where the caret was put, `marked`: the
    selection, `pressed`: the button that was clicked last and `presses` how often buttons were, `scroll` in lines:
    from the top of a page or a grid, from the end of a document. `unsaved` and `unread` are told by the title.
    """

    document: Document
    lines: tuple[str, ...] = ("",)
    cells: tuple[tuple[int, int, str], ...] = ()
    point: tuple[int, int] | None = None
    marked: Box | None = None
    pressed: int = -1
    presses: int = 0
    scroll: int = 0
    status: str = "Ready"
    unsaved: bool = False
    unread: int = 0
    caret: bool = True

    def title(self, application: Application) -> str:
        """Its title, as the window manager shows it.

        >>> from taskreel.capture.simulator.documents import APPLICATIONS
        >>> Window(Document(3, "Atlas draft.odt"), unsaved=True).title(APPLICATIONS[3])
        '*Atlas draft.odt - Writer'
        """
        unread = f" ({self.unread})" if self.unread else ""
        return f"{'*' if self.unsaved else ''}{self.document.name}{unread} - {application.name}"


def clicked_button(window: Window, number: int, label: str) -> Window:
    """After a click on a button of the toolbar."""
    presses = window.presses + 1
    return replace(window, pressed=number, presses=presses, marked=None, status=f"{label} clicked ({presses})")


def clicked_body(window: Window, x: int, y: int) -> Window:
    """After a click into the content: the caret is there."""
    return replace(window, point=(x, y), marked=None, pressed=-1)


def saved(window: Window) -> Window:
    """After it was saved."""
    return replace(window, unsaved=False, status="Saved")


def received(window: Window, unread: int) -> Window:
    """With so many messages that were not read."""
    return replace(window, unread=unread)


def loading(window: Window) -> Window:
    """While something takes its time."""
    return replace(window, status="Loading")


def loaded(window: Window, number: int) -> Window:
    """After something has taken its time; never as it looked before."""
    lines = (*window.lines[:-1], f"Result {number}", window.lines[-1])
    return replace(window, lines=lines[-_KEPT_LINES:], status=f"Loaded {number}", scroll=0, marked=None, pressed=-1)


def marked(window: Window, box: Box) -> Window:
    """After a selection with the pointer."""
    return replace(window, marked=box, status="Selected")


def scrolled(window: Window, lines: int, kind: WindowKind, layout: Layout) -> Window:
    """After scrolling down by some lines, or up if below 0; not past the ends."""
    if kind == "document":
        lines, most = -lines, max(0, EARLIER_LINES + len(window.lines) - layout.rows)
    else:
        most = _MOST_SCROLL
    return replace(window, scroll=min(max(window.scroll + lines, 0), most), marked=None, point=None)


def done(window: Window, status: str) -> Window:
    """After a command whose effect is told in the status bar."""
    return replace(window, status=status)


def typed(window: Window, text: str, kind: WindowKind, layout: Layout) -> Window:
    """After typing; "\\b" takes back the character before it."""
    if kind == "grid":
        column, row = layout.cell_at(*window.point) if window.point else (0, 0)
        cells = (*window.cells, (column, row + window.scroll, resolved("", text)))
        return replace(window, cells=cells[-_KEPT_CELLS:], marked=None, unsaved=True)
    line = resolved(window.lines[-1], text)
    width = layout.columns
    lines = tuple(line[start : start + width] for start in range(0, len(line), width)) or ("",)
    unsaved = "." in window.document.name
    return replace(window, lines=(*window.lines[:-1], *lines)[-_KEPT_LINES:], marked=None, scroll=0, unsaved=unsaved)


def entered(window: Window, key: str, kind: WindowKind, layout: Layout) -> Window:
    """After Enter or Tab: the next line of a document, the next cell of a grid."""
    if kind == "grid":
        column, row = layout.cell_at(*window.point) if window.point else (0, 0)
        columns, rows = layout.grid()
        column, row = ((column + 1) % columns, row) if key == "tab" else (column, (row + 1) % rows)
        left, top, right, bottom = layout.cell(column, row)
        return replace(window, point=((left + right) // 2, (top + bottom) // 2), marked=None)
    if key == "tab":
        return replace(window, lines=(*window.lines[:-1], window.lines[-1] + "    "), scroll=0)
    return replace(window, lines=(*window.lines, "")[-_KEPT_LINES:], scroll=0, marked=None)


def resolved(before: str, typed_text: str) -> str:
    """The text that stands there once backspaces have been applied.

    >>> resolved("Dear ", "Mx\\br Smith")
    'Dear Mr Smith'
    """
    if "\b" not in typed_text:
        return before + typed_text
    characters = list(before)
    for character in typed_text:
        if character != "\b":
            characters.append(character)
        elif characters:
            characters.pop()
    return "".join(characters)
