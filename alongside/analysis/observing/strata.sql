-- When people of one day's cohort first had the event of a binary metric: one row a cohort, arm and day of the window;
-- the event's own rows stand in `counted` (counted.sql). {units}: variant, assigned_at, first_at of people, or of the
-- households or clinics that were assigned: from their first person's assignment to anybody's event.
-- $1 launch. `day` is null for those who have not had it.
SELECT
    CAST(floor(date_diff('microsecond', $1::TIMESTAMP, assigned_at) / 86400e6) AS INTEGER) AS cohort,
    variant,
    CAST(floor(date_diff('microsecond', assigned_at, first_at) / 86400e6) AS INTEGER) AS day,
    count(*) AS people,
    max(assigned_at) AS last_assigned
FROM ({units})
GROUP BY ALL
ORDER BY ALL
