-- One row a person for one metric, of people whose window is closed and whose data have arrived; the metric's own rows
-- stand in `counted` (counted.sql).
-- {outcome}: the value of a person, null where there is none.
-- {beside}: what a ratio is counted per, or the same measured before assignment; null where a metric has neither.
-- {part}: which part of the people they belong to. Joins for both come last.
-- $1 window plus settling time, $2 nothing later counts, $3 launch, $4 seconds from look to look.
SELECT
    unit.variant,
    unit.cluster,
    CAST(
        ceil(date_diff('microsecond', $3::TIMESTAMP, unit.assigned_at + $1::INTERVAL) / ($4 * 1e6)) AS INTEGER
    ) AS look,
    {part} AS part,
    {outcome} AS outcome,
    {beside} AS beside
FROM unit
LEFT JOIN counted ON counted.unit = unit.unit
{other}
WHERE unit.assigned_at + $1::INTERVAL <= $2
