-- What the ledger is told. Relations: record, joined, refused, edge, scored, pair, person_known, detail.
CREATE OR REPLACE TEMP TABLE final AS
SELECT
    r.source, r.source_id, r.own_id, r.fingerprint, r.fresh, r.changed, r.since,
    r.person_id AS person_before,
    coalesce(j.survivor_id, r.person_id) AS person_id,
    k.person_id IS NULL AS unminted
FROM record AS r
LEFT JOIN joined AS j ON j.person_id = r.person_id
LEFT JOIN person_known AS k ON k.person_id = r.own_id;

-- living people who lose their own voice, with the strongest reason
CREATE OR REPLACE TEMP TABLE merge AS
WITH reason AS (
    SELECT left_person AS person_id, rule, strength FROM edge
    UNION ALL
    SELECT right_person, rule, strength FROM edge
)
SELECT
    j.survivor_id,
    j.person_id AS other_id,
    arg_max(e.rule, e.strength) AS rule,
    CASE WHEN max(e.strength) <= 1 THEN max(e.strength) END AS probability
FROM joined AS j
JOIN person_known AS k ON k.person_id = j.person_id
JOIN reason AS e ON e.person_id = j.person_id
WHERE j.survivor_id <> j.person_id
GROUP BY j.survivor_id, j.person_id ORDER BY ALL;

-- groups whose picture changed
CREATE OR REPLACE TEMP TABLE affected AS
SELECT person_id, bool_and(unminted) AS fresh
FROM final WHERE person_id IN (SELECT person_id FROM final WHERE changed)
GROUP BY person_id;

CREATE OR REPLACE TEMP TABLE member AS
SELECT d.* REPLACE (f.person_id AS person_id)
FROM final AS f
JOIN affected AS a ON a.person_id = f.person_id
JOIN detail AS d ON d.source = f.source AND d.source_id = f.source_id;

CREATE OR REPLACE TEMP TABLE review AS
SELECT
    least(alias_of(l.source, l.source_id), alias_of(r.source, r.source_id)) AS left_alias,
    greatest(alias_of(l.source, l.source_id), alias_of(r.source, r.source_id)) AS right_alias,
    max(coalesce(s.probability, getvariable('review'))) AS probability
FROM pair AS p
JOIN final AS l ON l.own_id = p.left_id
JOIN final AS r ON r.own_id = p.right_id
LEFT JOIN scored AS s USING (left_id, right_id)
LEFT JOIN refused AS x
    ON least(x.left_person, x.right_person) = least(l.person_before, r.person_before)
    AND greatest(x.left_person, x.right_person) = greatest(l.person_before, r.person_before)
WHERE l.person_id <> r.person_id
    AND p.decision IS NULL
    AND (s.probability >= getvariable('review') OR p.suspicious OR x.left_person IS NOT NULL)
GROUP BY left_alias, right_alias ORDER BY ALL;
