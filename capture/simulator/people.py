"""Who acts: pseudonyms, devices and habits, all from the seed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from taskreel.capture.simulator.dice import Dice, generators
from taskreel.capture.simulator.documents import APPLICATIONS, SHARED_APPLICATIONS, Application
from taskreel.capture.simulator.options import SimulationOptions

_UTC_OFFSETS_MIN = {"us": (-480, -420, -360, -300), "eu": (0, 60, 120)}


@dataclass(frozen=True)
class Rhythm:
    """How somebody types. Microseconds; `roll_share` of keys go up only after the next one is down."""

    interval_us: int
    hold_us: int
    word_pause_us: int
    roll_share: float
    typo_share: float


@dataclass(frozen=True)
class Device:
    """A computer and the one recording made at it.

    `clock_us` is what its own clock shows at the start, `offset_us` how far the times it publishes are ahead.
    `tells_repeats`: whether its keyboard tells that a key is still down, as raw X11 input does not.
    """

    device: str
    recording: str
    clock_us: int
    offset_us: int
    tells_repeats: bool


@dataclass(frozen=True)
class Person:
    """A simulated participant. `speed` divides the time that pointer movements take.

    `foreign_share` of words are written with characters beyond ASCII.
    """

    index: int
    participant: str
    consent_id: str
    devices: tuple[Device, ...]
    applications: tuple[Application, ...]
    rhythm: Rhythm
    speed: float
    foreign_share: float
    utc_offset_min: int


def person_of(options: SimulationOptions, index: int) -> Person:
    """The participant with this index; independent of how many there are."""
    dice = Dice(generators(1, options.seed, index, 0)[0])
    rhythm = Rhythm(
        interval_us=dice.us(0.12, 0.2),
        hold_us=dice.us(0.06, 0.085),
        word_pause_us=dice.us(0.02, 0.12),
        roll_share=dice.between(0.1, 0.6),
        typo_share=dice.between(0.01, 0.05),
    )
    return Person(
        index=index,
        participant="p" + _digest(options.seed, index, "participant"),
        consent_id="c" + _digest(options.seed, index, "consent"),
        devices=tuple(_device(options, index, number, dice) for number in range(options.devices)),
        applications=(*APPLICATIONS[:SHARED_APPLICATIONS], *dice.sample(APPLICATIONS[SHARED_APPLICATIONS:], 3)),
        rhythm=rhythm,
        speed=dice.between(0.8, 1.25),
        foreign_share=0.08 if dice.chance(0.4) else 0.005,
        utc_offset_min=dice.choose(_UTC_OFFSETS_MIN.get(options.region, (0,))),
    )


def _device(options: SimulationOptions, index: int, number: int, dice: Dice) -> Device:
    return Device(
        "d" + _digest(options.seed, index, f"device {number}"),
        "r" + _digest(options.seed, index, f"recording {number}"),
        dice.us(600, 900_000),
        round(options.clock_offset_s * 1_000_000) if number else 0,
        dice.chance(0.6),
    )


def _digest(seed: int, index: int, what: str) -> str:
    return hashlib.blake2b(f"taskreel simulator {seed} {index} {what}".encode(), digest_size=6).hexdigest()
