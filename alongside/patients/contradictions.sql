-- Groups that hold two valid national ids, or two records that a person called different.
CREATE OR REPLACE TEMP TABLE kept_apart AS
SELECT DISTINCT l.person_id AS one, r.person_id AS two
FROM reviewed AS v
JOIN record AS l ON l.own_id = v.left_id
JOIN record AS r ON r.own_id = v.right_id
WHERE v.decision = 'different' AND l.person_id <> r.person_id;

CREATE OR REPLACE TEMP TABLE contradiction AS
SELECT c.root
FROM component AS c JOIN candidate AS d USING (person_id)
WHERE is_checked_id(d.national_id)
GROUP BY c.root HAVING count(DISTINCT d.national_id) > 1
UNION
SELECT l.root
FROM kept_apart AS a
JOIN component AS l ON l.person_id = a.one
JOIN component AS r ON r.person_id = a.two
WHERE l.root = r.root;

CREATE OR REPLACE TEMP TABLE contradicting_member AS
SELECT DISTINCT c.person_id, CASE WHEN is_checked_id(d.national_id) THEN d.national_id END AS national_id
FROM component AS c
JOIN contradiction USING (root)
LEFT JOIN candidate AS d USING (person_id)
ORDER BY ALL;

CREATE OR REPLACE TEMP TABLE contradicting_edge AS
SELECT e.left_person, e.right_person, max(e.strength) AS strength
FROM edge AS e
JOIN component AS c ON c.person_id = e.left_person
JOIN contradiction USING (root)
GROUP BY ALL ORDER BY ALL;
