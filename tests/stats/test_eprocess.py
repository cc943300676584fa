"""Evidence of harm: exact, whatever the arms' sizes, and of use."""

from __future__ import annotations

import math
from itertools import accumulate

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from alongside.stats.eprocess import ODDS_RATIOS, Stratum, anytime_p, log_evidence
from alongside.stats.sample_ratio import batched_sample_ratio, running_sample_ratio, sample_ratio

people = st.integers(1, 60)


@given(people, people, st.data(), st.floats(0.2, 1.0))
@settings(deadline=None, max_examples=60)
def test_a_table_is_a_fair_bet_without_harm_and_a_bad_one_with_benefit(treated, control, data, odds):
    """Over every split of the events: expected evidence is 1 where the arms are alike, at most 1 where less happens."""
    events = data.draw(st.integers(0, treated + control))
    splits = range(max(0, events - control), min(treated, events) + 1)
    evidence = [math.exp(log_evidence([Stratum(treated, control, k, events - k)])[-1]) for k in splits]
    alike = stats.hypergeom(treated + control, treated, events).pmf(list(splits))
    assert np.dot(alike, evidence) == pytest.approx(1.0)
    fewer = stats.nchypergeom_fisher(treated + control, treated, events, odds).pmf(list(splits))
    assert np.dot(fewer, evidence) <= 1 + 1e-9


def test_evidence_multiplies_from_table_to_table_and_one_odds_ratio_is_its_likelihood_ratio():
    tables = [Stratum(50, 40, 3, 1), Stratum(47, 39, 2, 2), Stratum(45, 37, 0, 0), Stratum(45, 37, 4, 0)]
    path = log_evidence(tables, [2.0])
    single = [log_evidence([table], [2.0])[0] for table in tables]
    assert path == pytest.approx(list(accumulate(single)))
    assert single[2] == 0.0
    ratio = stats.nchypergeom_fisher(90, 50, 4, 2.0).pmf(3) / stats.hypergeom(90, 50, 4).pmf(3)
    assert single[0] == pytest.approx(math.log(ratio))


def test_the_average_of_alternatives_is_the_mixture():
    tables = [Stratum(500, 500, 9, 2), Stratum(490, 498, 7, 3)]
    parts = [math.exp(log_evidence(tables, [odds])[-1]) for odds in ODDS_RATIOS]
    assert math.exp(log_evidence(tables)[-1]) == pytest.approx(sum(parts) / len(parts))


def test_harm_is_found_and_benefit_is_not_called_harm():
    harmful, helpful = [Stratum(200, 200, 8, 2)] * 10, [Stratum(200, 200, 2, 8)] * 10
    assert log_evidence(harmful)[-1] > math.log(1000)
    assert max(log_evidence(helpful)) < math.log(2)


def test_thousands_of_events_do_not_overflow():
    path = log_evidence([Stratum(1_000_000, 1_000_000, 30_000, 20_000)] * 3)
    assert all(math.isfinite(value) for value in path)
    assert anytime_p(path) >= 0.0


def test_many_tables_are_the_same_in_parts(monkeypatch: pytest.MonkeyPatch):
    random = np.random.default_rng(0)
    tables = [Stratum(int(n), int(n) + 5, int(random.integers(0, n // 4)), 3) for n in random.integers(8, 300, 50)]
    whole = log_evidence(tables)
    monkeypatch.setattr("alongside.stats.eprocess._CELLS", 1)
    assert log_evidence(tables) == pytest.approx(whole)


def test_no_tables_are_no_evidence():
    assert log_evidence([]) == []
    assert anytime_p([]) == 1.0
    assert log_evidence([Stratum(0, 50, 0, 3), Stratum(9, 9, 9, 9)]) == pytest.approx([0.0, 0.0])


@pytest.mark.parametrize("odds", [[], [1.0], [2.0, 0.5]])
def test_an_alternative_must_be_harm(odds):
    with pytest.raises(ValueError, match="above 1"):
        log_evidence([Stratum(5, 5, 1, 1)], odds)


def test_more_events_than_people_are_refused():
    with pytest.raises(ValueError, match="people at risk"):
        Stratum(5, 5, 6, 0)


SHARES = {"a": 0.5, "b": 0.5}


def _looks(*counts: tuple[int, int]) -> list[dict[str, int]]:
    return [{"a": a, "b": b} for a, b in counts]


def test_the_running_check_remembers_its_strongest_look():
    gross = running_sample_ratio(_looks((200, 80), (1000, 900)), SHARES)
    assert gross.mismatch
    assert gross.observed == {"a": 1000, "b": 900}
    assert gross.p_value == running_sample_ratio(_looks((200, 80)), SHARES).p_value


def test_the_running_check_is_a_fair_bet_and_sees_what_is_plain():
    """Over every outcome of 40 people: expected evidence is 1, so p below .001 comes once in a thousand at most."""
    chances = stats.binom(40, 0.5).pmf(np.arange(41))
    p_values = np.array([running_sample_ratio(_looks((k, 40 - k)), SHARES).p_value for k in range(41)])
    assert np.dot(chances, np.where(p_values < 1, 1 / p_values, 0)) <= 1 + 1e-9
    assert running_sample_ratio(_looks((5300, 4700)), SHARES).mismatch
    assert not running_sample_ratio(_looks((5050, 4950)), SHARES).mismatch


@given(st.integers(0, 5000), st.integers(0, 5000))
@settings(deadline=None)
def test_the_running_check_is_never_bolder_than_one_look(a: int, b: int):
    running, once = (
        check.p_value
        for check in (running_sample_ratio(_looks((a, b)), SHARES), sample_ratio({"a": a, "b": b}, SHARES))
    )
    assert (running is None) == (once is None)
    if running is not None and once is not None and once > 1e-12:
        assert running >= once


def test_the_running_check_needs_a_look():
    with pytest.raises(ValueError, match="at least one look"):
        running_sample_ratio([], SHARES)


def test_batches_are_held_against_their_own_shares():
    even, uneven = {"a": 0.5, "b": 0.5}, {"a": 0.9, "b": 0.1}
    fair = batched_sample_ratio([({"a": 500, "b": 500}, even), ({"a": 900, "b": 100}, uneven)])
    assert not fair.mismatch
    assert fair.expected == pytest.approx({"a": 1400, "b": 600})
    assert fair.observed == {"a": 1400, "b": 600}
    assert batched_sample_ratio([({"a": 500, "b": 500}, uneven), ({"a": 900, "b": 100}, even)]).mismatch
    single = batched_sample_ratio([({"a": 530, "b": 470}, even)])
    assert single == running_sample_ratio([{"a": 530, "b": 470}], even)


def test_batches_bet_fairly_together():
    """Over every outcome of two batches of 12 people: expected evidence is 1."""
    shares = ({"a": 0.5, "b": 0.5}, {"a": 0.8, "b": 0.2})
    chances = [stats.binom(12, each["a"]).pmf(np.arange(13)) for each in shares]
    total = 0.0
    for one in range(13):
        for two in range(13):
            found = batched_sample_ratio(
                [({"a": one, "b": 12 - one}, shares[0]), ({"a": two, "b": 12 - two}, shares[1])]
            )
            total += chances[0][one] * chances[1][two] * (found.p_value < 0.05)
    assert total <= 0.05


def test_no_batch_is_no_check():
    with pytest.raises(ValueError, match="at least one batch"):
        batched_sample_ratio([])
