-- name: before
-- The last known membership of the segments that are refreshed now. One that was stopped carries the membership of its
-- last refresh, so that `since` survives and nobody is told to have left.
CREATE OR REPLACE TEMP VIEW refresh_before AS
SELECT * FROM refresh_previous WHERE segment IN (SELECT unnest(getvariable('refresh_running')));

-- name: diff
-- One FULL JOIN tells who stays, who entered and who left.
CREATE OR REPLACE TEMP TABLE refresh_diff AS
SELECT
    coalesce(now.segment, before.segment) AS segment,
    coalesce(now.person_id, before.person_id) AS person_id,
    before.since AS since,
    now.person_id IS NOT NULL AS belongs,
    before.person_id IS NOT NULL AS belonged
FROM refresh_now AS now
FULL JOIN refresh_before AS before ON now.person_id = before.person_id AND now.segment = before.segment;

-- name: counts
SELECT
    segment,
    count(*) FILTER (WHERE belongs) AS members,
    count(*) FILTER (WHERE belongs AND NOT belonged) AS entered,
    count(*) FILTER (WHERE belonged AND NOT belongs) AS gone
FROM refresh_diff
GROUP BY segment;

-- name: membership
SELECT segment, person_id, coalesce(since, getvariable('refresh_as_of')) AS since FROM refresh_diff WHERE belongs;

-- name: membership_change
SELECT segment, person_id, CASE WHEN belongs THEN 'entered' ELSE 'left' END AS change
FROM refresh_diff
WHERE belongs <> belonged;

-- name: membership_stopped
SELECT segment, person_id, since
FROM refresh_previous
WHERE segment IN (SELECT unnest(getvariable('refresh_stopped')));

-- name: removed
SELECT DISTINCT segment
FROM refresh_previous
WHERE segment NOT IN (SELECT unnest(getvariable('refresh_known')))
ORDER BY segment;
