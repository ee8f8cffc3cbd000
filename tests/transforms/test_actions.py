"""Each rule of `docs/actions.md` as a small case. What holds for any events at all is in `test_reducer.py`."""

import dataclasses

import pyarrow as pa
import pytest
from strategies import BEGIN_US, Hand, by_devices, picture_hash_of

from taskreel.io.events import Flag, Kind
from taskreel.transforms.actions import ActionFlag, ActionOptions, Drop, reduce_actions

SHOWN = ("action", "button", "text", "keys", "count", "modifiers", "wheel_x_ticks", "wheel_y_ticks")


def actions_of(hand, **options):
    return reduce_actions(by_devices(hand.rows), ActionOptions(**options)).actions.to_pylist()


def summary(hand, *names, **options):
    """What was done, in short: the arguments that are not null, a count of 1 left out; or just some columns."""
    rows = actions_of(hand, **options)
    if names:
        return [tuple(row[name] for name in names) for row in rows]
    shown = [[(name, row[name]) for name in SHOWN if row[name] is not None] for row in rows]
    return [tuple(value for item in row if item != ("count", 1) for value in item[1:]) for row in shown]


def names_of(hand, **options):
    return [name for (name,) in summary(hand, "action", **options)]


def flags_of(hand, **options):
    return [ActionFlag(bits) for (bits,) in summary(hand, "flags", **options)]


def owners_of(hand, **options):
    owner = reduce_actions(by_devices(hand.rows), ActionOptions(**options)).owner.tolist()
    return [number if number >= 0 else Drop(number).name for number in owner]


# ------------------------------------------------------------------------------------------------------- clicks


@pytest.mark.parametrize(
    ("button", "expected"),
    [
        (1, ("click", "left")),
        (2, ("middleClick", "middle")),
        (3, ("rightClick", "right")),
        (8, ("click", "button8")),
        (9, ("click", "button9")),
    ],
)
def test_a_click_is_named_by_its_button(button, expected):
    assert summary(Hand().click(button)) == [expected]


@pytest.mark.parametrize(("ms", "names"), [(500, ["doubleClick"]), (501, ["click", "click"])])
def test_clicks_are_one_up_to_half_a_second_from_press_to_press(ms, names):
    assert names_of(Hand().click(hold_ms=80).wait(ms - 80).click()) == names


@pytest.mark.parametrize(("dx", "dy", "names"), [(3, 4, ["doubleClick"]), (3, 4.25, ["click", "click"])])
def test_clicks_are_one_up_to_five_pixels_apart(dx, dy, names):
    assert names_of(Hand().click().wait(50).move(dx, dy).wait(50).click()) == names


def test_two_clicks_where_no_place_is_known_are_a_double_click():
    assert names_of(Hand(knows_position=False).click().wait(50).click()) == ["doubleClick"]


def test_the_fourth_quick_click_begins_anew():
    hand = Hand()
    for _ in range(5):
        hand.click(hold_ms=50).wait(100)
    assert summary(hand, "action", "clicks") == [("tripleClick", 3), ("doubleClick", 2)]


def test_clicks_of_two_buttons_are_no_double_click():
    assert names_of(Hand().click(1).wait(50).click(3)) == ["click", "rightClick"]


def test_a_double_click_of_another_button_says_which():
    assert summary(Hand().click(3).wait(50).click(3)) == [("doubleClick", "right")]


def test_a_marker_ends_what_could_have_been_a_double_click():
    assert names_of(Hand().click().wait(50).event(Kind.MARK_START).wait(50).click()) == ["click", "click"]


def test_modifiers_held_at_a_click_are_its_modifiers():
    hand = Hand().key_down("shiftleft").key_down("ctrlright").wait(50).click().key_up("ctrlright").key_up("shiftleft")
    assert summary(hand) == [("click", "left", "ctrl+shift")]


# --------------------------------------------------------------------------------------------- drags and holds


@pytest.mark.parametrize(
    ("dx", "dy", "name"), [(9.75, 0, "click"), (10, 0, "dragTo"), (-6, 8, "dragTo"), (7, 7, "click")]
)
def test_a_press_is_a_drag_from_ten_pixels_on_also_if_it_comes_back(dx, dy, name):
    assert names_of(Hand().down().wait(50).move(dx, dy).wait(50).up()) == [name]
    assert names_of(Hand().down().wait(50).move(dx, dy).wait(50).move(-dx, -dy).up()) == [name]


def test_a_drag_goes_from_its_press_to_its_release_along_its_corners():
    hand = Hand().down().wait(10)
    for dx, dy in ((20, 0), (20, 2), (20, -2), (0, 30)):  # to the right with a tremor, then down
        hand.move(dx, dy).wait(10)
    (drag,) = actions_of(hand.up())
    assert (drag["x"], drag["y"], drag["to_x"], drag["to_y"], drag["clicks"]) == (100, 100, 160, 130, 1)
    assert drag["path"] == [
        {"us": 0, "x": 100, "y": 100},
        {"us": 30_000, "x": 160, "y": 100},
        {"us": 50_000, "x": 160, "y": 130},
    ]


def test_a_drag_straight_after_a_click_keeps_the_count_and_selects_words():
    hand = Hand().click().wait(60).down().wait(50).move(40, 0).wait(50).up()
    assert summary(hand, "action", "clicks") == [("dragTo", 2)]
    hand = Hand().click().wait(60).click().wait(60).down().wait(50).move(40, 0).wait(50).up()
    assert summary(hand, "action", "clicks") == [("dragTo", 3)]


def test_after_a_drag_a_click_is_a_click():
    hand = Hand().down().wait(50).move(40, 0).wait(50).up().wait(50).click()
    assert names_of(hand) == ["dragTo", "click"]


@pytest.mark.parametrize(("ms", "names"), [(999, ["click"]), (1000, ["mouseDown", "mouseUp"])])
def test_a_button_held_for_a_second_at_one_place_is_a_hold(ms, names):
    assert names_of(Hand().click(hold_ms=ms)) == names


def test_a_long_drag_is_a_drag():
    assert names_of(Hand().down().wait(2000).move(40, 0).wait(2000).up()) == ["dragTo"]


def test_two_buttons_down_at_once_are_downs_and_ups():
    hand = Hand().down(1).wait(50).down(3).wait(50).up(3).wait(50).move(40, 0).wait(10).up(1)
    assert summary(hand, "action", "button", "x") == [
        ("mouseDown", "left", 100),
        ("mouseDown", "right", 100),
        ("mouseUp", "right", 100),
        ("mouseUp", "left", 140),
    ]


# ------------------------------------------------------------------------------------------------------- scroll


@pytest.mark.parametrize(
    ("wheel_y", "wheel_x", "expected"),
    [
        (120, 0, ("scroll", 0.0, 1.0)),
        (-30, 0, ("scroll", 0.0, -0.25)),
        (0, 120, ("hscroll", 1.0, 0.0)),
        (0, -240, ("hscroll", -2.0, 0.0)),
        (-120, 120, ("scroll", 1.0, -1.0)),
    ],
)
def test_a_scroll_says_how_far_and_where_to(wheel_y, wheel_x, expected):
    assert summary(Hand().scroll(wheel_y, wheel_x)) == [expected]


@pytest.mark.parametrize(("ms", "names"), [(2000, ["scroll"]), (2001, ["scroll", "scroll"])])
def test_ticks_are_one_scroll_up_to_two_seconds_apart(ms, names):
    assert names_of(Hand().scroll().wait(ms).scroll()) == names


def test_people_move_while_they_scroll_and_the_place_is_that_of_the_first_tick():
    hand = Hand().scroll().wait(50).move(300, 0).wait(50).scroll().wait(50).scroll()
    assert summary(hand, "action", "wheel_y_ticks", "x") == [("scroll", -3, 100)]


def test_a_turn_of_the_wheel_back_is_another_scroll():
    hand = Hand().scroll(-120).wait(50).scroll(120).wait(50).scroll(0, 120).wait(50).scroll(0, -120)
    assert names_of(hand) == ["scroll", "scroll", "hscroll", "hscroll"]


def test_zooming_with_ctrl_and_the_wheel_is_a_scroll_and_no_press_of_ctrl():
    hand = Hand().key_down("ctrlleft").wait(100).scroll(120).wait(100).scroll(120).wait(100).key_up("ctrlleft")
    assert summary(hand) == [("scroll", "ctrl", 0.0, 2.0)]


def test_to_scroll_and_to_zoom_are_two():
    hand = Hand().scroll().wait(100).key_down("ctrlleft").wait(100).scroll().wait(100).key_up("ctrlleft")
    assert summary(hand) == [("scroll", 0.0, -1.0), ("scroll", "ctrl", 0.0, -1.0)]


def test_scrolls_in_two_windows_are_two():
    assert names_of(Hand().scroll().wait(50).focus("code").wait(50).scroll()) == ["scroll", "scroll"]


def test_a_tick_that_turns_nothing_is_no_action():
    assert owners_of(Hand().scroll(0, 0)) == ["NO_TURN"]


# ------------------------------------------------------------------------------------------------------- typing


def test_typing_is_kept_as_it_was_typed_with_its_backspaces():
    hand = Hand().write("wikp").tap("backspace").wait(100).write("ipedia").tap("enter")
    assert summary(hand) == [("write", "wikp\bipedia"), ("press", "enter")]


@pytest.mark.parametrize(
    ("typed", "text"), [("teh<<he", "the"), ("<<a", "\b\ba"), ("ab<<<", "\b"), ("a😀<b", "ab"), ("ab<<", "")]
)
def test_edits_are_resolved_as_far_as_the_text_reaches(typed, text):
    hand = Hand()
    for letter in typed:
        hand.tap("backspace" if letter == "<" else letter, None if letter == "<" else letter).wait(50)
    assert summary(hand, resolve_edits=True) == [("write", text)]


@pytest.mark.parametrize(("ms", "names"), [(999, ["write"]), (1000, ["write", "write"])])
def test_letters_are_one_text_up_to_a_second_of_idleness(ms, names):
    assert names_of(Hand().tap("a", "a", hold_ms=60).wait(ms - 60).tap("b", "b")) == names


@pytest.mark.parametrize("between", ["click", "focus", "marker", "hotkey", "enter", "tab", "esc"])
def test_what_ends_a_text(between):
    hand = Hand().write("ab")
    if between == "click":
        hand.click()
    elif between == "focus":
        hand.focus("code")
    elif between == "marker":
        hand.event(Kind.MARK_END)
    elif between == "hotkey":
        hand.key_down("ctrlleft").tap("s", "s").key_up("ctrlleft")
    else:
        hand.tap(between)
    assert [row[1] for row in summary(hand.wait(50).write("cd")) if row[0] == "write"] == ["ab", "cd"]


def test_a_focus_that_a_new_segment_states_again_ends_no_text():
    hand = Hand().focus("code", "a.py").write("ab")
    hand.event(Kind.FOCUS, app="code", title="a.py", flags=int(Flag.RESTATED))
    assert summary(hand.write("cd")) == [("write", "abcd")]


def test_shift_makes_text_and_is_never_part_of_a_hotkey():
    hand = Hand().key_down("shiftleft").wait(30).tap("a", "A").wait(30).key_up("shiftleft").wait(30).tap("b", "b")
    assert summary(hand) == [("write", "Ab", "shift")]
    assert owners_of(hand) == [0] * 6


def test_dead_keys_and_compose_are_part_of_the_text_that_they_make():
    hand = Hand().tap("compose").wait(50).tap("o", "œ").wait(50).tap("dead_tilde").wait(50).tap("n", "ñ")
    assert summary(hand) == [("write", "œñ")]


def test_backspaces_alone_are_presses():
    hand = Hand().tap("backspace").wait(50).tap("backspace").wait(50).tap("dead_acute")
    assert summary(hand) == [("press", "backspace"), ("press", "backspace"), ("press", "dead_acute")]


def test_altgr_is_a_level_of_the_keyboard_and_no_modifier():
    hand = Hand().key_down("altgr").wait(30).tap("q", "@").wait(30).key_up("altgr")
    assert summary(hand) == [("write", "@")]
    windows = Hand().key_down("ctrlleft").key_down("altgr").wait(30).tap("q", "@").key_up("altgr").key_up("ctrlleft")
    assert summary(windows) == [("write", "@", "ctrl")]


@pytest.mark.parametrize(
    ("key", "text", "expected"),
    [
        ("e", "€", ("write", "€", "ctrl+alt")),
        ("t", "t", ("hotkey", "ctrl+alt+t", "ctrl+alt")),
        ("t", "T", ("hotkey", "ctrl+alt+t", "ctrl+alt")),
        ("space", " ", ("hotkey", "ctrl+alt+space", "ctrl+alt")),
        ("delete", "\x7f", ("hotkey", "ctrl+alt+delete", "ctrl+alt")),
    ],
)
def test_ctrl_and_alt_make_text_if_the_key_does_not_say_it_by_itself(key, text, expected):
    hand = Hand().key_down("ctrlleft").key_down("altright").wait(30).tap(key, text)
    assert summary(hand.key_up("altright").key_up("ctrlleft")) == [expected]


def test_option_makes_text_on_a_mac_if_it_is_not_plain_ascii():
    hand = Hand().key_down("optionleft").wait(30).tap("s", "ß").wait(30).key_up("optionleft")
    assert summary(hand) == [("write", "ß", "alt")]
    hand = Hand().key_down("optionleft").wait(30).tap("left").wait(30).key_up("optionleft")
    assert summary(hand) == [("hotkey", "alt+left", "alt")]
    hand = Hand().key_down("command").key_down("option").wait(30).tap("s", "ß").key_up("option").key_up("command")
    assert summary(hand) == [("hotkey", "alt+meta+s", "alt+meta")]


def test_text_beyond_the_basic_plane_and_of_several_characters_is_kept():
    hand = Hand().tap("a", "😀").wait(50).tap("b", "日本").wait(50).tap("c", "👩‍💻").wait(50).tap("space", None)
    assert summary(hand) == [("write", "😀日本👩‍💻 ")]


def test_a_letter_that_repeats_is_in_the_text_each_time():
    hand = Hand().key_down("a", "a").wait(500).key_down("a", "a").wait(30).key_down("a", "a").wait(30).key_up("a")
    assert summary(hand) == [("write", "aaa")]


# ---------------------------------------------------------------------------------------------- presses, hotkeys


@pytest.mark.parametrize(
    "order", [("shiftleft", "winleft", "ctrlright", "alt"), ("alt", "ctrlright", "winleft", "shiftleft")]
)
def test_a_hotkey_names_its_modifiers_in_one_order(order):
    hand = Hand()
    for key in order:
        hand.key_down(key).wait(20)
    hand.tap("x", "x")
    for key in order:
        hand.key_up(key)
    assert summary(hand) == [("hotkey", "ctrl+alt+shift+meta+x", "ctrl+alt+shift+meta")]


def test_shift_and_tab_are_a_press_with_a_modifier():
    hand = Hand().key_down("shiftleft").wait(20).tap("tab", "\t").key_up("shiftleft")
    assert summary(hand) == [("press", "tab", "shift")]


def test_a_modifier_tapped_alone_is_a_press_without_modifiers():
    assert summary(Hand().tap("winleft")) == [("press", "winleft")]


def test_a_modifier_with_which_nothing_was_done_while_it_was_down_at_the_end_is_none():
    assert owners_of(Hand().click().wait(50).key_down("ctrlleft")) == [0, 0, "MODIFIER"]


@pytest.mark.parametrize("key", ["capslock", "altgr", "fn"])
def test_a_level_shift_is_no_action(key):
    assert owners_of(Hand().tap(key)) == ["MODIFIER", "MODIFIER"]


def test_a_modifier_held_on_one_side_stays_held_when_its_twin_comes_up():
    hand = Hand().key_down("ctrlleft").wait(50).key_down("ctrlright").wait(50).key_up("ctrlright").wait(50)
    hand.tap("c").wait(50).key_up("ctrlleft")
    assert summary(hand)[-1] == ("hotkey", "ctrl+c", "ctrl")


def test_a_modifier_that_repeats_while_it_is_held_is_one_modifier():
    hand = Hand()
    for _ in range(4):
        hand.key_down("ctrlleft").wait(30)
    hand.tap("c").key_up("ctrlleft")
    assert summary(hand) == [("hotkey", "ctrl+c", "ctrl")]


@pytest.mark.parametrize("key", ["altgr", "capslock", "shiftleft"])
def test_a_modifier_that_repeated_and_was_released_does_not_reach_into_later_actions(key):
    hand = Hand().key_down(key).wait(30).key_down(key).wait(30).key_down(key).wait(30).key_up(key)
    pressed_us = hand.wait(60_000).time_us
    clicks = [a for a in actions_of(hand.click()) if a["action"] == "click"]
    assert [click["start_us"] for click in clicks] == [pressed_us]


def test_a_modifiers_down_is_of_the_first_action_with_it_and_its_up_of_the_last():
    hand = Hand().key_down("ctrlleft").wait(50).tap("c").wait(50).click().wait(50).tap("v").wait(50).key_up("ctrlleft")
    assert owners_of(hand) == [0, 0, 0, 1, 1, 2, 2, 2]


# ------------------------------------------------------------------------------------------------------ repeats


def test_a_key_that_repeats_is_one_press_with_a_count():
    hand = Hand().key_down("left").wait(500).key_down("left").wait(30).key_down("left").wait(30).key_up("left")
    assert summary(hand) == [("press", "left", 3)]
    assert flags_of(hand) == [ActionFlag(0)]


def test_a_hotkey_that_repeats_is_one_with_a_count():
    hand = Hand().key_down("ctrlleft").wait(50).key_down("z").wait(500)
    hand.event(Kind.KEY_DOWN, key="z", flags=int(Flag.AUTO_REPEAT)).wait(30).key_up("z").key_up("ctrlleft")
    assert summary(hand) == [("hotkey", "ctrl+z", 2, "ctrl")]


@pytest.mark.parametrize(("ms", "flag", "expected"), [(1000, 0, [2]), (1001, 0, [1, 1]), (9000, 4, [2])])
def test_what_is_a_repeat_and_what_a_lost_release(ms, flag, expected):
    hand = Hand().key_down("left").wait(ms).event(Kind.KEY_DOWN, key="left", flags=flag).wait(50).key_up("left")
    assert [count for (count,) in summary(hand, "count")] == expected


@pytest.mark.parametrize(("ms", "count"), [(660, 1), (661, 2), (699, 2), (700, 3), (1060, 12)])
def test_where_the_keyboard_does_not_tell_repeats_they_are_computed_and_flagged(ms, count):
    hand = Hand().tap("left", hold_ms=ms)
    assert summary(hand, "keys", "count") == [("left", count)]
    assert flags_of(hand) == [ActionFlag.ESTIMATED_COUNT if count > 1 else ActionFlag(0)]


def test_where_any_key_reported_a_repeat_nothing_is_computed():
    hand = Hand().tap("left", hold_ms=2000).wait(50).key_down("up").wait(500).key_down("up").wait(30).key_up("up")
    assert summary(hand, "keys", "count") == [("left", 1), ("up", 2)]


def test_text_and_modifiers_are_never_computed():
    assert summary(Hand().tap("a", "a", hold_ms=3000)) == [("write", "a")]
    assert summary(Hand().tap("ctrlleft", hold_ms=3000)) == [("press", "ctrlleft")]


def test_a_key_held_while_other_things_are_done_is_a_down_and_an_up():
    hand = Hand().key_down("w", "w").wait(600).click().wait(600).key_up("w")
    assert summary(hand) == [("keyDown", "w"), ("click", "left"), ("keyUp", "w")]
    assert summary(Hand().key_down("w", "w").wait(300).click().wait(300).key_up("w"))[0] == ("write", "w")


def test_fast_typing_with_keys_that_overlap_is_typing():
    hand = Hand().key_down("t", "t").wait(30).key_down("h", "h").wait(30).key_up("t").wait(30).key_up("h")
    assert summary(hand) == [("write", "th")]


# ------------------------------------------------------------------------------------------------- what is lost


def test_a_release_that_never_came_is_told():
    hand = Hand().down().wait(3000).click(3)
    assert summary(hand, "action") == [("click",), ("rightClick",)]
    assert flags_of(hand) == [ActionFlag.UNPAIRED, ActionFlag(0)]


def test_keys_that_are_down_at_the_end_are_closed_there_and_flagged():
    hand = Hand().key_down("ctrlleft").wait(50).key_down("c")
    assert summary(hand) == [("hotkey", "ctrl+c", "ctrl")]
    assert flags_of(hand) == [ActionFlag.UNPAIRED]


def test_what_is_done_with_a_modifier_that_never_came_up_is_flagged():
    hand = Hand().key_down("shiftleft").wait(50).click().wait(50)
    assert flags_of(hand) == [ActionFlag.UNPAIRED]
    assert flags_of(hand.key_up("shiftleft")) == [ActionFlag(0)]


def test_releases_without_a_press_are_dropped_and_counted():
    hand = Hand().key_up("enter").key_up("ctrlleft").up(1).click()
    assert owners_of(hand) == ["KEY_UP_WITHOUT_DOWN", "KEY_UP_WITHOUT_DOWN", "BUTTON_UP_WITHOUT_DOWN", 0, 0]


def test_keys_without_a_name_are_called_by_their_code():
    hand = Hand().event(Kind.KEY_DOWN, code=57).wait(50).event(Kind.KEY_UP, code=57).event(Kind.KEY_DOWN, key="")
    assert summary(hand) == [("press", "key57"), ("press", "key0")]


@pytest.mark.parametrize(
    ("flag", "of_action"),
    [
        (Flag.SYNTHETIC, ActionFlag.SYNTHETIC),
        (Flag.RECORDER_CONTROL, ActionFlag.RECORDER_CONTROL),
        (Flag.IME, ActionFlag.IME),
        (Flag.UNKNOWN_LAYOUT, ActionFlag.UNKNOWN_LAYOUT),
        (Flag.INFERRED, ActionFlag.INFERRED),
        (Flag.ESTIMATED, ActionFlag.ESTIMATED_POSITION),
    ],
)
def test_what_is_to_be_known_of_an_event_is_known_of_its_action(flag, of_action):
    hand = Hand().click().wait(2000).click()
    hand.rows[3]["flags"] = int(flag)
    assert flags_of(hand) == [ActionFlag(0), of_action]


# -------------------------------------------------------------------------------------------------------- moves


@pytest.mark.parametrize(("ms", "moves"), [(200, 3), (201, 1)])
def test_an_approach_has_no_pause_longer_than_a_fifth_of_a_second(ms, moves):
    hand = Hand().move(5).wait(50).move(5).wait(ms).move(5).wait(200).click()
    assert owners_of(hand).count(0) == moves + 2


@pytest.mark.parametrize(("first_ms", "moves"), [(200, 11), (201, 10)])
def test_an_approach_is_at_most_two_seconds_long(first_ms, moves):
    hand = Hand().move(5).wait(first_ms - 100).move(5).wait(100)
    for _ in range(9):
        hand.move(5).wait(200)
    assert owners_of(hand.click()).count(0) == moves + 2


def test_an_approach_does_not_reach_over_a_marker():
    hand = Hand().move(5).wait(20).event(Kind.MARK_START).wait(20).move(5).wait(20).click()
    assert owners_of(hand) == ["MOVE", "MARKER", 0, 0, 0]


def test_the_cursor_is_where_it_was_before_the_approach():
    hand = Hand().move(50, 0).wait(500).move(10, 0).wait(20).move(10, 0).wait(20).click()
    assert summary(hand, "x", "cursor_x") == [(170, 150)]


def test_keys_have_no_approach():
    assert owners_of(Hand().move(5).wait(20).tap("enter")) == ["MOVE", 0, 0]


@pytest.mark.parametrize(("ms", "names"), [(1000, ["click"]), (1001, ["moveTo", "click"])])
def test_a_rest_of_more_than_a_second_before_an_action_is_a_hover(ms, names):
    hand = Hand().move(30, 0).wait(50).move(30, 0).wait(ms).move(5, 0).wait(20).click()
    assert names_of(hand) == names
    if "moveTo" in names:
        assert summary(hand, "x", "path") == [(160, None), (165, None)]


def test_moves_before_nothing_are_no_action_unless_they_are_kept():
    hand = Hand().move(30, 0).wait(20).move(30, 0).wait(20).move(30, 30).wait(400).move(10, 0)
    assert owners_of(hand) == ["MOVE"] * 4
    assert owners_of(hand, keep_moves=True) == [0, 0, 0, 1]
    first, second = (action["path"] for action in actions_of(hand, keep_moves=True))
    assert [(place["us"], place["x"], place["y"]) for place in first] == [
        (0, 130, 100),
        (20_000, 160, 100),
        (40_000, 190, 130),
    ]
    assert len(second) == 1


def test_places_that_are_not_known_are_null():
    (click,) = actions_of(Hand(knows_position=False).click())
    assert {click[name] for name in ("x", "y", "cursor_x", "cursor_y")} == {None}


# ------------------------------------------------------------------------------------------- waits, ends of tasks


def screen(hand, number, **fields):
    return hand.event(Kind.SCREEN, picture_hash=picture_hash_of(bytes([number])), **fields)


@pytest.mark.parametrize(("ms", "names"), [(999, ["click", "click"]), (1000, ["click", "wait", "click"])])
def test_a_screen_that_came_by_itself_between_two_actions_was_waited_for(ms, names):
    hand = screen(Hand(), 0).wait(100).click().wait(ms)
    screen(hand, 1).wait(300).click()
    assert names_of(hand) == names
    if "wait" in names:
        assert owners_of(hand) == ["SCREEN", 0, 0, 1, 2, 2]
        ended, shown = hand.rows[2]["time_us"], hand.rows[3]["time_us"]
        assert summary(hand, "start_us", "end_us")[1] == (ended, shown)


@pytest.mark.parametrize(
    ("number", "change_ppm", "expected"), [(0, None, 0), (1, None, 1), (1, 0, 0), (1, 1, 1), (0, 5000, 0)]
)
def test_a_screen_that_looks_the_same_was_not_waited_for(number, change_ppm, expected):
    hand = screen(Hand(), 0).wait(100).click().wait(2000)
    screen(hand, number, picture_change_ppm=change_ppm).wait(300).click()
    assert names_of(hand).count("wait") == expected


def test_nobody_waits_before_the_first_action_or_after_the_last_or_while_something_is_done():
    hand = screen(screen(Hand(), 0).wait(2000), 1).wait(2000).click().wait(2000)
    assert names_of(screen(hand, 2)) == ["click"]
    hand = screen(Hand(), 0).wait(50).down().wait(50).move(20).wait(2000)
    screen(hand, 1).wait(50).up().wait(50).click()
    assert names_of(hand) == ["dragTo", "click"]


def test_the_end_of_a_marked_task_is_an_action_with_its_outcome():
    hand = Hand().event(Kind.MARK_START, text="pay").wait(50).click().wait(50).event(Kind.MARK_END, key="success")
    hand.wait(50).event(Kind.MARK_END, key="failure")
    assert summary(hand) == [("click", "left"), ("terminate", "success")]
    assert owners_of(hand) == ["MARKER", 0, 0, 1, "MARKER"]


# ------------------------------------------------------------------------------------------- devices and tables


def test_two_devices_are_reduced_apart_and_their_actions_are_in_one_order():
    one = Hand().click().wait(100).click().rows
    two = Hand(BEGIN_US + 50_000).click().wait(2000).tap("enter").rows
    reduction = reduce_actions(by_devices(one, two))
    found = reduction.actions.select(["action", "device", "recording"]).to_pylist()
    assert [tuple(row.values()) for row in found] == [("doubleClick", 0, 0), ("click", 1, 1), ("press", 1, 1)]
    assert sorted(reduction.owner.tolist()) == [0] * 4 + [1] * 2 + [2] * 2


def test_the_focus_of_an_action_is_that_of_its_device():
    one = Hand().focus("code", "a.py").wait(100).click().rows
    two = Hand(BEGIN_US + 50_000).click().rows
    actions = reduce_actions(by_devices(one, two)).actions.to_pylist()
    assert [(action["device"], action["app"], action["title"]) for action in actions] == [
        (1, None, None),
        (0, "code", "a.py"),
    ]


def test_a_table_in_several_chunks_or_with_dictionaries_is_the_same_table():
    whole = by_devices(Hand(BEGIN_US).focus("code").write("abc").click().wait(900).scroll().tap("enter").rows)
    expected = reduce_actions(whole).actions.to_pylist()
    parts = pa.concat_tables([whole.slice(0, 4), whole.slice(4)])
    assert reduce_actions(parts).actions.to_pylist() == expected
    for name in ("key", "text", "app", "title", "url", "picture_hash"):
        index = parts.schema.get_field_index(name)
        parts = parts.set_column(index, name, parts.column(name).dictionary_encode())
    assert reduce_actions(parts).actions.to_pylist() == expected


# ------------------------------------------------------------------------------------------------------ options


def test_thresholds_are_options():
    hand = Hand().click().wait(700).click().wait(5000).write("ab", 1500)
    assert len(summary(hand)) == 4
    assert names_of(hand, multi_click_ms=1000, typing_gap_ms=2000) == ["doubleClick", "write"]


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(ActionOptions)])
def test_a_threshold_that_makes_no_sense_is_refused_by_its_name(name):
    for value in (-1, 1 << 60):
        with pytest.raises(ValueError, match=name):
            ActionOptions(**{name: value})
