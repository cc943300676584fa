"""Simulated patients: their luck, the rates they keep, and the truth that can be computed from them."""

from __future__ import annotations

import math
import re
from collections import Counter
from datetime import date
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from alongside.model.errors import ConfigurationInvalid
from alongside.sandbox.sendgrid.behaviour import Act, Draws, books, draw, timeline, truth
from alongside.sandbox.sendgrid.responses import Booking, Rates, Responses, Rule, read_responses

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "config" / "sandbox" / "responses.yaml"
DAY = date(2026, 3, 2)
uniform = st.floats(0, 1, exclude_max=True)
draws = st.builds(Draws, **dict.fromkeys(Draws._fields, uniform))


@pytest.fixture(scope="module")
def shipped() -> Responses:
    return read_responses(SHIPPED)


def test_the_same_patient_has_the_same_luck_under_either_variant(shipped: Responses) -> None:
    plain, personal = shipped.rates("hypertension_review"), shipped.rates("hypertension_review_personal")
    for number in range(2000):
        luck = draw(7, f"p{number}@example.com", DAY)
        assert not (books(plain, luck) and not books(personal, luck)), "the better message lost a booking"


def test_luck_differs_by_seed_patient_and_day_and_by_nothing_else() -> None:
    assert draw(1, "A@example.com", DAY) == draw(1, "a@example.com", DAY)
    others = {draw(2, "a@example.com", DAY), draw(1, "b@example.com", DAY), draw(1, "a@example.com", date(2026, 3, 3))}
    assert len(others | {draw(1, "a@example.com", DAY)}) == 4


def test_draws_are_uniform_and_independent() -> None:
    sample = [draw(3, f"p{number}@example.com", DAY) for number in range(4000)]
    columns = list(zip(*sample, strict=True))
    for column in columns:
        assert abs(sum(column) / 4000 - 0.5) < 4 * math.sqrt(1 / 12 / 4000)
    products = [a * b for a, b in zip(columns[0], columns[2], strict=True)]
    assert abs(sum(products) / 4000 - 0.25) < 4 * math.sqrt(7 / 144 / 4000)


def test_the_shipped_truth_is_the_one_that_the_demo_experiment_must_find(shipped: Responses) -> None:
    rates = truth(shipped, within_days=7)
    assert rates["hypertension_review"].book == pytest.approx(0.15)
    assert rates["hypertension_review_personal"].book == pytest.approx(0.3)
    for rate in rates.values():
        assert rate.bounce == 0.01
        assert rate.unsubscribe == pytest.approx(0.004, abs=0.004)
        assert rate.complaint <= 0.001


@pytest.mark.parametrize("rule", ["hypertension_review", "hypertension_review_personal", "default"])
def test_simulated_patients_keep_the_true_rates(rule: str, shipped: Responses) -> None:
    count = 20_000
    rates, expected = shipped.rates(rule), truth(shipped)[rule]
    seen: Counter[Act] = Counter()
    for number in range(count):
        seen.update({step.act for step in timeline(rates, draw(11, f"p{number}@example.com", DAY))})
    pairs = [
        (Act.DELIVERED, expected.delivered),
        (Act.BOUNCE, expected.bounce),
        (Act.OPEN, expected.open),
        (Act.CLICK, expected.click),
        (Act.BOOK, expected.book),
        (Act.UNSUBSCRIBE, expected.unsubscribe),
    ]
    for act, rate in pairs:
        error = math.sqrt(rate * (1 - rate) / count)
        assert abs(seen[act] / count - rate) <= 4 * error + 1e-12, act


def test_bookings_within_a_window_follow_the_truth(shipped: Responses) -> None:
    rates = shipped.rates("hypertension_review_personal")
    count, days = 30_000, 3.0
    found = 0
    for number in range(count):
        steps = timeline(rates, draw(5, f"p{number}@example.com", DAY))
        found += any(step.act is Act.BOOK and step.after <= days * 86_400 for step in steps)
    rate = truth(shipped, within_days=days)["hypertension_review_personal"].book
    assert 0 < rate < 0.24
    assert abs(found / count - rate) < 4 * math.sqrt(rate * (1 - rate) / count)


@given(draws)
def test_a_life_of_a_message_hangs_together(luck: Draws) -> None:
    book = Booking(service="follow_up", probability=0.3, within_days=7, typical_days=2.5)
    steps = timeline(Rates(open=0.6, click=0.4, unsubscribe=0.1, complaint=0.05, deferred=0.3, book=book), luck)
    when = {step.act: step.after for step in steps}
    assert list(steps) == sorted(steps)
    assert steps[0].act is Act.PROCESSED
    ends = [act for act in (Act.DELIVERED, Act.BOUNCE, Act.BLOCKED) if act in when]
    assert len(ends) == 1
    if Act.DELIVERED not in when:
        assert set(when) <= {Act.PROCESSED, Act.DEFERRED, *ends}
        return
    later = set(when) - {Act.PROCESSED, Act.DEFERRED, Act.DELIVERED}
    assert all(when[act] > when[Act.DELIVERED] for act in later)
    if Act.BOOK in when:
        assert when[Act.OPEN] < when[Act.CLICK] < when[Act.BOOK] <= 7 * 86_400
    assert not {Act.UNSUBSCRIBE, Act.COMPLAINT} <= set(when)


@given(st.floats(0.5, 60), st.floats(0.1, 30), uniform)
def test_the_delay_of_a_booking_is_the_inverse_of_its_share(within: float, typical: float, luck: float) -> None:
    booking = Booking(service="follow_up", probability=0.1, within_days=max(within, 0.6), typical_days=typical)
    delay = booking.delay_days(luck)
    assert 0 <= delay <= booking.within_days + 1e-9
    assert booking.share_within(delay) == pytest.approx(luck, abs=1e-6)


def test_scanners_click_at_once_and_people_do_not(shipped: Responses) -> None:
    rates = shipped.rates("hypertension_review_personal")
    for number in range(3000):
        when = {step.act: step.after for step in timeline(rates, draw(1, f"p{number}@example.com", DAY))}
        if Act.BOT_CLICK in when:
            assert when[Act.BOT_CLICK] - when[Act.DELIVERED] < 2
        if Act.CLICK in when:
            assert when[Act.CLICK] - when[Act.DELIVERED] > 2


# ------------------------------------------------------------------------------------------------------------- rules
def test_rules_are_tried_in_order_and_inherit_what_they_leave_out() -> None:
    responses = Responses.model_validate(
        {
            "defaults": {"open": 0.5, "click": 0.2, "bounce": 0.02},
            "rules": [
                {"name": "first", "match": ["复诊"], "click": 0.3},
                {"name": "second", "match": ["复诊", "review"]},
            ],
        }
    )
    assert responses.find("该来复诊了") == "first"
    assert responses.find("your review") == "second"
    assert responses.find("nothing known") is None
    assert (responses.rates("first").click, responses.rates("first").bounce) == (0.3, 0.02)
    assert responses.rates("second").click == 0.2
    assert responses.rates("gone since") == responses.defaults


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("defaults: {opn: 0.4}", "did you mean 'open'?"),
        ("defaults: {open: 0.1, click: 0.2}", "rates must nest"),
        ("defaults: {bounce: 1.2}", "less than 1"),
        ("rules: [{name: a, match: ['(']}]", "is not a regular expression"),
        ("rules: [{name: a, match: [x]}, {name: a, match: [y]}]", "rule name 'a' is taken"),
        ("rules: [{name: default, match: [x]}]", "rule name 'default' is taken"),
        ("rules: [{name: a}]", "is required and missing"),
        ("time_zone: Asia/Qinghe", "is not an IANA time zone"),
        ("rules: [{name: a, match: [x], book: {service: follow_up, probability: 0.9}}]", "rates must nest"),
    ],
)
def test_a_faulty_file_says_where_and_what(text: str, expected: str, tmp_path: Path) -> None:
    path = tmp_path / "responses.yaml"
    path.write_text(f"# truth\n{text}\n", "utf-8")
    with pytest.raises(ConfigurationInvalid, match=re.escape(expected)) as caught:
        read_responses(path)
    assert all(finding.line >= 1 for finding in caught.value.findings)


def test_every_rule_knows_its_message_in_both_languages(shipped: Responses) -> None:
    """The rules find messages by their words: whoever changes a subject must change its rule."""
    subjects: dict[str, set[str | None]] = {}
    for path in sorted((ROOT / "templates").glob("*/*/message.yaml")):
        given = yaml.safe_load(path.read_text("utf-8")).get("subject") or {}
        subjects[path.parent.name] = {shipped.find(subject) for subject in given.values()}
    assert {rule.name for rule in shipped.rules} <= set(subjects), "a rule is named after a message that is gone"
    for rule in shipped.rules:
        assert isinstance(rule, Rule)
        assert subjects[rule.name] == {rule.name}
