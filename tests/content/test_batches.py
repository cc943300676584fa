"""Substituting tokens gives, byte for byte, what Jinja2 gives; in whatever order a vendor substitutes."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from alongside.content import BatchGroup, CompiledMessage, ContentCatalogue, RenderFailed, load, salutation, substitute
from alongside.content.batches import MAX_SUBSTITUTION_BYTES, Rendered, Skeleton
from alongside.model.enums import Channel, Locale
from alongside.settings import Project

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = load(Project.at(ROOT))
BODIES = [
    (name, channel, locale)
    for name in SHIPPED
    for channel in SHIPPED.message(name).definition.channels
    for locale in Locale
]
NASTY = st.one_of(
    st.text(max_size=30),
    st.text(alphabet="-s0123456789ab<>&\"'{}% \n", max_size=14),
    st.sampled_from(
        [
            "-s01-",
            "s02-",
            "-s0",
            "1-",
            "-",
            "",
            "</p><script>",
            "张伟",
            "مرحبا",
            "👩🏽‍⚕️",
            "&amp;",
            "{{ x }}",
            "é" * 6000,
        ]
    ),
)


def _fitting(example_value: Any) -> st.SearchStrategy[Any]:
    """Values of the kind that the example shows: moments stay moments, numbers numbers, words anything."""
    if isinstance(example_value, bool):
        return st.booleans()
    if isinstance(example_value, int | float):
        return st.integers(-400, 4000)
    if isinstance(example_value, str) and example_value[:2] == "20":
        days = st.integers(0, 4000)
        return days.map(lambda count: f"{date(2020, 1, 1) + timedelta(days=count)}T01:30:00")
    return NASTY


@st.composite
def _recipients(draw: st.DrawFn, name: str, locale: Locale) -> list[dict[str, Any]]:
    definition = SHIPPED.message(name).definition
    rows = []
    for _ in range(draw(st.integers(1, 6))):
        row: dict[str, Any] = dict(SHIPPED.preview_values(name, locale))
        row["name"] = draw(NASTY)
        row["salutation"] = draw(st.one_of(NASTY, st.just(salutation(row["name"], "female", locale))))
        row["unsubscribe_url"] = draw(NASTY)
        row["preferences_url"] = "https://hospital.example/p/" + draw(st.text(alphabet="abs012-_", max_size=12))
        row["today"] = draw(st.sampled_from(["2026-03-01", "2026-03-02"]))
        for key, variable in definition.variables.items():
            fitting = _fitting(variable.example_for(locale))
            row[key] = draw(st.one_of(st.none(), fitting) if variable.optional else fitting)
        rows.append(row)
    return rows


def _rendered_from(groups: list[BatchGroup]) -> dict[int, Any]:
    """Index -> message after substitution, forwards; backwards must be the same."""
    found = {}
    for group in groups:
        for index, tokens in group.rows:
            assert index not in found
            found[index] = substitute(group.skeleton, tokens)
            assert substitute(group.skeleton, dict(reversed(tokens.items()))) == found[index]
    return found


@pytest.mark.parametrize(("name", "channel", "locale"), BODIES)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.large_base_example])
@given(data=st.data())
def test_substituting_equals_rendering_each_message_alone(
    name: str, channel: Channel, locale: Locale, data: st.DataObject
) -> None:
    compiled = SHIPPED.compiled(name, channel, locale)
    rows = data.draw(_recipients(name, locale))
    expected = [compiled.render_plainly(row) for row in rows]
    assert [compiled.render(row) for row in rows] == expected
    assert _rendered_from(compiled.batch(rows)) == dict(enumerate(expected))


def _tiny(text: str, html: str = "", subject: str = "") -> CompiledMessage:
    like = SHIPPED.compiled("follow_up/visit_survey", Channel.EMAIL, Locale.EN)
    sources = {"subject": subject, "html": html, "text": text}
    return CompiledMessage("test", like.channel, like.locale, like.definition, sources, "", like.environment)


HOSTILE = _tiny(
    "-{{ a }}{{ b }}-s0{{ a }}1-{{ c }}-s01-{{ b }}s02-{% if c %}-s{{ c }}-{% else %}{{ a }}{% endif %}",
    "<p title=\"{{ a }}\">-s01-{{ b }}-{{ a ~ b }}{{ c | upper }}{{ '-t01-' }}</p>",
    "{{ a }}-{{ b }}",
)
PARTS_OF_TOKENS = st.text(alphabet="-sab012<&\n", max_size=5)


@settings(max_examples=400, deadline=None)
@given(rows=st.lists(st.fixed_dictionaries(dict.fromkeys("abc", PARTS_OF_TOKENS)), min_size=1, max_size=4))
@example(rows=[{"a": "", "b": "s01", "c": "-"}])
@example(rows=[{"a": "s0", "b": "1-", "c": "01"}])
def test_no_order_of_substitution_can_create_a_token(rows: list[dict[str, str]]) -> None:
    expected = {index: HOSTILE.render_plainly(row) for index, row in enumerate(rows)}
    for group in HOSTILE.batch(rows):
        for index, tokens in group.rows:
            for order in itertools.islice(itertools.permutations(tokens.items()), 150):
                assert substitute(group.skeleton, dict(order)) == expected[index]


def _rows(catalogue: ContentCatalogue, name: str, count: int) -> list[dict[str, Any]]:
    base = catalogue.preview_values(name, Locale.ZH_CN)
    return [
        {**base, "salutation": f"张{chr(0x4E00 + index)}，您好", "unsubscribe_url": f"https://h.example/u/{index}"}
        for index in range(count)
    ]


def test_a_thousand_recipients_share_one_text(catalogue: ContentCatalogue) -> None:
    compiled = catalogue.compiled("follow_up/hypertension_review_personal", Channel.EMAIL, Locale.ZH_CN)
    groups = compiled.batch(_rows(catalogue, compiled.name, 1000))
    assert [len(group.rows) for group in groups] == [1000]
    tokens = groups[0].rows[0][1]
    assert all(token in json.dumps(vars(groups[0].skeleton)) for token in tokens)
    assert "青禾市示范医院" in groups[0].skeleton.text, "what is the same for all belongs to the text"


def test_every_outcome_of_the_conditions_has_its_own_text(catalogue: ContentCatalogue) -> None:
    compiled = catalogue.compiled("follow_up/hypertension_review_personal", Channel.EMAIL, Locale.ZH_CN)
    rows = _rows(catalogue, compiled.name, 9)
    for index, row in enumerate(rows):
        row["last_visit_at"] = None if index % 3 == 0 else row["last_visit_at"]
        row["reading_days"] = 3 if index % 3 == 1 else 97
    assert sorted(len(group.rows) for group in compiled.batch(rows)) == [3, 3, 3]


def test_a_value_too_long_for_substitution_is_sent_with_its_own_text(catalogue: ContentCatalogue) -> None:
    compiled = catalogue.compiled("follow_up/visit_survey", Channel.EMAIL, Locale.ZH_CN)
    rows = _rows(catalogue, compiled.name, 3)
    rows[1]["salutation"] = "长" * (MAX_SUBSTITUTION_BYTES // 3)
    groups = compiled.batch(rows)
    assert [[index for index, _ in group.rows] for group in groups] == [[0, 2], [1]]
    assert groups[1].rows[0][1] == {}
    assert rows[1]["salutation"] in groups[1].skeleton.html


def test_a_message_that_cannot_be_rendered_does_not_take_the_others_along(catalogue: ContentCatalogue) -> None:
    compiled = catalogue.compiled("follow_up/visit_survey", Channel.EMAIL, Locale.EN)
    rows = _rows(catalogue, compiled.name, 3)
    rows[1]["visit_at"] = None
    failures: dict[int, RenderFailed] = {}
    groups = compiled.batch(rows, failures)
    assert [index for group in groups for index, _ in group.rows] == [0, 2]
    assert list(failures) == [1]
    with pytest.raises(RenderFailed):
        compiled.batch(rows)


def test_a_body_with_a_loop_is_rendered_one_by_one() -> None:
    looping = _tiny("{% for item in items %}{{ item }}, {% endfor %}{{ name }}")
    rows = [{"items": ["a", "b"], "name": "x"}, {"items": [], "name": "-s01-"}]
    assert not looping.batchable
    groups = looping.batch(rows)
    assert [(group.skeleton.text, group.rows) for group in groups] == [("a, b, x", [(0, {})]), ("-s01-", [(1, {})])]


def test_no_value_can_add_a_header(catalogue: ContentCatalogue, edit: Callable[..., Path], project: Project) -> None:
    edit("message.yaml", "how many visits}", "how many visits}\n  word: {value: city, example: x, description: a word}")
    edit("message.yaml", 'en: "Hello {{ count }}"', 'en: "Hello {{ word }}"')
    compiled = load(project).compiled("follow_up/note", Channel.EMAIL, Locale.EN)
    values = {**load(project).preview_values("follow_up/note", Locale.EN), "word": "x\r\nBcc: a@b.example\u2028y\x85z"}
    subjects = {compiled.render(values).subject, compiled.render_plainly(values).subject}
    (group,) = compiled.batch([values])
    subjects.add(substitute(group.skeleton, group.rows[0][1]).subject)
    assert subjects == {"Hello x  Bcc: a@b.example y z"}


@given(
    st.lists(st.tuples(NASTY, NASTY, NASTY), max_size=5),
    st.frozensets(st.integers(0, 2)),
    st.frozensets(st.integers(0, 2)),
)
def test_rows_of_many_messages_are_those_of_each(
    values: list[tuple[str, str, str]], left: frozenset[int], right: frozenset[int]
) -> None:
    shared = Skeleton(Rendered("", "-s01--s02-", "-s03-"), ("-s01-", "-s02-", "-s03-"), "s", left, right)
    assert shared.rows(values) == [shared.row(own) for own in values]
