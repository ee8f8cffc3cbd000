"""What is known of the session, against the plain rule: on while at least one says so."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from taskreel.capture.sources.guards import Guard, Withholds
from taskreel.capture.watchers.session import Causes, Session


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans())))
def test_a_guard_is_on_while_a_cause_holds_and_each_change_is_told_once(told: list[tuple[str, bool]]) -> None:
    changes: list[None] = []
    causes = Causes(Guard("any", Withholds.ALL), lambda: changes.append(None))
    holding: set[str] = set()
    expected = 0
    for cause, holds in told:
        expected += holds != (cause in holding)
        holding = holding | {cause} if holds else holding - {cause}
        causes.tell(cause, holds)
        assert causes.guard.is_on == bool(holding)
        assert causes.holding == holding
    assert len(changes) == expected


def test_a_session_tells_apart_why_nobody_may_be_watched() -> None:
    session = Session()
    seen = []

    def look() -> None:
        seen.append((session.is_locked, session.is_active_session, session.is_suspending, session.guard.is_on))

    look()
    for tell, begins in (
        (lambda on: session.tell_locked("logind", on), True),
        (session.tell_active, False),
        (session.tell_suspending, True),
    ):
        tell(begins)
        look()
        tell(not begins)
        look()
    usual = (False, True, False, False)
    assert seen == [
        *(usual, (True, True, False, True)),
        *(usual, (False, False, False, True)),
        *(usual, (False, True, True, True)),
        usual,
    ]
