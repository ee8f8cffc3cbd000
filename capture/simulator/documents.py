"""What there is to work on: the applications, and the documents, pages and folders that people have in them.

Somebody's documents are named for what they are about, so that those of one matter are spread over applications and
those of one application over matters, as real ones are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from taskreel.capture.simulator.dice import Dice

WindowKind = Literal["document", "grid", "page"]


class Document(NamedTuple):
    """A document, page, folder, mail or conversation; `application` is an index into a person's applications."""

    application: int
    name: str
    url: str | None = None


@dataclass(frozen=True)
class Application:
    """A program. `names` of its documents have a gap for what they are about; `hub` is what everybody comes back to.

    `completion` ends a task: a hotkey, or "enter", or a command to be typed.
    """

    name: str
    kind: WindowKind
    names: tuple[str, ...]
    buttons: tuple[str, ...]
    completion: str
    tasks: tuple[str, ...]
    hub: str | None = None
    is_web: bool = False

    def document(self, number: int, name: str) -> Document:
        """One of its documents; `number` is this application's."""
        return Document(number, name, _url(name) if self.is_web else None)


APPLICATIONS = (
    Application(
        "Firefox",
        "page",
        ("{} prices", "{} - Encyclopedia", "{} timetable", "{} manual", "{} tickets"),
        ("Back", "Search", "Reload", "Bookmark"),
        "ctrl+d",
        ("Find out the prices of {}", "Compare {} with two others", "Order spare parts of {}"),
        hub="Search",
        is_web=True,
    ),
    Application(
        "Mail",
        "document",
        ("Re: {}", "Offer {}", "Appointment {}", "Fwd: {} complaint"),
        ("Reply", "Forward", "Archive", "Send"),
        "ctrl+enter",
        ("Answer the mail on {}", "Arrange an appointment on {}"),
        hub="Inbox",
    ),
    Application(
        "Chat",
        "document",
        ("{} team", "Anna", "Bela", "Chen", "Dilek", "Efua"),
        ("Call", "File", "Search", "Mute"),
        "enter",
        ("Settle {} with the team",),
        hub="Team",
    ),
    Application(
        "Writer",
        "document",
        ("{} report.odt", "{} minutes.odt", "{} contract.odt", "{} draft.odt"),
        ("Bold", "Italic", "List", "Save"),
        "ctrl+s",
        ("Write up the minutes of {}", "Revise the report on {}", "Draft the contract with {}"),
    ),
    Application(
        "Calc",
        "grid",
        ("{} budget.ods", "{} inventory.ods", "{} hours.ods", "{} receipts.ods"),
        ("Sum", "Sort", "Filter", "Save"),
        "ctrl+s",
        ("Enter the receipts of {}", "Update the inventory of {}", "Plan the budget of {}"),
    ),
    Application(
        "Terminal",
        "document",
        ("~/{}", "~/{}/docs", "~/{}/tests"),
        ("New", "Copy", "Paste", "Clear"),
        "git commit -am 'fix'",
        ("Build {} and read its log", "Rename the files of {}"),
        hub="~",
    ),
    Application(
        "Files",
        "page",
        ("{}", "{} pictures", "{} archive"),
        ("Up", "Search", "Rename", "Share"),
        "ctrl+w",
        ("Sort the files of {} into folders", "Find last year's contract with {}"),
        hub="Downloads",
    ),
    Application(
        "Code",
        "document",
        ("{}.py", "test_{}.py", "{}.md", "{}.toml"),
        ("Run", "Test", "Debug", "Format"),
        "ctrl+s",
        ("Fix the bug in {}", "Review the change to {}"),
    ),
)
"""What people have installed. Everybody has the first three."""

SHARED_APPLICATIONS = 3
_MATTERS = (
    "Harbor Atlas Juniper Meridian Falcon Cedar Orchid Quarry Lantern Summit Delta Willow Ember Granite Tidewater "
    "Aurora Pinnacle Bramble Cobalt Sierra Heron Magnolia Basalt Zephyr Larch Onyx Prairie Saffron Tundra Velvet"
)
MATTERS = tuple(_MATTERS.split())
"""What documents are about: clients, projects, products."""

STRAYS = ("News", "Weather", "Football results", "Videos", "Recipes", "Shoes on sale")
"""Pages that belong to no task."""


def new_document(dice: Dice, applications: tuple[Application, ...], number: int, matter: str) -> Document:
    """Some document of an application on a matter; it may be one that is known."""
    application = applications[number]
    return application.document(number, dice.choose(application.names).format(matter))


def hub(applications: tuple[Application, ...], number: int) -> Document | None:
    """What everybody comes back to in an application: the inbox, the search page."""
    name = applications[number].hub
    return applications[number].document(number, name) if name else None


def _url(name: str) -> str:
    words = name.lower().replace(" - ", " ").split()
    return f"https://{words[-1]}.example/" + "-".join(words[:-1])
