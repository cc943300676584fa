-- Whom a campaign's gates left open, and when first, but for its own hold-out: with the campaign or without it.
-- $files: decisions of its runs, with `filename`; `planned`: filename, as_of; `survivor`: origin, current.
-- $aside: gates that only one side can meet. Nothing is rendered for the hold-out and no address is taken by it, so that
-- whoever is stopped there counts as if the campaign had reached them.
-- People who were open before there was a hold-out are in neither group. $since: nor are those of longer ago.
WITH open AS (
    SELECT
        coalesce(survivor.current, decision.person_id) AS person_id,
        planned.as_of,
        decision.kept_without,
        decision.channel
    FROM read_parquet($files, filename = true, union_by_name = true) AS decision
    JOIN planned ON planned.filename = decision.filename
    LEFT JOIN survivor ON survivor.origin = decision.person_id
    WHERE (decision.mask & ~CAST($aside AS BIGINT)) = 0
),
begun AS (
    SELECT min(as_of) AS starts_at FROM open WHERE kept_without
)
SELECT
    person_id,
    CASE WHEN bool_or(kept_without) FILTER (as_of = first_at) THEN 'without' ELSE 'campaign' END AS variant,
    min(as_of) AS assigned_at,
    coalesce(any_value(channel), '') AS channel,
    CAST(NULL AS VARCHAR) AS cluster_id
FROM (SELECT *, min(as_of) OVER (PARTITION BY person_id) AS first_at FROM open)
WHERE first_at >= greatest((SELECT starts_at FROM begun), $since::TIMESTAMP)
GROUP BY person_id
ORDER BY person_id
