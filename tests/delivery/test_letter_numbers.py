"""Numbers of letters are read out and typed: what is typed wrong is no other letter's number."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alongside.model.letter_numbers import letter_number, read_number
from tests.fakes import key_of

KEYS = st.text("0123456789abcdef", min_size=32, max_size=32)


@given(KEYS)
def test_a_number_is_read_however_it_is_typed(key: str) -> None:
    number = letter_number(key)
    assert len(number) == 14
    assert not set(number) & set("ILOU")
    for typed in (number, number.lower(), number.replace("-", " "), number.replace("0", "o").replace("1", "I")):
        assert read_number(f" {typed} ") == number


@given(KEYS, st.integers(0, 11), st.sampled_from("0123456789ABCDEFGHJKMNPQRSTVWXYZ"))
def test_one_wrong_character_makes_it_nobodys(key: str, place: int, char: str) -> None:
    plain = letter_number(key).replace("-", "")
    if plain[place] != char:
        assert read_number(plain[:place] + char + plain[place + 1 :]) is None


@given(KEYS, st.integers(0, 10))
def test_two_exchanged_neighbours_are_noticed(key: str, place: int) -> None:
    plain = letter_number(key).replace("-", "")
    one, other = plain[place], plain[place + 1]
    if one != other and {one, other} != {"0", "Z"}:  # the one pair that Luhn's sum does not tell apart
        assert read_number(plain[:place] + other + one + plain[place + 2 :]) is None


def test_neighbouring_keys_have_unlike_numbers() -> None:
    assert len({letter_number(key_of(number)) for number in range(2000)}) == 2000


@pytest.mark.parametrize("text", ["", "7K3M", "U" * 12, "0000-0000-0001", "７" * 40])
def test_what_is_no_number(text: str) -> None:
    assert read_number(text) is None
