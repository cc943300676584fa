"""Differences within strata, combined."""

from __future__ import annotations

import math

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.contingency_tables import StratifiedTable

from alongside.stats import Method, Unavailable
from alongside.stats.means import Mean, compare_means
from alongside.stats.proportions import Proportion, compare_proportions
from alongside.stats.stratification import compare_stratified_means, compare_stratified_proportions
from tests.stats.agreement import assert_intervals_agree_with_p

rates = st.integers(0, 60).flatmap(lambda n: st.builds(Proportion, st.just(n), st.integers(0, n)))
rate_strata = st.dictionaries(st.sampled_from("abcdefgh"), st.tuples(rates, rates), min_size=1)
numbers = st.lists(st.floats(-1e4, 1e4, allow_subnormal=False), max_size=12).map(Mean.of)
mean_strata = st.dictionaries(st.sampled_from("abcdefgh"), st.tuples(numbers, numbers), min_size=1)


def _swapped(strata):
    return {name: (other, one) for name, (one, other) in strata.items()}


def test_means_are_ols_with_centred_strata_and_hc2():
    random = np.random.default_rng(1)
    stratum, treated = random.integers(0, 4, 300), random.random(300) < 0.4
    y = stratum * 3 + treated * (1 + stratum) + random.normal(0, 1 + stratum, 300)
    strata = {str(k): (Mean.of(y[(stratum == k) & treated]), Mean.of(y[(stratum == k) & ~treated])) for k in range(4)}
    ours = compare_stratified_means(strata).comparison
    dummies = np.column_stack([stratum == k for k in (1, 2, 3)]).astype(float)
    dummies -= dummies.mean(axis=0)
    design = np.column_stack([np.ones(300), treated, dummies, dummies * treated[:, None]])
    peer = sm.OLS(y, design).fit(cov_type="HC2")
    assert ours.difference == pytest.approx(peer.params[1])
    assert ours.standard_error == pytest.approx(peer.bse[1])
    assert ours.method is Method.STRATIFIED


def test_rates_with_mantel_and_haenszels_weights_are_their_test():
    tables = {"a": (40, 12, 30, 5), "b": (25, 9, 44, 10), "c": (60, 6, 52, 4)}
    strata = {k: (Proportion(n1, x1), Proportion(n0, x0)) for k, (n1, x1, n0, x0) in tables.items()}
    weights = {k: n1 * n0 / (n1 + n0) for k, (n1, _, n0, _) in tables.items()}
    ours = compare_stratified_proportions(strata, weights=weights).comparison
    peer = StratifiedTable([np.array([[x1, n1 - x1], [x0, n0 - x0]]) for n1, x1, n0, x0 in tables.values()])
    assert ours.p_value == pytest.approx(peer.test_null_odds(correction=False).pvalue, rel=1e-9)


def test_one_stratum_is_the_plain_comparison():
    pair = (Proportion(100, 30), Proportion(90, 20))
    assert compare_stratified_proportions({"all": pair}).comparison == compare_proportions(*pair)
    means = (Mean(30, 2.0, 4.0), Mean(40, 1.0, 3.0))
    assert compare_stratified_means({"all": means}).comparison == compare_means(*means)


@given(rate_strata)
@settings(deadline=None, max_examples=200)
def test_intervals_of_rates_agree_with_the_p_value(strata):
    result = compare_stratified_proportions(strata).comparison
    if result.p_value is None or abs(result.p_value - 0.05) < 1e-9:
        return
    significant = result.p_value < 0.05
    assert result.interval.holds(0.0) != significant
    assert -1 <= result.interval.low <= result.difference + 1e-12
    assert result.difference - 1e-12 <= result.interval.high <= 1
    if result.relative.reason is None:
        assert result.relative.interval.holds(0.0) != significant


@given(mean_strata)
@settings(deadline=None)
def test_intervals_of_means_agree_with_the_p_value(strata):
    result = compare_stratified_means(strata).comparison
    assert_intervals_agree_with_p(result)


@given(rate_strata, mean_strata)
@settings(deadline=None)
def test_swapping_the_arms_mirrors_the_difference(some_rates, some_means):
    pairs = [
        (compare_stratified_proportions(some_rates), compare_stratified_proportions(_swapped(some_rates))),
        (compare_stratified_means(some_means), compare_stratified_means(_swapped(some_means))),
    ]
    for ahead, back in pairs:
        assert (ahead.pooled, ahead.strata) == (back.pooled, back.strata)
        assert ahead.comparison.reason is back.comparison.reason
        if ahead.comparison.p_value is not None:
            assert ahead.comparison.difference == pytest.approx(-back.comparison.difference, abs=1e-9)
            assert ahead.comparison.p_value == pytest.approx(back.comparison.p_value, rel=1e-6)


@given(rate_strata, mean_strata)
@settings(deadline=None)
def test_every_stratum_is_compared_by_itself_or_named_as_pooled(some_rates, some_means):
    for strata, result in (
        (some_rates, compare_stratified_proportions(some_rates)),
        (some_means, compare_stratified_means(some_means)),
    ):
        assert set(result.strata) | set(result.pooled) == set(strata)
        assert not set(result.strata) & set(result.pooled)
        assert math.fsum(result.strata.values()) <= 1 + 1e-9
        if not result.pooled and sum(one.n + other.n for one, other in strata.values()):
            assert math.fsum(result.strata.values()) == pytest.approx(1.0)


@given(mean_strata, st.floats(0.01, 100))
@settings(deadline=None)
def test_unit_of_measurement_does_not_change_the_evidence(strata, scale):
    def scaled(arm: Mean) -> Mean:
        return Mean(arm.n, arm.mean * scale, arm.variance * scale**2)

    plain = compare_stratified_means(strata).comparison
    other = compare_stratified_means({k: (scaled(a), scaled(b)) for k, (a, b) in strata.items()}).comparison
    if plain.p_value is not None and other.p_value is not None and plain.standard_error > 1e-6:
        assert other.p_value == pytest.approx(plain.p_value, rel=1e-4)


def test_an_imbalance_that_chance_left_is_removed():
    """Old people rarely book, and treatment got more of them; within each stratum treatment is better."""
    strata = {"young": (Proportion(200, 100), Proportion(400, 180)), "old": (Proportion(400, 60), Proportion(200, 20))}
    ours = compare_stratified_proportions(strata).comparison
    plain = compare_proportions(Proportion(600, 160), Proportion(600, 200))
    assert plain.difference < 0 < ours.difference
    assert ours.difference == pytest.approx((0.05 + 0.05) / 2)
    assert ours.p_value < 0.06


def test_a_telling_stratum_narrows_the_interval():
    random = np.random.default_rng(8)
    arms = {k: (random.normal(10 * k, 1, 50), random.normal(10 * k, 1, 50)) for k in range(4)}
    ours = compare_stratified_means({str(k): (Mean.of(a), Mean.of(b)) for k, (a, b) in arms.items()}).comparison
    plain = compare_means(*(Mean.of(np.concatenate([pair[arm] for pair in arms.values()])) for arm in (0, 1)))
    assert ours.standard_error < 0.2 * plain.standard_error


def test_a_stratum_without_anybody_in_an_arm_is_pooled_and_named():
    strata = {
        "large": (Proportion(300, 60), Proportion(300, 40)),
        "middle": (Proportion(100, 20), Proportion(100, 10)),
        "lonely": (Proportion(3, 1), Proportion(0, 0)),
    }
    result = compare_stratified_proportions(strata)
    assert result.pooled == ("lonely", "middle")
    assert result.strata == {"large": pytest.approx(600 / 803)}
    merged = {"large": strata["large"], "rest": (Proportion(103, 21), Proportion(100, 10))}
    assert result.comparison == compare_stratified_proportions(merged).comparison


def test_single_units_are_pooled_with_each_other_before_others_are_touched():
    random = np.random.default_rng(4)
    data = {"a": (random.normal(size=30), random.normal(size=30)), "b": ([1.0], [2.0]), "c": ([3.0], [0.0])}
    result = compare_stratified_means({k: (Mean.of(one), Mean.of(other)) for k, (one, other) in data.items()})
    assert result.pooled == ("b", "c")
    merged = {"a": data["a"], "bc": ([1.0, 3.0], [2.0, 0.0])}
    expected = compare_stratified_means({k: (Mean.of(one), Mean.of(other)) for k, (one, other) in merged.items()})
    assert result.comparison.difference == pytest.approx(expected.comparison.difference)
    assert result.comparison.p_value == pytest.approx(expected.comparison.p_value)


def test_few_conversions_pool_everything_into_the_exact_test():
    strata = {k: (Proportion(100, 2), Proportion(100, 1)) for k in "abc"}
    result = compare_stratified_proportions(strata)
    assert result.comparison.method is Method.EXACT
    assert result.pooled == ("a", "b", "c")


def test_rates_in_many_small_strata_keep_the_size_of_the_test():
    """Six units a stratum: without the factor N / (N - 1) about .07 would be rejected."""
    random = np.random.default_rng(14)
    rejected = 0
    for _ in range(1200):
        strata = {}
        for k in range(12):
            units = 2 + random.poisson(4)
            one = random.binomial(units, 0.5)
            p = 0.3 * (0.4 + 0.1 * k)
            pair = [Proportion(int(n), int(random.binomial(n, p))) for n in (one, units - one)]
            strata[str(k)] = (pair[0], pair[1])
        rejected += compare_stratified_proportions(strata).comparison.p_value < 0.05
    assert 0.03 < rejected / 1200 < 0.066


@pytest.mark.parametrize(
    ("strata", "reason"),
    [
        ({}, Unavailable.EMPTY_ARM),
        ({"a": (Mean(0, math.nan, math.nan), Mean(3, 1.0, 1.0))}, Unavailable.EMPTY_ARM),
        ({"a": (Mean.of([1.0]), Mean.of([1.0, 2.0]))}, Unavailable.TOO_FEW_UNITS),
        ({k: (Mean.of([1.0, 1.0]), Mean.of([2.0, 2.0])) for k in "ab"}, Unavailable.NO_VARIATION),
        (
            {"a": (Mean.of([1.0, math.inf]), Mean.of([2.0, 3.0])), "b": (Mean.of([1.0, 2.0]), Mean.of([2.0, 2.0]))},
            Unavailable.NOT_FINITE,
        ),
        (
            {
                "a": (Mean(1, 1e200, math.nan), Mean(1, 1.0, math.nan)),
                "b": (Mean(1, -1e200, math.nan), Mean(1, 1.0, math.nan)),
            },
            Unavailable.NOT_FINITE,
        ),
    ],
)
def test_what_cannot_be_computed_says_why(strata, reason):
    result = compare_stratified_means(strata).comparison
    assert (result.reason, result.p_value) == (reason, None)


@pytest.mark.parametrize("strata", [{}, {"a": (Proportion(0, 0), Proportion(5, 1))}])
def test_rates_of_an_empty_arm_are_a_named_reason(strata):
    assert compare_stratified_proportions(strata).comparison.reason is Unavailable.EMPTY_ARM


@pytest.mark.parametrize("hits", [0, 1])
def test_strata_where_nobody_or_everybody_converts_do_no_harm(hits):
    strata = {
        "some": (Proportion(200, 60), Proportion(200, 40)),
        "flat": (Proportion(50, 50 * hits), Proportion(50, 50 * hits)),
    }
    result = compare_stratified_proportions(strata).comparison
    assert result.difference == pytest.approx(0.1 * 400 / 500)
    assert 0 < result.p_value < 0.05


@pytest.mark.parametrize("weights", [{"a": 1.0}, {"a": 1.0, "b": -1.0}, {"a": 1.0, "b": math.inf}])
def test_weights_belong_to_the_strata(weights):
    strata = {k: (Proportion(20, 8), Proportion(20, 9)) for k in "ab"}
    with pytest.raises(ValueError, match="weight"):
        compare_stratified_proportions(strata, weights=weights)
