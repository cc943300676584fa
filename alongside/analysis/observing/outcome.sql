-- One row an arm and {by} (the look, or a part of the people) for one metric; parameters: person_outcome.sql.
SELECT
    variant,
    {by},
    count(outcome) AS n,
    coalesce(sum(outcome), 0.0) AS total,
    coalesce(avg(outcome), 'nan'::DOUBLE) AS mean,
    coalesce(var_samp(outcome), 'nan'::DOUBLE) AS variance,
    count(*) - count(outcome) AS missing,
    coalesce(avg(beside), 0.0) AS beside_mean,
    coalesce(var_samp(beside), 0.0) AS beside_variance,
    coalesce(covar_samp(outcome, beside), 0.0) AS covariance
FROM ({people})
GROUP BY variant, {by}
ORDER BY {by}, variant
