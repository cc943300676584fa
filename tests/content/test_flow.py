"""Where a variable of a body ends up, told by the syntax tree."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alongside.content.environment import message_environment
from alongside.content.flow import Place, places_of
from alongside.model.enums import Locale

ENVIRONMENT = message_environment(Locale.EN, "UTC")
BODY, URL, SUBJECT = Place.BODY, Place.URL, Place.SUBJECT


def reached(source: str, part: str = "text") -> dict[str, set[Place]]:
    return {name: set(places) for name, places in places_of(source, ENVIRONMENT, part).items()}


@pytest.mark.parametrize(
    ("source", "places"),
    [
        ("Dear {{ a }},", {BODY}),
        ("{{ a | date('weekday') }}", {BODY}),
        ("{{ (a or '') ~ '!' }}", {BODY}),
        ("https://x.example/?d={{ a }} now", {URL}),
        ("https://x.example/{{ 'p' }}/{{ a }}", {URL}),
        ("https://x.example/ {{ a }}", {BODY}),
        ("https://x.example/。{{ a }}", {BODY}),
        ("tel:{{ a }}", {URL}),
        ('<a href="https://x.example/{{ a }}">here</a>', {URL}),
        ("<a href='/{{ a }}'>here</a>", {URL}),
        ('<a title="x" href="/y">{{ a }}</a>', {BODY}),
        ('<img src="/pixel?c={{ a }}"/>', {URL}),
        ('<p style="background:url(/{{ a }})">', {URL}),
        ("{% if a %}yes{% endif %}", {BODY}),
        ("{% if a > 3 %}yes{% else %}no{% endif %}", {BODY}),
        ("{% if a %}{{ b }}{% endif %}", {BODY}),
        ('<a href="/{% if a %}x{% endif %}">', {BODY, URL}),
        ("{% set c = a %}{{ c }}", {BODY}),
        ("{% set c = a %}{% set d = c %}https://x.example/{{ d }}", {URL}),
        ("{% set c %}{{ a }}{% endset %}{{ c }}", {BODY}),
        ("{% for c in a %}{{ c }}{% endfor %}", {BODY}),
        ("{% for c, d in a %}https://x.example/{{ d }} {% endfor %}", {BODY, URL}),
        ("{% with c = a %}{{ c }}{% endwith %}", {BODY}),
        ("{% if b %}https://x.example/{% else %}hm{% endif %}{{ a }}", {URL}),
        ("{% filter upper %}{{ a }}{% endfilter %}", {BODY, URL}),  # not followed: taken to reach everything
        ("{% if b %}x{% elif a %}y{% endif %}", {BODY}),
    ],
)
def test_a_variable_is_followed_to_where_it_can_be_read(source: str, places: set[Place]) -> None:
    assert reached(source)["a"] == places


def test_a_subject_is_a_place_of_its_own() -> None:
    assert reached("Hello {{ a }}", "subject") == {"a": {SUBJECT}}


def test_what_is_not_read_reaches_nothing() -> None:
    assert reached("{# {{ a }} #}{% raw %}{{ a }}{% endraw %}{% set c = a %}plain") == {}


@given(
    st.lists(st.sampled_from(["{{ a }}", " ", "https://x.example/", '<a href="', '"', "{% if a %}x{% endif %}", "<p>"]))
)
def test_whatever_is_printed_reaches_something(parts: list[str]) -> None:
    source = "".join(parts)
    assert bool(reached(source).get("a")) is ("a }}" in source or "if a" in source)
