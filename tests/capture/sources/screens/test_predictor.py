from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from taskreel.capture.sources.screens.predictor import is_lossless_smaller

HEIGHT, WIDTH = 480, 640


def text() -> np.ndarray:
    image = Image.new("RGB", (WIDTH, HEIGHT), "white")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(14)
    for line in range(25):
        draw.text(
            (10, 18 * line), f"{line:4} def measure(frame: np.ndarray, size_px: int) -> bool:  # {line**3}", 0, font
        )
    return np.asarray(image)


def windows() -> np.ndarray:
    image = Image.fromarray(text())
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, WIDTH, 40), "#2d2d30")
    for button in range(6):
        draw.rounded_rectangle((20 + 90 * button, 8, 100 + 90 * button, 32), 6, "#3584e4", "#1a5fb4")
    draw.rectangle((400, 60, 620, 460), "#f6f5f4", "#cdc7c2")
    return np.asarray(image)


def photo(noise: float) -> np.ndarray:
    rng = np.random.default_rng(3)
    rough = rng.integers(0, 255, (12, 16, 3), np.uint8)
    smooth = np.asarray(Image.fromarray(rough).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC), float)
    return np.clip(smooth + rng.normal(0, noise, smooth.shape), 0, 255).astype(np.uint8)


def beside(left: np.ndarray, right: np.ndarray, share: float) -> np.ndarray:
    pixels = right.copy()
    pixels[:, : int(WIDTH * share)] = left[:, : int(WIDTH * share)]
    return pixels


def gradient() -> np.ndarray:
    levels = np.linspace(20, 120, HEIGHT)[:, None] + np.linspace(0, 120, WIDTH)
    return (levels[..., None] * np.array([0.3, 0.6, 1.0])).astype(np.uint8)


def noise() -> np.ndarray:
    return np.random.default_rng(5).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)


CASES = {
    "text": (text(), True),
    "white on black": (255 - text(), True),
    "windows": (windows(), True),
    "one color": (np.full((HEIGHT, WIDTH, 3), 77, np.uint8), True),
    "photo": (photo(3), False),
    "photo without noise": (photo(0), False),
    "a photo beside text": (beside(photo(3), text(), 0.3), False),
    "gradient": (gradient(), False),
    "noise": (noise(), False),
}


@pytest.mark.parametrize("case", CASES)
def test_the_smaller_way_is_taken(case: str) -> None:
    pixels, is_lossless = CASES[case]
    sizes = {
        True: size(pixels, lossless=True, quality=0, method=1),
        False: size(pixels, quality=80, method=0),
    }
    assert sizes[is_lossless] < sizes[not is_lossless], "the case is not what it is meant to be"
    assert is_lossless_smaller(words(pixels)) == is_lossless


@pytest.mark.parametrize("size", [(1, 1), (1, 200), (200, 1), (16, 17), (17, 16)])
def test_small_frames_are_no_problem(size: tuple[int, int]) -> None:
    assert is_lossless_smaller(np.full(size, 0xFF000000, np.uint32))


def size(pixels: np.ndarray, **options: object) -> int:
    into = io.BytesIO()
    Image.fromarray(pixels).save(into, "WEBP", **options)
    return into.tell()


def words(pixels: np.ndarray) -> np.ndarray:
    """RGB as an X server has it."""
    red, green, blue = (pixels[..., channel].astype(np.uint32) for channel in range(3))
    return 0xFF000000 | red << 16 | green << 8 | blue
