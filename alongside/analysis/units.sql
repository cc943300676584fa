-- Who counts: everybody assigned within the enrolment, in the arm they were assigned to, whatever they received
-- (intention to treat). $1 is where enrolment ends.
CREATE TEMP TABLE unit AS
SELECT person_id, variant, assigned_at, channel
FROM assigned
WHERE assigned_at < $1
