"""The windows on the screen, bottom to top, kept up to date by the server's events.

A child of the root window is the frame of a window manager, a program's window without a frame, or a popup. What a
program says (its name, its title) is said by the *client* in the frame, which ICCCM marks with WM_STATE.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from taskreel.capture.sources.protocol import Rect
from taskreel.capture.sources.x11.facts import WindowFacts
from taskreel.capture.sources.x11.properties import Properties
from taskreel.capture.sources.x11.server import Server, numbers

_MOST_ROUNDS = 8
"""So often is asked again because something changed meanwhile."""
_MOST_INSIDE = 64
"""Windows of a frame that are looked into at each depth: more are no window manager's."""
_DEPTH = 3
"""A client lies at most so deep: KWin's frames have a wrapper around it."""


@dataclass(frozen=True, slots=True)
class TopLevel:
    """A child of the root window and the client in it. `rect` is in px, with the border."""

    id: int
    rect: Rect
    is_mapped: bool
    client: WindowFacts


class Stack:
    """All children of the root window. Used from the thread of its server.

    `generation` counts what was heard of them: it is equal for two moments only if nothing has changed in between.
    """

    def __init__(self, server: Server) -> None:
        from xcffib import xproto

        self._x: Any = xproto
        self._server = server
        self._properties = Properties(server)
        (self._wm_state,) = server.atoms("WM_STATE")
        self._tops: dict[int, TopLevel] = {}
        self._order: Sequence[int] = ()
        self._top_of: dict[int, int] = {}
        """Windows that are watched, and those of the root that they lie in or are."""
        self._looked_up: dict[int, int] = {}
        """Windows deeper down that `find` was asked for, and what it found: until one of them is moved elsewhere."""
        self._changed: set[int] = set()
        """Of the root's children, those in which windows came or went."""
        self._renamed: set[int] = set()
        """Those whose client says something else now."""
        self._is_order_old = True
        self.generation = 0
        self._of_contents: tuple[Any, ...] = (
            xproto.CreateNotifyEvent,
            xproto.DestroyNotifyEvent,
            xproto.ReparentNotifyEvent,
        )
        self._of_structure: tuple[Any, ...] = (
            *self._of_contents,
            xproto.ConfigureNotifyEvent,
            xproto.MapNotifyEvent,
            xproto.UnmapNotifyEvent,
            xproto.CirculateNotifyEvent,
        )
        self._of_tops = xproto.EventMask.SubstructureNotify | xproto.EventMask.PropertyChange
        server.select(server.root, xproto.EventMask.SubstructureNotify)
        server.listeners.append(self._hear)

    @property
    def tops(self) -> list[TopLevel]:
        """As of the last `refresh`, bottom to top."""
        return [self._tops[id_] for id_ in self._order if id_ in self._tops]

    @property
    def clients(self) -> list[WindowFacts]:
        """What they say, bottom to top."""
        return [top.client for top in self.tops]

    def find(self, window: int) -> TopLevel | None:
        """The child of the root that a window is or lies in, as of the last `refresh`; asks the server if need be."""
        below: list[int] = []
        while window and window != self._server.root:
            if (top := self._tops.get(self._top_of.get(window) or self._looked_up.get(window, window))) is not None:
                self._looked_up.update(dict.fromkeys(below, top.id))
                return top
            self._server.select(window, self._x.EventMask.StructureNotify)
            tree = self._server.answer(self._server.core.QueryTree(window))
            if tree is None:
                self._server.forget(window)
                return None
            below.append(window)
            window = tree.parent
        return None

    def at(self, x_px: int, y_px: int) -> TopLevel | None:
        """The topmost mapped one at a place, as the server sees it now: one with holes is looked through."""
        place = self._server.core.TranslateCoordinates(self._server.root, self._server.root, x_px, y_px)
        answer = self._server.answer(place)
        child = answer.child if answer is not None else 0
        if child and child not in self._tops:
            self.refresh(is_asked=True)
        return self._tops.get(child)

    def refresh(self, *, is_asked: bool = False) -> bool:
        """Catch up with the server: with what was heard, or with all that is so now if `is_asked`.

        False if windows came and went faster than they can be asked: some are not known.
        """
        is_due = is_asked
        for _ in range(_MOST_ROUNDS):
            if not (is_due or self._has_news):
                return True
            is_due = False
            self._catch_up()
        return not self._has_news

    @property
    def _has_news(self) -> bool:
        return bool(self._is_order_old or self._changed or self._renamed)

    def _catch_up(self) -> None:
        self._is_order_old = False
        tree = self._server.answer(self._server.core.QueryTree(self._server.root))
        self._order = tuple(tree.children) if tree is not None else ()
        self._server.take_news()
        for gone in self._tops.keys() - set(self._order):
            self._drop(gone)
        unknown = [id_ for id_ in self._order if id_ not in self._tops or id_ in self._changed]
        renamed = [top for id_ in self._renamed.difference(unknown) if (top := self._tops.get(id_)) is not None]
        self._changed.clear()
        self._renamed.clear()
        if renamed:
            self._read(renamed)
        if unknown:
            self._learn(unknown)
        if renamed or unknown:
            self._server.take_news()

    def _read(self, tops: Sequence[TopLevel]) -> None:
        facts = self._properties.facts([(top.client.id, top.client.is_popup) for top in tops])
        for top in tops:
            self._tops[top.id] = replace(top, client=facts[top.client.id])

    def _learn(self, ids: Sequence[int]) -> None:
        for id_ in ids:
            self._drop(id_)
            self._watch(id_, id_, self._of_tops)
        core, server = self._server.core, self._server
        # The requests are all sent before the first answer is waited for.
        asked = [(core.GetWindowAttributes(id_), core.GetGeometry(id_)) for id_ in ids]
        inside = self._clients_in(ids)
        attributes = server.answers(asked_attributes for asked_attributes, _ in asked)
        geometries = server.answers(asked_geometry for _, asked_geometry in asked)
        found = [
            (id_, attribute, geometry)
            for id_, attribute, geometry in zip(ids, attributes, geometries, strict=True)
            if attribute is not None and geometry is not None
        ]
        clients = [
            (inside.get(id_, id_), bool(attribute.override_redirect) and id_ not in inside)
            for id_, attribute, _ in found
        ]
        for (id_, _, _), (client, _) in zip(found, clients, strict=True):
            self._watch(client, id_, self._x.EventMask.PropertyChange)
        facts = self._properties.facts(clients)
        for (id_, attribute, geometry), (client, _) in zip(found, clients, strict=True):
            is_mapped = attribute.map_state != self._x.MapState.Unmapped
            self._tops[id_] = TopLevel(id_, _rect(geometry), is_mapped, facts[client])

    def _clients_in(self, ids: Sequence[int]) -> dict[int, int]:
        """The client in each of some children of the root, if there is one: by the top-level's id."""
        clients = self._with_state({id_: [id_] for id_ in ids})
        level = {id_: [id_] for id_ in ids if id_ not in clients}
        for _ in range(_DEPTH):
            inside = self._inside(level)
            # A client is of another connection than the frame: the window manager's own parts need not be asked.
            foreign = {id_: [part for part in parts if self._is_foreign(part, id_)] for id_, parts in inside.items()}
            for id_, parts in foreign.items():
                for part in parts:
                    self._watch(part, id_, self._x.EventMask.PropertyChange)
            clients |= self._with_state(foreign)
            level = {
                id_: [part for part in parts if not self._is_foreign(part, id_)][:_MOST_INSIDE]
                for id_, parts in inside.items()
                if id_ not in clients
            }
            for id_, parts in level.items():
                for part in parts:
                    self._watch(part, id_, self._x.EventMask.SubstructureNotify)
        return clients

    def _inside(self, level: dict[int, list[int]]) -> dict[int, list[int]]:
        """The children of all windows of a level."""
        asked = [(id_, self._server.core.QueryTree(part)) for id_, parts in level.items() for part in parts]
        inside: dict[int, list[int]] = {}
        for (id_, _), tree in zip(asked, self._server.answers(cookie for _, cookie in asked), strict=True):
            inside.setdefault(id_, []).extend(tree.children if tree is not None else ())
        return inside

    def _with_state(self, level: dict[int, list[int]]) -> dict[int, int]:
        """The first window of each that has WM_STATE."""
        asked = [
            (id_, part, self._server.ask_property(part, "WM_STATE")) for id_, parts in level.items() for part in parts
        ]
        found: dict[int, int] = {}
        for (id_, part, _), state in zip(asked, self._server.answers(cookie for _, _, cookie in asked), strict=True):
            if numbers(state):
                found.setdefault(id_, part)
        return found

    def _is_foreign(self, part: int, top: int) -> bool:
        return self._server.client_of(part) != self._server.client_of(top)

    def _watch(self, window: int, top: int, mask: int) -> None:
        self._top_of[window] = top
        self._server.select(window, mask)

    def _drop(self, top: int) -> None:
        self._tops.pop(top, None)
        for window in [window for window, of in self._top_of.items() if of == top]:
            del self._top_of[window]
            self._server.deselect(window, self._of_tops)
        self._looked_up = {window: of for window, of in self._looked_up.items() if of != top}

    def _hear(self, event: Any) -> None:
        x = self._x
        if isinstance(event, x.PropertyNotifyEvent):
            self._hear_of_property(event.window, event.atom)
        elif isinstance(event, x.CreateNotifyEvent):
            self._hear_of_structure(event, event.parent)
        elif isinstance(event, self._of_structure):
            if isinstance(event, x.DestroyNotifyEvent | x.ReparentNotifyEvent) and event.window in self._looked_up:
                self._looked_up.clear()
            if isinstance(event, x.DestroyNotifyEvent):
                self._server.forget(event.window)
            self._hear_of_structure(event, event.event)

    def _hear_of_property(self, window: int, atom: int) -> None:
        top = self._tops.get(self._top_of.get(window, 0))
        if top is None:
            return
        if atom == self._wm_state:
            self._changed.add(top.id)
            self.generation += 1
        elif window == top.client.id and atom in self._properties.atoms:
            self._renamed.add(top.id)
            self.generation += 1

    def _hear_of_structure(self, event: Any, above: int) -> None:
        if above == self._server.root:
            self._hear_of_top(event)
        elif above in self._top_of and isinstance(event, self._of_contents):
            self._changed.add(self._top_of[above])
            self.generation += 1

    def _hear_of_top(self, event: Any) -> None:
        x = self._x
        self._is_order_old = True
        self.generation += 1
        top = self._tops.get(event.window)
        if isinstance(event, x.DestroyNotifyEvent | x.ReparentNotifyEvent):
            self._drop(event.window)
        elif top is None:
            return
        elif isinstance(event, x.ConfigureNotifyEvent):
            self._tops[top.id] = replace(top, rect=_rect(event))
        elif isinstance(event, x.MapNotifyEvent | x.UnmapNotifyEvent):
            self._tops[top.id] = replace(top, is_mapped=isinstance(event, x.MapNotifyEvent))


def _rect(geometry: Any) -> Rect:
    """From a GetGeometry reply or a ConfigureNotify event: of the outer corner, with the border."""
    border = 2 * geometry.border_width
    return Rect(geometry.x, geometry.y, geometry.width + border, geometry.height + border)
