"""How many short messages a text is: by hand, by its own parts, and as a counter that nobody here wrote says."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alongside.channels.sms import GSM_BASIC, GSM_EXTENSION, Encoding, encoding_of, measure, split

GSM_7, UCS_2 = Encoding.GSM_7, Encoding.UCS_2


@pytest.mark.parametrize(
    ("text", "encoding", "units", "segments"),
    [
        ("", GSM_7, 0, 0),
        ("a", GSM_7, 1, 1),
        ("a" * 160, GSM_7, 160, 1),
        ("a" * 161, GSM_7, 161, 2),
        ("a" * 306, GSM_7, 306, 2),
        ("a" * 307, GSM_7, 307, 3),
        ("€" * 80, GSM_7, 160, 1),
        ("€" * 81, GSM_7, 162, 2),
        ("a" * 152 + "€" + "a" * 152, GSM_7, 306, 3),  # the euro moves to the second part, whose last unit moves on
        ("^{}\\[~]|€\f", GSM_7, 20, 1),
        ("Zażółć", UCS_2, 6, 1),
        ("a`", UCS_2, 2, 1),
        ("好" * 70, UCS_2, 70, 1),
        ("好" * 71, UCS_2, 71, 2),
        ("好" * 134, UCS_2, 134, 2),
        ("好" * 135, UCS_2, 135, 3),
        ("😀" * 35, UCS_2, 70, 1),
        ("😀" * 36, UCS_2, 72, 2),
        ("😀" * 67, UCS_2, 134, 3),  # 33 pairs a part, not 33.5
        ("a" * 159 + "好", UCS_2, 160, 3),  # one character turns the whole text
        ("\x1b", UCS_2, 1, 1),  # the escape is no character of its own
    ],
)
def test_segments_by_hand(text: str, encoding: Encoding, units: int, segments: int) -> None:
    found = measure(text)
    assert (found.encoding, found.units, found.segments) == (encoding, units, segments)


def test_the_alphabet_has_the_size_of_the_standard() -> None:
    assert len(set(GSM_BASIC)) == len(GSM_BASIC) == 127  # 128 codes without the escape
    assert len(set(GSM_EXTENSION)) == 10
    assert not set(GSM_BASIC) & set(GSM_EXTENSION)


ANY = st.text(st.one_of(st.sampled_from(GSM_BASIC + GSM_EXTENSION), st.characters(codec="utf-8")), max_size=400)


def units_of(text: str, encoding: Encoding) -> int:
    """Counted another way; half a surrogate pair would not encode at all."""
    if encoding is UCS_2:
        return len(text.encode("utf-16-be")) // 2
    return sum(2 if character in GSM_EXTENSION else 1 for character in text)


@settings(deadline=None)
@given(ANY)
def test_parts_are_the_text_and_none_is_too_long(text: str) -> None:
    parts, found = split(text), measure(text)
    assert "".join(parts) == text
    assert len(parts) == found.segments
    room = found.encoding.single if len(parts) == 1 else found.encoding.part
    for part in parts:
        assert 0 < units_of(part, found.encoding) <= room


@settings(deadline=None)
@given(ANY)
def test_no_part_could_have_taken_the_next_character(text: str) -> None:
    parts, encoding = split(text), encoding_of(text)
    for part, following in itertools.pairwise(parts):
        assert units_of(part + following[0], encoding) > encoding.part


def fuzzed(seed: int) -> str:
    """Text around the limits: mostly of one alphabet, with a few strangers in it."""
    dice = random.Random(seed)
    home = dice.choice([GSM_BASIC, GSM_BASIC + GSM_EXTENSION * 3, "一二三四好的谢abc", "😀🏥好a"])
    strangers = dice.choice(["", "", "€[]", "好", "😀", "`ç’"])
    length = dice.choice([dice.randint(1, 20), dice.randint(60, 80), dice.randint(125, 170), dice.randint(290, 330)])
    text = dice.choices(home, k=length)
    for place in dice.sample(range(length), k=min(length, dice.randrange(3)) if strangers else 0):
        text[place] = dice.choice(strangers)
    return "".join(text)


def test_smsutil_counts_the_same() -> None:
    smsutil = pytest.importorskip("smsutil", reason="the peer smsutil is not installed: add it to the dev dependencies")
    names = {"gsm0338": GSM_7, "utf_16_be": UCS_2}
    several = 0
    for seed in range(3000):
        text = fuzzed(seed)
        theirs, ours = smsutil.split(text), measure(text)
        unit = 1 if names[theirs.encoding] is GSM_7 else 2
        assert (names[theirs.encoding], theirs.total_bytes // unit) == (ours.encoding, ours.units), repr(text)
        assert [part.content for part in theirs.parts] == split(text), repr(text)
        several += len(theirs.parts) > 1
    assert several > 700
