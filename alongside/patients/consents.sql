-- Decisions of the extracts that the log does not hold yet, each under the id of the record that brought it.
-- Relations: consent_row, mapped(source, patient_source_id, person_id), fact_known(fact). Variable: now.
CREATE OR REPLACE TEMP TABLE decision AS
WITH kept AS (
    SELECT
        'p' || ledger_hash(hash_part('person') || hash_part(c.source) || hash_part(c.patient_source_id), 16) AS person_id,
        c.purpose,
        c.channel,
        c.decision,
        c.decided_at,
        left('extract:' || c.source, 80) AS origin,
        left(coalesce(trim(c.evidence), ''), 200) AS evidence
    FROM consent_row AS c
    JOIN mapped AS m ON m.source = c.source AND m.patient_source_id = c.patient_source_id
    WHERE c.decision IN ('permit', 'deny') AND c.decided_at IS NOT NULL
        -- a grant of tomorrow waits for its day; a no with a mistyped date is a no today
        AND (c.decision = 'deny' OR c.decided_at <= getvariable('now'))
),
identified AS (
    SELECT
        *,
        fact_hash(
            hash_part(person_id) || hash_part(purpose) || hash_part(channel) || hash_part(decision)
            || hash_part(strftime(decided_at, '%Y-%m-%d %H:%M:%S.%f')) || hash_part(origin) || hash_part(evidence),
            32
        ) AS fact
    FROM kept
)
SELECT DISTINCT
    person_id, purpose, channel, decision,
    least(decided_at, getvariable('now')) AS decided_at,
    getvariable('now') AS recorded_at,
    origin, evidence, fact
FROM identified ANTI JOIN fact_known USING (fact)
ORDER BY decided_at, fact;
