"""Two means, with and without a covariate."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
import statsmodels.api as sm
from hypothesis import example, given, settings
from hypothesis import strategies as st

from alongside.stats import Method, Unavailable
from alongside.stats.adjustment import arm_of, compare_adjusted
from alongside.stats.means import Mean, compare_means
from tests.stats.agreement import assert_intervals_agree_with_p

values = st.lists(st.floats(-1e6, 1e6, allow_nan=False, allow_subnormal=False), min_size=2, max_size=40)


def _samples(seed: int = 7) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    return random.gamma(2.0, 3.0, 137), random.gamma(2.0, 2.5, 211)


def test_welch_matches_scipy():
    treatment, control = _samples()
    ours = compare_means(Mean.of(treatment), Mean.of(control))
    peer = scipy.stats.ttest_ind(treatment, control, equal_var=False)
    assert ours.p_value == pytest.approx(peer.pvalue, rel=1e-10)
    interval = peer.confidence_interval(0.95)
    assert (ours.interval.low, ours.interval.high) == pytest.approx((interval.low, interval.high))


def test_welch_matches_tea_tasting():
    import pyarrow as pa
    import tea_tasting as tt

    treatment, control = _samples()
    table = pa.table({"variant": [1] * len(treatment) + [0] * len(control), "y": np.concatenate([treatment, control])})
    peer = tt.Experiment(y=tt.Mean("y")).analyze(table)["y"]
    ours = compare_means(Mean.of(treatment), Mean.of(control))
    assert ours.p_value == pytest.approx(peer.pvalue, rel=1e-9)
    assert ours.difference == pytest.approx(peer.effect_size)
    assert ours.interval.low == pytest.approx(peer.effect_size_ci_lower)
    assert ours.relative.estimate == pytest.approx(peer.rel_effect_size)
    assert ours.relative.interval.low == pytest.approx(peer.rel_effect_size_ci_lower, abs=0.03)  # it uses log-delta


@given(values, values)
@example([0.0, 2.4348322271966523e-92], [2.4348322271966523e-92, 2.4348322271966523e-92])  # squares underflow
@example([0.0, 1.0], [0.0, 1.7572375762343925e-227])  # the difference is 1e227 baselines: its square overflows
@settings(deadline=None)
def test_both_intervals_agree_with_the_p_value(treatment, control):
    result = compare_means(Mean.of(treatment), Mean.of(control))
    assert_intervals_agree_with_p(result)


@given(values, values, st.floats(0.01, 1000))
@settings(deadline=None)
def test_unit_of_measurement_does_not_change_the_evidence(treatment, control, scale):
    plain = compare_means(Mean.of(treatment), Mean.of(control))
    scaled = compare_means(Mean.of([v * scale for v in treatment]), Mean.of([v * scale for v in control]))
    if plain.p_value is None or scaled.p_value is None or plain.standard_error < 1e-6:
        return
    assert scaled.p_value == pytest.approx(plain.p_value, rel=1e-4)
    assert scaled.standard_error == pytest.approx(plain.standard_error * scale, rel=1e-6)


@given(values, values)
@settings(deadline=None)
def test_swapping_the_arms_mirrors_the_difference(one, other):
    ahead = compare_means(Mean.of(one), Mean.of(other))
    back = compare_means(Mean.of(other), Mean.of(one))
    assert ahead.reason == back.reason
    if ahead.p_value is not None:
        assert ahead.p_value == pytest.approx(back.p_value)
        assert ahead.interval.low == pytest.approx(-back.interval.high)


@pytest.mark.parametrize(
    ("treatment", "control", "reason"),
    [
        ([], [1.0, 2.0], Unavailable.EMPTY_ARM),
        ([1.0], [1.0, 2.0], Unavailable.TOO_FEW_UNITS),
        ([1.0, 1.0], [1.0, 1.0], Unavailable.NO_VARIATION),
        ([0.1, 0.1 + 2e-17, 0.1], [0.1, 0.1], Unavailable.NO_VARIATION),
        ([1.0, math.inf], [1.0, 2.0], Unavailable.NOT_FINITE),
        ([1.0, math.nan], [1.0, 2.0], Unavailable.NOT_FINITE),
        ([1e200, -1e200], [1.0, 2.0], Unavailable.NOT_FINITE),
    ],
)
def test_what_cannot_be_computed_says_why(treatment, control, reason):
    result = compare_means(Mean.of(treatment), Mean.of(control))
    assert (result.reason, result.p_value) == (reason, None)


def test_rounding_is_neither_a_difference_nor_a_variance():
    """The mean of three readings of 0.1 differs from it in the last digit; a second among years is a difference."""
    alike = compare_means(Mean(60, 0.10000000000000002, 3e-35), Mean(60, 0.1, 0.0))
    assert (alike.difference, alike.p_value) == (0.0, None)
    assert compare_means(Mean(60, 0.1, -1e-20), Mean(60, 0.2, 0.0)).difference == pytest.approx(-0.1)
    assert compare_means(Mean(500, 1.7e9 + 1, 1.0), Mean(500, 1.7e9, 1.0)).p_value < 1e-10


def test_ratio_to_a_control_around_zero_is_unbounded_and_says_so():
    result = compare_means(Mean(50, 1.0, 4.0), Mean(50, 0.1, 4.0))
    assert result.relative.reason is Unavailable.BASELINE_UNCERTAIN
    assert (result.relative.interval.low, result.relative.interval.high) == (None, None)


def test_a_p_value_that_underflows_is_not_zero():
    assert 0 < compare_means(Mean(10**7, 1e6, 1.0), Mean(10**7, 0.0, 1.0)).p_value < 1e-300


def test_adjustment_is_ols_with_interaction_and_hc2():
    random = np.random.default_rng(11)
    n = 400
    x = random.normal(5, 2, n)
    treated = random.random(n) < 0.35
    y = 2 + 0.8 * x + treated * (0.5 + 0.1 * x) + random.normal(0, 1 + 0.2 * np.abs(x), n)
    ours = compare_adjusted(
        arm_of(y[treated], x[treated]), arm_of(y[~treated], x[~treated]), overall_mean=float(x.mean())
    )
    centred = x - x.mean()
    design = np.column_stack([np.ones(n), treated, centred, treated * centred])
    peer = sm.OLS(y, design).fit(cov_type="HC2")
    assert ours.difference == pytest.approx(peer.params[1], rel=1e-10)
    assert ours.standard_error == pytest.approx(peer.bse[1], rel=1e-10)
    assert ours.method is Method.ADJUSTED


def test_a_telling_covariate_narrows_the_interval():
    random = np.random.default_rng(3)
    x = random.normal(0, 1, 1000)
    y = x * 3 + random.normal(0, 1, 1000)
    plain = compare_means(Mean.of(y[:500]), Mean.of(y[500:]))
    adjusted = compare_adjusted(arm_of(y[:500], x[:500]), arm_of(y[500:], x[500:]), float(x.mean()))
    assert adjusted.standard_error < 0.4 * plain.standard_error


def test_a_covariate_that_never_varies_changes_nothing():
    treatment, control = _samples()
    plain = compare_means(Mean.of(treatment), Mean.of(control))
    ones = (np.ones(len(treatment)), np.ones(len(control)))
    adjusted = compare_adjusted(arm_of(treatment, ones[0]), arm_of(control, ones[1]), 1.0)
    assert adjusted.difference == pytest.approx(plain.difference)
    assert adjusted.standard_error == pytest.approx(plain.standard_error)


def test_leverage_of_one_is_no_division_by_zero():
    """All covariates but one are equal: the line goes through that unit, whatever its outcome."""
    arm = arm_of([1.0, 2.0, 3.0, 50.0], [0.0, 0.0, 0.0, 1.0])
    result = compare_adjusted(arm, arm_of([1.0, 2.0, 4.0], [0.0, 1.0, 0.0]), 0.2)
    assert math.isfinite(result.standard_error)
