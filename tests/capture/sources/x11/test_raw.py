"""Decoding: bytes that are built from values, as the protocol lays them out, give the values."""

from __future__ import annotations

import struct

from hypothesis import example, given
from hypothesis import strategies as st
from x_event_bytes import OPCODES, device_event, xkb_event

from taskreel.capture.sources.x11.raw import (
    ControlsChanged,
    DevicesChanged,
    KeymapChanged,
    MappingChanged,
    ModifierState,
    RawButton,
    RawKey,
    RawMotion,
    Resized,
    decode,
    precedes,
)

U8, U16, U32 = (st.integers(0, (1 << bits) - 1) for bits in (8, 16, 32))
FIXED = st.integers(-(1 << 63), (1 << 63) - 1)
VALUATORS = st.dictionaries(st.integers(0, 35), FIXED, max_size=8)


@given(U32, U16, VALUATORS)
def test_motions(time: int, source: int, valuators: dict[int, int]) -> None:
    event = decode(device_event(17, time=time, source=source, valuators=valuators), OPCODES)
    assert event == RawMotion(time, source, {number: value / (1 << 32) for number, value in valuators.items()})


@given(U32, U16, U32, st.booleans())
def test_keys(time: int, source: int, keycode: int, is_press: bool) -> None:
    data = device_event(13 if is_press else 14, time=time, source=source, detail=keycode)
    assert decode(data, OPCODES) == RawKey(time, source, keycode, is_press)


@given(U32, U16, U32, st.booleans(), U32)
def test_buttons(time: int, source: int, button: int, is_press: bool, flags: int) -> None:
    data = device_event(15 if is_press else 16, time=time, source=source, detail=button, flags=flags)
    assert decode(data, OPCODES) == RawButton(time, source, button, is_press, bool(flags & 0x10000))


GROUP = st.integers(-(1 << 15), (1 << 15) - 1)


@given(U8, U8, U8, U8, U8, GROUP, GROUP, U8)
def test_modifiers_and_groups(
    mods: int, base: int, latched: int, locked: int, group: int, base_group: int, latched_group: int, locked_group: int
) -> None:
    body = struct.pack("=BBBBBhhB", mods, base, latched, locked, group, base_group, latched_group, locked_group)
    assert decode(xkb_event(2, body), OPCODES) == ModifierState(
        base, latched, locked, base_group, latched_group, locked_group
    )


def test_what_the_server_tells_of_itself() -> None:
    assert decode(xkb_event(0), OPCODES) == decode(xkb_event(1), OPCODES) == KeymapChanged()
    assert decode(xkb_event(3), OPCODES) == ControlsChanged()
    assert decode(device_event(11), OPCODES) == DevicesChanged()
    assert decode(struct.pack("=B3xB31x", 34, 2), OPCODES) == MappingChanged()
    size = struct.pack("=B3xIIIhhHH", 22, 99, 1234, 0, 1, 2, 1920, 1080).ljust(36, b"\0")
    assert decode(size, OPCODES) == Resized(1234, 1920, 1080)


def test_a_device_changed_if_it_did_so_itself_and_not_for_following_another() -> None:
    by_itself, followed = bytearray(device_event(1)), bytearray(device_event(1))
    by_itself[20], followed[20] = 2, 1
    assert decode(bytes(by_itself), OPCODES) == DevicesChanged()
    assert decode(bytes(followed), OPCODES) is None


def test_what_is_not_ours_is_nothing() -> None:
    other = bytearray(device_event(17, valuators={0: 1}))
    other[1] += 1
    assert decode(bytes(other), OPCODES) is None
    assert decode(xkb_event(4), OPCODES) is None
    assert decode(struct.pack("=B3xB31x", 34, 1), OPCODES) is None


@given(st.binary(max_size=200))
@example(device_event(17, valuators={0: 1, 1: 2})[:-20])
def test_odd_bytes_are_an_event_or_none(data: bytes) -> None:
    decode(data, OPCODES)


@given(VALUATORS.filter(bool), st.data())
def test_a_motion_that_is_cut_short_is_none_or_whole(valuators: dict[int, int], data: st.DataObject) -> None:
    whole = device_event(17, valuators=valuators)
    event = decode(whole[: data.draw(st.integers(0, len(whole)))], OPCODES)
    assert event is None or event == decode(whole, OPCODES) or event == RawMotion(0, 0, {})


@given(st.sampled_from([bytes((kind,)) for kind in (0, 22, 34, 35, 85, 128 + 35)]), st.binary(min_size=35, max_size=90))
def test_odd_bytes_behind_a_good_beginning(kind: bytes, rest: bytes) -> None:
    decode(kind + rest, OPCODES)


@given(st.integers(0, 1 << 40), st.integers(-30000, 30000))
def test_numbers_of_requests_are_compared_around_their_end(sequence: int, ahead: int) -> None:
    data = struct.pack("=BBH", 35, 0, sequence + ahead & 0xFFFF)
    assert precedes(data, sequence) == (ahead < 0)
