CREATE OR REPLACE TEMP TABLE edge AS
SELECT
    p.left_id, p.right_id, l.person_id AS left_person, r.person_id AS right_person,
    p.rule, CAST(2.0 AS DOUBLE) AS strength
FROM pair AS p
JOIN candidate AS l ON l.own_id = p.left_id
JOIN candidate AS r ON r.own_id = p.right_id
WHERE p.rule IS NOT NULL;
