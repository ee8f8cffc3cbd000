"""Events of an X server as bytes, built from values, as the protocol lays them out and xcb hands them over."""

from __future__ import annotations

import struct

from taskreel.capture.sources.x11.raw import Opcodes

OPCODES = Opcodes(xinput=131, xkb_event=85)


def device_event(
    kind: int,
    *,
    opcodes: Opcodes = OPCODES,
    time: int = 0,
    source: int = 0,
    detail: int = 0,
    flags: int = 0,
    valuators: dict[int, int] | None = None,
) -> bytes:
    """A raw event of XInput as xcb hands it over: 4 bytes of xcb's own after the first 32."""
    valuators = valuators or {}
    words = max(valuators, default=-1) // 32 + 1
    mask = sum(1 << number for number in valuators).to_bytes(4 * words, "little")
    values = b"".join(struct.pack("=iI", value >> 32, value & 0xFFFFFFFF) for _, value in sorted(valuators.items()))
    body = mask + values + values[::-1]  # the second half, values before acceleration, is not ours
    head = struct.pack(
        "=BBHIHHIIHHI4x", 35, opcodes.xinput, 7, len(body) // 4, kind, 2, time, detail, source, words, flags
    )
    return head + struct.pack("=I", 0xFFFFFFFF) + body


def xkb_event(kind: int, body: bytes = b"") -> bytes:
    return (struct.pack("=BBHIB", OPCODES.xkb_event, kind, 7, 5, 3) + body).ljust(36, b"\0")
