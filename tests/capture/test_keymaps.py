"""Texts and names of keys by layout. Codes are Linux's: 16 is where a US keyboard has q, 30 where it has a."""

from __future__ import annotations

import builtins
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taskreel.capture.keymaps import AnyKeymap, AssumedUsKeymap, Keymap, UnknownLayoutError, keymap_for
from taskreel.capture.keynames import KEYPAD_DIGITS, KEYPAD_OPERATORS, US_CHARACTERS

CTRL, SHIFT, ALT, ALTGR, META, CAPS, NUM = 29, 42, 56, 100, 125, 58, 69
ENTER, TAB, BACKSPACE, SPACE = 28, 15, 14, 57
Q, E, Y, A, CIRCUMFLEX_DE, Z, KEY_1, KEY_2, MINUS = 16, 18, 21, 30, 41, 44, 2, 3, 12
US = Keymap("us")


def tapped(*codes: int) -> list[tuple[int, bool]]:
    return [(code, down) for code in codes for down in (True, False)]


def held(modifier: int, *codes: int) -> list[tuple[int, bool]]:
    return [(modifier, True), *tapped(*codes), (modifier, False)]


def written(keymap: AnyKeymap, events: list[tuple[int, bool]]) -> list[str]:
    """The texts of the events that produced one."""
    texts = keymap.texts([code for code, _ in events], [down for _, down in events])
    assert len(texts) == len(events)
    return [text for text in texts if text is not None]


@pytest.mark.parametrize("keymap", [US, AssumedUsKeymap()], ids=["us", "assumed"])
class TestUs:
    def test_plain_and_shifted(self, keymap: AnyKeymap) -> None:
        assert written(keymap, [*tapped(A, KEY_2, SPACE), *held(SHIFT, A, KEY_2)]) == ["a", "2", " ", "A", "@"]

    def test_a_text_belongs_to_the_press(self, keymap: AnyKeymap) -> None:
        assert keymap.texts([SHIFT, A, SHIFT, A], [True, True, False, False]) == [None, "A", None, None]

    def test_caps_lock_is_for_letters_only(self, keymap: AnyKeymap) -> None:
        events = [*tapped(CAPS, A, KEY_2), *held(SHIFT, A), *tapped(CAPS, A)]
        assert written(keymap, events) == ["A", "2", "a", "a"]

    def test_num_lock(self, keymap: AnyKeymap) -> None:
        assert written(keymap, tapped(71, NUM, 71, NUM, 71)) == ["7"]

    @pytest.mark.parametrize("modifier", [CTRL, ALT, META, 97])
    def test_a_shortcut_writes_nothing(self, keymap: AnyKeymap, modifier: int) -> None:
        assert written(keymap, [*held(modifier, A, KEY_1, 55), *tapped(A)]) == ["a"]

    def test_control_characters_are_no_text(self, keymap: AnyKeymap) -> None:
        assert written(keymap, tapped(ENTER, TAB, BACKSPACE, 1, 111, 96)) == []

    def test_repeats_write_again_and_leave_modifiers_alone(self, keymap: AnyKeymap) -> None:
        events = [(SHIFT, True), (SHIFT, True), (A, True), (A, True), (A, False), (SHIFT, False), *tapped(A)]
        assert written(keymap, events) == ["A", "A", "a"]

    def test_a_release_without_a_press_changes_nothing(self, keymap: AnyKeymap) -> None:
        assert written(keymap, [(SHIFT, False), (A, False), *tapped(A)]) == ["a"]

    def test_names(self, keymap: AnyKeymap) -> None:
        codes = [A, KEY_1, CTRL, 54, ALT, 100, META, CAPS, ENTER, BACKSPACE, 104, 96, 71, 59, 194, 127, SPACE]
        assert [keymap.key_name(code) for code in codes] == [
            *("a", "1", "ctrlleft", "shiftright", "altleft", "altright", "winleft", "capslock", "enter", "backspace"),
            *("pageup", "numpadenter", "num7", "f1", "f24", "apps", "space"),
        ]

    def test_codes_that_are_no_key(self, keymap: AnyKeymap) -> None:
        assert [keymap.key_name(code) for code in (0, 600, 767, 1 << 20)] == [None] * 4
        assert written(keymap, tapped(0, 600, 767, 1 << 20)) == []


KNOWN = sorted({*US_CHARACTERS, *KEYPAD_DIGITS, *KEYPAD_OPERATORS, *range(1, 84), *range(96, 112), 125, 126})


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([CTRL, SHIFT, CAPS, NUM, 54, *KNOWN]), st.booleans()), max_size=40))
def test_the_assumed_us_keyboard_is_the_one_of_xkb(events: list[tuple[int, bool]]) -> None:
    codes, downs = [code for code, _ in events], [down for _, down in events]
    assert AssumedUsKeymap().texts(codes, downs) == US.texts(codes, downs)


def test_names_of_the_assumed_us_keyboard_are_those_of_xkb() -> None:
    assert [AssumedUsKeymap().key_name(code) for code in KNOWN] == [US.key_name(code) for code in KNOWN]


class TestGerman:
    keymap = Keymap("de")

    def test_z_and_y_are_swapped(self) -> None:
        assert written(self.keymap, tapped(Y, Z)) == ["z", "y"]
        assert [self.keymap.key_name(code) for code in (Y, Z)] == ["z", "y"]

    def test_umlauts_and_sharp_s(self) -> None:
        assert written(self.keymap, [*tapped(MINUS, 26, 39, 40), *held(SHIFT, 26)]) == ["ß", "ü", "ö", "ä", "Ü"]
        assert self.keymap.key_name(MINUS) == "ß"

    def test_altgr_selects_a_level(self) -> None:
        assert written(self.keymap, [*held(ALTGR, Q, E), *tapped(Q)]) == ["@", "€", "q"]
        assert self.keymap.key_name(ALTGR) == "altgr"

    def test_a_dead_key_writes_with_the_next(self) -> None:
        events = tapped(CIRCUMFLEX_DE, A)
        assert self.keymap.texts(*map(list, zip(*events, strict=True))) == [None, None, "â", None]
        assert self.keymap.key_name(CIRCUMFLEX_DE) == "dead_circumflex"

    def test_shift_does_not_end_a_dead_key(self) -> None:
        assert written(self.keymap, [*tapped(CIRCUMFLEX_DE), *held(SHIFT, A)]) == ["Â"]

    def test_a_modifier_does_not_write_what_was_composed_before(self) -> None:
        assert written(self.keymap, [*tapped(CIRCUMFLEX_DE, A), *held(SHIFT, A), *held(ALTGR, Q)]) == ["â", "A", "@"]

    def test_a_dead_key_and_a_space_write_the_accent(self) -> None:
        assert written(self.keymap, tapped(CIRCUMFLEX_DE, SPACE)) == ["^"]

    def test_a_dead_key_and_a_key_that_does_not_fit_write_nothing(self) -> None:
        assert written(self.keymap, tapped(CIRCUMFLEX_DE, 45, 45)) == ["x"]

    def test_without_dead_keys(self) -> None:
        assert written(Keymap("de(nodeadkeys)"), tapped(CIRCUMFLEX_DE, A)) == ["^", "a"]


def test_french_digits_need_shift() -> None:
    keymap = Keymap("fr")
    assert written(keymap, [*tapped(Q, A, KEY_1, KEY_2), *held(SHIFT, KEY_1, KEY_2)]) == ["a", "q", "&", "é", "1", "2"]
    assert [keymap.key_name(code) for code in (KEY_1, KEY_2, Q)] == ["&", "é", "a"]


def test_us_international_has_dead_quotes() -> None:
    assert written(Keymap("us(intl)"), tapped(40, E)) == ["é"]


def test_compose_key() -> None:
    keymap = Keymap("us+compose:menu")
    assert written(keymap, [*tapped(127, 40, E), *tapped(127, MINUS, MINUS, MINUS)]) == ["é", "—"]
    assert keymap.key_name(127) == "compose"


def test_characters_beyond_16_bits() -> None:
    """Compose, (, ), ) is the copyleft sign, U+1F12F; this Old Hungarian layout has U+10CCE on a key."""
    assert written(Keymap("us+compose:menu"), [*tapped(127), *held(SHIFT, 10, 11, 11)]) == ["\N{COPYLEFT SYMBOL}"]
    assert written(Keymap("hu(oldhun)"), tapped(*range(16, 28)))[0] > "\uffff"


def test_letters_of_other_scripts_are_named_by_their_place() -> None:
    keymap = Keymap("ru")
    assert written(keymap, tapped(46)) == ["с"]
    assert keymap.key_name(46) == "c"


def test_the_environment_decides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XKB_DEFAULT_LAYOUT", "de")
    monkeypatch.setenv("LC_ALL", "C")
    assert written(Keymap("us(intl)"), tapped(Y, 40, E)) == ["y", "é"]


@pytest.mark.parametrize("layout", ["xx", "us(foo)", "US", "us,de", "us+compose:foo", "us+", "../us", "", "us\n"])
def test_an_unknown_layout_is_one_clear_error(layout: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UnknownLayoutError, match=r"us\(intl\)"):
        Keymap(layout)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("layout", [None, ""])
def test_no_layout_is_an_assumed_us_keyboard(layout: str | None) -> None:
    keymap = keymap_for(layout)
    assert keymap.is_assumed
    assert not keymap_for("us").is_assumed


def test_without_the_library_there_is_still_the_assumed_one(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: object) -> object:
        if name.startswith("xkbcommon"):
            raise ImportError(name)
        return real(name, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", without)
    assert written(keymap_for(None), tapped(A)) == ["a"]
    with pytest.raises(ImportError, match=r"libxkbcommon-dev.*taskreel\[import\]"):
        keymap_for("us")


def test_without_the_compose_file_the_error_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XLOCALEDIR", "/nowhere")
    with pytest.raises(ImportError, match="libx11-data"):
        Keymap("us")


def test_a_keymap_leaves_no_module_that_breaks_who_looks_at_all_of_them() -> None:
    Keymap("us")
    assert [
        name for name, module in list(sys.modules.items()) if name.startswith("xkbcommon") and not vars(module)
    ] == []
