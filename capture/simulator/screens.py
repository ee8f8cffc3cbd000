"""Screens drawn with Pillow: what was typed and clicked is really to be seen in them.

Flat colors and letters without smoothing: such a picture is drawn and encoded (lossless WebP) in some 8 ms, and is
a third of the size of a lossy one. Letters come from Pillow's own font; each is rendered once, each line of text
put together once and kept.
"""

from __future__ import annotations

import io
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from taskreel.capture.frames import difference_hash
from taskreel.capture.simulator.documents import Application
from taskreel.capture.simulator.layout import CELL_PX, LINE_PX, Box, Layout
from taskreel.capture.simulator.windows import EARLIER_LINES, Window
from taskreel.io.segments import picture_hash

_COLORS = {
    "desktop": (38, 62, 92),
    "paper": (255, 255, 255),
    "ink": (24, 24, 28),
    "pale": (150, 150, 158),
    "bar": (226, 228, 233),
    "title": (70, 98, 160),
    "link": (20, 70, 190),
    "mark": (255, 224, 120),
    "pressed": (200, 70, 50),
    "caret": (200, 20, 20),
    "line": (212, 214, 220),
    "taskbar": (24, 30, 42),
    "task": (52, 62, 82),
}
_PEN = {name: number for number, name in enumerate(_COLORS)}
_FONT_PX = 14
_INK = 85
"""How much of a pixel a letter has to cover."""
_KEPT_LINES = 4096
_KEPT_PICTURES = 16
_FILLER = (
    "The figures of the second quarter are in the annex, with notes on each site",
    "Please send your comments by Friday; the draft goes to print on Monday morning",
    "Orders above the limit need two signatures, as agreed in the spring",
    "See also: delivery times, spare parts, returns and complaints",
    "Contact the help desk if the form cannot be opened, and name its number",
    "Three of five suppliers have answered; the others were asked again",
    "",
)


@dataclass(frozen=True)
class Picture:
    """An encoded picture with what the event table says of it."""

    data: bytes
    hash: str
    dhash: int
    pixels: np.ndarray

    def change_ppm(self, before: Picture) -> int:
        """How much of the screen has changed, in pixels a million; rounded up, so that 0 is no change at all."""
        if self.hash == before.hash:
            return 0
        return -(-1_000_000 * int(np.count_nonzero(self.pixels != before.pixels)) // self.pixels.size)


class Painter:
    """Draws the screen of one device. Equal windows give the same picture; the latest are kept."""

    def __init__(self, applications: Sequence[Application], layout: Layout, webp_quality: int | None) -> None:
        self.applications = applications
        self.layout = layout
        self.webp_quality = webp_quality
        self._bases: dict[int, Image.Image] = {}
        self._kept: OrderedDict[Window, Picture] = OrderedDict()

    def picture(self, window: Window) -> Picture:
        """The picture of the screen with this window in front."""
        picture = self._kept.pop(window, None) or self._encode(self.draw(window))
        self._kept[window] = picture
        if len(self._kept) > _KEPT_PICTURES:
            self._kept.popitem(last=False)
        return picture

    def draw(self, window: Window) -> Image.Image:
        """The screen as an image with a palette."""
        application = self.applications[window.document.application]
        image = self._base(window.document.application).copy()
        pen = ImageDraw.Draw(image)
        title = window.title(application)
        _write(image, self.layout.title[0] + 12, self.layout.title[1] + 5, title, "paper")
        if window.pressed >= 0:
            self._button(image, pen, window.pressed, application.buttons[window.pressed], "pressed", "paper")
        if window.marked:
            self._fill(pen, window.marked, "mark")
        {"document": self._document, "grid": self._grid, "page": self._page}[application.kind](image, pen, window)
        _write(image, self.layout.status[0] + 12, self.layout.status[1] + 4, window.status, "ink")
        return image

    def _encode(self, image: Image.Image) -> Picture:
        sink = io.BytesIO()
        how = {"lossless": True, "quality": 0} if self.webp_quality is None else {"quality": self.webp_quality}
        image.convert("RGB").save(sink, "WEBP", method=0, **how)
        data = sink.getvalue()
        return Picture(data, picture_hash(data), difference_hash(image), np.asarray(image))

    def _base(self, number: int) -> Image.Image:
        """What never changes in a window: desktop, taskbar, frame, toolbar, the grid's lines."""
        if number not in self._bases:
            image = Image.new("P", (self.layout.width_px, self.layout.height_px), _PEN["desktop"])
            image.putpalette([value for color in _COLORS.values() for value in color])
            pen = ImageDraw.Draw(image)
            self._frame(image, pen, number)
            self._taskbar(image, pen, number)
            self._bases[number] = image
        return self._bases[number]

    def _frame(self, image: Image.Image, pen: ImageDraw.ImageDraw, number: int) -> None:
        application = self.applications[number]
        for box, color in (
            (self.layout.window, "bar"),
            (self.layout.title, "title"),
            (self.layout.body, "paper"),
        ):
            self._fill(pen, box, color)
        for place, label in enumerate(application.buttons):
            self._button(image, pen, place, label, "line", "ink")
        if application.kind == "grid":
            self._grid_lines(pen)

    def _taskbar(self, image: Image.Image, pen: ImageDraw.ImageDraw, number: int) -> None:
        width, height = self.layout.width_px, self.layout.height_px
        self._fill(pen, (0, self.layout.task(0)[1] - 5, width, height), "taskbar")
        for place, application in enumerate(self.applications):
            box = self.layout.task(place)
            self._fill(pen, box, "title" if place == number else "task")
            _write(image, box[0] + 10, box[1] + 6, application.name, "paper")

    def _button(
        self, image: Image.Image, pen: ImageDraw.ImageDraw, place: int, label: str, color: str, ink: str
    ) -> None:
        box = self.layout.button(place)
        self._fill(pen, box, color)
        _write(image, box[0] + 10, box[1] + 5, label, ink)

    def _fill(self, pen: ImageDraw.ImageDraw, box: Box, color: str) -> None:
        left, top, right, bottom = box
        pen.rectangle((left, top, right - 1, bottom - 1), fill=_PEN[color])

    # -------------------------------------------------------------------------------------------- contents

    def _document(self, image: Image.Image, pen: ImageDraw.ImageDraw, window: Window) -> None:
        """Lines that were there before, pale, and below them what was typed; the last line is at the bottom."""
        total = EARLIER_LINES + len(window.lines)
        first = max(0, total - self.layout.rows - window.scroll)
        for row, number in enumerate(range(first, min(total, first + self.layout.rows))):
            mine = number >= EARLIER_LINES
            text = window.lines[number - EARLIER_LINES] if mine else _filler(number, window)
            _write(image, *self.layout.line_at(row), text, "ink" if mine else "pale")
        self._caret(pen, window)

    def _page(self, image: Image.Image, pen: ImageDraw.ImageDraw, window: Window) -> None:
        """The search field with what was typed, and lines of links below."""
        x, y = self.layout.line_at(0)
        pen.rectangle((x - 4, y - 1, x + 420, y + LINE_PX - 3), outline=_PEN["title"])
        _write(image, x, y, window.lines[-1], "ink")
        for row in range(1, self.layout.rows):
            number = row + window.scroll
            color = "link" if number % 3 == 1 else "pale"
            _write(image, *self.layout.line_at(row), _filler(number, window), color)
        self._caret(pen, window)

    def _grid(self, image: Image.Image, pen: ImageDraw.ImageDraw, window: Window) -> None:
        """Cells with what was typed, the row numbers as scrolled, and a frame around the cell that was clicked."""
        columns, rows = self.layout.grid()
        if window.marked:
            self._grid_lines(pen)
        for row in range(rows):
            left, top, _, _ = self.layout.cell(0, row)
            _write(image, left - 30, top + 3, str(row + 1 + window.scroll), "pale")
        for column, row, text in window.cells:
            if 0 <= row - window.scroll < rows and column < columns:
                left, top, right, bottom = self.layout.cell(column, row - window.scroll)
                self._fill(pen, (left + 1, top + 1, right - 1, bottom - 1), "paper")
                _write(image, left + 4, top + 3, text[:10], "ink")
        if window.point:
            left, top, right, bottom = self.layout.cell(*self.layout.cell_at(*window.point))
            pen.rectangle((left, top, right, bottom), outline=_PEN["caret"], width=2)

    def _grid_lines(self, pen: ImageDraw.ImageDraw) -> None:
        columns, rows = self.layout.grid()
        _, top, _, _ = self.layout.body
        left, first, _, _ = self.layout.cell(0, 0)
        right, bottom = left + columns * CELL_PX[0], first + rows * CELL_PX[1]
        for x in range(left, right + 1, CELL_PX[0]):
            pen.line((x, top, x, bottom), fill=_PEN["line"])
        for y in range(first, bottom + 1, CELL_PX[1]):
            pen.line((left, y, right, y), fill=_PEN["line"])

    def _caret(self, pen: ImageDraw.ImageDraw, window: Window) -> None:
        if window.point and window.caret:
            x, y = window.point
            pen.rectangle((x - 1, y - 9, x + 1, y + 9), fill=_PEN["caret"])


def _filler(number: int, window: Window) -> str:
    text = _FILLER[(number * 5 + len(window.document.name) * 3) % len(_FILLER)]
    return f"{number + 1}  {text}" if text else ""


def _write(image: Image.Image, x: int, y: int, text: str, color: str) -> None:
    """Write a line of text. What is outside the image is cut off."""
    if text:
        image.paste(_PEN[color], (x, y), _line(text))


_lines: OrderedDict[str, Image.Image] = OrderedDict()


def _line(text: str) -> Image.Image:
    """The mask of a line of text. Kept: a text stands on many pictures."""
    if text not in _lines:
        glyphs = [_glyph(character) for character in text]
        mask = Image.new("1", (sum(advance for _, advance in glyphs) + 4, _FONT_PX + 4))
        x = 0
        for glyph, advance in glyphs:
            mask.paste(1, (x, 0), glyph)
            x += advance
        _lines[text] = mask
        if len(_lines) > _KEPT_LINES:
            _lines.popitem(last=False)
    return _lines[text]


@cache
def _glyph(character: str) -> tuple[Image.Image, int]:
    """A letter's mask and how far the next one is from it, whole pixels."""
    font = ImageFont.load_default(_FONT_PX)
    smooth = Image.new("L", (2 * _FONT_PX, _FONT_PX + 4))
    ImageDraw.Draw(smooth).text((0, 0), character, font=font, fill=255)
    mask = smooth.point([255 * (value >= _INK) for value in range(256)], "1")
    return mask, max(3, round(font.getlength(character)))
