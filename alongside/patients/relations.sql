-- What the extracts say of relatives and the log does not hold yet, each under the ids of the records that brought it.
-- Relations: relation_row, mapped(source, patient_source_id, person_id), fact_known(fact). Variable: now.
CREATE OR REPLACE TEMP TABLE statement AS
WITH delivered AS (
    SELECT
        'p' || ledger_hash(hash_part('person') || hash_part(c.source) || hash_part(c.patient_source_id), 16)
            AS person_id,
        'p' || ledger_hash(hash_part('person') || hash_part(c.source) || hash_part(c.relative_source_id), 16)
            AS related_id,
        c.relationship,
        CASE c.decides WHEN 'yes' THEN TRUE WHEN 'no' THEN FALSE END AS decides,
        coalesce(c.decision, 'unknown') AS decision,
        c.decided_at,
        left('extract:' || c.source, 80) AS origin
    FROM relation_row AS c
    JOIN mapped AS m ON m.source = c.source AND m.patient_source_id = c.patient_source_id
    JOIN mapped AS r ON r.source = c.source AND r.patient_source_id = c.relative_source_id
    -- a yes of tomorrow waits for its day; a no with a mistyped date is a no today
    WHERE c.decision = 'deny' OR c.decided_at <= getvariable('now')
),
identified AS (
    SELECT
        *,
        fact_hash(
            hash_part(person_id) || hash_part(related_id) || hash_part(relationship)
            || hash_part(coalesce(CAST(decides AS VARCHAR), '')) || hash_part(decision)
            || hash_part(strftime(decided_at, '%Y-%m-%d %H:%M:%S.%f')) || hash_part(origin),
            32
        ) AS fact
    FROM delivered
)
SELECT DISTINCT ON (fact)
    person_id, related_id, relationship, decides, decision,
    least(decided_at, getvariable('now')) AS decided_at,
    getvariable('now') AS recorded_at,
    origin, '' AS evidence, fact
FROM identified ANTI JOIN fact_known USING (fact)
ORDER BY decided_at, fact;
