-- For one metric, a row for each unit that has anything to count: its value, and when it first happened.
-- {fact}: person_id, happened_at, value. {outcome}: the value of a person. $1 window.
CREATE OR REPLACE TEMP TABLE counted AS
SELECT unit.unit, {outcome} AS outcome, min(fact.happened_at) AS first_at
FROM unit
JOIN ({fact}) AS fact
    ON fact.person_id = unit.person_id
    AND fact.happened_at >= unit.assigned_at
    AND fact.happened_at < unit.assigned_at + $1::INTERVAL
GROUP BY unit.unit
