"""What a person chose for being recorded: one value that all parts of the capture client share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

PRIVATE_TITLES = (
    "*Private Browsing*",
    "*(Private)*",
    "*(Incognito)*",
    "*[InPrivate]*",
    "* - InPrivate*",
    "*Inkognito*",
    "*navigation privée*",
    "*Privater Modus*",
)
"""Titles of private windows of Firefox, Chromium, Edge and GNOME Web, in the languages that the tests use."""

PASSWORD_MANAGERS = (
    "*keepass*",
    "*bitwarden*",
    "*1password*",
    "seahorse",
    "*pinentry*",
    "gcr-prompter",
    "kwalletd*",
    "*enpass*",
)

OWN_NAME = "taskreel"
"""The name of the process and the class of every window of taskreel. They are never recorded."""


@dataclass(frozen=True)
class Settings:
    """How to record. Patterns are globs of `*` and `?` (brackets are brackets), compared without regard to case.

    `excluded_apps` are compared with both parts of WM_CLASS and with the name of the process; `excluded_titles` with
    the window's title.
    """

    spool: Path
    display: str = ""
    """The X display, `$DISPLAY` if empty."""
    excluded_apps: tuple[str, ...] = PASSWORD_MANAGERS
    excluded_titles: tuple[str, ...] = PRIVATE_TITLES
    pause_hotkey: str = "ctrl+alt+shift+p"
    has_pictures: bool = True
    heartbeat_s: float = 30.0
    pictures_per_s: float = 2.0
    """At most so many pictures a second, on average; the frame before a press is taken first."""
    settle_ms: int = 300
    """The screen has settled when nothing changed for so long after an action."""
    ring_bytes: int = 60 << 20
    difference_ppm: int = 100
    """Frames that differ visibly in fewer pixels a million than this are one picture."""
    input_streams: tuple[str, ...] = ()
    """Files, pipes or sockets with `struct input_event`, instead of /dev/input."""
    layout: str = ""
    """The keyboard layout where no X server says it, such as `de`."""
    segment_minutes: float = 5.0
    quota_bytes: int = 2 << 30
    """What the spool may take on the disk."""
