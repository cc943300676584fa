"""Thompson sampling, and what may be said afterwards."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import betaln

from alongside.stats import Method, Unavailable
from alongside.stats.bandit import arm_rates, chance_best, compare_batches, thompson_shares
from alongside.stats.proportions import Proportion, compare_proportions

arms = st.integers(0, 100_000).flatmap(lambda n: st.builds(Proportion, st.just(n), st.integers(0, n)))
several = st.dictionaries(st.sampled_from("abcdef"), arms, min_size=2)
batch = st.fixed_dictionaries({"a": arms, "b": arms, "c": arms})
batches = st.lists(batch, max_size=6)


def _closed_form(one: Proportion, other: Proportion) -> float:
    """Chance that a uniform prior's posterior of `one` lies above that of `other`: a finite sum."""
    a1, b1 = one.successes + 1, one.n - one.successes + 1
    a0, b0 = other.successes + 1, other.n - other.successes + 1
    terms = [
        math.exp(betaln(a0 + i, b1 + b0) - math.log(b1 + i) - betaln(1 + i, b1) - betaln(a0, b0)) for i in range(a1)
    ]
    return math.fsum(terms)


@pytest.mark.parametrize(
    ("one", "other"),
    [((0, 0), (0, 0)), ((10, 3), (10, 1)), ((500, 80), (70, 9)), ((5, 5), (900, 1)), ((3000, 300), (3000, 340))],
)
def test_chances_of_two_arms_are_the_closed_form(one, other):
    pair = Proportion(*one), Proportion(*other)
    assert chance_best({"one": pair[0], "other": pair[1]})["one"] == pytest.approx(_closed_form(*pair), abs=1e-9)


def test_chances_of_several_arms_are_those_of_draws():
    totals = {"a": Proportion(200, 30), "b": Proportion(50, 10), "c": Proportion(400, 64), "d": Proportion(20, 1)}
    random = np.random.default_rng(3)
    draws = [random.beta(arm.successes + 1, arm.n - arm.successes + 1, 400_000) for arm in totals.values()]
    wins = np.bincount(np.argmax(draws, axis=0), minlength=4) / 400_000
    assert list(chance_best(totals).values()) == pytest.approx(list(wins), abs=3e-3)


@given(several)
@settings(deadline=None)
def test_chances_add_up_and_order_does_not_matter(totals):
    chances = chance_best(totals)
    assert math.fsum(chances.values()) == pytest.approx(1.0)
    assert all(0 <= chance <= 1 for chance in chances.values())
    backwards = chance_best(dict(reversed(totals.items())))
    assert backwards == pytest.approx(chances, abs=1e-9)


@given(several, st.floats(0.001, 1))
@settings(deadline=None)
def test_every_arm_keeps_its_minimum(totals, share):
    minimum = share / len(totals)
    shares = thompson_shares(totals, minimum)
    assert math.fsum(shares.values()) == pytest.approx(1.0)
    assert all(value >= minimum * (1 - 1e-12) for value in shares.values())
    assert thompson_shares(totals, minimum) == shares


@given(st.integers(1, 3000), st.data())
@settings(deadline=None)
def test_one_more_success_never_lowers_the_chance(n, data):
    hits = data.draw(st.integers(0, n - 1))
    other = data.draw(arms)
    before = chance_best({"one": Proportion(n, hits), "other": other})["one"]
    assert chance_best({"one": Proportion(n, hits + 1), "other": other})["one"] >= before - 1e-9


def test_millions_of_units_do_not_break_the_quadrature():
    close = chance_best({"a": Proportion(10**7, 10**6), "b": Proportion(10**7, 10**6)})
    assert close["a"] == pytest.approx(0.5, abs=1e-6)
    mixed = chance_best({"a": Proportion(10**8, 10**7), "b": Proportion(3, 0), "c": Proportion(0, 0)})
    assert math.fsum(mixed.values()) == pytest.approx(1.0)
    # Against a rate known to be .1: b's posterior is Beta(1, 4), c's is uniform.
    assert mixed["a"] == pytest.approx((1 - 0.9**4) * 0.1, rel=1e-3)


def _greedy(random, rates, sizes, least=0.1):
    """The leader gets all but the minimum: the most adaptive rule there is. Rates may differ from batch to batch."""
    total, found = np.zeros((2, 2)), []
    for size, (p, q) in zip(sizes, rates, strict=True):
        means = total[:, 1] / np.maximum(1, total[:, 0])
        share = 0.5 if means[0] == means[1] else (1 - least if means[0] > means[1] else least)
        n = int(random.binomial(size, share))
        units = np.array([n, size - n])
        hits = random.binomial(units, [p, q])
        total += np.column_stack([units, hits])
        found.append({k: Proportion(int(u), int(x)) for k, u, x in zip(("new", "control"), units, hits, strict=True)})
    return found


def _summed(found, name):
    return Proportion(sum(b[name].n for b in found), sum(b[name].successes for b in found))


def test_level_is_kept_under_the_most_adaptive_rule_and_drifting_rates():
    random = np.random.default_rng(41)
    rates = [(p, p) for p in (0.3, 0.25, 0.2, 0.15, 0.1, 0.05)]
    ours, plain, rounds = 0, 0, 500
    for _ in range(rounds):
        found = _greedy(random, rates, [150] * 6)
        ours += compare_batches(found, "new", "control").comparison.p_value < 0.05
        plain += compare_proportions(_summed(found, "new"), _summed(found, "control")).p_value < 0.05
    assert 0.025 < ours / rounds < 0.075
    assert plain / rounds > 0.08


def test_interval_holds_a_constant_effect():
    random = np.random.default_rng(42)
    rates = [(p + 0.06, p) for p in (0.1, 0.3, 0.2, 0.1, 0.3)]
    held = 0
    for _ in range(400):
        held += compare_batches(_greedy(random, rates, [200] * 5), "new", "control").comparison.interval.holds(0.06)
    assert 0.92 < held / 400 < 0.98


def test_rates_are_not_biased_where_totals_are():
    random = np.random.default_rng(43)
    ours, plain, held = [], [], 0
    for _ in range(3000):
        found = _greedy(random, [(0.2, 0.2)] * 5, [60] * 5)
        rate = arm_rates(found)["new"]
        if rate.rate is not None:
            ours.append(rate.rate)
            held += rate.interval.holds(0.2)
            plain.append(_summed(found, "new").rate)
    error = np.std(ours) / math.sqrt(len(ours))
    assert len(ours) > 2800
    assert abs(np.mean(ours) - 0.2) < 3 * error
    assert np.mean(plain) < 0.2 - 4 * error
    assert 0.93 < held / len(ours) < 0.975


def test_one_batch_is_the_plain_score_test():
    pair = Proportion(400, 80), Proportion(380, 50)
    ours = compare_batches([{"a": pair[0], "b": pair[1]}], "a", "b").comparison
    peer = compare_proportions(*pair)
    assert ours.method is Method.BATCHES
    assert ours.difference == pytest.approx(peer.difference)
    assert ours.p_value == pytest.approx(peer.p_value, rel=0.02)  # it has the factor N / (N - 1)
    assert ours.interval.low == pytest.approx(peer.interval.low, rel=0.01)
    assert ours.relative.estimate == pytest.approx(peer.relative.estimate)


def test_evidence_of_batches_adds_up_with_weights_that_results_do_not_move():
    """Each batch's pooled z, weighted by the root of all its units, those of third arms included."""
    found = [
        {"a": Proportion(100, 30), "b": Proportion(100, 22), "c": Proportion(100, 1)},
        {"a": Proportion(500, 120), "b": Proportion(60, 9), "c": Proportion(40, 1)},
    ]
    total = 0.0
    for one in found:
        n1, n0 = one["a"].n, one["b"].n
        pooled = (one["a"].successes + one["b"].successes) / (n1 + n0)
        variance = pooled * (1 - pooled) * (1 / n1 + 1 / n0) * (n1 + n0) / (n1 + n0 - 1)
        units = sum(arm.n for arm in one.values())
        total += math.sqrt(units) * (one["a"].rate - one["b"].rate) / math.sqrt(variance)
    z = total / math.sqrt(300 + 600)
    assert compare_batches(found, "a", "b").comparison.p_value == pytest.approx(math.erfc(z / math.sqrt(2)))


@given(batches, st.sampled_from([0.01, 0.05, 0.2]))
@settings(deadline=None)
def test_both_intervals_agree_with_the_p_value(found, alpha):
    result = compare_batches(found, "a", "b", alpha).comparison
    if result.p_value is None or abs(result.p_value - alpha) < 1e-9:
        return
    significant = result.p_value < alpha
    assert result.interval.holds(0.0) != significant
    assert -1 <= result.interval.low <= result.difference <= result.interval.high <= 1
    if result.relative.reason is None:
        assert result.relative.interval.holds(0.0) != significant


@given(batches)
@settings(deadline=None)
def test_swapping_the_arms_mirrors_everything(found):
    ahead, back = compare_batches(found, "a", "b"), compare_batches(found, "b", "a")
    assert (ahead.batches, ahead.empty, ahead.comparison.reason) == (back.batches, back.empty, back.comparison.reason)
    if ahead.comparison.p_value is not None:
        assert ahead.comparison.p_value == pytest.approx(back.comparison.p_value, rel=1e-9)
        assert ahead.comparison.difference == pytest.approx(-back.comparison.difference, abs=1e-7)


@given(batches)
@settings(deadline=None)
def test_rates_lie_in_their_intervals(found):
    for rate in arm_rates(found).values():
        assert (rate.rate is None) == (rate.reason is not None)
        if rate.rate is not None:
            assert 0 <= rate.interval.low <= rate.rate + 1e-12
            assert rate.rate - 1e-12 <= rate.interval.high <= 1


def test_rates_weigh_batches_by_their_size_whatever_the_arm_got():
    found = [
        {"a": Proportion(50, 10), "b": Proportion(50, 20)},
        {"a": Proportion(10, 1), "b": Proportion(290, 29)},
        {"a": Proportion(0, 0), "b": Proportion(0, 0)},
    ]
    rates = arm_rates(found)
    assert rates["a"].rate == pytest.approx(0.25 * 0.2 + 0.75 * 0.1)
    assert rates["b"].rate == pytest.approx(0.25 * 0.4 + 0.75 * 0.1)


def test_batches_without_one_of_the_arms_weaken_the_evidence_and_are_counted():
    full = [{"a": Proportion(200, 60), "b": Proportion(200, 40)}] * 3
    lonely = {"b": Proportion(400, 80)}
    plain, more = compare_batches(full, "a", "b"), compare_batches([*full, lonely], "a", "b")
    assert (more.batches, more.empty) == (4, 1)
    assert more.comparison.p_value > plain.comparison.p_value
    assert arm_rates([*full, lonely])["a"].reason is Unavailable.EMPTY_ARM


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        ([], Unavailable.EMPTY_ARM),
        ([{"a": Proportion(100, 30)}], Unavailable.EMPTY_ARM),
        ([{"a": Proportion(100, 2), "b": Proportion(100, 1)}], Unavailable.TOO_FEW_CONVERSIONS),
        ([{"a": Proportion(100, 0), "b": Proportion(100, 0)}], Unavailable.TOO_FEW_CONVERSIONS),
        ([{"a": Proportion(100, 100), "b": Proportion(100, 100)}], Unavailable.TOO_FEW_CONVERSIONS),
    ],
)
def test_what_cannot_be_compared_says_why(found, reason):
    result = compare_batches(found, "a", "b").comparison
    assert (result.reason, result.p_value) == (reason, None)


def test_a_control_that_never_converts_has_no_ratio():
    found = [{"a": Proportion(100, 40), "b": Proportion(100, 0)}] * 2
    ahead, back = compare_batches(found, "a", "b").comparison, compare_batches(found, "b", "a").comparison
    assert (ahead.relative.reason, ahead.relative.interval.high) == (Unavailable.BASELINE_ZERO, None)
    assert ahead.relative.interval.low > 0
    assert back.relative.estimate == -1.0
    assert 0 < ahead.p_value < 1e-10


@pytest.mark.parametrize(("count", "minimum"), [(2, 0.0), (2, 0.6), (2, math.nan), (1, 0.5), (2, -0.1)])
def test_impossible_shares_are_refused(count, minimum):
    with pytest.raises(ValueError, match="minimum share"):
        thompson_shares({str(k): Proportion(10, 1) for k in range(count)}, minimum)


@pytest.mark.parametrize("prior", [(0.5, 1.0), (1.0, 0.0), (math.nan, 1.0)])
def test_a_prior_without_a_finite_density_is_refused(prior):
    with pytest.raises(ValueError, match="prior"):
        chance_best({"a": Proportion(1, 0), "b": Proportion(1, 0)}, prior)
