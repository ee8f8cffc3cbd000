"""Where things are on the simulated screen. All in pixels; a box is (left, top, right, bottom), ends excluded."""

from __future__ import annotations

from dataclasses import dataclass

Box = tuple[int, int, int, int]

LINE_PX = 20
CELL_PX = (88, 22)
ROW_HEAD_PX = 36
_MARGIN_PX = 36
_TASKBAR_PX = 38
_TITLE_PX = 26
_TOOLBAR_PX = 36
_STATUS_PX = 24
_MOST_TASKS = 8


@dataclass(frozen=True)
class Layout:
    """The geometry of a screen with one large window in front and a taskbar below."""

    width_px: int
    height_px: int

    @property
    def window(self) -> Box:
        """The window in front, with its frame."""
        return _MARGIN_PX, 20, self.width_px - _MARGIN_PX, self.height_px - _TASKBAR_PX - 14

    @property
    def title(self) -> Box:
        """Its title bar."""
        left, top, right, _ = self.window
        return left, top, right, top + _TITLE_PX

    @property
    def body(self) -> Box:
        """What lies between its toolbar and its status bar."""
        left, top, right, bottom = self.window
        return left + 2, top + _TITLE_PX + _TOOLBAR_PX, right - 2, bottom - _STATUS_PX

    @property
    def status(self) -> Box:
        """Its status bar."""
        left, _, right, bottom = self.window
        return left, bottom - _STATUS_PX, right, bottom

    @property
    def rows(self) -> int:
        """How many lines of text the body holds."""
        _, top, _, bottom = self.body
        return (bottom - top - 8) // LINE_PX

    @property
    def columns(self) -> int:
        """After how many characters a line of the body is broken."""
        left, _, right, _ = self.body
        return max(20, (right - left - 24) // 10)

    def button(self, number: int) -> Box:
        """A button of the toolbar, from 0."""
        left, top, _, _ = self.window
        return left + 8 + 92 * number, top + _TITLE_PX + 5, left + 92 + 92 * number, top + _TITLE_PX + 31

    def task(self, number: int) -> Box:
        """An application's button in the taskbar, from 0."""
        width = min(160, (self.width_px - 16) // _MOST_TASKS)
        left = 8 + width * number
        return left, self.height_px - _TASKBAR_PX + 5, left + width - 6, self.height_px - 5

    def line_at(self, row: int) -> tuple[int, int]:
        """The upper left corner of a line of text in the body."""
        left, top, _, _ = self.body
        return left + 12, top + 4 + LINE_PX * row

    def grid(self) -> tuple[int, int]:
        """How many columns and rows of cells the body holds."""
        left, top, right, bottom = self.body
        return (right - left - ROW_HEAD_PX) // CELL_PX[0], (bottom - top) // CELL_PX[1] - 1

    def cell(self, column: int, row: int) -> Box:
        """A cell of the body's grid, from (0, 0)."""
        left, top, _, _ = self.body
        x, y = left + ROW_HEAD_PX + CELL_PX[0] * column, top + CELL_PX[1] * (row + 1)
        return x, y, x + CELL_PX[0], y + CELL_PX[1]

    def cell_at(self, x: int, y: int) -> tuple[int, int]:
        """The cell (column, row) nearest to a point."""
        left, top, _, _ = self.body
        columns, rows = self.grid()
        column, row = (x - left - ROW_HEAD_PX) // CELL_PX[0], (y - top) // CELL_PX[1] - 1
        return min(max(column, 0), columns - 1), min(max(row, 0), rows - 1)
