"""How often the smaller WebP is foretold, and what encoding costs: `python -m bench.screens_predictor`.

Processor time of the thread, the best of three.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from typing import Any

from PIL import Image

from bench.__main__ import RESULTS, machine
from bench.screens_scenes import scenes
from taskreel.capture.sources.screens.encode import LOSSLESS, LOSSY, image_of
from taskreel.capture.sources.screens.predictor import is_lossless_smaller

WAYS: dict[str, dict[str, Any]] = {
    "lossless, ours": LOSSLESS,
    "lossless m1 q30": {"lossless": True, "quality": 30, "method": 1},
    "lossless m0 q0": {"lossless": True, "quality": 0, "method": 0},
    "lossless m2 q0": {"lossless": True, "quality": 0, "method": 2},
    "lossless m4 q20": {"lossless": True, "quality": 20, "method": 4},
    "lossless m4 q50": {"lossless": True, "quality": 50, "method": 4},
    "lossy, ours": LOSSY,
    "q80 m4": {"quality": 80, "method": 4},
}


def best_ms(act: Callable[[], object]) -> float:
    spent_s = []
    for _ in range(3):
        began_s = time.thread_time()
        act()
        spent_s.append(time.thread_time() - began_s)
    return 1000 * min(spent_s)


def size_kb(image: Image.Image, options: dict[str, Any]) -> float:
    into = io.BytesIO()
    image.save(into, "WEBP", **options)
    return into.tell() / 1000


def main() -> None:
    lines = [f"# python -m bench.screens_predictor\n\n{machine()}. {__doc__.splitlines()[2]} KB / ms.\n"]
    lines += ["| screen | chosen | the smaller | " + " | ".join(WAYS) + " | predictor ms |"]
    lines += ["|---" * (len(WAYS) + 4) + "|"]
    right, count = 0, 0
    for name, pixels in scenes():
        image, cells, sizes = image_of(pixels), [], {}
        for way, options in WAYS.items():
            sizes[way] = size_kb(image, options)
            cells.append(f"{sizes[way]:.0f} / {best_ms(lambda i=image, o=options: size_kb(i, o)):.0f}")
        chosen = is_lossless_smaller(pixels)
        smaller = sizes["lossless, ours"] < sizes["lossy, ours"]
        right, count = right + (chosen == smaller), count + 1
        predictor_ms = best_ms(lambda p=pixels: is_lossless_smaller(p))
        row = [name, "lossless" if chosen else "lossy", "lossless" if smaller else "lossy", *cells]
        lines.append("| " + " | ".join(row) + f" | {predictor_ms:.2f} |")
    text = "\n".join(lines) + f"\n\nThe smaller one was chosen for {right} of {count} screens.\n"
    print(text)
    (RESULTS / "screens-predictor.md").write_text(text)


if __name__ == "__main__":
    main()
