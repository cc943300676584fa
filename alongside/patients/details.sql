-- One row a known record. Relations: plain, spelling, trust(source, place).
CREATE OR REPLACE TEMP TABLE detail AS
WITH spelt AS (
    SELECT
        p.*,
        coalesce(p.plain_name, n.normal) AS name,
        coalesce(p.plain_phone, f.normal) AS valid_phone,
        coalesce(p.plain_email, e.normal) AS valid_email,
        ltrim(regexp_replace(p.digits, '[^0-9]', '', 'g'), '0') AS subscriber,
        coalesce(t.place, 1000) AS place
    FROM plain AS p
    LEFT JOIN trust AS t ON t.source = p.source
    LEFT JOIN spelling AS n ON n.kind = 'name' AND n.raw = p.full_name
    LEFT JOIN spelling AS f ON f.kind = 'phone' AND f.raw = p.phone
    LEFT JOIN spelling AS e ON e.kind = 'email' AND e.raw = p.email
)
SELECT
    source,
    source_id,
    person_id,
    since,
    place,
    extract_date,
    name,
    name_key_of(name) AS name_key,
    CASE WHEN gender IN ('male', 'female', 'other') THEN gender END AS gender,
    CASE WHEN birth_date BETWEEN DATE '1900-01-01' AND getvariable('today') THEN birth_date END AS birth_date,
    plain_number AS national_id,
    squeezed(mrn) AS mrn,
    valid_phone AS phone,
    -- a number that cannot ring still tells records apart when both systems hold it
    coalesce(valid_phone, CASE WHEN length(subscriber) >= 8 THEN subscriber END) AS phone_key,
    coalesce(trim(phone), '') <> '' AS phone_written,
    -- the pattern of plain numbers is that of the country's mobile ones; of a foreign number nothing is known
    plain_phone IS NOT NULL
    OR (NOT starts_with(valid_phone, '+' || getvariable('phone_code')) AND NOT contains(valid_phone, ';'))
        AS takes_texts,
    valid_email AS email,
    coalesce(trim(email), '') <> '' AS email_written,
    squeezed(address_line) AS address_line,
    squeezed(district) AS district,
    squeezed(city) AS city,
    nullif(upper(trim(country)), '') AS country,
    CASE WHEN language IN ('zh_CN', 'en') THEN language END AS language,
    nullif(trim(time_zone), '') AS time_zone,
    registered_at,
    deceased_at,
    role
FROM spelt;
