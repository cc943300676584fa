"""Ratios of sums over units: clicks per message, by person."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alongside.stats import Method, Unavailable
from alongside.stats.means import Mean, compare_means
from alongside.stats.ratios import RatioArm, compare_ratios
from tests.stats.agreement import assert_intervals_agree_with_p

units = st.lists(st.tuples(st.floats(-1e4, 1e4), st.floats(1, 50)), min_size=40, max_size=80)


def _people(random: np.random.Generator, n: int, rate: float) -> tuple[np.ndarray, np.ndarray]:
    """Clicks and messages: persons differ in how many messages they get and in how readily they click."""
    messages = 1 + random.poisson(random.gamma(1.0, 3.0, n))
    return random.binomial(messages, random.beta(3 * rate, 3 * (1 - rate), n)), messages


def _arm(pairs: list[tuple[float, float]], scale_y: float = 1.0, scale_x: float = 1.0) -> RatioArm:
    return RatioArm.of([y * scale_y for y, _ in pairs], [x * scale_x for _, x in pairs])


def test_matches_tea_tasting():
    import pyarrow as pa
    import tea_tasting as tt

    random = np.random.default_rng(4)
    (y1, x1), (y0, x0) = _people(random, 300, 0.25), _people(random, 500, 0.2)
    table = pa.table(
        {
            "variant": [1] * 300 + [0] * 500,
            "clicks": np.concatenate([y1, y0]),
            "messages": np.concatenate([x1, x0]),
        }
    )
    peer = tt.Experiment(r=tt.RatioOfMeans("clicks", "messages")).analyze(table)["r"]
    ours = compare_ratios(RatioArm.of(y1, x1), RatioArm.of(y0, x0))
    assert ours.method is Method.DELTA
    assert ours.difference == pytest.approx(peer.effect_size)
    assert ours.p_value == pytest.approx(peer.pvalue, rel=1e-9)
    assert (ours.interval.low, ours.interval.high) == pytest.approx(
        (peer.effect_size_ci_lower, peer.effect_size_ci_upper)
    )
    assert ours.relative.estimate == pytest.approx(peer.rel_effect_size)
    assert ours.relative.interval.low == pytest.approx(peer.rel_effect_size_ci_lower, abs=0.02)  # it uses log-delta


def test_one_message_each_is_a_comparison_of_means():
    random = np.random.default_rng(5)
    one, other = random.normal(3, 1, 60), random.normal(2, 2, 90)
    ratio = compare_ratios(RatioArm.of(one, np.ones(60)), RatioArm.of(other, np.ones(90)))
    mean = compare_means(Mean.of(one), Mean.of(other))
    assert ratio.p_value == pytest.approx(mean.p_value)
    assert ratio.relative.interval.high == pytest.approx(mean.relative.interval.high)


@given(units, units)
@settings(deadline=None)
def test_both_intervals_agree_with_the_p_value(treatment, control):
    result = compare_ratios(_arm(treatment), _arm(control))
    assert_intervals_agree_with_p(result)


@given(units, units)
@settings(deadline=None)
def test_swapping_the_arms_mirrors_the_difference(one, other):
    ahead, back = compare_ratios(_arm(one), _arm(other)), compare_ratios(_arm(other), _arm(one))
    assert ahead.reason is back.reason
    if ahead.p_value is not None:
        assert ahead.difference == -back.difference
        assert ahead.p_value == pytest.approx(back.p_value)
        assert ahead.interval.low == pytest.approx(-back.interval.high)


@given(units, units, st.floats(1e-3, 1e3), st.floats(1e-3, 1e3))
@settings(deadline=None)
def test_units_of_measurement_do_not_change_the_evidence(one, other, scale_y, scale_x):
    plain = compare_ratios(_arm(one), _arm(other))
    scaled = compare_ratios(_arm(one, scale_y, scale_x), _arm(other, scale_y, scale_x))
    if plain.p_value is None or scaled.p_value is None or plain.standard_error < 1e-6:
        return
    assert scaled.p_value == pytest.approx(plain.p_value, rel=1e-4)
    assert scaled.standard_error == pytest.approx(plain.standard_error * scale_y / scale_x, rel=1e-5)


def test_false_rejections_stay_near_alpha_where_counting_messages_does_not():
    random = np.random.default_rng(8)
    rejected, naive = 0, 0
    for _ in range(2000):
        (y1, x1), (y0, x0) = _people(random, 150, 0.2), _people(random, 300, 0.2)
        rejected += compare_ratios(RatioArm.of(y1, x1), RatioArm.of(y0, x0)).p_value < 0.05
        pooled = (y1.sum() + y0.sum()) / (x1.sum() + x0.sum())
        error = math.sqrt(pooled * (1 - pooled) * (1 / x1.sum() + 1 / x0.sum()))
        naive += abs(y1.sum() / x1.sum() - y0.sum() / x0.sum()) > 1.96 * error
    assert 0.04 < rejected / 2000 < 0.065
    assert naive / 2000 > 0.15


@pytest.mark.parametrize(
    ("y", "x", "reason"),
    [
        ([], [], Unavailable.EMPTY_ARM),
        ([1.0], [2.0], Unavailable.TOO_FEW_UNITS),
        ([0.0, 0.0, 0.0], [0.0, 0.0, 0.0], Unavailable.DENOMINATOR_ZERO),
        ([1.0, math.inf, 0.0], [1.0, 1.0, 1.0], Unavailable.NOT_FINITE),
        ([1.0, 2.0, 0.0], [1.0, math.nan, 1.0], Unavailable.NOT_FINITE),
        ([1e308, -1e308, 1.0], [1.0, 2.0, 1.0], Unavailable.NOT_FINITE),  # the variance overflows
        ([1e200, 1e200, 2e200], [1.0, 2.0, 1.0], Unavailable.NOT_FINITE),
        ([0.0] * 9 + [3.0], [0.0] * 9 + [9.0], Unavailable.DENOMINATOR_UNCERTAIN),  # one person has every message
    ],
)
def test_what_cannot_be_computed_says_why(y, x, reason):
    fine = RatioArm.of([0.0, 1.0, 1.0, 2.0], [2.0, 2.0, 3.0, 2.0])
    for result in (compare_ratios(RatioArm.of(y, x), fine), compare_ratios(fine, RatioArm.of(y, x))):
        assert (result.reason, result.p_value) == (reason, None)


@pytest.mark.parametrize("share", [0.0, 0.1, 1 / 3, 1.0])
def test_numerators_in_exact_proportion_leave_no_variation(share):
    """Rounding must not become a variance that a difference of rounding errors is tested against."""
    messages = np.array([1.0, 2.0, 3.0, 7.0, 11.0] * 20)
    result = compare_ratios(RatioArm.of(messages * share, messages), RatioArm.of(messages[:-3] * share, messages[:-3]))
    assert result.reason is Unavailable.NO_VARIATION
    assert result.difference == pytest.approx(0.0, abs=1e-12)


def test_tiny_values_do_not_underflow():
    y, x = [1e-200, 3e-200, 2e-200, 2e-200], [1e-190, 2e-190, 2e-190, 1e-190]
    result = compare_ratios(RatioArm.of(y, x), RatioArm.of(y[:3], x[:3]))
    assert result.reason in (None, Unavailable.NO_VARIATION)
    assert result.difference == pytest.approx(8 / 6 * 1e-10 - 6 / 5 * 1e-10)


def test_arms_need_one_denominator_a_unit():
    with pytest.raises(ValueError, match="do not belong"):
        RatioArm.of([1.0], [1.0, 2.0])
