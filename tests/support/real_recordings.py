"""The real recordings that others made, as the tests use them, and how a list of actions is written down for people."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from taskreel.transforms.actions import ActionFlag

_ROOT = Path(__file__).parents[2]
_EVEMU = _ROOT / "tests" / "data" / "evemu"


class Sample(NamedTuple):
    """A recording: its format, where it is, and the name of its golden list of actions."""

    format: str
    path: Path
    name: str


SAMPLES = (
    Sample("ducktrack", _ROOT / "examples" / "ducktrack", "ducktrack"),
    Sample("owamcap", _ROOT / "tests" / "data" / "owamcap", "owamcap"),
    *(Sample("evemu", path, path.stem) for path in sorted(_EVEMU.glob("*.ev*"))),
)


def action_line(action: dict[str, Any], zero_us: int) -> str:
    """An action as a person reads it: when, from where to where, what, and what has to be known of it."""
    start, end, approach = ((action[f"{name}_us"] - zero_us) / 1_000_000 for name in ("start", "end", "approach"))
    parts = [f"{start:7.3f}–{end:7.3f} (from {approach:7.3f})", action["action"]]
    for prefix in ("", "to_"):
        if action[f"{prefix}x"] is not None:
            parts.append(f"{prefix.replace('_', ' ')}({action[f'{prefix}x']:.1f}, {action[f'{prefix}y']:.1f})")
    if len(action["path"] or ()) > 2:
        parts.append("by " + " ".join(f"({place['x']:.0f}, {place['y']:.0f})" for place in action["path"][1:-1]))
    if action["action"] in ("scroll", "hscroll"):
        parts.append(f"ticks=({action['wheel_x_ticks']:g}, {action['wheel_y_ticks']:g})")
    if (action["clicks"] or 1) > 1:
        parts.append(f"clicks={action['clicks']}")
    if (action["count"] or 1) > 1:
        parts.append(f"count={action['count']}")
    parts += [f"{name}={action[name]!r}" for name in ("button", "text", "keys", "modifiers") if action[name]]
    parts += [flag.name.lower() for flag in ActionFlag(action["flags"]) if flag.name]
    return " ".join(parts)
