"""A cohort of simulated participants, written as capture clients would."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from taskreel.capture.simulator.acts import Desk
from taskreel.capture.simulator.dice import Dice, generators
from taskreel.capture.simulator.documents import APPLICATIONS
from taskreel.capture.simulator.layout import Layout
from taskreel.capture.simulator.options import SimulationOptions
from taskreel.capture.simulator.people import Device, Person, person_of
from taskreel.capture.simulator.recording import expand, segment_bounds, segment_tables, with_pictures
from taskreel.capture.simulator.screens import Painter, Picture
from taskreel.capture.simulator.script import Episode
from taskreel.capture.simulator.truth import Row, action_rows, episode_rows, json_lines
from taskreel.capture.simulator.typing_ import Intervals
from taskreel.capture.simulator.windows import Window, clicked_button, typed
from taskreel.capture.simulator.workday import act_recordings
from taskreel.io.consent import ConsentRecord
from taskreel.io.segments import Screen, SegmentHeader, encode_segment
from taskreel.io.stores import Store

_DAY_US = 86_400_000_000


@dataclass(frozen=True)
class SimulationSummary:
    """What was written. `pictures` counts those stored in segments, `bytes` the segments' size."""

    participants: int = 0
    segments: int = 0
    events: int = 0
    pictures: int = 0
    bytes: int = 0
    episodes: int = 0
    actions: int = 0

    def __add__(self, other: SimulationSummary) -> SimulationSummary:
        return SimulationSummary(*(a + b for a, b in zip(vars(self).values(), vars(other).values(), strict=True)))


class _Gallery(Protocol):
    """Where the pictures of a recording come from."""

    def indexes(self, desk: Desk, rng: np.random.Generator) -> np.ndarray:
        """The index of the picture of each look."""

    def picture(self, desk: Desk, index: int) -> Picture:
        """The picture with an index."""


def simulate(
    store: Store, options: SimulationOptions, progress: Callable[[int, int], None] | None = None
) -> SimulationSummary:
    """Act out a cohort and write its segments, consent records and truth to a store; the same options, the same bytes.

    `progress` is called after each participant, with its index and the number of participants. Writing again what
    is there already changes nothing; `ContentConflictError` if the truth of other options is there.
    """
    pool = _Pool(options) if options.screens == "reuse" else None
    summary = SimulationSummary()
    for index in range(options.participants):
        summary += _participant(store, options, person_of(options, index), pool)
        if progress:
            progress(index, options.participants)
    return summary


def _participant(store: Store, options: SimulationOptions, person: Person, pool: _Pool | None) -> SimulationSummary:
    acting, *rest = generators(1 + 2 * options.devices, options.seed, person.index, 1)
    rhythms = [Intervals(person.rhythm, rng) for rng in rest[::2]]
    desks, episodes = act_recordings(options, person, Dice(acting), rhythms)
    record = _consent(options, person)
    store.create(record.path, record.to_json())
    summary = SimulationSummary(participants=1)
    actions: list[Row] = []
    for desk, device, rng in zip(desks, person.devices, rest[1::2], strict=True):
        written, rows = _record(store, options, person, device, desk, rng, pool or _Drawn(options, person))
        summary, actions = summary + written, actions + rows
    actions.sort(key=lambda row: (row["start_us"], row["recording"], row["first_seq"]))
    _write_truth(store, person, episodes, actions)
    return summary + SimulationSummary(episodes=len(episodes), actions=len(actions))


def _record(
    store: Store,
    options: SimulationOptions,
    person: Person,
    device: Device,
    desk: Desk,
    rng: np.random.Generator,
    gallery: _Gallery,
) -> tuple[SimulationSummary, list[Row]]:
    """Write the segments of one recording; what was written, and its actions."""
    events = expand(desk, options, rng, gallery.indexes(desk, rng))
    bounds = segment_bounds(events, options)
    header = _header(options, person, device)
    hashes: dict[int, str] = {}
    summary = SimulationSummary()
    for number, (table, screen) in enumerate(segment_tables(events, bounds, desk, person, device.offset_us), 2):
        pictures = {index: gallery.picture(desk, index) for index in np.unique(screen[screen >= 0]).tolist()}
        hashes |= {index: picture.hash for index, picture in pictures.items()}
        final = number == len(bounds)
        name, data = encode_segment(header(final), with_pictures(table, screen, pictures, options))
        store.create(str(name), data)
        stored = len({picture.hash for picture in pictures.values()})
        summary += SimulationSummary(segments=1, events=table.num_rows, pictures=stored, bytes=len(data))
    return summary, action_rows(events, desk, person, device, hashes)


def _header(options: SimulationOptions, person: Person, device: Device) -> Callable[[bool], SegmentHeader]:
    def header(final: bool) -> SegmentHeader:
        return SegmentHeader(
            participant=person.participant,
            device=device.device,
            recording=device.recording,
            consent_id=person.consent_id,
            consent_version=1,
            region=options.region,
            source="simulator",
            screen=Screen(options.width_px, options.height_px),
            keyboard_layout="us",
            utc_offset_min=person.utc_offset_min,
            clock_anchors=_anchors(options, device),
            final=final,
        )

    return header


def _anchors(options: SimulationOptions, device: Device) -> tuple[tuple[int, int], ...]:
    """What its clock made of the time, and what the time really was if that was wrong."""
    published = (device.clock_us, options.start_us + device.offset_us)
    return (published, (device.clock_us, options.start_us)) if device.offset_us else (published,)


def _consent(options: SimulationOptions, person: Person) -> ConsentRecord:
    return ConsentRecord(
        consent_id=person.consent_id,
        participant=person.participant,
        regions=(options.region,),
        valid_from_us=max(0, options.start_us - 30 * _DAY_US),
        notice="Simulated: nobody was recorded.",
    )


def _write_truth(store: Store, person: Person, episodes: list[Episode], actions: list[Row]) -> None:
    folder = f"truth/participant={person.participant}"
    store.create(f"{folder}/episodes.jsonl", json_lines(episode_rows(episodes, actions, person.participant)))
    store.create(f"{folder}/actions.jsonl", json_lines(actions))


class _Drawn:
    """Every screen is drawn when its segment is written, so that memory holds one segment's pictures."""

    def __init__(self, options: SimulationOptions, person: Person) -> None:
        layout = Layout(options.width_px, options.height_px)
        self._painter = Painter(person.applications, layout, options.webp_quality)

    def indexes(self, desk: Desk, rng: np.random.Generator) -> np.ndarray:
        return np.arange(len(desk.script.looks))

    def picture(self, desk: Desk, index: int) -> Picture:
        return self._painter.picture(desk.script.looks[index].window)


class _Pool:
    """A few pictures, drawn once, used again and again; another one at each look."""

    def __init__(self, options: SimulationOptions) -> None:
        self._options = options
        layout = Layout(options.width_px, options.height_px)
        painter = Painter(APPLICATIONS, layout, options.webp_quality)
        self._pictures = [painter.picture(_pool_window(number, layout)) for number in range(options.picture_pool)]

    def indexes(self, desk: Desk, rng: np.random.Generator) -> np.ndarray:
        again = np.array([look.again for look in desk.script.looks])
        steps = rng.integers(1, len(self._pictures), len(again))
        return np.cumsum(np.where(again, 0, steps)) % len(self._pictures)

    def picture(self, desk: Desk, index: int) -> Picture:
        return self._pictures[index]


def _pool_window(number: int, layout: Layout) -> Window:
    application = APPLICATIONS[number % len(APPLICATIONS)]
    window = Window(application.document(number % len(APPLICATIONS), f"Picture {number}"))
    window = clicked_button(window, number % 4, application.buttons[number % 4])
    return typed(window, f"Picture {number} of the pool", application.kind, layout)
