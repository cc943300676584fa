-- Every value in ascending order, a list for each arm and {by} (the look, or a part of the people), for one metric;
-- parameters: person_outcome.sql. A quantile needs a few of them, but which depends on the level.
SELECT
    variant,
    {by} AS by,
    count(*) - count(outcome) AS missing,
    list(outcome ORDER BY outcome) FILTER (outcome IS NOT NULL) AS outcomes
FROM ({people})
GROUP BY variant, {by}
ORDER BY {by}, variant
