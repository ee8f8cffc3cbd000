"""The applications, and what a window of one shows after what was done in it. Values and pure functions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from taskreel.capture.simulator.layout import Box, Layout

WindowKind = Literal["document", "grid", "page"]
_KEPT_LINES = 60
_KEPT_CELLS = 80
_MOST_SCROLL = 400
EARLIER_LINES = 60
"""What a document holds before anything is typed."""


@dataclass(frozen=True)
class Application:
    """A program: `titles` are those of its documents or pages, `urls` beside them for a browser."""

    name: str
    kind: WindowKind
    titles: tuple[str, ...]
    buttons: tuple[str, ...]
    completion: str
    tasks: tuple[str, ...]
    urls: tuple[str, ...] = ()


APPLICATIONS = (
    Application(
        "Writer",
        "document",
        ("Quarterly report.odt - Writer", "Meeting notes.odt - Writer", "Travel plan.odt - Writer"),
        ("Bold", "Italic", "List", "Save"),
        "ctrl+s",
        ("Write up the meeting notes", "Revise the quarterly report", "Draft the travel plan"),
    ),
    Application(
        "Calc",
        "grid",
        ("Budget 2026.ods - Calc", "Inventory.ods - Calc", "Time sheet.ods - Calc"),
        ("Sum", "Sort", "Filter", "Save"),
        "ctrl+s",
        ("Enter the receipts of the month", "Update the inventory", "Fill in the time sheet"),
    ),
    Application(
        "Firefox",
        "page",
        ("Search - Firefox", "Train connections - Firefox", "Supplier catalog - Firefox", "Weather - Firefox"),
        ("Back", "Search", "Reload", "Bookmark"),
        "ctrl+d",
        ("Find a train connection", "Compare two suppliers", "Look up tomorrow's weather"),
        (
            "https://search.example/",
            "https://trains.example/connections",
            "https://supplier.example/catalog",
            "https://weather.example/tomorrow",
        ),
    ),
    Application(
        "Mail",
        "document",
        ("Inbox - Mail", "Re: Offer - Mail", "Re: Appointment - Mail"),
        ("Reply", "Forward", "Archive", "Send"),
        "ctrl+enter",
        ("Answer the offer by mail", "Arrange an appointment by mail", "Tidy up the inbox"),
    ),
    Application(
        "Terminal",
        "document",
        ("~/project - Terminal", "~/project/docs - Terminal"),
        ("New", "Copy", "Paste", "Clear"),
        "ctrl+d",
        ("Build the project and read its log", "Rename the files of the archive"),
    ),
    Application(
        "Files",
        "page",
        ("Documents - Files", "Downloads - Files", "Pictures - Files"),
        ("Up", "Search", "Rename", "Share"),
        "ctrl+s",
        ("Sort the downloads into folders", "Find last year's contract"),
    ),
)
"""What people have installed; each has 2 to 5 of them."""


@dataclass(frozen=True)
class Window:
    """What one window shows. Equal windows look the same, so a picture is drawn only when this has changed.

    `lines`: what was typed, `cells`: (column, row, text) of a grid, `point`: where the caret was put, `marked`: the
    selection, `pressed`: the button that was clicked last and `presses` how often buttons were, `scroll` in lines:
    from the top of a page or a grid, from the end of a document.
    """

    application: int
    page: int = 0
    lines: tuple[str, ...] = ("",)
    cells: tuple[tuple[int, int, str], ...] = ()
    point: tuple[int, int] | None = None
    marked: Box | None = None
    pressed: int = -1
    presses: int = 0
    scroll: int = 0
    status: str = "Ready"


def clicked_button(window: Window, number: int, label: str) -> Window:
    """After a click on a button of the toolbar."""
    presses = window.presses + 1
    return replace(window, pressed=number, presses=presses, marked=None, status=f"{label} clicked ({presses})")


def clicked_body(window: Window, x: int, y: int) -> Window:
    """After a click into the content: the caret is there."""
    return replace(window, point=(x, y), marked=None, pressed=-1)


def opened_page(window: Window, page: int) -> Window:
    """After a link was followed: another page, from its top, with an empty field."""
    lines = (*window.lines[-_KEPT_LINES:], "") if window.lines[-1] else window.lines
    return replace(window, page=page, scroll=0, point=None, marked=None, pressed=-1, lines=lines)


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
        return replace(window, cells=cells[-_KEPT_CELLS:], marked=None)
    line = resolved(window.lines[-1], text)
    width = layout.columns
    lines = tuple(line[start : start + width] for start in range(0, len(line), width)) or ("",)
    return replace(window, lines=(*window.lines[:-1], *lines)[-_KEPT_LINES:], marked=None, scroll=0)


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
