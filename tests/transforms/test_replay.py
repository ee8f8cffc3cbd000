import functools

from hypothesis import given, settings
from hypothesis import strategies as st
from reducer_strategies import doings
from strategies import acts, by_devices

from taskreel.transforms.actions import ActionOptions, reduce_actions
from taskreel.transforms.actions.replay import replay

NOT_GIVEN_BACK = ("first_seq", "last_seq")


def assert_given_back(events, rules):
    actions = reduce_actions(events, rules).actions
    again = reduce_actions(replay(actions, rules), rules).actions
    before, after = (table.drop_columns(NOT_GIVEN_BACK).to_pylist() for table in (actions, again))
    assert [action["action"] for action in after] == [action["action"] for action in before]
    for number, (one, two) in enumerate(zip(before, after, strict=True)):
        differs = {name: (one[name], two[name]) for name in one if one[name] != two[name]}
        assert (number, one["action"], differs) == (number, one["action"], {})


rules = st.builds(ActionOptions, keep_moves=st.booleans(), resolve_edits=st.booleans())


recorded = functools.partial(doings, without=("lost",))


@given(acts(), rules)
@settings(max_examples=300, deadline=None)
def test_what_people_do_is_given_back(rows, rules):
    assert_given_back(by_devices(rows), rules)
