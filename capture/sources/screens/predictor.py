"""Which WebP is the smaller one, lossless or lossy, told from the pixels, because to encode both costs too much.

Lossless pays for every pixel that is not like its left or upper neighbor. Lossy pays for sharp edges. Text and widgets
have few new pixels, nearly all of them sharp; photos, gradients and the noise of a video have soft ones.
"""

from __future__ import annotations

import numpy as np

_ROW_STEP = 16
"""Every 16th row is looked at: 1 ms at 1920 x 1080."""

_SHARP = 16
"""New pixels are sharp from this difference in green to the left neighbor on, of 255."""

_MAX_SOFT = 0.35
"""Lossless is taken up to this share of soft ones among new pixels. Measured (`bench/screens_predictor.py`): windows of
text and widgets have 0.17 at most, what is smaller as lossy at least 0.53."""

_MAX_NEW = 0.25
"""No screen of text has more new pixels than this (0.12 measured): it is a photo of foliage, or noise."""


def is_lossless_smaller(pixels: np.ndarray) -> bool:
    """Whether to encode a frame (`uint32`, height x width) lossless.

    Gradients behind windows are a little smaller as lossless, but take 4 times the processor: they are taken as lossy.
    """
    rows = pixels[1::_ROW_STEP]
    above = pixels[0::_ROW_STEP][: len(rows)]
    is_new = (rows[:, 1:] != rows[:, :-1]) & (rows[:, 1:] != above[:, 1:])
    green = ((rows >> 8) & 0xFF).astype(np.int16)
    is_sharp = np.abs(green[:, 1:] - green[:, :-1]) > _SHARP
    new = np.count_nonzero(is_new)
    soft = new - np.count_nonzero(is_new & is_sharp)
    return bool(new <= _MAX_NEW * is_new.size and soft <= _MAX_SOFT * new)
