"""The geometry of the screen, and when it changes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from x_server import XServer, wait_for

from taskreel.capture.settings import Settings
from taskreel.capture.sources.protocol import Event
from taskreel.capture.sources.x11.monitors import scale
from taskreel.capture.sources.x11.windows import Windows
from taskreel.io.events import Flag, Kind
from taskreel.io.segments import Screen


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ("", 1.0),
        ("Xft.dpi:\t192\n", 2.0),
        ("*customization: -color\nXft.dpi: 144\nXft.hinting: 1", 1.5),
        ("Xft.dpi: much", 1.0),
        ("Xft.dpi: 0", 1.0),
        ("Xft.dpi: nan", 1.0),
        ("NoXft.dpi: 192", 1.0),
    ],
)
def test_the_scale_is_that_of_fonts(resources: str, expected: float) -> None:
    assert scale(resources) == expected


def test_geometry_is_stated_and_its_changes_are_told(tmp_path: Path) -> None:
    with XServer("1280x800x24") as x:
        windows = Windows(Settings(tmp_path, display=x.display))
        assert windows.open() == Screen(1280, 800, 1.0, ((0, 0, 1280, 800),))
        stated = geometries(windows)
        assert [event.flags for event in stated] == [Flag.RESTATED]
        assert said(stated) == {"width_px": 1280, "height_px": 800, "scale": 1.0, "monitors": [[0, 0, 1280, 800]]}

        x.run("xrandr", "--setmonitor", "right", "640/100x800/100+640+0", "none")
        x.run("xrandr", "--setmonitor", "*left", "640/100x800/100+0+0", "screen")
        assert said(told(windows))["monitors"] == [[0, 0, 640, 800], [640, 0, 640, 800]], "the primary one first"

        x.run("sh", "-c", "echo 'Xft.dpi: 144' | xrdb -merge -")
        assert said(told(windows))["scale"] == 1.5

        x.run("xrandr", "--newmode", "small", *SMALL)
        x.run("xrandr", "--addmode", "screen", "small")
        x.run("xrandr", "--output", "screen", "--mode", "small")
        changed = said(told(windows))
        assert (changed["width_px"], changed["height_px"]) == (1024, 768)

        x.run("sh", "-c", "echo 'Xft.dpi: 144' | xrdb -merge -")
        assert geometries(windows) == [], "nothing is told again"
        windows.close()


SMALL = ("63.5", "1024", "1072", "1176", "1328", "768", "771", "775", "798")
"""A mode of 1024x768 as xrandr takes it."""


def geometries(windows: Windows) -> list[Event]:
    return [event for event in windows.update() if event.kind == Kind.GEOMETRY]


def told(windows: Windows) -> list[Event]:
    events: list[Event] = []
    wait_for(lambda: events.extend(geometries(windows)) or events, "a change of the geometry")
    assert all(event.flags == 0 and event.x is None and event.app is None for event in events)
    return events


def said(events: list[Event]) -> dict[str, object]:
    return dict(json.loads(events[-1].text or ""))
