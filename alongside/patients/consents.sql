-- Decisions of the extracts that the log does not hold yet, each under the id of the record that brought it.
-- Relations: consent_row, mapped(source, patient_source_id, person_id), fact_known(fact), and what the log says of
-- records that could not be read: marked(person_id, purpose, channel, decision, evidence). Variable: now.
CREATE OR REPLACE TEMP TABLE delivered AS
SELECT
    'p' || ledger_hash(hash_part('person') || hash_part(c.source) || hash_part(c.patient_source_id), 16) AS person_id,
    c.purpose,
    coalesce(c.channel, '*') AS channel,
    c.decision,
    c.decided_at,
    left('extract:' || c.source, 80) AS origin,
    left(coalesce(trim(c.evidence), ''), 200) AS evidence,
    'record ' || left(sha256(c.source || chr(31) || c.source_id), 16) AS record,
    c.decision IS NOT NULL AND c.channel IS NOT NULL AND c.decided_at IS NOT NULL AS readable
FROM consent_row AS c
JOIN mapped AS m ON m.source = c.source AND m.patient_source_id = c.patient_source_id
WHERE c.purpose IS NOT NULL;

-- A record is `unknown` when it may be a withdrawal: a grant without its day or channel permits nothing and takes
-- nothing away. Its evidence counts how often it had been read, so that it can become unreadable once more.
CREATE OR REPLACE TEMP TABLE unread AS
WITH times AS (
    SELECT split_part(evidence, '#', 1) AS record, count(DISTINCT evidence) AS read
    FROM marked WHERE decision = 'read' GROUP BY record
)
SELECT
    d.person_id, d.purpose, d.channel, 'unknown' AS decision,
    least(coalesce(d.decided_at, getvariable('now')), getvariable('now')) AS decided_at,
    d.origin, d.record || '#' || coalesce(t.read, 0) AS evidence
FROM delivered AS d LEFT JOIN times AS t USING (record)
WHERE NOT d.readable AND d.decision IS DISTINCT FROM 'permit';

CREATE OR REPLACE TEMP TABLE decision AS
WITH standing AS (
    SELECT * FROM marked AS u WHERE u.decision = 'unknown'
        AND NOT EXISTS (FROM marked AS r WHERE r.decision = 'read' AND r.evidence = u.evidence)
),
kept AS (
    SELECT
        person_id, purpose, channel, decision, decided_at, origin, evidence,
        strftime(decided_at, '%Y-%m-%d %H:%M:%S.%f') AS day
    FROM delivered
    WHERE readable
        -- a grant of tomorrow waits for its day; a no with a mistyped date is a no today
        AND (decision = 'deny' OR decided_at <= getvariable('now'))
    UNION ALL
    -- which day it bears does not matter: the record is one, whatever else of it changes
    SELECT *, '' FROM unread
    UNION ALL
    SELECT u.person_id, u.purpose, u.channel, 'read', getvariable('now'), d.origin, u.evidence, ''
    FROM standing AS u JOIN delivered AS d ON d.readable AND d.record = split_part(u.evidence, '#', 1)
),
identified AS (
    SELECT
        * EXCLUDE (day),
        fact_hash(
            hash_part(person_id) || hash_part(purpose) || hash_part(channel) || hash_part(decision)
            || hash_part(day) || hash_part(origin) || hash_part(evidence),
            32
        ) AS fact
    FROM kept
)
SELECT DISTINCT ON (fact)
    person_id, purpose, channel, decision,
    least(decided_at, getvariable('now')) AS decided_at,
    getvariable('now') AS recorded_at,
    origin, evidence, fact
FROM identified ANTI JOIN fact_known USING (fact)
ORDER BY decided_at, fact;
