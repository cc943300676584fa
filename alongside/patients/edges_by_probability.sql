INSERT INTO edge
SELECT s.left_id, s.right_id, l.person_id, r.person_id, 'splink', s.probability
FROM scored AS s
JOIN pair AS p USING (left_id, right_id)
JOIN candidate AS l ON l.own_id = s.left_id
JOIN candidate AS r ON r.own_id = s.right_id
WHERE s.probability >= getvariable('match') AND NOT p.twins AND NOT p.suspicious;
