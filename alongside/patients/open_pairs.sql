-- What the rules neither joined nor forbade, between people who are not joined already.
CREATE OR REPLACE TEMP TABLE open_pair AS
SELECT p.left_id, p.right_id
FROM pair AS p
JOIN candidate AS l ON l.own_id = p.left_id
JOIN candidate AS r ON r.own_id = p.right_id
LEFT JOIN component AS lc ON lc.person_id = l.person_id
LEFT JOIN component AS rc ON rc.person_id = r.person_id
WHERE p.rule IS NULL AND NOT p.forbidden AND p.plausible
    AND coalesce(lc.root, l.person_id) <> coalesce(rc.root, r.person_id)
ORDER BY ALL;
