-- One row an arm for one metric whose unit is the household or clinic: sums over these. Parameters:
-- person_outcome.sql. {size} of a cluster is the people of it that have a value, or what a ratio is counted per.
SELECT
    variant,
    sum(people) AS n,
    coalesce(sum(total), 0.0) AS total,
    coalesce(sum(total) / sum(people), 'nan'::DOUBLE) AS mean,
    sum(missing) AS missing,
    coalesce(sum(size) / sum(people), 0.0) AS mean_size_of_a_person,
    count(*) FILTER (size > 0) AS clusters,
    coalesce(sum(size), 0.0) AS size,
    coalesce(sum(size * size), 0.0) AS size_squared,
    coalesce(sum(total * total), 0.0) AS total_squared,
    coalesce(sum(size * total), 0.0) AS product,
    count(*) FILTER (total > 0) AS affected,
    count(*) FILTER (people > 0 AND total >= people) AS whole
FROM (
    SELECT
        variant,
        cluster,
        count(outcome) AS people,
        count(*) - count(outcome) AS missing,
        coalesce(sum(outcome), 0.0) AS total,
        CAST({size} AS DOUBLE) AS size
    FROM ({people})
    GROUP BY variant, cluster
)
GROUP BY variant
ORDER BY variant
