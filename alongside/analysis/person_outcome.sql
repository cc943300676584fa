-- One row a person for one metric, of people whose window is closed and whose data have arrived.
-- {fact}: person_id, happened_at, value. {outcome}: the value of a person, null where there is none.
-- {beside}: what a ratio is counted per, or the same measured before assignment; null where a metric has neither.
-- {part}: which part of the people they belong to. Joins for both come last.
-- $1 window, $2 window plus settling time, $3 nothing later counts, $4 launch, $5 seconds from look to look.
SELECT
    unit.variant,
    any_value(unit.cluster) AS cluster,
    CAST(ceil(date_diff('second', $4::TIMESTAMP, any_value(unit.assigned_at) + $2::INTERVAL) / $5) AS INTEGER) AS look,
    any_value({part}) AS part,
    {outcome} AS outcome,
    any_value({beside}) AS beside
FROM unit
LEFT JOIN ({fact}) AS fact
    ON fact.person_id = unit.person_id
    AND fact.happened_at >= unit.assigned_at
    AND fact.happened_at < unit.assigned_at + $1::INTERVAL
{other}
WHERE unit.assigned_at + $2::INTERVAL <= $3
GROUP BY unit.person_id, unit.variant
