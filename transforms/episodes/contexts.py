"""The context of an action: the program, and the document in it, without what changes while one works on it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

UNKNOWN = -1

_LEADING_MARK = re.compile(r"^[^\w~/\\.\[(<\"'#@$-]+")
"""Modified marks and spinners: "*report", "● report", "⠋ building"."""
_UNREAD = re.compile(r"(?:(?<=\s)|^)[(\[]\d+\+?[)\]](?=\s|$)")
"""Counts of what is unread: "Inbox (3)", "[12] chat". Not "copy (2).txt"."""
_PROGRESS = re.compile(r"\d+(?:[.,]\d+)?\s?%|\b\d{1,2}:\d\d(?::\d\d)?\b")
"""Progress and clocks: "45 % uploaded", "12:31 left"."""
_SPACES = re.compile(r"\s+")


@dataclass(frozen=True)
class Contexts:
    """The number of each action's document and of its program, int64 of shape (actions,); `UNKNOWN` without a window.

    Numbers count from 0 in order of first use. A document belongs to one program.
    """

    document: np.ndarray
    program: np.ndarray


def contexts(actions: pa.Table) -> Contexts:
    """The contexts of actions, from their columns `app`, `title` and `url`."""
    rows, number_of_row = _distinct(actions.select(["app", "title", "url"]))
    documents: dict[tuple[str, str], int] = {}
    programs: dict[str, int] = {}
    numbers = []
    for app, title, url in rows:
        program, document = context(app, title, url)
        is_known = bool(program or document)
        of_document = documents.setdefault((program, document), len(documents)) if is_known else UNKNOWN
        of_program = programs.setdefault(program, len(programs)) if is_known else UNKNOWN
        numbers.append((of_document, of_program))
    table = np.array(numbers, np.int64).reshape(-1, 2)[number_of_row]
    return Contexts(table[:, 0], table[:, 1])


def context(app: str | None, title: str | None, url: str | None) -> tuple[str, str]:
    """Program and document: of a page its host and path, of any other window its application and title.

    >>> context("Firefox", "(3) Inbox - Firefox", "https://www.mail.example/inbox/?page=2#top")
    ('mail.example', '/inbox')
    >>> context("Writer", "*Report.odt - Writer", None)
    ('writer', 'report.odt - writer')
    """
    host, path = _page(url or "")
    if host:
        return host, path
    return (app or "").strip().casefold(), _stable(title or "")


def _page(url: str) -> tuple[str, str]:
    """Host and path of a URL, without what only says how to show the page."""
    try:
        parts = urlsplit(url.strip())
        host = (parts.hostname or "").removeprefix("www.")
    except ValueError:
        return "", ""
    return host, parts.path.rstrip("/")


def _stable(title: str) -> str:
    """A title without marks, counts and progress."""
    for volatile in (_PROGRESS, _UNREAD):
        title = volatile.sub("", title)
    return _LEADING_MARK.sub("", _SPACES.sub(" ", title).strip()).casefold()


def _distinct(table: pa.Table) -> tuple[list[tuple[str | None, ...]], np.ndarray]:
    """The distinct rows of a table of texts, in order of first use, and the number of each row's."""
    code = np.zeros(table.num_rows, np.int64)
    for column in table.columns:
        encoded = column.cast(pa.string()).dictionary_encode().combine_chunks()
        indices = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False)
        code = np.unique(code * (len(encoded.dictionary) + 1) + indices + 1, return_inverse=True)[1]
    _, first, number = np.unique(code, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    values = table.take(pa.array(first[order], pa.int64())).to_pylist()
    return [tuple(row.values()) for row in values], rank[number]
