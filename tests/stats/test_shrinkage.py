"""Readers' translations: chances, losses, and the winner's curse."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from alongside.stats.shrinkage import posterior, shrink_winner

estimates = st.floats(-1e3, 1e3, allow_subnormal=False)
errors = st.floats(1e-3, 1e3)
boundaries = st.floats(0.5, 12)


def test_posterior_is_the_conjugate_one():
    result = posterior(2.0, 1.0, prior_deviation=2.0, prior_mean=0.5)
    assert result.mean == pytest.approx((2.0 / 1 + 0.5 / 4) / (1 / 1 + 1 / 4))
    assert result.deviation == pytest.approx(math.sqrt(1 / (1 + 1 / 4)))
    assert result.chance_better == pytest.approx(scipy.stats.norm.cdf(result.mean / result.deviation))


def test_losses_are_those_of_draws():
    result = posterior(0.4, 0.5, prior_deviation=1.0)
    draws = np.random.default_rng(1).normal(result.mean, result.deviation, 400_000)
    assert result.loss_if_shipped == pytest.approx(np.maximum(0, -draws).mean(), abs=2e-3)
    assert result.loss_if_kept == pytest.approx(np.maximum(0, draws).mean(), abs=2e-3)
    assert result.chance_better == pytest.approx((draws > 0).mean(), abs=3e-3)


@given(estimates, errors, errors)
@settings(deadline=None)
def test_a_prior_only_pulls_towards_its_mean(estimate, error, prior):
    result = posterior(estimate, error, prior)
    assert abs(result.mean) <= abs(estimate)
    assert result.mean * estimate >= 0
    assert result.deviation <= min(error, prior) * (1 + 1e-9)
    assert 0 <= result.chance_better <= 1
    assert result.loss_if_kept - result.loss_if_shipped == pytest.approx(result.mean, rel=1e-6, abs=1e-9)


@given(estimates, errors, errors)
@settings(deadline=None)
def test_negating_the_effect_exchanges_the_decisions(estimate, error, prior):
    ahead, back = posterior(estimate, error, prior), posterior(-estimate, error, prior)
    assert ahead.loss_if_shipped == pytest.approx(back.loss_if_kept)
    assert ahead.chance_better == pytest.approx(1 - back.chance_better, abs=1e-12)


@given(st.floats(-5, 5), st.floats(0.1, 3), st.floats(0.01, 2))
def test_a_better_estimate_never_looks_worse(estimate, error, more):
    low, high = posterior(estimate, error, 1.0), posterior(estimate + more, error, 1.0)
    assert high.chance_better >= low.chance_better
    assert high.loss_if_shipped <= low.loss_if_shipped


def test_a_flat_prior_repeats_the_interval_of_the_data():
    result = posterior(1.0, 0.5, math.inf)
    assert (result.interval.low, result.interval.high) == pytest.approx((1 - 0.97998, 1 + 0.97998), abs=1e-5)


@pytest.mark.parametrize("prior", [1e-300, 1e-200])
def test_a_prior_that_nothing_moves_is_no_division_by_zero(prior):
    result = posterior(3.0, 1e10, prior)
    assert result.mean == pytest.approx(0.0, abs=1e-100)
    assert 0 <= result.chance_better <= 1
    assert result.loss_if_shipped == pytest.approx(0.0, abs=1e-100)


def test_far_tails_neither_cancel_nor_turn_negative():
    assert posterior(30.0, 1.0, math.inf).loss_if_shipped > 0
    assert posterior(1e6, 1.0, math.inf).loss_if_shipped == 0.0
    assert posterior(-1e6, 1.0, math.inf).loss_if_shipped == pytest.approx(1e6)


@given(estimates, errors, boundaries)
@settings(deadline=None)
def test_shrinking_never_flips_the_sign_nor_enlarges(estimate, error, boundary):
    result = shrink_winner(estimate, error, boundary)
    assert abs(result.estimate) <= abs(estimate)
    assert result.estimate * estimate >= 0
    assert 0 < result.factor <= 1
    if estimate != 0:
        assert math.copysign(1.0, result.estimate) == math.copysign(1.0, estimate)
    assert result.interval.low <= result.estimate <= result.interval.high


@given(st.floats(0.1, 20), errors, boundaries)
@settings(deadline=None)
def test_sides_and_units_do_not_matter(z, error, boundary):
    ahead, back = shrink_winner(z * error, error, boundary), shrink_winner(-z * error, error, boundary)
    assert back.estimate == -ahead.estimate
    assert (back.interval.low, back.interval.high) == (-ahead.interval.high, -ahead.interval.low)
    if abs(z - boundary) > 1e-9:
        assert shrink_winner(z, 1.0, boundary).factor == pytest.approx(ahead.factor, rel=1e-6)


@given(st.floats(2.0, 10), st.floats(0.01, 2))
@settings(deadline=None)
def test_a_larger_estimate_keeps_at_least_as_much(z, more):
    assert shrink_winner(z + more, 1.0, 1.96).estimate > shrink_winner(z, 1.0, 1.96).estimate


def test_the_estimate_is_the_mean_of_the_conditional_likelihood():
    """By another quadrature."""

    def curve(effect):
        selected = scipy.stats.norm.sf(1.96 - effect) + scipy.stats.norm.cdf(-1.96 - effect)
        return scipy.stats.norm.pdf(2.5 - effect) / selected

    total = scipy.integrate.quad(curve, -12, 15)[0]
    mean = scipy.integrate.quad(lambda effect: effect * curve(effect), -12, 15)[0] / total
    result = shrink_winner(2.5, 1.0, 1.96)
    assert result.estimate == pytest.approx(mean, rel=1e-6)
    inside = scipy.integrate.quad(curve, result.interval.low, result.interval.high)[0] / total
    assert inside == pytest.approx(0.95, abs=1e-4)


@pytest.mark.parametrize("effect", [0.5, 1.0, 1.5, 2.0, 2.5])
def test_winners_err_less_on_average_and_their_interval_holds_more_often(effect):
    random = np.random.default_rng(25)
    z = random.normal(effect, 1, 60_000)
    winners = z[np.abs(z) > 1.96][:2500]
    shrunken = [shrink_winner(float(value), 1.0, 1.96) for value in winners]
    plain_bias = winners.mean() - effect
    bias = np.mean([result.estimate for result in shrunken]) - effect
    assert abs(bias) < 0.6 * abs(plain_bias)
    if effect <= 2:
        squares = np.mean([(result.estimate - effect) ** 2 for result in shrunken])
        assert squares < ((winners - effect) ** 2).mean()
    assert np.mean([result.interval.holds(effect) for result in shrunken]) > 0.86


@pytest.mark.parametrize("z", [0.0, 1.0, 1.96, 30.0, 1e6])
def test_what_was_not_selected_or_is_beyond_doubt_stays(z):
    result = shrink_winner(z, 1.0, 1.96)
    assert (result.estimate, result.factor) == (z, 1.0)


def test_the_hardest_boundary_has_numbers():
    result = shrink_winner(30.5, 1.0, 30.0)
    assert 0 < result.estimate < 30.5
    assert result.interval.low < result.estimate < result.interval.high


@pytest.mark.parametrize("bad", [(math.nan, 1, 2), (1, 0, 2), (1, math.inf, 2), (3, 1, 0), (3, 1, 31)])
def test_impossible_winners_are_refused(bad):
    with pytest.raises(ValueError, match=r"estimate|boundary"):
        shrink_winner(*bad)


@pytest.mark.parametrize("bad", [(1.0, 1.0, 0.0), (1.0, 1.0, -1.0), (1.0, 1.0, math.nan), (1.0, -1.0, 1.0)])
def test_impossible_beliefs_are_refused(bad):
    with pytest.raises(ValueError, match=r"estimate|prior"):
        posterior(*bad)
