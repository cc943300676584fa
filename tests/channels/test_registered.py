"""Texts that a provider has approved: what was rendered is found again among them, or nothing is sent."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alongside.channels.registered import Registered, match, nearest, without_signature

VISIT = Registered("SMS_1", "您好，请于${day} ${time}到院。拒收请回复R")
REFILL = Registered("SMS_2", "您好，${what}，可以续方了。")
FIXED = Registered("SMS_3", "您好，您该来复诊了。")
ALL = (VISIT, REFILL, FIXED)
VALUE = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=35)


def test_the_values_are_read_out_of_the_text() -> None:
    found = match(ALL, "您好，请于星期三 09:30到院。拒收请回复R")
    assert found == (VISIT, {"day": "星期三", "time": "09:30"})
    assert match(ALL, "您好，您该来复诊了。") == (FIXED, {})


@pytest.mark.parametrize(
    "text",
    [
        "您好，请于星期三 09:30到院。",  # an end is missing
        "您好，请于 09:30到院。拒收请回复R",  # a value is missing
        f"您好，请于{'星' * 36} 09:30到院。拒收请回复R",  # a value is too long
        "您好，您该来复诊了！",
        "",
    ],
)
def test_what_is_not_registered_is_not_found(text: str) -> None:
    assert match(ALL, text) is None


def test_the_text_that_leaves_least_to_variables_wins() -> None:
    wide = Registered("SMS_9", "${all}")
    assert match((wide, FIXED), "您好，您该来复诊了。") == (FIXED, {})


def test_a_variable_that_comes_twice_has_one_value() -> None:
    twice = Registered("SMS_4", "${name}，您好，${name}")
    assert twice.values("李，您好，李") == {"name": "李"}
    assert twice.values("李，您好，王") is None


@given(day=VALUE, time=VALUE)
def test_filling_in_and_reading_out_give_the_same_text(day: str, time: str) -> None:
    text = VISIT.content.replace("${day}", day).replace("${time}", time)
    found = VISIT.values(text)
    if found is None:  # nothing that the provider would take
        assert max(len(day), len(time)) > 35
        return
    assert VISIT.content.replace("${day}", found["day"]).replace("${time}", found["time"]) == text
    assert all(1 <= len(value) <= 35 for value in found.values())


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("【青禾】您好", "您好"),
        ("您好", "您好"),
        ("【别人】您好", "【别人】您好"),
        (" 【青禾】 您好 ", "您好"),
    ],
)
def test_the_provider_puts_the_signature_in_front_itself(text: str, plain: str) -> None:
    assert without_signature(text, "青禾") == plain


def test_the_nearest_text_is_named_to_whoever_edited_it() -> None:
    assert nearest(ALL, "您好，您该来医院复诊了。") == FIXED
    assert nearest(ALL, "Something else") is None
    assert nearest((), "您好") is None
