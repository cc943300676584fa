"""Subgroups: simultaneous intervals and the test of equal effects."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.meta_analysis import combine_effects
from statsmodels.stats.oneway import anova_oneway

from alongside.stats import Unavailable
from alongside.stats.heterogeneity import Effect, Simultaneous, compare_subgroups, effect_of, equal_effects
from alongside.stats.means import Mean, compare_means
from alongside.stats.proportions import Proportion, compare_proportions

effects = st.lists(
    st.builds(Effect, st.floats(-1e3, 1e3, allow_subnormal=False), st.floats(0.01, 100)), min_size=2, max_size=9
)
arms = st.integers(1, 2000).flatmap(lambda n: st.builds(Proportion, st.just(n), st.integers(0, n)))
subgroups = st.dictionaries(st.sampled_from("abcdef"), st.tuples(arms, arms), min_size=1)


def _named(values):
    return {str(index): value for index, value in enumerate(values)}


@given(effects)
@settings(deadline=None)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_q_and_i_squared_are_statsmodels(values):
    ours = equal_effects(_named(values))
    peer = combine_effects(np.array([v.estimate for v in values]), np.array([v.standard_error**2 for v in values]))
    assert ours.q == pytest.approx(peer.q, rel=1e-3, abs=1e-3)  # theirs subtracts two large sums
    if ours.q > 0.1:  # theirs rounds to anything where there is no scatter
        assert ours.i_squared == pytest.approx(max(0.0, peer.i2), abs=1e-2)
    assert ours.common == pytest.approx(peer.mean_effect_fe, rel=1e-6, abs=1e-6)
    assert ours.degrees == len(values) - 1
    assert 0 < ours.p_value <= 1


def test_known_value_of_the_tail():
    """Q of 7.814728 is the 95th percentile of chi-squared with three degrees of freedom."""
    spread = math.sqrt(7.814728 / 4)
    values = [Effect(spread, 1.0), Effect(-spread, 1.0), Effect(spread, 1.0), Effect(-spread, 1.0)]
    assert equal_effects(_named(values)).p_value == pytest.approx(0.05, abs=1e-6)


def test_degrees_of_freedom_make_it_welchs_analysis_of_variance():
    random = np.random.default_rng(7)
    groups = [random.normal(k / 3, 1 + k, 8 + 2 * k) for k in range(5)]
    ours = equal_effects(_named(Effect(g.mean(), g.std(ddof=1) / math.sqrt(len(g)), len(g) - 1) for g in groups))
    assert ours.p_value == pytest.approx(anova_oneway(groups, use_var="unequal").pvalue, rel=1e-9)


@given(effects, st.floats(1e-3, 1e3), st.floats(-100, 100))
@settings(deadline=None)
def test_neither_unit_nor_a_common_shift_changes_the_evidence(values, scale, shift):
    plain = equal_effects(_named(values))
    moved = equal_effects(_named(Effect((v.estimate + shift) * scale, v.standard_error * scale) for v in values))
    assert moved.q == pytest.approx(plain.q, rel=1e-6, abs=1e-5)
    assert moved.i_squared == pytest.approx(plain.i_squared, abs=1e-4)


@given(effects, st.randoms())
@settings(deadline=None)
def test_order_does_not_matter(values, random):
    shuffled = list(values)
    random.shuffle(shuffled)
    assert equal_effects(_named(shuffled)).q == pytest.approx(equal_effects(_named(values)).q, rel=1e-9, abs=1e-9)


@given(subgroups, st.sampled_from(list(Simultaneous)))
@settings(deadline=None, max_examples=150)
def test_adjusted_p_values_levels_and_intervals_agree(pairs, simultaneous):
    result = compare_subgroups(pairs, compare_proportions, 0.05, simultaneous)
    assert set(result.comparisons) == set(result.adjusted) == set(pairs)
    for name, comparison in result.comparisons.items():
        adjusted = result.adjusted[name]
        if abs(adjusted - 0.05) < 1e-9 or abs(comparison.p_value - comparison.alpha) < 1e-9:
            continue
        assert (adjusted < 0.05) == (comparison.p_value < comparison.alpha)
        assert comparison.interval.holds(0.0) != (adjusted < 0.05)


@given(subgroups)
@settings(deadline=None, max_examples=50)
def test_holm_never_finds_less_than_bonferroni(pairs):
    strict = compare_subgroups(pairs, compare_proportions, 0.05, Simultaneous.BONFERRONI).adjusted
    holm = compare_subgroups(pairs, compare_proportions, 0.05, Simultaneous.HOLM).adjusted
    assert all(holm[name] <= strict[name] for name in pairs)


@given(subgroups)
@settings(deadline=None, max_examples=50)
def test_swapping_the_arms_leaves_the_heterogeneity(pairs):
    ahead = compare_subgroups(pairs, compare_proportions).heterogeneity
    back = compare_subgroups({k: (b, a) for k, (a, b) in pairs.items()}, compare_proportions).heterogeneity
    assert ahead.left_out == back.left_out
    if ahead.q is not None:
        assert ahead.q == pytest.approx(back.q, rel=1e-9, abs=1e-12)
        assert ahead.common == pytest.approx(-back.common, abs=1e-12)


def test_one_subgroup_keeps_alpha():
    pair = (Proportion(100, 30), Proportion(100, 20))
    result = compare_subgroups({"all": pair}, compare_proportions)
    assert result.comparisons["all"] == compare_proportions(*pair)
    assert result.heterogeneity.reason is Unavailable.TOO_FEW_UNITS


def test_effects_that_differ_are_told_apart():
    pairs = {"young": (Proportion(800, 240), Proportion(800, 120)), "old": (Proportion(800, 100), Proportion(800, 110))}
    result = compare_subgroups(pairs, compare_proportions).heterogeneity
    assert result.p_value < 1e-6
    assert result.i_squared > 0.9


def test_small_subgroups_of_equal_effects_are_not_told_apart_too_often():
    """Eight subgroups of ten units an arm: Q alone would reject 9 %."""
    random = np.random.default_rng(17)
    rejected, plain = 0, 0
    for _ in range(1000):
        data = random.normal(size=(8, 2, 10))
        found = {
            str(k): effect_of(compare_means(Mean(10, a.mean(), a.var(ddof=1)), Mean(10, b.mean(), b.var(ddof=1))))
            for k, (a, b) in enumerate(data)
        }
        rejected += equal_effects(found).p_value < 0.05
        plain += equal_effects({k: Effect(e.estimate, e.standard_error) for k, e in found.items()}).p_value < 0.05
    assert 0.03 < rejected / 1000 < 0.065
    assert plain / 1000 > 0.07


def test_simultaneous_intervals_hold_together():
    random = np.random.default_rng(18)
    together = 0
    for _ in range(300):
        pairs = {
            str(k): (Proportion(300, int(random.binomial(300, 0.3))), Proportion(300, int(random.binomial(300, 0.2))))
            for k in range(6)
        }
        found = compare_subgroups(pairs, compare_proportions).comparisons.values()
        together += all(comparison.interval.holds(0.1) for comparison in found)
    assert 0.91 < together / 300 < 0.99  # without correction .95^6 = .74


@pytest.mark.parametrize(
    ("odd", "expected"),
    [((Mean(0, math.nan, math.nan), Mean(9, 1.0, 1.0)), ("odd",)), ((Mean(9, 2.0, 0.0), Mean(9, 2.0, 0.0)), ("odd",))],
)
def test_a_subgroup_without_result_is_named_and_counts_in_the_correction(odd, expected):
    pairs = {"a": (Mean(30, 2.0, 1.0), Mean(30, 1.0, 1.0)), "b": (Mean(30, 1.0, 1.0), Mean(30, 1.0, 1.0)), "odd": odd}
    result = compare_subgroups(pairs, compare_means)
    assert result.heterogeneity.left_out == expected
    assert result.heterogeneity.degrees == 1
    assert result.adjusted["odd"] is None
    assert result.comparisons["a"].alpha == pytest.approx(0.05 / 3)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([], Unavailable.TOO_FEW_UNITS),
        ([Effect(1.0, 1.0)], Unavailable.TOO_FEW_UNITS),
        ([Effect(1.0, 1.0), Effect(1.0, 0.0)], Unavailable.NO_VARIATION),
        ([Effect(1e300, 1e-10), Effect(-1e300, 1e-10)], Unavailable.NOT_FINITE),
    ],
)
def test_what_cannot_be_tested_says_why(values, reason):
    result = equal_effects(_named(values))
    assert (result.reason, result.p_value, result.q) == (reason, None, None)


def test_a_p_value_that_underflows_is_not_zero():
    assert 0 < equal_effects(_named([Effect(100.0, 1.0), Effect(-100.0, 1.0)])).p_value < 1e-300


def test_no_subgroup_is_no_error():
    assert compare_subgroups({}, compare_means).comparisons == {}
