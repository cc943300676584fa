-- Which record is which, and which of them say something new.
-- Relations: patient_row, alias_known(own_id, fingerprint, since), person_known(person_id, survivor_id, minted_at).
CREATE OR REPLACE TEMP TABLE record AS
WITH keyed AS (
    SELECT
        source,
        source_id,
        extract_date,
        'p' || ledger_hash(hash_part('person') || hash_part(source) || hash_part(source_id), 16) AS own_id,
        ledger_hash(
            hash_part('fingerprint')
            || hash_part(coalesce(national_id, '')) || hash_part(coalesce(mrn, ''))
            || hash_part(coalesce(full_name, '')) || hash_part(coalesce(gender, ''))
            || hash_part(coalesce(CAST(birth_date AS VARCHAR), '')) || hash_part(coalesce(phone, ''))
            || hash_part(coalesce(email, '')) || hash_part(coalesce(address_line, ''))
            -- a city alone is nobody's address
            || CASE
                WHEN coalesce(trim(address_line), '') = '' THEN ''::BLOB
                ELSE hash_part(coalesce(district, '')) || hash_part(coalesce(city, '')) || hash_part(coalesce(state, ''))
                    || hash_part(coalesce(postal_code, '')) || hash_part(coalesce(country, ''))
            END
            -- Only where there is one: records from before these columns existed are the same as they were.
            || CASE WHEN openid IS NULL THEN ''::BLOB ELSE hash_part('openid') || hash_part(openid) END
            || CASE WHEN device_token IS NULL THEN ''::BLOB ELSE hash_part('device') || hash_part(device_token) END,
            32
        ) AS fingerprint
    FROM patient_row
)
SELECT
    k.source,
    k.source_id,
    k.own_id,
    k.fingerprint,
    a.own_id IS NULL AS fresh,
    a.own_id IS NULL OR a.fingerprint <> k.fingerprint AS changed,
    CASE
        WHEN a.own_id IS NULL OR a.fingerprint <> k.fingerprint
        THEN coalesce(CAST(k.extract_date AS TIMESTAMP), getvariable('now'))
        ELSE a.since
    END AS since,
    coalesce(p.survivor_id, k.own_id) AS person_id
FROM keyed AS k
LEFT JOIN alias_known AS a ON a.own_id = k.own_id
LEFT JOIN person_known AS p ON p.person_id = k.own_id;
