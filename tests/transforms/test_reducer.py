"""`reduce_actions` against the oracle in `tests/support/reducer_oracle.py`, which reads `docs/actions.md` by itself."""

from hypothesis import given, settings
from reducer_oracle import reduce_by_hand
from reducer_strategies import options, tables

from taskreel.transforms.actions.reducer import reduce_actions


def assert_as_by_hand(events, rules):
    reduction = reduce_actions(events, rules)
    expected, owner = reduce_by_hand(events.to_pylist(), rules)
    found = reduction.actions.to_pylist()
    assert [action["action"] for action in found] == [action["action"] for action in expected]
    for number, (action, by_hand) in enumerate(zip(found, expected, strict=True)):
        differs = {name: (action[name], by_hand[name]) for name in action if action[name] != by_hand[name]}
        assert (number, action["action"], differs) == (number, action["action"], {})
    assert reduction.owner.tolist() == owner
    return reduction


@given(tables(), options())
@settings(max_examples=1000, deadline=None)
def test_any_events_reduce_to_what_a_reading_of_the_page_gives(events, rules):
    assert_as_by_hand(events, rules)
