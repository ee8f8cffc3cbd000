"""Which windows are never recorded, by the patterns that a person chose. Pure: from what windows say to reasons.

What belongs to an excluded window is excluded: its dialogs and menus, and every popup of the same program of which
nothing says to which window it belongs. In doubt a window is excluded.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from taskreel.capture.settings import OWN_NAME
from taskreel.capture.sources.x11.facts import WindowFacts
from taskreel.capture.sources.x11.popups import ancestors, are_kin

EXCLUDED, OWN = "excluded", "own"


class Exclusion:
    """Says of each window why it must not be kept, if so.

    Patterns are compared without regard to case, and with the whole text. `*` is any text and `?` any character;
    brackets are brackets, because titles have them: `*[InPrivate]*`.
    """

    def __init__(self, apps: Iterable[str], titles: Iterable[str]) -> None:
        self._apps, self._titles = _pattern(apps), _pattern(titles)

    def reasons(self, windows: Iterable[WindowFacts]) -> dict[int, str]:
        """The windows that must not be kept, by id, each with `excluded` or `own`, in whatever order."""
        by_id = {window.id: window for window in windows}
        named = {id_: reason for id_, window in by_id.items() if (reason := self._by_name(window))}
        found = ((window.id, self._reason(window, by_id, named)) for window in by_id.values())
        return {id_: reason for id_, reason in found if reason is not None}

    def _by_name(self, window: WindowFacts) -> str | None:
        names = (window.instance, window.class_name, window.process)
        if OWN_NAME in (name.casefold() for name in names):
            return OWN
        if any(self._apps.fullmatch(name.casefold()) for name in names if name):
            return EXCLUDED
        if self._titles.fullmatch(window.title.casefold()):
            return EXCLUDED
        return None

    def _reason(self, window: WindowFacts, windows: Mapping[int, WindowFacts], named: Mapping[int, str]) -> str | None:
        line = [window, *ancestors(window, windows)]
        for one in line:
            if one.id in named:
                return named[one.id]
        last = line[-1]
        if not (last.is_popup or last.transient_for):
            return None
        # Nothing says before which window it stands: it may be any of its program.
        reasons = {reason for id_, reason in named.items() if any(are_kin(one, windows[id_]) for one in line)}
        return EXCLUDED if EXCLUDED in reasons else next(iter(reasons), None)


def _pattern(globs: Iterable[str]) -> re.Pattern[str]:
    """One expression for all globs; with none, it matches nothing (`(?!)`)."""
    one_each = ["".join(_part(character) for character in glob.casefold()) for glob in globs]
    return re.compile("|".join(one_each) if one_each else "(?!)", re.DOTALL)


def _part(character: str) -> str:
    return {"*": ".*", "?": "."}.get(character, re.escape(character))
