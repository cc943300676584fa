-- Who counts: everybody assigned within the enrolment, in the arm they were assigned to, whatever they received
-- (intention to treat). $1 is where enrolment ends. `cluster` is what was assigned: a household, a clinic, or a person.
CREATE TEMP TABLE unit AS
SELECT person_id, variant, assigned_at, channel, coalesce(cluster_id, person_id) AS cluster
FROM assigned
WHERE assigned_at < $1
