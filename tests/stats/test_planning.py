"""Power, sample size, sample ratio, multiplicity and boundaries against published values."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from alongside.stats import Interval, multiplicity, normal, power
from alongside.stats.sample_ratio import sample_ratio
from alongside.stats.sequential import Spending, boundaries, spent

p_values = st.lists(st.floats(1e-12, 1.0), min_size=1, max_size=12)
HOMMEL = [0.001, 0.008, 0.039, 0.041, 0.042, 0.06, 0.074, 0.205]


def test_power_and_sample_size_are_those_of_r():
    assert power.power_proportions(50, 0.5, 0.75) == pytest.approx(0.7401659, abs=1e-6)
    assert power.sample_size_proportions(0.5, 0.75, 0.9) == pytest.approx(76.70693, abs=1e-4)
    assert power.sample_size_proportions(0.05, 0.06, 0.8) == pytest.approx(8157.731, abs=1e-2)


@given(st.floats(0.01, 0.9), st.floats(0.001, 0.09), st.floats(0.5, 0.95), st.floats(0.2, 5))
@settings(deadline=None)
def test_planned_size_gives_the_planned_power(rate, effect, wanted, ratio):
    n = power.sample_size_proportions(rate, rate + effect, wanted, ratio=ratio)
    assert power.power_proportions(n, rate, rate + effect, ratio=ratio) == pytest.approx(wanted)
    assert power.detectable_rate(n, rate, wanted, ratio=ratio) == pytest.approx(effect, rel=1e-6)


@given(st.floats(0.1, 100), st.floats(0.1, 100), st.floats(0.5, 0.95), st.floats(0.2, 5))
@settings(deadline=None)
def test_planned_size_of_a_mean_gives_the_planned_power(effect, deviation, wanted, ratio):
    n = power.sample_size_means(effect, deviation, wanted, ratio=ratio)
    assert power.power_means(n, effect, deviation, ratio=ratio) == pytest.approx(wanted)
    assert power.detectable_mean(n, deviation, wanted, ratio=ratio) == pytest.approx(effect)


def test_no_effect_needs_infinitely_many_and_too_few_detect_nothing():
    assert power.sample_size_proportions(0.2, 0.2, 0.8) == math.inf
    assert power.sample_size_means(0.0, 1.0, 0.8) == math.inf
    assert power.detectable_rate(3, 0.9, 0.8) is None


def test_a_margin_that_no_data_could_show_has_no_power():
    assert power.power_non_inferiority(400, 0.001, margin=0.005) == 0.0
    assert power.power_non_inferiority(400, 0.001, margin=0.02) == 1.0
    assert 0.5 < power.power_non_inferiority(400, 0.05, margin=0.04) < 1.0


def test_sample_ratio_reference():
    assert sample_ratio({"a": 821588, "b": 815482}, {"a": 0.5, "b": 0.5}).p_value == pytest.approx(
        1.821793e-6, rel=1e-6
    )


def test_sample_ratio_never_says_impossible():
    result = sample_ratio({"a": 10**7, "b": 0}, {"a": 1, "b": 1})
    assert result.mismatch
    assert 0 < result.p_value < 1e-300


def test_sample_ratio_of_nobody_is_unknown():
    assert sample_ratio({"a": 0, "b": 0}, {"a": 1, "b": 1}).p_value is None


@pytest.mark.parametrize(("observed", "shares"), [({"a": 1}, {"b": 1}), ({"a": 1, "b": 1}, {"a": 1, "b": 0})])
def test_sample_ratio_needs_the_planned_arms(observed, shares):
    with pytest.raises(ValueError, match=r"arm"):
        sample_ratio(observed, shares)


def test_hommel_reference():
    assert multiplicity.hommel(HOMMEL) == pytest.approx([0.008, 0.056, 0.111, 0.111, 0.111, 0.12, 0.148, 0.205])


@given(p_values)
@settings(deadline=None)
def test_hommels_p_values_match_statsmodels(raw):
    assert multiplicity.hommel(raw) == pytest.approx(list(multipletests(raw, method="hommel")[1]))


@given(st.lists(st.floats(1e-12, 1.0), min_size=1, max_size=7))
@settings(deadline=None)
def test_holms_p_values_are_those_of_the_closed_bonferroni_test(raw):
    """By definition: a hypothesis falls when every intersection that holds it falls."""
    everyone = range(len(raw))
    groups = [group for size in range(1, len(raw) + 1) for group in combinations(everyone, size)]
    bonferroni = {group: min(1.0, len(group) * min(raw[i] for i in group)) for group in groups}
    expected = [max(p for group, p in bonferroni.items() if i in group) for i in everyone]
    assert multiplicity.holm(raw) == pytest.approx(expected)


@given(p_values)
@settings(deadline=None)
def test_holm_intervals_exclude_the_null_exactly_when_holm_rejects(raw):
    levels = multiplicity.holm_levels(raw, 0.05)
    for p, level, adjusted in zip(raw, levels, multiplicity.holm(raw), strict=True):
        if abs(adjusted - 0.05) > 1e-12:
            assert (p < level) == (adjusted < 0.05)


@pytest.mark.parametrize("effects", [(9.0, 9.0, 9.0), (2.4, 2.4, 9.0), (0.0, 2.4, 3.0)])
def test_intervals_of_a_family_hold_together_and_agree_with_holm(effects: tuple[float, ...]):
    random, runs = np.random.default_rng(3), 4_000
    width, together, at_levels = normal.isf(0.05 / 6), 0, 0
    for z in random.normal(effects, 1.0, (runs, 3)):
        raw = [normal.two_sided_p(one) for one in z]
        claims = [p < 0.05 for p in multiplicity.holm(raw)]
        found = [
            multiplicity.holm_interval(Interval(one - width, one + width), one, claimed)
            for one, claimed in zip(z, claims, strict=True)
        ]
        assert [not item.low < 0 < item.high for item in found] == claims
        together += all(item.holds(truth) for item, truth in zip(found, effects, strict=True))
        levels = [normal.isf(level / 2) for level in multiplicity.holm_levels(raw, 0.05)]
        at_levels += all(abs(one - truth) <= reach for one, truth, reach in zip(z, effects, levels, strict=True))
    assert together / runs >= 0.95 - 0.007
    if effects == (9.0, 9.0, 9.0):
        assert at_levels / runs == pytest.approx(0.91, abs=0.015)


@pytest.mark.parametrize(
    ("kind", "fractions", "expected"),
    [
        (Spending.OBRIEN_FLEMING, [0.2, 0.4, 0.6, 0.8, 1.0], [4.876885, 3.357012, 2.680280, 2.289817, 2.031032]),
        (Spending.POCOCK, [0.2, 0.4, 0.6, 0.8, 1.0], [2.437977, 2.426814, 2.410194, 2.396649, 2.386000]),
        (Spending.OBRIEN_FLEMING, [0.3, 0.7, 1.0], [3.928573, 2.438742, 2.000009]),
    ],
)
def test_spending_boundaries_reference(kind, fractions, expected):
    assert boundaries(fractions, 0.025, kind) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("kind", list(Spending))
def test_one_look_is_the_fixed_horizon_test(kind):
    assert boundaries([1.0], 0.025, kind) == pytest.approx([1.959964], abs=1e-6)
    assert spent(kind, 0.0, 0.025) == 0.0
    assert spent(kind, 1.0, 0.025) == pytest.approx(0.025)


@pytest.mark.parametrize("fractions", [[], [0.5, 0.5], [0.5, 0.4], [0.0], [0.5, 1.2]])
def test_looks_must_advance(fractions):
    with pytest.raises(ValueError, match="increase"):
        boundaries(fractions)
