"""What every command shares: the application, its exit codes, and how options are read and refused.

Commands lie in `taskreel/__main__.py` (make and look), `taskreel/upkeep.py` (versions of a dataset) and
`taskreel/service.py` (what runs for long). Exit codes: 0 good, 1 faults found, 2 bad use or bad input, 3 busy.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

if TYPE_CHECKING:
    from taskreel.io.dataset import Dataset

GOOD, FAULTS, BAD_USE, BUSY = 0, 1, 2, 3

app = typer.Typer(
    name="taskreel",
    help="From recordings of work at a computer, made with consent, to training data that can be checked.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Exit codes: 0 good, 1 faults found, 2 bad use or bad input, 3 busy.",
)

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for a program instead of a page for a person.")]


def without_warnings() -> None:
    """Beam warns, when it is imported, of libraries that nobody asked for, and later of its own workers' arguments."""
    import logging

    logging.getLogger().setLevel(logging.ERROR)
    logging.getLogger("PrismRunner").addFilter(lambda record: record.levelno >= logging.ERROR)  # it sets its own level


def fail(message: str, code: int = BAD_USE) -> NoReturn:
    """End with one clear line."""
    print(f"taskreel: {message}", file=sys.stderr)
    raise typer.Exit(code)


def store_at(url: str) -> Any:
    """The store at a place, or the end with one clear line."""
    from taskreel.io.stores import StoreError, open_store

    try:
        return open_store(url)
    except StoreError as error:
        fail(str(error))


def dataset_at(path: str, version: int | None) -> Dataset:
    """The dataset at a place, or the end with one clear line."""
    from taskreel.io import dataset as datasets
    from taskreel.io.stores import StoreError

    try:
        return datasets.open(path, version)
    except (FileNotFoundError, StoreError) as error:
        fail(str(error))


def time_us(option: str, text: str) -> int:
    """The time that an option gives; raises `ValueError` that names the option."""
    from taskreel.io.times import us_from_iso

    try:
        return us_from_iso(text)
    except ValueError:
        raise ValueError(f"{option} {text}: not a time in ISO 8601, such as 2026-01-05T09:00:00Z") from None


_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def duration_s(option: str, text: str) -> float:
    """A duration such as 90s, 15m, 48h or 7d, or a number of seconds; raises `ValueError` that names the option."""
    number, unit = (text[:-1], text[-1]) if text[-1:] in _SECONDS else (text, "s")
    try:
        value = float(number) * _SECONDS[unit]
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise ValueError(f"{option} {text}: a duration is expected, such as 90s, 15m, 48h or 7d")
    return value


def percents(text: str) -> tuple[int, int, int]:
    """The three shares of `--split-percent`; raises `ValueError`."""
    try:
        train, validation, test = (int(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"--split-percent {text}: three whole percents are expected, such as 90,5,5") from None
    return train, validation, test


def one_of(value: str, option: str, *choices: str) -> str:
    """A value that is one of some; raises `ValueError` that names the option."""
    if value not in choices:
        raise ValueError(f"{option} {value}: one of {', '.join(choices)} is expected")
    return value
