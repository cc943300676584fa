-- When people of one day's cohort first had the event of a binary metric: one row a cohort, arm and day of the window.
-- Where households or clinics were assigned, these instead: from their first person's assignment to anybody's event.
-- {fact}: person_id, happened_at, value. $1 window, $2 launch. `day` is null for those who have not had it.
SELECT
    cohort,
    variant,
    day,
    count(*) AS people,
    max(assigned_at) AS last_assigned
FROM (
    SELECT
        unit.variant,
        min(unit.assigned_at) AS assigned_at,
        CAST(floor(date_diff('second', $2::TIMESTAMP, min(unit.assigned_at)) / 86400) AS INTEGER) AS cohort,
        CAST(floor(date_diff('second', min(unit.assigned_at), min(fact.happened_at)) / 86400) AS INTEGER) AS day
    FROM unit
    LEFT JOIN ({fact}) AS fact
        ON fact.person_id = unit.person_id
        AND fact.happened_at >= unit.assigned_at
        AND fact.happened_at < unit.assigned_at + $1::INTERVAL
    GROUP BY unit.cluster, unit.variant
)
GROUP BY cohort, variant, day
ORDER BY cohort, variant, day
