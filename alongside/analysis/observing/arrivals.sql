-- What was assigned (people, or whole households or clinics), by part of the people, day after launch ($1) and arm.
-- {part}: by what they are divided, such as the planned channel. {arrived}: what was assigned, with a join that brings
-- the part. A cluster arrives with its first person.
SELECT
    coalesce({part}, '') AS part,
    CAST(floor(date_diff('microsecond', $1::TIMESTAMP, unit.assigned_at) / 86400e6) AS INTEGER) AS day,
    unit.variant,
    count(*) AS arrived
FROM {arrived}
GROUP BY ALL
ORDER BY ALL
