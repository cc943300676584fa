-- One row a known record. Relations: known(source, source_id, person_id, since), patient_row, spelling, trust(source, place).
CREATE OR REPLACE TEMP TABLE detail AS
SELECT
    k.source,
    k.source_id,
    k.person_id,
    k.since,
    coalesce(t.place, 1000) AS place,
    p.extract_date,
    coalesce(plain_name(p.full_name), n.normal) AS name,
    name_key_of(coalesce(plain_name(p.full_name), n.normal)) AS name_key,
    CASE WHEN p.gender IN ('male', 'female', 'other') THEN p.gender END AS gender,
    CASE WHEN p.birth_date BETWEEN DATE '1900-01-01' AND getvariable('today') THEN p.birth_date END AS birth_date,
    national_id_of(p.national_id) AS national_id,
    squeezed(p.mrn) AS mrn,
    coalesce(plain_phone(p.phone), f.normal) AS phone,
    -- a number that cannot ring still tells records apart when both systems hold it
    coalesce(
        plain_phone(p.phone), f.normal,
        CASE WHEN length(regexp_replace(phone_digits(p.phone), '[^0-9]', '', 'g')) >= 9
            THEN ltrim(regexp_replace(phone_digits(p.phone), '[^0-9]', '', 'g'), '0') END
    ) AS phone_key,
    coalesce(trim(p.phone), '') <> '' AS phone_written,
    coalesce(plain_email(p.email), e.normal) AS email,
    coalesce(trim(p.email), '') <> '' AS email_written,
    squeezed(p.address_line) AS address_line,
    squeezed(p.district) AS district,
    squeezed(p.city) AS city,
    nullif(upper(trim(p.country)), '') AS country,
    CASE WHEN p.language IN ('zh_CN', 'en') THEN p.language END AS language,
    nullif(trim(p.time_zone), '') AS time_zone,
    p.registered_at,
    p.deceased_at
FROM known AS k
JOIN patient_row AS p ON p.source = k.source AND p.source_id = k.source_id
LEFT JOIN trust AS t ON t.source = k.source
LEFT JOIN spelling AS n ON n.kind = 'name' AND n.raw = p.full_name
LEFT JOIN spelling AS f ON f.kind = 'phone' AND f.raw = p.phone
LEFT JOIN spelling AS e ON e.kind = 'email' AND e.raw = p.email;
