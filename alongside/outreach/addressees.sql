-- Temp table `addressee`: who is written to about each member of the audience, best first (`turn`).
-- Relations: audience(person_id), person (snapshot), relation(subject_id, related_id, relationship, decides, decision).
-- Variables: written (patient, guardian or family), wanted (relationships in the campaign's order, null for all),
--   guardian_below_age.
CREATE OR REPLACE TEMP TABLE addressee AS
WITH near AS (
    SELECT
        u.person_id,
        r.related_id AS recipient_id,
        r.relationship,
        r.decides,
        r.decision,
        coalesce(s.age < $guardian_below_age, FALSE) AS is_child
    FROM audience AS u
    JOIN person AS s USING (person_id)
    JOIN relation AS r ON r.subject_id = u.person_id
    JOIN person AS h ON h.person_id = r.related_id
    WHERE $written <> 'patient'
        AND NOT coalesce(h.deceased, FALSE)
        AND coalesce(h.age >= $guardian_below_age, TRUE)
        AND ($wanted IS NULL OR list_contains($wanted, r.relationship))
),
hearing AS (
    -- Family is told after the patient's yes; whoever decides for a patient needs none, but a no stops them.
    SELECT * FROM near
    WHERE CASE WHEN $written = 'family' THEN decision = 'permit' ELSE
        decision <> 'deny' AND (
            coalesce(decides, FALSE)
            OR (is_child AND coalesce(decides, TRUE) AND relationship IN ('mother', 'father', 'guardian'))
        ) END
)
SELECT
    person_id,
    recipient_id,
    relationship,
    row_number() OVER (
        PARTITION BY person_id
        ORDER BY coalesce(decides, FALSE) DESC, list_position($wanted, relationship),
            list_position(['guardian', 'mother', 'father', 'spouse', 'child', 'sibling', 'grandparent', 'other'],
                relationship), recipient_id
    ) AS turn
FROM hearing
UNION ALL
SELECT person_id, person_id, NULL, 1 FROM audience WHERE $written = 'patient';
