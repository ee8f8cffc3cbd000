"""The name of the layout, from the property in which setxkbmap leaves it."""

from __future__ import annotations

import pytest

from taskreel.capture.sources.x11.queries import layout_name


@pytest.mark.parametrize(
    ("layouts", "variants", "name"),
    [
        ("us", "", "us"),
        ("de", "nodeadkeys", "de(nodeadkeys)"),
        ("us,de", "", "us,de"),
        ("us,de", ",nodeadkeys", "us,de(nodeadkeys)"),
        ("us,de", "intl,nodeadkeys", "us(intl),de(nodeadkeys)"),
    ],
)
def test_layouts(layouts: str, variants: str, name: str) -> None:
    assert layout_name(f"evdev\0pc105\0{layouts}\0{variants}\0compose:menu\0".encode()) == name


@pytest.mark.parametrize("odd", [b"", b"\0", b"evdev\0pc105\0us", b"\xff"])
def test_a_property_that_is_not_whole_says_nothing(odd: bytes) -> None:
    assert layout_name(odd) == ""
