"""What valuators mean. Xvfb has no wheel and no tablet, so these devices are bytes, laid out as XInput does."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskreel.capture.sources.x11.devices import Axis, Device, Devices, Motion, Wheel, read_devices
from taskreel.capture.sources.x11.raw import RawMotion

MOUSE, TABLET, XTEST = 11, 12, 4
SCREEN_PX = (1920, 1080)
RELATIVE = Axis(False, -1, -1, 0)


def fixed(value: float) -> bytes:
    return struct.pack("=iI", int(value // 1), int(value % 1 * (1 << 32)))


def valuator(number: int, minimum: float, maximum: float, value: float, mode: int) -> bytes:
    body = (
        struct.pack("=HI", number, 77) + fixed(minimum) + fixed(maximum) + fixed(value) + struct.pack("=IB3x", 0, mode)
    )
    return struct.pack("=HHH", 2, 11, 11) + body


def scroll(number: int, kind: int, increment: float) -> bytes:
    return struct.pack("=HHHHH2xI", 3, 6, 11, number, kind, 0) + fixed(increment)


def device(number: int, name: bytes, *classes: bytes) -> bytes:
    head = struct.pack("=HHHHHBx", number, 3, 2, len(classes), len(name), 1)
    return head + name + b"\0" * (-len(name) % 4) + b"".join(classes)


def reply(*devices: bytes) -> bytes:
    return struct.pack("=BBHIH22x", 1, 0, 7, sum(map(len, devices)) // 4, len(devices)) + b"".join(devices)


BUTTONS = struct.pack("=HHHHII", 1, 4, 11, 1, 0, 99)
REPLY = reply(
    device(XTEST, b"Virtual core XTEST pointer", BUTTONS, valuator(0, -1, -1, 640, 0), valuator(1, -1, -1, 400, 0)),
    device(5, b"Virtual core XTEST keyboard"),
    device(
        MOUSE,
        b"Some Mouse",
        BUTTONS,
        valuator(0, -1, -1, 0, 0),
        valuator(1, -1, -1, 0, 0),
        valuator(2, -1, -1, 0, 0),
        valuator(3, -1, -1, 0, 0),
        scroll(2, 2, 120),
        scroll(3, 1, 15.5),
    ),
    device(TABLET, b"QEMU QEMU USB Tablet", valuator(0, 0, 32767, 16384, 1), valuator(1, 0, 32767, 0.5, 1)),
)


def test_a_reply_of_a_server() -> None:
    devices = read_devices(REPLY)
    assert [(number, device.is_synthetic) for number, device in devices.items()] == [
        (XTEST, True),
        (5, True),
        (MOUSE, False),
        (TABLET, False),
    ]
    assert devices[MOUSE].wheels == {2: Wheel(True, 120.0), 3: Wheel(False, 15.5)}
    assert devices[MOUSE].axes == dict.fromkeys(range(4), RELATIVE)
    assert devices[TABLET].axes == {0: Axis(True, 0, 32767, 16384), 1: Axis(True, 0, 32767, 0.5)}


def test_a_reply_that_is_cut_short_is_an_error() -> None:
    with pytest.raises(struct.error):
        read_devices(REPLY[:-4])


@pytest.fixture
def devices() -> Devices:
    return Devices(read_devices(REPLY), SCREEN_PX)


def read(devices: Devices, source: int, **values: float) -> Motion:
    numbers = {"x": 0, "y": 1, "h": 2, "v": 3}
    return devices.read(RawMotion(0, source, {numbers[name]: value for name, value in values.items()}))


def test_a_mouse_moves_by_distances(devices: Devices) -> None:
    assert read(devices, MOUSE, x=3.5, y=-2) == Motion(True, 3.5, -2.0, None, 0, 0)
    assert read(devices, MOUSE, y=-2) == Motion(True, 0.0, -2.0, None, 0, 0)


def test_a_tablet_moves_to_places_of_its_own_scale(devices: Devices) -> None:
    motion = read(devices, TABLET, x=16384 + 32768 / 1920 * 10)
    assert motion.is_move
    assert motion.dx == pytest.approx(10)
    assert read(devices, TABLET, x=16384).dx == pytest.approx(-10)


def test_xtest_says_a_distance_or_a_place(devices: Devices) -> None:
    assert read(devices, XTEST, x=5, y=-3) == Motion(True, 5.0, -3.0, (5.0, -3.0), 0, 0)


def test_wheels_turn_right_and_up_for_positive(devices: Devices) -> None:
    assert read(devices, MOUSE, v=15.5) == Motion(False, 0.0, 0.0, None, 0, -120)
    assert read(devices, MOUSE, v=-31) == Motion(False, 0.0, 0.0, None, 0, 240)
    assert read(devices, MOUSE, h=60) == Motion(False, 0.0, 0.0, None, 60, 0)


def test_a_device_that_is_not_known_is_a_mouse_without_wheels(devices: Devices) -> None:
    assert read(devices, 99, x=1, y=1, v=15.5) == Motion(True, 1.0, 1.0, None, 0, 0)
    assert not devices.is_synthetic(99)


@given(st.lists(st.floats(-40, 40), max_size=50))
def test_small_turns_are_not_lost(turns: list[float]) -> None:
    devices = Devices({MOUSE: Device(False, {3: RELATIVE}, {3: Wheel(False, 15.5)})}, SCREEN_PX)
    units = sum(read(devices, MOUSE, v=turn).wheel_y for turn in turns)
    assert abs(units + sum(turns) * 120 / 15.5) <= 0.5 + 1e-6


@given(st.lists(st.integers(0, 32767), min_size=1, max_size=30))
def test_the_distances_of_a_tablet_add_up(places: list[int]) -> None:
    devices = Devices(read_devices(REPLY), SCREEN_PX)
    gone = sum(read(devices, TABLET, x=place).dx for place in places)
    assert gone == pytest.approx((places[-1] - 16384) * 1920 / 32768)
