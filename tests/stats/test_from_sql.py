"""What the metrics need is what a database sums: no unit is read out."""

from __future__ import annotations

import duckdb
import numpy as np
import pytest

from alongside.stats.clusters import ClusterArm, ClusterVariation, compare_clusters, intraclass_correlation
from alongside.stats.proportions import Proportion
from alongside.stats.quantiles import QuantileArm, compare_quantiles, quantile_ranks
from alongside.stats.ratios import RatioArm, compare_ratios
from alongside.stats.stratification import compare_stratified_proportions

PEOPLE = """
CREATE TABLE person AS
SELECT i AS id, i % 2 AS arm, i // 6 AS household, i % 5 AS clinic,
       1 + (hash(i) % 7)::INT AS messages,
       (hash(i + 1000) % 1000) / 1000.0 AS days,
       (hash(i + 5000) % 100 < 20 + 5 * (i % 2))::INT AS booked
FROM range(2400) t(i)
"""
RATIO = """
SELECT arm, count(*), avg(booked), avg(messages), var_samp(booked), var_samp(messages), covar_samp(booked, messages)
FROM person GROUP BY arm ORDER BY arm
"""
CLUSTERS = """
WITH cluster AS (
    SELECT arm, household, count(*) AS size, sum(booked) AS total FROM person GROUP BY arm, household
)
SELECT arm, count(*), sum(size), sum(total), sum(size * size), sum(total * total), sum(size * total),
       sum(total), sum(total * total / size)  -- of a rate, the members' squares add up to the total
FROM cluster GROUP BY arm ORDER BY arm
"""
RANKED = """
SELECT rank, days FROM (SELECT days, row_number() OVER (ORDER BY days) AS rank FROM person WHERE arm = $arm)
WHERE rank IN (SELECT unnest($needed))
"""
STRATA = """
SELECT clinic, arm, count(*), sum(booked) FROM person GROUP BY clinic, arm ORDER BY clinic, arm
"""


@pytest.fixture(scope="module")
def database():
    with duckdb.connect() as connection:
        connection.execute(PEOPLE)
        yield connection


def _column(database, name: str, arm: int) -> np.ndarray:
    return database.execute(f"SELECT {name} FROM person WHERE arm = $arm ORDER BY id", {"arm": arm}).fetchnumpy()[name]


def test_ratios(database):
    control, treatment = (RatioArm(row[1], *map(float, row[2:])) for row in database.execute(RATIO).fetchall())
    ours = compare_ratios(treatment, control)
    plain = [RatioArm.of(_column(database, "booked", arm), _column(database, "messages", arm)) for arm in (1, 0)]
    assert ours.p_value == pytest.approx(compare_ratios(*plain).p_value)


def test_clusters(database):
    rows = database.execute(CLUSTERS).fetchall()
    control, treatment = (ClusterArm(row[1], *map(float, row[2:7])) for row in rows)
    plain, members = [], []
    for arm in (1, 0):
        booked, household = _column(database, "booked", arm), _column(database, "household", arm)
        members.append([booked[household == one] for one in np.unique(household)])
        plain.append(ClusterArm.of([len(m) for m in members[-1]], [m.sum() for m in members[-1]]))
    assert compare_clusters(treatment, control).p_value == pytest.approx(compare_clusters(*plain).p_value)
    summed = [ClusterVariation(row[1], *map(float, (row[2], row[3], row[4], row[7], row[8]))) for row in rows]
    expected = intraclass_correlation(*(ClusterVariation.of(one) for one in members)).estimate
    assert intraclass_correlation(*summed).estimate == pytest.approx(expected)


def test_quantiles(database):
    arms, plain = [], []
    for arm in (1, 0):
        values = _column(database, "days", arm)
        ranks = quantile_ranks(len(values), 0.9)
        rows = database.execute(RANKED, {"arm": arm, "needed": list(ranks.needed)}).fetchall()
        arms.append(QuantileArm.at(ranks, {rank: float(value) for rank, value in rows}))
        plain.append(QuantileArm.of(map(float, values), 0.9))
    assert len(rows) <= 6
    assert compare_quantiles(*arms) == compare_quantiles(*plain)


def test_strata(database):
    arms = {(clinic, arm): Proportion(n, int(hits)) for clinic, arm, n, hits in database.execute(STRATA).fetchall()}
    strata = {str(clinic): (arms[clinic, 1], arms[clinic, 0]) for clinic in range(5)}
    result = compare_stratified_proportions(strata)
    assert (result.pooled, len(result.strata)) == ((), 5)
    assert result.comparison.interval.holds(0.05)
