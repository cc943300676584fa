"""Medians and other quantiles, from order statistics."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from alongside.stats import Interval, Method, Unavailable
from alongside.stats.quantiles import QuantileArm, compare_ordered, compare_quantiles, quantile_ranks

values = st.lists(st.floats(-1e4, 1e4, allow_subnormal=False), min_size=8, max_size=60)
whole = st.lists(st.integers(-6, 6), min_size=8, max_size=60)
inner = st.floats(0.02, 0.98)


def _compare(treatment, control, q=0.5, alpha=0.05):
    return compare_quantiles(QuantileArm.of(treatment, q, alpha), QuantileArm.of(control, q, alpha))


@given(st.integers(1, 3000), inner, st.sampled_from([0.01, 0.05, 0.2]))
@settings(deadline=None)
def test_bounds_lie_between_the_exact_binomial_ranks(n, q, alpha):
    """The rank below is too cautious, the next one not cautious enough."""
    ranks = quantile_ranks(n, q, alpha)
    assert len(ranks.needed) <= 6
    assert all(1 <= rank <= n for rank in ranks.needed)
    if not ranks.needed:
        assert max(scipy.stats.binom.pmf(0, n, q), scipy.stats.binom.pmf(n, n, q)) > alpha / 2 * (1 - 1e-9)
        return
    above = scipy.stats.binom.cdf(ranks.low.rank - 1, n, q)
    assert above <= alpha / 2 * (1 + 1e-9)
    below = scipy.stats.binom.sf(ranks.high.ranks[-1] - 1, n, q)
    assert below <= alpha / 2 * (1 + 1e-9)
    if ranks.low.rank < n - 1:
        assert scipy.stats.binom.cdf(ranks.low.rank, n, q) > alpha / 2
    if ranks.high.rank > 1 and ranks.high.fraction > 0:
        assert scipy.stats.binom.sf(ranks.high.rank - 1, n, q) > alpha / 2


def test_the_interval_of_a_median_is_hettmansperger_and_sheathers():
    """Their formula: lambda = (n - d) I / (d + (n - 2 d) I), with d the rank and I the share of the gap in coverage."""
    n, alpha = 20, 0.05
    d = 6  # P(Bin(20, .5) <= 5) = .0207, P(<= 6) = .0577
    inside = (alpha / 2 - scipy.stats.binom.cdf(5, n, 0.5)) / scipy.stats.binom.pmf(6, n, 0.5)
    expected = (n - d) * inside / (d + (n - 2 * d) * inside)
    ranks = quantile_ranks(n, 0.5, alpha)
    assert (ranks.low.rank, ranks.low.fraction) == pytest.approx((d, expected))
    assert (ranks.high.rank, ranks.high.fraction) == pytest.approx((n - d, 1 - expected))


@pytest.mark.parametrize(("q", "alpha", "n"), [(0.5, 0.05, 6), (0.9, 0.05, 36), (0.1, 0.05, 36), (0.5, 0.01, 8)])
def test_the_least_number_of_units(q, alpha, n):
    assert quantile_ranks(n, q, alpha).needed
    assert not quantile_ranks(n - 1, q, alpha).needed


@given(values, inner)
@settings(deadline=None)
def test_estimate_is_numpys_quantile(data, q):
    arm = QuantileArm.of(data, q, 0.4)
    if arm.ranks.needed:
        assert arm.estimate == pytest.approx(np.quantile(data, q), rel=1e-9, abs=1e-9)
        assert arm.low <= arm.estimate <= arm.high


@given(values, inner)
@settings(deadline=None)
def test_a_database_fetches_few_ranks_and_says_the_same(data, q):
    ranks = quantile_ranks(len(data), q, 0.3)
    ordered = sorted(data)
    fetched = QuantileArm.at(ranks, {rank: ordered[rank - 1] for rank in ranks.needed})
    assert repr(fetched) == repr(QuantileArm.of(data, q, 0.3))


@given(st.one_of(values, whole), st.one_of(values, whole), st.sampled_from([0.3, 0.5, 0.6]))
@settings(deadline=None, max_examples=300)
def test_both_intervals_agree_with_the_p_value(treatment, control, q):
    result = _compare(treatment, control, q, 0.1)
    if result.p_value is None or abs(result.p_value - 0.1) < 1e-6:
        return
    significant = result.p_value < 0.1
    assert result.interval.holds(0.0) != significant
    if (
        result.relative.reason is None
        and min(abs(result.relative.interval.low), abs(result.relative.interval.high)) > 1e-9
    ):
        assert result.relative.interval.holds(0.0) != significant


@given(values, values, st.floats(0.001, 0.5), st.sampled_from([0.4, 0.5]))
@settings(deadline=None, max_examples=60)
def test_one_p_value_belongs_to_the_intervals_of_every_level(treatment, control, alpha, q):
    found = compare_ordered(sorted(treatment), sorted(control), q, alpha)
    if found.p_value is None or found.difference == 0 or abs(found.p_value - alpha) < 1e-6 * alpha:
        return
    assert found.interval.holds(0.0) == (found.p_value > alpha or found.interval.low is None)
    other = compare_ordered(sorted(treatment), sorted(control), q, 0.6 * alpha)
    if other.interval.low is not None and found.interval.low is not None:
        assert other.p_value == pytest.approx(found.p_value, rel=1e-6)


def test_too_few_for_an_interval_show_their_difference_and_claim_nothing():
    found = compare_ordered([1.0, 2.0, 3.0, 4.0], [11.0, 12.0, 13.0, 14.0], 0.5)
    assert (found.difference, found.interval, found.reason) == (-10.0, Interval(None, None), None)
    assert found.p_value >= 0.05
    assert compare_ordered([], [1.0] * 9, 0.5).reason is Unavailable.EMPTY_ARM
    assert compare_ordered([1.0] * 8 + [math.nan], [1.0] * 9, 0.5).reason is Unavailable.NOT_FINITE


@given(values, values)
@settings(deadline=None)
def test_swapping_the_arms_mirrors_everything(one, other):
    ahead, back = _compare(one, other), _compare(other, one)
    assert ahead.reason is back.reason
    if ahead.p_value is not None:
        assert ahead.difference == -back.difference
        assert ahead.p_value == pytest.approx(back.p_value)
        assert (ahead.interval.low, ahead.interval.high) == pytest.approx((-back.interval.high, -back.interval.low))


@given(values, values, st.floats(1e-3, 1e3), st.booleans())
@settings(deadline=None)
def test_scale_and_sign_do_not_change_the_evidence(one, other, scale, negative):
    factor = -scale if negative else scale
    plain = _compare(one, other, 0.4, 0.2)
    scaled = _compare([v * factor for v in one], [v * factor for v in other], 0.6 if negative else 0.4, 0.2)
    if plain.p_value is None or scaled.p_value is None or plain.standard_error < 1e-6:
        return
    assert scaled.p_value == pytest.approx(plain.p_value, rel=1e-4, abs=1e-12)
    if plain.relative.reason is None and scaled.relative.reason is None and abs(plain.relative.estimate) < 1e6:
        assert scaled.relative.interval.low == pytest.approx(plain.relative.interval.low, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("transform", [lambda x: x, lambda x: 3 - x])
def test_relative_interval_holds_the_ratios_whose_scaled_control_is_not_distinct(transform):
    """By definition: a ratio is in it when treatment against ratio * control is not significant."""
    random = np.random.default_rng(5)
    one, other = transform(random.gamma(3.0, 1.0, 90)), transform(random.gamma(4.0, 1.0, 70))
    relative = _compare(one, other).relative
    assert relative.reason is None
    for bound, outward in ((relative.interval.low, -1), (relative.interval.high, 1)):
        for step, significant in ((1e-4, True), (-1e-4, False)):
            ratio = 1 + bound + outward * step
            assert (_compare(one, [v * ratio for v in other], 0.5).p_value < 0.05) == significant or ratio < 0


DISTRIBUTIONS = {
    "normal": lambda random, size: random.normal(10, 2, size),
    "lognormal": lambda random, size: random.lognormal(0, 1, size),
    "tied": lambda random, size: np.round(random.exponential(4, size)),  # whole days
}


@pytest.mark.parametrize("kind", list(DISTRIBUTIONS))
@pytest.mark.parametrize(("q", "n1", "n0"), [(0.5, 40, 70), (0.5, 300, 300), (0.9, 120, 200)])
def test_coverage_of_the_interval(kind, q, n1, n0):
    """Between 94 and 98 %; where values are tied never less."""
    random = np.random.default_rng(33)
    draw, rounds = DISTRIBUTIONS[kind], 1200
    held, shortened = 0, 0
    for _ in range(rounds):
        result = _compare(draw(random, n1), draw(random, n0), q)
        held += result.interval.holds(0.0)  # unbounded where it says no variation
        shortened += result.interval.low is not None
    assert held / rounds > 0.94
    if kind != "tied":
        assert held / rounds < 0.985
        assert shortened == rounds


def test_a_real_shift_is_found():
    random = np.random.default_rng(2)
    result = _compare(random.normal(1, 1, 400), random.normal(0, 1, 400))
    assert result.method is Method.QUANTILE
    assert result.p_value < 1e-6
    assert result.interval.holds(1.0)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ([], Unavailable.EMPTY_ARM),
        ([1.0], Unavailable.TOO_FEW_UNITS),
        ([1.0, 2.0, 3.0, 4.0, 5.0], Unavailable.TOO_FEW_UNITS),
        ([1.0] * 9 + [math.nan], Unavailable.NOT_FINITE),
        ([1.0] * 4 + [math.inf] * 8, Unavailable.NOT_FINITE),
    ],
)
def test_what_cannot_be_computed_says_why(data, reason):
    fine = [float(v) for v in range(20)]
    for result in (_compare(data, fine), _compare(fine, data)):
        assert (result.reason, result.p_value) == (reason, None)


def test_ties_on_both_sides_are_no_evidence_but_show_the_difference():
    result = _compare([3.0] * 500, [4.0] * 500)
    assert (result.reason, result.difference) == (Unavailable.NO_VARIATION, -1.0)
    assert _compare([3.0] * 500, [3.0] * 500).reason is Unavailable.NO_VARIATION


def test_people_without_an_event_count_as_later_than_everybody():
    """A median stands when a third have not come; where the bound is among them it is unbounded."""
    came = [float(day) for day in range(1, 41)]
    far = _compare(came + [math.inf] * 30, came)
    assert far.interval.high is None
    assert far.interval.low is not None
    assert far.p_value is not None
    assert far.standard_error is None
    few = _compare(came + [math.inf] * 2, came)
    assert few.interval.high is not None


def test_a_control_around_zero_has_no_ratio():
    spread = [float(v) for v in range(-10, 11)]
    assert _compare(spread, spread).relative.reason is Unavailable.BASELINE_ZERO
    moved = [v + 1 for v in spread]
    assert _compare(spread, moved).relative.reason is Unavailable.BASELINE_UNCERTAIN


def test_a_control_whose_bound_touches_zero_has_no_ratio_whatever_rounding_does():
    control = [0.0] * 6 + [float(v) for v in range(1, 15)]
    for scale in range(1, 200):
        values = [v * scale / 7 for v in control]
        arm = QuantileArm.of(values, 0.5, 0.01)
        assert arm.low == 0.0 < arm.estimate
        assert compare_quantiles(arm, arm).relative.reason is Unavailable.BASELINE_UNCERTAIN


def test_a_p_value_that_underflows_is_not_zero():
    close = [v * 1e-9 for v in range(50)]
    assert 0 < _compare([v + 1e6 for v in close], close).p_value < 1e-300


def test_arms_belong_to_one_quantile_and_level():
    data = [float(v) for v in range(60)]
    with pytest.raises(ValueError, match="different quantiles or levels"):
        compare_quantiles(QuantileArm.of(data, 0.5), QuantileArm.of(data, 0.6))
    with pytest.raises(ValueError, match="different quantiles or levels"):
        compare_quantiles(QuantileArm.of(data, 0.5, 0.05), QuantileArm.of(data, 0.5, 0.01))


@pytest.mark.parametrize("q", [0.0, 1.0, -1.0, math.nan])
def test_a_quantile_lies_between_0_and_1(q):
    with pytest.raises(ValueError, match="quantile"):
        quantile_ranks(10, q)
