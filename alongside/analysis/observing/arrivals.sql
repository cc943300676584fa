-- What was assigned (people, or whole households or clinics), by planned channel, day after launch ($1) and arm. A
-- cluster arrives with its first person.
SELECT
    channel,
    CAST(floor(date_diff('microsecond', $1::TIMESTAMP, assigned_at) / 86400e6) AS INTEGER) AS day,
    variant,
    count(*) AS arrived
FROM {arrived}
GROUP BY ALL
ORDER BY ALL
