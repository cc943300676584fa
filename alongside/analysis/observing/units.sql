-- Who counts: everybody assigned within the enrolment, in the arm they were assigned to, whatever they received
-- (intention to treat). `cluster` is what was assigned: a household, a clinic, or a person. `unit` is a small number
-- for what would else be joined and grouped by a long id. $1 where enrolment ends, $2 nothing later counts.
CREATE TEMP TABLE unit AS
SELECT
    CAST(row_number() OVER () AS INTEGER) AS unit,
    person_id,
    variant,
    assigned_at,
    channel,
    coalesce(cluster_id, person_id) AS cluster
FROM assigned
WHERE assigned_at < $1 AND assigned_at <= $2
