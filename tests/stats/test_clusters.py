"""Households and clinics as the unit of assignment."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
import statsmodels.api as sm
from hypothesis import example, given, settings
from hypothesis import strategies as st

from alongside.stats import Method, Unavailable
from alongside.stats.clusters import (
    CLUSTERS_AT_LEAST,
    ClusterArm,
    ClusterVariation,
    clusters_needed,
    compare_clusters,
    design_effect,
    intraclass_correlation,
)
from alongside.stats.means import Mean, compare_means
from tests.stats.agreement import assert_intervals_agree_with_p

clusters = st.lists(st.tuples(st.integers(1, 9), st.floats(-1e4, 1e4)), min_size=12, max_size=40)


def _members(random: np.random.Generator, count: int, correlation: float = 0.3) -> list[np.ndarray]:
    """Outcomes of the members of each cluster."""
    return [
        random.normal(2 + random.normal(0, math.sqrt(correlation)), math.sqrt(1 - correlation), 1 + random.poisson(4))
        for _ in range(count)
    ]


def _arm(members: list[np.ndarray]) -> ClusterArm:
    return ClusterArm.of([len(m) for m in members], [m.sum() for m in members])


def _pairs(pairs: list[tuple[int, float]], scale: float = 1.0) -> ClusterArm:
    return ClusterArm.of([m for m, _ in pairs], [t * scale for _, t in pairs])


def test_variance_is_statsmodels_cluster_robust_one_but_for_the_factor():
    """Ordinary least squares of the outcome on a constant, with groups: its factor is G / (G - 1)."""
    members = _members(np.random.default_rng(2), 30)
    arm = _arm(members)
    groups = np.repeat(np.arange(30), [len(m) for m in members])
    y = np.concatenate(members)
    peer = sm.OLS(y, np.ones(len(y))).fit(cov_type="cluster", cov_kwds={"groups": groups})
    assert arm.mean == pytest.approx(peer.params[0])
    factor = (30 / 29) / (arm.effective / (arm.effective - 1))
    assert math.sqrt(arm.variance * factor) == pytest.approx(peer.bse[0], rel=1e-9)


def test_clusters_of_one_size_are_compared_as_statsmodels_does():
    random = np.random.default_rng(3)
    members = [random.normal(random.normal(0, 0.5), 1, 6) for _ in range(40)]
    ours = compare_clusters(_arm(members[:20]), _arm(members[20:]))
    treated = np.repeat([1.0] * 20 + [0.0] * 20, 6)
    design, groups = np.column_stack([np.ones(240), treated]), np.repeat(np.arange(40), 6)
    kwds = {"groups": groups, "use_correction": False}
    peer = sm.OLS(np.concatenate(members), design).fit(cov_type="cluster", cov_kwds=kwds)
    assert ours.difference == pytest.approx(peer.params[1])
    assert ours.standard_error == pytest.approx(peer.bse[1] * math.sqrt(20 / 19), rel=1e-9)


def test_clusters_of_one_member_are_welchs_test():
    random = np.random.default_rng(6)
    one, other = random.normal(3, 1, 25), random.normal(2, 2, 40)
    ours = compare_clusters(ClusterArm.of([1] * 25, one), ClusterArm.of([1] * 40, other))
    peer = compare_means(Mean.of(one), Mean.of(other))
    assert ours.method is Method.CLUSTER
    assert ours.p_value == pytest.approx(peer.p_value)
    assert ours.relative.interval.low == pytest.approx(peer.relative.interval.low)


@given(clusters, clusters)
@settings(deadline=None)
def test_both_intervals_agree_with_the_p_value(treatment, control):
    result = compare_clusters(_pairs(treatment), _pairs(control))
    assert_intervals_agree_with_p(result)


@given(clusters, clusters)
@settings(deadline=None)
def test_swapping_the_arms_mirrors_the_difference(one, other):
    ahead = compare_clusters(_pairs(one), _pairs(other))
    back = compare_clusters(_pairs(other), _pairs(one))
    assert ahead.reason is back.reason
    if ahead.p_value is not None:
        assert ahead.difference == -back.difference
        assert ahead.p_value == pytest.approx(back.p_value)


@given(clusters, clusters, st.floats(1e-3, 1e3))
@settings(deadline=None)
def test_unit_of_measurement_does_not_change_the_evidence(one, other, scale):
    plain = compare_clusters(_pairs(one), _pairs(other))
    scaled = compare_clusters(_pairs(one, scale), _pairs(other, scale))
    if plain.p_value is None or scaled.p_value is None or plain.standard_error < 1e-6:
        return
    assert scaled.p_value == pytest.approx(plain.p_value, rel=1e-4)


@given(clusters)
@settings(deadline=None)
def test_a_cluster_that_counts_twice_is_two_clusters(pairs):
    """Doubling every cluster leaves the mean, halves the variance but for the factor, never narrows it more."""
    once, twice = _pairs(pairs), _pairs(pairs * 2)
    if once.effective > 2:
        assert twice.mean == pytest.approx(once.mean, rel=1e-9, abs=1e-9)
        assert twice.variance <= once.variance / 2 * (1 + 1e-6)
        assert twice.effective == pytest.approx(2 * once.effective)


@pytest.mark.parametrize(("count", "most"), [((8, 8), 0.065), ((12, 30), 0.066), ((60, 60), 0.06)])
def test_false_rejections_stay_near_alpha(count, most):
    """Clinics of uneven size with a rate of 15 % that differs between them."""
    random = np.random.default_rng(12)
    rejected, made = 0, 0
    for _ in range(5000):
        arms = []
        for size in count:
            people = 1 + random.poisson(random.gamma(1 / 0.25, 0.25 * 30, size))  # variation of size .5
            arms.append(ClusterArm.of(people, random.binomial(people, random.beta(0.15 * 19, 0.85 * 19, size))))
        result = compare_clusters(*arms)
        made += result.p_value is not None
        rejected += result.p_value is not None and result.p_value < 0.05
    assert 0.035 < rejected / made < most


def test_treating_members_as_independent_would_claim_too_much():
    random = np.random.default_rng(9)
    one, other = _members(random, 25), _members(random, 25)
    plain = compare_means(Mean.of(np.concatenate(one)), Mean.of(np.concatenate(other)))
    assert compare_clusters(_arm(one), _arm(other)).standard_error > 1.3 * plain.standard_error


@pytest.mark.parametrize(
    ("sizes", "totals", "reason"),
    [
        ([], [], Unavailable.EMPTY_ARM),
        ([0, 0, 0], [0, 0, 0], Unavailable.EMPTY_ARM),
        ([3], [1], Unavailable.TOO_FEW_CLUSTERS),
        ([3] * 5, [1, 2, 0, 1, 2], Unavailable.TOO_FEW_CLUSTERS),
        ([1] * 30 + [500], [0] * 30 + [100], Unavailable.TOO_FEW_CLUSTERS),  # one clinic decides alone
        ([2] * 8, [1.0] * 7 + [math.inf], Unavailable.NOT_FINITE),
        ([2] * 8, [1.0] * 7 + [math.nan], Unavailable.NOT_FINITE),
        ([2] * 8, [1e200] * 8, Unavailable.NOT_FINITE),  # squares overflow
    ],
)
def test_what_cannot_be_computed_says_why(sizes, totals, reason):
    fine = ClusterArm.of([2] * 10, [1, 2, 0, 1, 1, 2, 0, 1, 1, 0])
    for result in (
        compare_clusters(ClusterArm.of(sizes, totals), fine),
        compare_clusters(fine, ClusterArm.of(sizes, totals)),
    ):
        assert (result.reason, result.p_value) == (reason, None)


def test_the_least_number_of_even_clusters_is_enough():
    arm = ClusterArm.of([7] * int(CLUSTERS_AT_LEAST), [1, 2, 0, 1, 3, 2])
    assert compare_clusters(arm, arm).p_value == 1.0


@pytest.mark.parametrize("rate", [0.0, 0.1, 1.0])
def test_clusters_that_are_all_alike_leave_no_variation(rate):
    sizes = [1, 2, 3, 4, 5, 6, 7, 3, 3, 3]
    arm = ClusterArm.of(sizes, [m * rate for m in sizes])
    result = compare_clusters(arm, ClusterArm.of(sizes[1:], [m * rate for m in sizes[1:]]))
    assert result.reason is Unavailable.NO_VARIATION
    assert result.difference == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize(("size", "total"), [(-1, 0), (0, 3)])
def test_impossible_clusters_are_refused(size, total):
    with pytest.raises(ValueError, match="members"):
        ClusterArm.of([4, size], [1, total])


def test_correlation_is_that_of_the_analysis_of_variance():
    """F of the one-way analysis gives it as (F - 1) / (F - 1 + m0)."""
    members = _members(np.random.default_rng(21), 60)
    sizes = np.array([len(m) for m in members])
    m0 = (sizes.sum() - (sizes**2).sum() / sizes.sum()) / 59
    f = scipy.stats.f_oneway(*members).statistic
    ours = intraclass_correlation(ClusterVariation.of(members))
    assert ours.estimate == pytest.approx((f - 1) / (f - 1 + m0), rel=1e-9)


def test_correlation_is_found_again_and_no_effect_of_the_arms_counts_as_one():
    random = np.random.default_rng(22)
    one, other = _members(random, 1500), [m + 5 for m in _members(random, 1500)]
    pooled = intraclass_correlation(ClusterVariation.of(one), ClusterVariation.of(other))
    assert pooled.estimate == pytest.approx(0.3, abs=0.03)
    assert intraclass_correlation(ClusterVariation.of(one + other)).estimate > 0.8


@given(st.lists(st.lists(st.integers(0, 1), min_size=1, max_size=6), min_size=1, max_size=20))
@example([[0], [0, 0, 1]])  # so few that the estimate would leave the range of a correlation
@settings(deadline=None)
def test_correlation_of_rates_is_at_most_one_or_has_a_reason(members):
    result = intraclass_correlation(ClusterVariation.of(members))
    assert (result.estimate is None) == (result.reason is not None)
    assert result.estimate is None or -1 <= result.estimate <= 1


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ([], Unavailable.EMPTY_ARM),
        ([[1.0, 2.0]], Unavailable.TOO_FEW_UNITS),
        ([[1.0], [2.0]], Unavailable.TOO_FEW_UNITS),
        ([[1.0, 1.0], [1.0, 1.0]], Unavailable.NO_VARIATION),
        ([[1.0, math.inf], [1.0, 1.0]], Unavailable.NOT_FINITE),
        ([[1e200, 1e200], [1.0, 1.0]], Unavailable.NOT_FINITE),  # squares overflow
    ],
)
def test_correlation_that_cannot_be_computed_says_why(members, reason):
    result = intraclass_correlation(ClusterVariation.of(members))
    assert (result.estimate, result.reason) == (None, reason)


def test_design_effect_is_kishs_for_even_clusters_and_eldridges_for_uneven_ones():
    assert design_effect(3, 0, 0.1) == pytest.approx(1.2)
    assert design_effect(100, 0.65, 0.05) == pytest.approx(8.0625)  # 1 + ((.4225 + 1) * 100 - 1) * .05
    assert design_effect(1, 0, 0.9) == 1.0


@given(st.floats(1, 200), st.floats(0, 2), st.floats(0, 1), st.floats(0, 1))
def test_more_resemblance_and_more_uneven_clusters_never_need_fewer(size, variation, icc, more):
    assert design_effect(size, variation + more, icc) >= design_effect(size, variation, icc) >= 1
    assert design_effect(size, variation, min(1.0, icc + more)) >= design_effect(size, variation, icc)
    assert clusters_needed(500, size, variation, icc) >= CLUSTERS_AT_LEAST


def test_clusters_needed_are_units_times_design_effect_and_one_for_the_t_distribution():
    assert clusters_needed(750, 25, 0, 0.05) == pytest.approx(750 * 2.2 / 25 + 1)


@pytest.mark.parametrize("bad", [(0.5, 0, 0.1), (3, -1, 0.1), (3, 0, 1.1), (math.nan, 0, 0.1)])
def test_impossible_designs_are_refused(bad):
    with pytest.raises(ValueError, match="clusters"):
        design_effect(*bad)
