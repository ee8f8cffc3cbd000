"""How tasks follow one another, with pauses, interruptions and what belongs to no task; why so: `docs/simulator.md`."""

from __future__ import annotations

from taskreel.capture.simulator import texts, windows
from taskreel.capture.simulator.acts import Desk
from taskreel.capture.simulator.behaviors import Behaviors
from taskreel.capture.simulator.dice import Dice, Skewed, skewed
from taskreel.capture.simulator.documents import STRAYS, Document, hub
from taskreel.capture.simulator.layout import Layout
from taskreel.capture.simulator.options import SimulationOptions
from taskreel.capture.simulator.people import Person
from taskreel.capture.simulator.script import NEVER_US, Action, Episode, Focus, Held, Look, Mark
from taskreel.capture.simulator.tasks import Task, Tasks
from taskreel.capture.simulator.typing_ import KEYS, Intervals
from taskreel.capture.simulator.windows import Window
from taskreel.io.events import Kind

_RESERVE_US = 45_000_000
"""No longer takes what is begun last: an act, what completes the task, its mark, the recorder's keys."""
_SHORTEST_TASK_US = 10_000_000
_SESSION_AFTER_BREAK_US = 120_000_000
_COMPLETED_IN_MAIN_SHARE = 0.7
_CLOSED_SHARE = 0.2
"""Of documents that were looked at once are closed when they are left."""
_FIREFOX, _MAIL, _CHAT = range(3)
_STAY_SHARE, _STAY_LESS_S = 0.8, 2.0
"""Stays are drawn shorter than they come out: an act is done to its end, pauses and interruptions lengthen some."""


def act_recordings(
    options: SimulationOptions, person: Person, dice: Dice, rhythms: list[Intervals]
) -> tuple[list[Desk], list[Episode]]:
    """Act out everything one participant does until the recordings stop: the devices, and the tasks in order."""
    worker = Worker(options, person, dice)
    desks = [
        _start_desk(options, person, dice, intervals, device.tells_repeats)
        for intervals, device in zip(rhythms, person.devices, strict=True)
    ]
    return desks, worker.work(desks)


def _start_desk(
    options: SimulationOptions, person: Person, dice: Dice, intervals: Intervals, tells_repeats: bool
) -> Desk:
    """A device right after the recorder was started with Enter, which is not yet up."""
    window = Window(hub(person.applications, _MAIL) or Document(_MAIL, "Inbox"))
    x, y = dice.whole(0, options.width_px - 1), dice.whole(0, options.height_px - 1)
    desk = Desk(window, x, y, options.start_us, intervals, tells_repeats, seen=window, seen_us=options.start_us)
    focus = Focus(options.start_us, _MAIL, window.title(person.applications[_MAIL]), None)
    desk.focused = focus
    desk.script.focuses.append(focus)
    desk.script.looks.append(Look(options.start_us, window))
    desk.script.held.append(Held(NEVER_US, options.start_us + dice.us(0.03, 0.09), KEYS["enter"], -1))
    return desk


class Worker(Behaviors):
    """An actor with tasks to do."""

    def __init__(self, options: SimulationOptions, person: Person, dice: Dice) -> None:
        super().__init__(options, person, Layout(options.width_px, options.height_px), dice)
        minutes, window_s = options.task_minutes, options.window_s
        self._tasks = Tasks(options, person, dice)
        self._lengths = skewed(60 * minutes, 10 * minutes, 225 * minutes)
        stay_s = max(1.0, _STAY_SHARE * window_s - _STAY_LESS_S)
        self._stays = skewed(stay_s, 0.15 * stay_s, 8 * stay_s)
        self._pauses = skewed(options.pause_s, 2, options.longest_pause_s)
        self._interruptions = _about(options.interruption_s)
        self._strays = _about(options.stray_s)
        self._last_us = options.stop_us - _RESERVE_US
        self._task: Task | None = None
        self._working: tuple[Document, ...] = ()
        self._weights: tuple[float, ...] = ()
        self._switch_us = self._pause_us = self._interruption_us = 0

    def work(self, desks: list[Desk]) -> list[Episode]:
        """Task after task, with pauses between, at one device or another."""
        episodes: list[Episode] = []
        self.now_us += self.dice.us(1, 3)
        self._plan()
        while not episodes or self._last_us - self.now_us > _SHORTEST_TASK_US:
            self.desk = self.dice.choose(desks)
            episodes.append(self._do(self._tasks.next(), len(episodes)))
            self._between()
        for desk in desks:
            self.desk = desk
            self.now_us = max(desk.free_us, desk.left_us) + self.dice.us(1, 5)
            self.stop_recorder()
        return episodes

    # ------------------------------------------------------------------------------------------------ tasks

    def _do(self, task: Task, number: int) -> Episode:
        options, dice = self.options, self.dice
        start_us, self.episode, self._task = self.now_us, number, task
        self.until_us = min(start_us + self._lengths.us(dice), self._last_us)
        outcome = "failure" if dice.chance(options.failure_share) else "success"
        self._mark(Kind.MARK_START, task.description, None)
        self._come_back()
        self._work_on(task.documents, task.weights, self.until_us, interruptible=True)
        if dice.chance(options.completion_share):
            if dice.chance(_COMPLETED_IN_MAIN_SHARE):
                self._open(task.documents[0])
            self._complete(outcome)
        self._leave()
        self._mark(Kind.MARK_END, task.description, outcome)
        self._task, self.episode = None, None
        self.desk.left_us = self.now_us
        names = tuple(
            Window(document).title(self.person.applications[document.application]) for document in task.documents
        )
        return Episode(number, start_us, self.now_us, task.description, outcome, names, task.resumed)

    def _complete(self, outcome: str) -> None:
        """What ends a task: save, send, commit, close; or give up."""
        keys = self.application.completion if outcome == "success" else "ctrl+z"
        self.beat()
        if keys == "enter":
            self.write_keys(texts.sentence(self.dice))
            self.enter(keys)
            status = "Sent"
        elif "+" in keys:
            self.hotkey(keys)
            status = "Done" if outcome == "success" else "Undone"
        else:
            self.write_keys(keys)
            self.enter("enter")
            status = "Committed"
        self.desk.show(windows.saved(self.desk.window) if keys == "ctrl+s" else windows.done(self.desk.window, status))
        self.focus()

    def _mark(self, kind: Kind, description: str, outcome: str | None) -> None:
        if not self.options.markers:
            return
        script, action = self.desk.script, -1
        if kind == Kind.MARK_END:
            action = script.add(Action("terminate", self.episode, text=outcome))
        script.marks.append(Mark(self.now_us, kind, description, outcome, action))

    # ------------------------------------------------------------------------------------------------ pauses

    def _leave(self) -> None:
        """Stop working; what was done last has its picture before anything else happens."""
        self.now_us += self.dice.us(0.4, 1.5)
        if not self.desk.waited:
            self.look(min(self.desk.free_us + 150_000, self.now_us - 1))

    def _come_back(self) -> None:
        self.now_us += self.dice.us(0.5, 2)

    def _plan(self) -> None:
        """When the next pause and the next interruption are due."""
        self._pause_us = self.now_us + self._every(self.options.pause_every_s)
        self._interruption_us = self.now_us + self._every(self.options.interruption_every_s)

    def _every(self, mean_s: float) -> int:
        return self.dice.us(0.3 * mean_s, 1.7 * mean_s)

    def _pause(self) -> None:
        """A pause within a task: as one between tasks."""
        length_us = self._pauses.us(self.dice)
        if self.now_us + length_us < self._last_us:
            self._leave()
            self.now_us += length_us
            self._come_back()

    def _between(self) -> None:
        """From one task to the next."""
        options, dice, share = self.options, self.dice, self.dice.unit()
        left_us = options.stop_us - self.now_us
        if share < options.break_share and left_us > 1_000_000 * options.break_s[1] + _SESSION_AFTER_BREAK_US:
            self.now_us += dice.us(*options.break_s)
        else:
            self.now_us += self._pauses.us(dice)
        until_us = self.now_us + self._strays.us(dice)
        if dice.chance(options.stray_share) and until_us + _SHORTEST_TASK_US < self._last_us:
            self._come_back()
            pages = dice.sample(STRAYS, 2)
            strays = tuple(self.person.applications[_FIREFOX].document(_FIREFOX, page) for page in pages)
            self.until_us = until_us
            self._work_on(strays, (1, 1), until_us)
            self._leave()
            self.desk.left_us = self.now_us
            self.now_us += self._pauses.us(dice)

    # ------------------------------------------------------------------------------------------------ windows

    def _work_on(
        self, documents: tuple[Document, ...], weights: tuple[float, ...], until_us: int, interruptible: bool = False
    ) -> None:
        """Work with some documents, changing from one to another, until some time."""
        self._working, self._weights = documents, weights
        self._open(documents[0])
        self._stay()
        while self.now_us < until_us:
            if interruptible and self.now_us >= self._pause_us:
                before_us = self.now_us
                self._pause()
                self._pause_us = self.now_us + self._every(self.options.pause_every_s)
                self._switch_us += self.now_us - before_us
            elif interruptible and self.now_us >= self._interruption_us:
                self._interruption()
                self._working, self._weights = documents, weights
                self._interruption_us = self.now_us + self._every(self.options.interruption_every_s)
            elif self.now_us >= self._switch_us:
                self._open(self._next_document())
                self._stay()
            self.behave()
            self.think(until_us)

    def _stay(self) -> None:
        self._switch_us = self.now_us + self._stays.us(self.dice)

    def _next_document(self) -> Document:
        """Another of the documents in use, or one that is looked at once."""
        here = self.desk.window.document
        if self._task and self.dice.chance(self.options.one_off_share):
            application = self.dice.choose(self._working).application
            return self._tasks.one_off(application, self._task.matter)
        others = [(d, w) for d, w in zip(self._working, self._weights, strict=True) if d != here]
        return self.dice.weighted(*zip(*others, strict=True)) if others else here

    def _interruption(self) -> None:
        """Somebody asks something; then back to what was done."""
        dice, task = self.dice, self._task
        until_us = min(self.now_us + self._interruptions.us(dice), self._last_us)
        back = self.desk.window.document
        in_use = {document.application for document in self._working}
        asked: list[Document] = []
        if _CHAT not in in_use and dice.chance(0.6):
            asked.append(self._tasks.one_off(_CHAT, task.matter if task else ""))
        elif _MAIL not in in_use:
            asked.append(hub(self.person.applications, _MAIL) or back)
        if not asked or dice.chance(0.3):
            asked.append(self._tasks.other(in_use))
        self._task = None
        self._work_on(tuple(asked), tuple(1 for _ in asked), until_us)
        self._task = task
        self._open(back)
        self._stay()

    def browse(self) -> None:
        """A page leads to another of the pages in use, to one that is looked at once, or to itself."""
        here, dice = self.desk.window.document, self.dice
        pages = [d for d in self._working if d.application == here.application and d != here]
        if pages and dice.chance(0.35):
            self._show(dice.choose(pages))
        elif self._task and dice.chance(0.3):
            self._show(self._tasks.one_off(here.application, self._task.matter))

    def _open(self, document: Document) -> None:
        """Bring a document to the front."""
        here = self.desk.window.document
        if document == here:
            return
        share = self.dice.unit()
        if here not in self._working and share < _CLOSED_SHARE:
            self.beat()
            self.hotkey("ctrl+w")
        elif share < 0.45:
            self.beat()
            self.hotkey("ctrl+tab" if document.application == here.application else "alt+tab")
        elif share < 0.95 or document.application == here.application:
            same = document.application == here.application
            self.click(*self.point_in(self.layout.title if same else self.layout.task(document.application)))
        else:
            self._launch(self.person.applications[document.application].name)
        self._show(document)
        self.beat()

    def _launch(self, name: str) -> None:
        """Tap the meta key, type the name of an application, Enter."""
        before, typed = self.desk.window, name.lower()[: self.dice.whole(3, 8)]
        self.beat()
        self.tap("meta")
        self.desk.show(windows.done(before, "Search for"))
        self.now_us += self.dice.us(0.3, 0.8)
        self.write(typed)
        self.desk.show(windows.done(before, f"Search for {typed}"))
        self.beat()
        self.press("enter")
        self.desk.show(before)

    def _show(self, document: Document) -> None:
        """A document is in front from now on, as it was left; messages may have come."""
        desk = self.desk
        desk.windows[desk.window.document[:2]] = desk.window
        window = desk.windows.get(document[:2]) or Window(document)
        if document.application in (_MAIL, _CHAT) and self.dice.chance(0.3):
            window = windows.received(window, self.dice.whole(0, 9))
        desk.show(window)
        self.focus()


def _about(ends_s: tuple[float, float]) -> Skewed:
    """Durations between two ends, most of them nearer to the shorter one."""
    shortest_s, longest_s = ends_s
    return skewed(shortest_s + 0.25 * (longest_s - shortest_s), shortest_s, longest_s)
