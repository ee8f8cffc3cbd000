"""What people type: sentences, numbers, search words and commands, with typos that they take back."""

from __future__ import annotations

from taskreel.capture.simulator.dice import Dice

_VOCABULARY = (
    "the of and to in is that it was for on are as with they be at one have this from by word but what some we "
    "can out other were all there when up use your how said an each she which do their time if will way about "
    "many then them write would like so these her long make thing see him two has look more day could go come did "
    "number sound no most people my over know water than call first who may down side been now find any new work "
    "part take get place made live where after back little only round man year came show every good me give our "
    "under name report budget meeting offer price supplier order invoice contract delivery schedule project draft "
    "review question quick quality size zone extra box"
)
_WORDS = tuple(_VOCABULARY.split())
_FOREIGN_WORDS = ("café", "José", "Zoé", "Müller", "España", "Größe", "là", "où", "déjà", "più", "5€", "Færö", "Köln")
_SMILES = "😀🚀👍"
_COMMANDS = (
    "ls -la",
    "git status",
    "make test",
    "cd docs",
    "grep -n total report.txt",
    "tail -n 20 build.log",
    "git commit -am 'wip'",
)
_NEIGHBORS = dict(zip("abcdefghijklmnopqrstuvwxyz", "svxfrgyjokjkknipwtdyicesgx", strict=True))
"""The letter that is hit instead."""
_LONGEST = 52


def sentence(dice: Dice, foreign_share: float = 0) -> str:
    """A few words with a capital, a full stop, and now and then a comma, a number or a question mark.

    `foreign_share` of words have letters beyond ASCII, and half as many sentences end with a smile.
    """
    words = [dice.choose(_WORDS) for _ in range(dice.whole(3, 9))]
    words[0] = words[0].capitalize()
    if dice.chance(0.2):
        words.insert(dice.whole(1, len(words)), str(dice.whole(2, 2026)))
    if dice.chance(0.25):
        words[dice.whole(1, len(words) - 2)] += ","
    if foreign_share:
        words = [dice.choose(_FOREIGN_WORDS) if dice.chance(foreign_share) else word for word in words]
    end = dice.choose(_SMILES) if dice.chance(foreign_share / 2) else dice.choose("....?!")
    return " ".join(words)[:_LONGEST].rstrip(" ,") + end


def cell_value(dice: Dice) -> str:
    """What stands in a cell of a table."""
    if dice.chance(0.35):
        return dice.choose(_WORDS).capitalize()
    return f"{dice.whole(1, 9999)}.{dice.whole(0, 99):02d}" if dice.chance(0.5) else str(dice.whole(1, 9999))


def search_words(dice: Dice) -> str:
    """What is typed into a search field."""
    return " ".join(dice.choose(_WORDS) for _ in range(dice.whole(2, 4)))


def command(dice: Dice) -> str:
    """What is typed at a prompt."""
    return dice.choose(_COMMANDS)


def with_typos(text: str, share: float, dice: Dice) -> str:
    """The keys pressed for a text if this share of its letters goes wrong first; "\\b" takes back.

    A slip is noticed at once or after one more letter.
    """
    slips = int(len(text) * share + dice.unit())
    for place in sorted((dice.whole(1, len(text)) for _ in range(slips)), reverse=True):
        if place < len(text) and text[place] in _NEIGHBORS:
            late = text[place + 1 : place + 2] if dice.chance(0.4) else ""
            wrong = _NEIGHBORS[text[place]] + (late if late.isalpha() else "")
            text = text[:place] + wrong + "\b" * len(wrong) + text[place:]
    return text
