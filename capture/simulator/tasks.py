"""Which tasks somebody has, and with which documents each is done."""

from __future__ import annotations

from dataclasses import dataclass

from taskreel.capture.simulator.dice import Dice
from taskreel.capture.simulator.documents import MATTERS, Document, hub, new_document
from taskreel.capture.simulator.options import SimulationOptions
from taskreel.capture.simulator.people import Person

_DOCUMENTS = (2, 3, 4, 5)
_DOCUMENTS_WEIGHTS = (25, 35, 25, 15)
_MOST_APPLICATIONS = 4
_SAME_AS_MAIN_SHARE = 0.35
_HUB_SHARE = 0.3
_KNOWN_SHARE = 0.15
_OWN_MATTER_SHARE = 0.65
_LAST_MATTERS = 6
"""How many matters are somebody's at a time: tasks of one matter follow on one another now and then."""


@dataclass(frozen=True)
class Task:
    """What is to be done: with which documents, the main one first. `resumed`: the number of an earlier part of it."""

    description: str
    matter: str
    documents: tuple[Document, ...]
    resumed: int | None = None

    @property
    def main(self) -> int:
        """The application that it is mostly done in, by its number."""
        return self.documents[0].application

    @property
    def weights(self) -> tuple[float, ...]:
        """How much each document is used: the first most, each further one less (Zipf)."""
        return tuple(1 / (rank + 1) for rank in range(len(self.documents)))


class Tasks:
    """The tasks of one participant, one after the other."""

    def __init__(self, options: SimulationOptions, person: Person, dice: Dice) -> None:
        self.options, self.person, self.dice = options, person, dice
        self.done: list[Task] = []
        self.known: list[Document] = []
        """Every document that was worked on, once for each task."""
        self._matters = dice.sample(MATTERS, _LAST_MATTERS)

    def next(self) -> Task:
        """Another task: a new one, or one that was left before the last."""
        resumable = range(max(0, len(self.done) - 5), len(self.done) - 1)
        if resumable and self.dice.chance(self.options.resumed_share):
            number = self.dice.choose(resumable)
            before = self.done[number]
            task = Task(before.description, before.matter, before.documents, number)
        else:
            task = self._new()
        self.done.append(task)
        self.known.extend(task.documents)
        return task

    def one_off(self, application: int, matter: str) -> Document:
        """A document that is looked at once."""
        own = self.dice.chance(_OWN_MATTER_SHARE)
        return self._document(application, matter if own else self.dice.choose(MATTERS))

    def other(self, avoided: set[int]) -> Document:
        """A document of an application that is not in use: what a colleague asks for."""
        numbers = [n for n in range(len(self.person.applications)) if n not in avoided]
        known = [document for document in self.known if document.application in numbers]
        if known and self.dice.chance(0.5):
            return self.dice.choose(known)
        return self._document(self.dice.choose(numbers), self.dice.choose(self._matters))

    def _new(self) -> Task:
        dice, last = self.dice, self.done[-1] if self.done else None
        same = last is not None and dice.chance(self.options.same_application_share)
        main = last.main if last and same else dice.choose(range(len(self.person.applications)))
        if dice.chance(0.2):
            self._matters[dice.whole(0, _LAST_MATTERS - 1)] = dice.choose(MATTERS)
        matter = dice.choose(self._matters)
        first = self._document(main, matter)
        documents = [first]
        count = dice.weighted(_DOCUMENTS, _DOCUMENTS_WEIGHTS)
        while len(documents) < count:
            document = self._another(main, matter, documents, last)
            if document not in documents:
                documents.append(document)
        description = dice.choose(self.person.applications[main].tasks).format(matter)
        return Task(description, matter, tuple(documents))

    def _another(self, main: int, matter: str, documents: list[Document], last: Task | None) -> Document:
        dice = self.dice
        if last and dice.chance(self.options.shared_share):
            return dice.choose(last.documents)
        used = sorted({document.application for document in documents})
        if dice.chance(_SAME_AS_MAIN_SHARE):
            number = main
        else:
            number = dice.choose(used if len(used) == _MOST_APPLICATIONS else range(len(self.person.applications)))
        central = hub(self.person.applications, number)
        if central and dice.chance(_HUB_SHARE):
            return central
        known = [document for document in self.known if document.application == number]
        if known and dice.chance(_KNOWN_SHARE):
            return dice.choose(known)
        return self._document(number, matter if dice.chance(_OWN_MATTER_SHARE) else dice.choose(self._matters))

    def _document(self, number: int, matter: str) -> Document:
        return new_document(self.dice, self.person.applications, number, matter)
