"""What may stand in an expression, what may not, and the words in which a fault is told."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alongside.segments.checker import check_expression
from alongside.segments.columns import PERSON, USABLE
from alongside.segments.functions import FUNCTIONS
from alongside.segments.language import MAX_LENGTH, Scope, parse
from alongside.segments.types import Type
from tests.segments.conftest import CONCEPTS

SCOPE = Scope(
    {**CONCEPTS, "department": {"cardiology"}, "service": {"surgery", "follow_up"}, "topic": {"sleep"}},
    tags={"senior": Type.BOOLEAN, "risk": Type.TEXT, "limit": Type.NUMBER},
    segments={"lapsed"},
)


def faults(text: str, expected: Type | None = Type.BOOLEAN) -> list[str]:
    """`what (remedy)` of each fault."""
    parsed = parse(text)
    found = parsed.faults if parsed.tree is None else check_expression(parsed.tree, SCOPE, expected)[1]
    return [f"{fault.what} ({fault.remedy})" for fault in found]


@pytest.mark.parametrize(
    "text",
    [
        "age >= 35 and has_condition('hypertension')",
        "not has_condition('copd') or (deceased is not true)",
        "latest('systolic_bp', 'clinic') between 140 and 159",
        "gender in ('female', 'other') and city like '北%'",
        "coalesce(latest('hba1c'), 0) / 2 + 1 > previous('hba1c') % 3",
        "case age_band when '75+' then true else false end",
        "if(age > 60, 'old', 'young') = 'old'",
        "list_contains(topics_off, 'sleep') or list_has_any(conditions, ['copd', 'hypertension'])",
        "days_since(coalesce(last_discharge_at, last_encounter_at)) < 30",
        "month(today()) in (9, 10) and dayofweek(last_encounter_at) = 1",
        "last_encounter_at >= date '2026-01-31' and registered_at < timestamp '2020-02-29 12:00:00'",
        "cast(age as text) || ' years' <> lower(upper(trim(city)))",
        "round(average('systolic_bp', 7, 'home'), 1) >= 135",
        "tag('limit') > 3 and tag('risk') = 'high' and has_tag('senior') and in_segment('lapsed')",
        "HAS_CONDITION('hypertension') AND Age > 3",
        "last_nps is not null and -last_nps < 0 -- a comment is allowed",
    ],
)
def test_useful_expressions_pass(text: str) -> None:
    assert faults(text) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("aeg > 3", "'aeg' is not a known column (did you mean 'age'?)"),
        ("has_conditon('copd')", "'has_conditon' is not a known function (did you mean 'has_condition'?)"),
        ("has_condition('hypertenson')", "'hypertenson' is not a known condition (did you mean 'hypertension'?)"),
        ("visited('cardiolgy', 3)", "'cardiolgy' is not a known department (did you mean 'cardiology'?)"),
        ("has_tag('seniors')", "'seniors' is not a known tag (did you mean 'senior'?)"),
        ("in_segment('lapse')", "'lapse' is not a known segment (did you mean 'lapsed'?)"),
        ("latest('hba1c', 'hom') > 3", "'hom' is not a known context (did you mean 'home'?)"),
        ("gender = 'femal'", "'femal' is never a value of gender (did you mean 'female'?)"),
        ("list_contains(conditions, 'copdd')", "'copdd' is never a value of conditions (did you mean 'copd'?)"),
        ("age > '60'", "'age > '60'' compares a number with text ()"),
        ("last_encounter_at > '2026-01-31'", "compares a date or time with text (write date '2026-01-31')"),
        ("conditions = allergies", "compares lists (use list_contains(list, 'name'))"),
        ("age = null", "'age = NULL' is never true (write 'is null' or 'is not null')"),
        ("age", "must be true or false, but is a number"),
        ("age and deceased", "each side of 'and' must be true or false, but age is a number"),
        ("not city", "what follows 'not' must be true or false, but city is text"),
        ("city + 1 > 2", "must be a number, but city is text"),
        ("latest('hba1c')", "(compare it with something, for example latest('hba1c') > 7)"),
        ("latest() > 1", "latest takes 1 to 2 arguments, not 0 (write latest(observation[, context]))"),
        ("visited('cardiology')", "visited takes 2 arguments, not 1 (write visited(department, days))"),
        ("visited('cardiology', 0)", "days of visited must be a whole number from 1 to 36,600"),
        ("visited('cardiology', age)", "days of visited must be a whole number from 1 to 36,600"),
        ("has_condition(city)", "must be a name in quotes (for example has_condition('hypertension'))"),
        ("days_since(age) > 3", "the argument of days_since must be a date or time, but age is a number"),
        ("has_tag('risk')", "has_tag('risk') asks whether, but the tag is text (write tag('risk'))"),
        ("tag('risk') > 3", "compares text with a number"),
        ("coalesce(age, 'x') = 3", "mixes a number and text (give all its values one type)"),
        ("case when age > 3 then 'a' else 4 end = 'a'", "mixes text and a number"),
        ("date '2026-02-30' < today()", "'2026-02-30' is not a date (write date '2026-01-31')"),
        ("person.age > 3", "names a table; expressions know one person only (write age)"),
        ("person_id = 'p1'", "'person_id' is not a known column"),
        ("email_blind = 'x'", "'email_blind' is not a known column"),
        ("age >", "cannot be read as an expression"),
        ("age > 3 and 'open", "cannot be read as an expression"),
        ("", "must be exactly one expression"),
    ],
)
def test_a_fault_says_what_and_how_to_mend_it(text: str, said: str) -> None:
    found = faults(text)
    assert len(found) == 1, found
    assert said in found[0]


@pytest.mark.parametrize(
    "text",
    [
        "age > 3; drop table person",
        "age > (select count(*) from person)",
        "exists(select 1)",
        "age in (select 1)",
        "select 1",
        "drop table person",
        "attach 'x.db'",
        "read_csv('/etc/passwd') = 'x'",
        "getenv('HOME') = 'x'",
        "random() > 0.5",
        "now() > last_encounter_at",
        "count(*) > 3",
        "sum(age) over () > 3",
        "age > $1",
        "age > ?",
        "floor(age, (select 1)) > 1",
        "trim(city, person_id) = 'x'",
        "coalesce(age, (select 1)) > 1",
        "days_since(last_encounter_at + interval 3 days) > 1",
        "conditions[1] = 'copd'",
        "city::json = 'x'",
        "city similar to 'x'",
        "'x' = any(conditions)",
        "list_transform(conditions, x -> x) = conditions",
        "*",
    ],
)
def test_nothing_reaches_beyond_the_person(text: str) -> None:
    assert faults(text)


def test_all_faults_are_reported_together() -> None:
    assert len(faults("aeg > 3 and has_condition('x') and visited('y', 3) and city > 4")) == 4


def test_long_and_deep_expressions_are_refused_or_read_but_never_crash() -> None:
    assert faults(" and ".join(["age > 3"] * 300)) == []
    assert "longer than" in faults("age > 3 " + "and age > 3 " * MAX_LENGTH)[0]
    assert faults("(" * 1500 + "deceased" + ")" * 1500)
    assert faults("not " * 900 + "deceased")


@given(st.text(alphabet="agehs_condit(')>=<!,. 0123456789\n\t-\"$;*[]年", max_size=60))
@settings(max_examples=300, deadline=None)
def test_any_text_gives_findings_not_exceptions(text: str) -> None:
    assert isinstance(faults(text), list)


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)
def test_every_function_has_an_example_that_names_it(function: object) -> None:
    example = function.example  # type: ignore[attr-defined]
    parsed = parse(example)
    assert parsed.tree is not None
    assert function.name in example  # type: ignore[attr-defined]


def test_no_function_hides_a_column_or_the_reverse() -> None:
    assert not set(FUNCTIONS) & set(PERSON)
    assert "person_id" not in USABLE
