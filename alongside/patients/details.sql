-- One row a known record. Relations: plain, spelling, trust(source, place), postal_rule(country, code, needed).
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
),
placed AS (
    SELECT
        *,
        coalesce(nullif(upper(trim(country)), ''), getvariable('home')) AS lives_in,
        upper(squeezed(postal_code)) AS code,
        -- "无" as a city is no city; a line that begins with the city it lies in is not to say it twice
        CASE WHEN NOT says_nothing(squeezed(state)) THEN squeezed(state) END AS in_state,
        CASE WHEN NOT says_nothing(squeezed(city)) THEN squeezed(city) END AS in_city,
        CASE WHEN NOT says_nothing(squeezed(district)) THEN squeezed(district) END AS in_district,
        without_start(without_start(without_start(
            squeezed(address_line), squeezed(state)), squeezed(city)), squeezed(district)) AS street
    FROM spelt
),
posted AS (
    SELECT
        p.*,
        CASE
            WHEN NOT says_nothing(p.street)
                -- what seven lines of the envelope's window hold, with the name
                AND length(p.street) <= 90
                AND length(concat(p.street, p.in_state, p.in_city, p.in_district))
                    <= CASE WHEN is_ideographic(p.street) THEN 90 ELSE 160 END
                -- in Chinese a line often holds its city
                AND (p.in_city IS NOT NULL OR regexp_matches(p.street, '[\x{4e00}-\x{9fff}][市县区州旗镇乡村]'))
                AND r.country IS NOT NULL
                AND CASE WHEN p.code IS NULL THEN NOT r.needed ELSE r.code = '' OR regexp_full_match(p.code, r.code) END
            THEN concat_ws(chr(10), p.lives_in, coalesce(p.code, ''), coalesce(p.in_state, ''),
                coalesce(p.in_city, ''), coalesce(p.in_district, ''), p.street)
        END AS postal
    FROM placed AS p
    LEFT JOIN postal_rule AS r ON r.country = p.lives_in
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
    written_by_machine(openid, getvariable('openid_pattern')) AS openid,
    coalesce(trim(openid), '') <> '' AS openid_written,
    written_by_machine(device_token, getvariable('device_token_pattern')) AS device_token,
    coalesce(trim(device_token), '') <> '' AS device_token_written,
    squeezed(address_line) AS address_line,
    postal,
    coalesce(trim(address_line), '') <> '' AS postal_written,
    squeezed(district) AS district,
    squeezed(city) AS city,
    nullif(upper(trim(country)), '') AS country,
    CASE WHEN language IN ('zh_CN', 'en') THEN language END AS language,
    nullif(trim(time_zone), '') AS time_zone,
    registered_at,
    deceased_at,
    role
FROM posted;
