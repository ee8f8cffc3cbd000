"""What the X server is asked, and what it answers. Nothing of it changes anything for others.

Rules: `x11proto`, `kbproto`, `XI2proto.txt`, the SYNC extension's protocol.
"""

from __future__ import annotations

import struct

from taskreel.capture.sources.protocol import SourceUnavailableError
from taskreel.capture.sources.x11.connection import Connection
from taskreel.capture.sources.x11.devices import Device, read_devices
from taskreel.capture.sources.x11.raw import ModifierState, Opcodes
from taskreel.capture.sources.x11.repeats import RepeatControls

_INTERN_ATOM, _GET_PROPERTY, _QUERY_KEYMAP, _GET_POINTER_MAPPING, _CHANGE_ATTRIBUTES = 16, 20, 44, 117, 2
_EVENT_MASK, _STRUCTURE_NOTIFY = 1 << 11, 1 << 17
_XI_SELECT_EVENTS, _XI_QUERY_VERSION, _XI_QUERY_DEVICE = 46, 47, 48
_ALL_DEVICES, _ALL_MASTER_DEVICES = 0, 1
_DEVICE_CHANGES = 1 << 1 | 1 << 11
_RAW_INPUT = 0b11111 << 13
_XKB_USE, _XKB_SELECT_EVENTS, _XKB_GET_STATE, _XKB_GET_CONTROLS = 0, 1, 4, 6
_CORE_KEYBOARD = 0x100
_KEYBOARD_NEWS, _MAP_NEWS, _STATE_NEWS, _CONTROLS_NEWS = 1, 2, 4, 8
_REPEAT_KEYS, _PER_KEY_REPEAT = 1, 1 << 30
_ANY_TYPE = 0


class Server:
    """An X server that is listened to: selects its input events on a connection, and asks.

    Raises `SourceUnavailableError` if it has no XInput 2.2 or no XKB.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._xinput, _ = self._extension("XInputExtension")
        self._xkb, xkb_event = self._extension("XKEYBOARD")
        self.opcodes = Opcodes(self._xinput, xkb_event)
        self._announce()

    def select_input(self) -> None:
        """Have raw input of all master devices told, and what changes the keymap, the buttons and the screen."""
        connection, root = self._connection, self._connection.root
        masks = struct.pack("=HHI", _ALL_DEVICES, 1, _DEVICE_CHANGES)
        masks += struct.pack("=HHI", _ALL_MASTER_DEVICES, 1, _RAW_INPUT)
        connection.tell(self._xinput, _XI_SELECT_EVENTS, struct.pack("=IH2x", root, 2) + masks)
        news = _KEYBOARD_NEWS | _MAP_NEWS | _STATE_NEWS | _CONTROLS_NEWS
        details = struct.pack("=HHHH", 7, 7, 0xFF, 0xFF)  # all of a new keyboard; modifiers and groups
        details += struct.pack("=II", *[_REPEAT_KEYS | _PER_KEY_REPEAT | 1 << 31] * 2)
        body = struct.pack("=HHHHHH", _CORE_KEYBOARD, news, 0, _MAP_NEWS, 0xFF, 0xFF)
        connection.tell(self._xkb, _XKB_SELECT_EVENTS, body + details)
        connection.tell(_CHANGE_ATTRIBUTES, 0, struct.pack("=III", root, _EVENT_MASK, _STRUCTURE_NOTIFY))

    def devices(self) -> dict[int, Device]:
        """The input devices by number."""
        return read_devices(self._connection.ask(self._xinput, _XI_QUERY_DEVICE, struct.pack("=H2x", _ALL_DEVICES)))

    def button_mapping(self) -> bytes:
        """Per physical button, from the first on, the number that programs see; 0 for one that does nothing."""
        reply = self._connection.ask(_GET_POINTER_MAPPING)
        return reply[32 : 32 + reply[1]]

    def modifier_state(self) -> ModifierState:
        """The modifiers and groups as of now."""
        reply = self._connection.ask(self._xkb, _XKB_GET_STATE, struct.pack("=H2x", _CORE_KEYBOARD))
        base, latched, locked, locked_group, base_group, latched_group = struct.unpack_from("=9xBBBxBhh", reply)
        return ModifierState(base, latched, locked, base_group, latched_group, locked_group)

    def repeat_controls(self) -> RepeatControls:
        """When keys repeat, as of now."""
        reply = self._connection.ask(self._xkb, _XKB_GET_CONTROLS, struct.pack("=H2x", _CORE_KEYBOARD))
        delay_ms, interval_ms = struct.unpack_from("=HH", reply, 20)
        (enabled,) = struct.unpack_from("=I", reply, 56)
        return RepeatControls(bool(enabled & _REPEAT_KEYS), delay_ms * 1000, interval_ms * 1000, reply[60:92])

    def is_down(self, keycode: int) -> bool:
        """Whether a key is held."""
        return bool(self._connection.ask(_QUERY_KEYMAP)[8 + (keycode >> 3)] >> (keycode & 7) & 1)

    def time_ms(self) -> int | None:
        """The server's time, by its counter SERVERTIME; None if it has no such counter."""
        sync = self._connection.extension("SYNC")
        if not sync:
            return None
        ask = self._connection.ask
        ask(sync[0], 0, struct.pack("=BB2x", 3, 1))
        counter = _counters(ask(sync[0], 1)).get("SERVERTIME")
        if counter is None:
            return None
        high, low = struct.unpack_from("=iI", ask(sync[0], 5, struct.pack("=I", counter)), 8)
        return int(high << 32 | low)

    def layout(self) -> str:
        """The keyboard's layouts as they were set, such as `us,de(nodeadkeys)`; empty if nobody says it."""
        return layout_name(self._root_property("_XKB_RULES_NAMES"))

    def _root_property(self, name: str) -> bytes:
        body = struct.pack("=H2x", len(name)) + name.encode()
        (atom,) = struct.unpack_from("=I", self._connection.ask(_INTERN_ATOM, True, body), 8)
        if not atom:
            return b""
        body = struct.pack("=IIIII", self._connection.root, atom, _ANY_TYPE, 0, 1024)
        reply = self._connection.ask(_GET_PROPERTY, 0, body)
        (units,) = struct.unpack_from("=I", reply, 16)
        return reply[32 : 32 + units * reply[1] // 8]

    def _extension(self, name: str) -> tuple[int, int]:
        found = self._connection.extension(name)
        if not found:
            raise SourceUnavailableError(f"this X server has no extension {name}: it cannot be recorded")
        return found

    def _announce(self) -> None:
        """Say which versions we speak: before XInput 2.2 raw events vanish while another client holds a grab."""
        version = struct.unpack_from(
            "=HH", self._connection.ask(self._xinput, _XI_QUERY_VERSION, struct.pack("=HH", 2, 4)), 8
        )
        if version < (2, 2):
            raise SourceUnavailableError(
                f"this X server has XInput {version[0]}.{version[1]}, and recording needs 2.2 (xorg-server 1.12)"
            )
        if not self._connection.ask(self._xkb, _XKB_USE, struct.pack("=HH", 1, 0))[1]:
            raise SourceUnavailableError("this X server does not speak version 1.0 of XKB: it cannot be recorded")


def layout_name(rules_names: bytes) -> str:
    """The layouts in the property `_XKB_RULES_NAMES` (rules, model, layouts, variants, options, each ends in NUL)."""
    fields = rules_names.decode("latin-1").split("\0")
    if len(fields) < 4:
        return ""
    layouts, variants = fields[2].split(","), fields[3].split(",")
    variants += [""] * (len(layouts) - len(variants))
    return ",".join(
        f"{layout}({variant})" if variant else layout for layout, variant in zip(layouts, variants, strict=False)
    )


def _counters(reply: bytes) -> dict[str, int]:
    """The system counters by name."""
    (count,) = struct.unpack_from("=i", reply, 8)
    counters, offset = {}, 32
    for _ in range(count):
        counter, length = struct.unpack_from("=I8xH", reply, offset)
        begin = offset + 14
        counters[reply[begin : begin + length].decode("latin-1")] = counter
        offset = (begin + length + 3) & ~3
    return counters
