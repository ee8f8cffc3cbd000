"""What fingers on a touchpad do: one moves the pointer, two scroll, a short touch taps, a touch right after it drags.

All of it is what a compositor would have made of it, with libinput's defaults and tapping on: no recording of a device
says how the person had set it up. So positions are `ESTIMATED`, and buttons that were not pressed are `INFERRED`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from taskreel.capture.kernel.codes import BTN_LEFT, x11_button
from taskreel.capture.kernel.contacts import Contacts, Touching
from taskreel.capture.kernel.contacts import Place as PadPlace
from taskreel.capture.kernel.devices import Device
from taskreel.capture.kernel.pointers import Place, Pointer, Rows
from taskreel.io.kinds import POSITION_UNITS_PER_PX, WHEEL_UNITS_PER_TICK, Flag


@dataclass(frozen=True)
class TouchpadRules:
    """The thresholds. All sources are of libinput, but for the two that say otherwise.

    `px_per_mm`: slow motion of a mouse of 1,000 dpi, times 0.2968 (`TP_MAGIC_SLOWDOWN`), without acceleration.
    `px_per_tick`: of two fingers, for a tick of a wheel (`ScrollingPixelDistance` of X.Org's xf86-input-libinput).
    `tap_us`: how long a tap lasts, from the last finger that landed (`DEFAULT_TAP_TIMEOUT_PERIOD`).
    `tap_um`: how far it moves; libinput had 3 mm and has 1.3 mm now, but pads jump when a finger lands: by 2.7 mm in a
    recorded double tap (tests/data/evemu/alps-touchpad-double-tap.events).
    `scroll_um`: how far two fingers move before they scroll, today's limit of a tap (`DEFAULT_TAP_MOVE_THRESHOLD`).
    `drag_us`: how soon after a tap a touch drags (`DEFAULT_DRAG_TIMEOUT_PERIOD`).
    """

    px_per_mm: int = 12
    px_per_tick: int = 15
    tap_us: int = 180_000
    tap_um: int = 3000
    scroll_um: int = 1300
    drag_us: int = 180_000


BUTTON_OF_FINGERS = {1: 1, 2: 3, 3: 2}
"""Left, right and middle by the number of fingers, for taps and for pads that are pressed (libinput's clickfinger)."""


@dataclass
class _Touch:
    """From the first finger that lands to the last that lifts. `held`: motion that is only one if this is no tap."""

    began_us: int
    landed_us: int
    at: Place
    fingers: int = 0
    is_decided: bool = False
    held: list[tuple[int, int, int]] = field(default_factory=list)
    origins: dict[int, PadPlace] = field(default_factory=dict)
    drags: bool = False


@dataclass(frozen=True)
class _Tap:
    """A tap whose button is still down: a touch right after it would drag."""

    button: int
    released_us: int
    at: Place


class Touchpad:
    """A touchpad in use; its frames go in, rows come out."""

    def __init__(self, device: Device, pointer: Pointer, rows: Rows, rules: TouchpadRules) -> None:
        self._pointer, self._rows, self._rules = pointer, rows, rules
        self._is_buttonpad, self._has_left = device.is_buttonpad, device.has_left_button
        self._mm = (device.mm_per_unit(0), device.mm_per_unit(1))
        self._contacts = Contacts()
        self._before = Touching({}, 0)
        self._touch: _Touch | None = None
        self._tap: _Tap | None = None
        self._pressed: dict[int, tuple[int, int]] = {}
        factor = rules.px_per_mm * POSITION_UNITS_PER_PX
        self._motion = (_Scale(self._mm[0], factor), _Scale(self._mm[1], factor))
        self._scroll: _Scroll | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether something is not known yet that becomes known by time alone (`advance`)."""
        return self._tap is not None or (self._touch is not None and not self._touch.is_decided)

    def advance(self, time_us: int) -> None:
        """It is later than this now, and no frame before it is still to come: what waited for one is settled."""
        if self._touch:
            if time_us - self._touch.landed_us > self._rules.tap_us:
                self._decide(self._touch)
        elif self._tap and time_us - self._tap.released_us > self._rules.drag_us:
            self._settle_tap()

    def update(self, time_us: int, events: list[tuple[int, int, int]]) -> None:
        """Take what a frame says of fingers."""
        self.advance(time_us)
        touching = self._contacts.update(events)
        if touching.fingers:
            self._continue(time_us, touching)
        elif self._touch:
            self._end(time_us, self._touch)
        self._before = touching

    def button(self, time_us: int, code: int, down: bool, more_flags: int = 0) -> None:
        """A button of the pad was pressed or released; the fingers of its frame are known."""
        if not down:
            button, flags = self._pressed.pop(code, self._button(code, 1))
        else:
            self._settle_tap()
            if self._touch:
                self._decide(self._touch)
            button, flags = self._pressed[code] = self._button(code, self._before.fingers)
        if button:
            fingers = self._before.fingers if down else None
            self._rows.button(time_us, down, button, self._pointer.place, flags | more_flags, fingers)

    def lose(self, time_us: int) -> None:
        """Events were lost: fingers are no longer known, and what they had begun is over."""
        if self._touch:
            self._decide(self._touch)
            self._end(time_us, self._touch)
        self._contacts.forget()
        self._before = Touching({}, 0)

    def finish(self) -> None:
        """The recording is over: a tap that could have begun a drag has not."""
        self._settle_tap()

    def _button(self, code: int, fingers: int) -> tuple[int, int]:
        """X11's number of a button, 0 for none, and its flags; on a pad that is pressed itself by the fingers on it."""
        if self._is_buttonpad and code == BTN_LEFT:
            return BUTTON_OF_FINGERS.get(fingers, 1), Flag.INFERRED
        return x11_button(code, self._has_left) or 0, 0

    # ------------------------------------------------------------------------------------------------ touches

    def _continue(self, time_us: int, touching: Touching) -> None:
        touch = self._touch or self._begin(time_us)
        if touching.fingers > touch.fingers:
            touch.fingers, touch.landed_us = touching.fingers, time_us
        if touching.fingers != self._before.fingers or touching.places.keys() != self._before.places.keys():
            # A finger landed or lifted. Where fingers are now says nothing of how they moved.
            touch.origins, self._scroll = dict(touching.places), None
            return
        if not touch.is_decided and (self._is_far(touch, touching) or time_us - touch.landed_us > self._rules.tap_us):
            self._decide(touch)
        if touching.fingers == 1:
            self._move(time_us, touch, *self._moved(touching))
        elif touching.fingers == 2 and not self._pressed and not self._is_dragging(touch):
            self._scroll_by(time_us, touch, *self._moved(touching), len(touching.places))

    def _begin(self, time_us: int) -> _Touch:
        touch = self._touch = _Touch(time_us, time_us, self._pointer.place, is_decided=bool(self._pressed))
        if self._tap and time_us - self._tap.released_us <= self._rules.drag_us and not self._pressed:
            touch.drags = True
        else:
            self._settle_tap()
        return touch

    def _end(self, time_us: int, touch: _Touch) -> None:
        is_short = time_us - touch.landed_us <= self._rules.tap_us
        if touch.is_decided or not is_short or touch.fingers not in BUTTON_OF_FINGERS:
            self._decide(touch)
            if self._tap and self._is_dragging(touch):
                self._rows.button(time_us, False, self._tap.button, self._pointer.place, Flag.INFERRED)
                self._tap = None
        else:
            self._settle_tap()
            button = BUTTON_OF_FINGERS[touch.fingers]
            self._rows.button(touch.began_us, True, button, touch.at, Flag.INFERRED, touch.fingers)
            self._tap = _Tap(button, time_us, touch.at)
        self._touch = None

    def _decide(self, touch: _Touch) -> None:
        """The touch is no tap: what was held back of its motion has been one. Only one finger drags."""
        if touch.is_decided:
            return
        touch.is_decided = True
        if touch.fingers != 1:
            self._settle_tap()
        for time_us, dx, dy in touch.held:
            self._move(time_us, touch, dx, dy)
        touch.held = []

    def _is_dragging(self, touch: _Touch) -> bool:
        return touch.is_decided and touch.drags and self._tap is not None

    def _settle_tap(self) -> None:
        """No drag followed the last tap: its button had gone up when its finger lifted."""
        if self._tap:
            self._rows.button(self._tap.released_us, False, self._tap.button, self._tap.at, Flag.INFERRED)
            self._tap = None

    # ------------------------------------------------------------------------------------------------ motion

    def _moved(self, touching: Touching) -> tuple[int, int]:
        """How far all fingers together moved since the frame before, in the pad's units."""
        pairs = [(now, self._before.places[number]) for number, now in touching.places.items()]
        return sum(now[0] - then[0] for now, then in pairs), sum(now[1] - then[1] for now, then in pairs)

    def _is_far(self, touch: _Touch, touching: Touching) -> bool:
        return any(
            self._square_um(place[0] - touch.origins[number][0], place[1] - touch.origins[number][1])
            > self._rules.tap_um**2
            for number, place in touching.places.items()
        )

    def _square_um(self, dx: int, dy: int, parts: int = 1) -> int:
        um = (1000 * delta * mm // (units * parts) for delta, (mm, units) in zip((dx, dy), self._mm, strict=True))
        return sum(part * part for part in um)

    def _move(self, time_us: int, touch: _Touch, dx: int, dy: int) -> None:
        if not touch.is_decided:
            touch.held.append((time_us, dx, dy))
            return
        by = self._motion[0].of(dx), self._motion[1].of(dy)
        if any(by):
            self._rows.move(time_us, self._pointer.move_by(*by))

    def _scroll_by(self, time_us: int, touch: _Touch, dx: int, dy: int, parts: int) -> None:
        scroll = self._scroll = self._scroll or _Scroll()
        if scroll.axis is None:
            scroll.dx, scroll.dy = scroll.dx + dx, scroll.dy + dy
            if self._square_um(scroll.dx, scroll.dy, parts) > self._rules.scroll_um**2:
                self._decide(touch)
                self._begin_scroll(scroll, parts)
            return
        wheel = scroll.scale.of((dx, dy)[scroll.axis])
        if wheel:
            by = (wheel, 0) if scroll.axis == 0 else (0, -wheel)
            self._rows.scroll(time_us, *by, self._pointer.place, Flag.ESTIMATED)

    def _begin_scroll(self, scroll: _Scroll, parts: int) -> None:
        """From here on, along the axis on which the fingers have moved more."""
        scroll.axis = 0 if self._square_um(scroll.dx, 0, parts) > self._square_um(0, scroll.dy, parts) else 1
        mm, units = self._mm[scroll.axis]
        factor = WHEEL_UNITS_PER_TICK * self._rules.px_per_mm
        scroll.scale = _Scale((mm, units * parts * self._rules.px_per_tick), factor)


class _Scale:
    """Units of the pad as others, in whole numbers; what is left over is kept for the next."""

    def __init__(self, mm_per_unit: tuple[int, int], factor: int) -> None:
        self._numerator, self._denominator = mm_per_unit[0] * factor, mm_per_unit[1]
        self._rest = 0

    def of(self, units: int) -> int:
        whole, self._rest = divmod(units * self._numerator + self._rest, self._denominator)
        return whole


@dataclass
class _Scroll:
    """Two fingers that move: how far until they scroll, then along which axis and in which scale."""

    dx: int = 0
    dy: int = 0
    axis: int | None = None
    scale: _Scale = field(default_factory=lambda: _Scale((1, 1), 1))
