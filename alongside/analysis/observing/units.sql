-- Who counts: everybody assigned within the enrolment, in the arm they were assigned to, whatever they received
-- (intention to treat). $1 is where enrolment ends. `cluster` is what was assigned: a household, a clinic, or a person.
-- `unit` is a small number for what would else be joined and grouped by a long id.
CREATE TEMP TABLE unit AS
SELECT
    CAST(row_number() OVER () AS INTEGER) AS unit,
    person_id,
    variant,
    assigned_at,
    channel,
    coalesce(cluster_id, person_id) AS cluster
FROM assigned
WHERE assigned_at < $1
