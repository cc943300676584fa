-- The golden record: one row a person out of relation `member` (the columns of `detail`).
-- Who somebody is (name, birth date, numbers) is taken from the most trusted source that says it; how to reach them
-- from the record that changed last; what else is known from the record that was delivered last.
CREATE OR REPLACE TEMP TABLE golden AS
WITH ranked AS (
    SELECT
        *,
        row_number() OVER (PARTITION BY person_id ORDER BY place, since DESC, source, source_id) AS trusted,
        row_number() OVER (PARTITION BY person_id ORDER BY since DESC, place, source, source_id) AS changed_last,
        row_number() OVER (
            PARTITION BY person_id ORDER BY extract_date DESC NULLS LAST, place, source, source_id
        ) AS delivered_last
    FROM member
)
SELECT
    person_id,
    arg_min(name, trusted) FILTER (WHERE name IS NOT NULL) AS name,
    arg_min(birth_date, trusted) FILTER (WHERE birth_date IS NOT NULL) AS birth_date,
    arg_min(national_id, trusted) FILTER (WHERE national_id IS NOT NULL) AS national_id,
    arg_min(mrn, trusted) FILTER (WHERE mrn IS NOT NULL) AS mrn,
    arg_min(gender, changed_last) FILTER (WHERE gender IS NOT NULL) AS gender,
    arg_min(phone, changed_last) FILTER (WHERE phone IS NOT NULL) AS phone,
    arg_min(email, changed_last) FILTER (WHERE email IS NOT NULL) AS email,
    arg_min(openid, changed_last) FILTER (WHERE openid IS NOT NULL) AS openid,
    arg_min(device_token, changed_last) FILTER (WHERE device_token IS NOT NULL) AS device_token,
    arg_min(address_line, changed_last) FILTER (WHERE address_line IS NOT NULL) AS address_line,
    -- all lines of an address come from one record
    arg_min(postal, changed_last) FILTER (WHERE postal IS NOT NULL) AS postal,
    CASE WHEN bool_or(postal IS NOT NULL) THEN 'valid' WHEN bool_or(postal_written) THEN 'invalid' ELSE 'missing'
    END AS postal_state,
    CASE WHEN bool_or(phone IS NOT NULL) THEN 'valid' WHEN bool_or(phone_written) THEN 'invalid' ELSE 'missing'
    END AS phone_state,
    arg_min(takes_texts, changed_last) FILTER (WHERE phone IS NOT NULL) AS takes_texts,
    CASE WHEN bool_or(email IS NOT NULL) THEN 'valid' WHEN bool_or(email_written) THEN 'invalid' ELSE 'missing'
    END AS email_state,
    CASE WHEN bool_or(openid IS NOT NULL) THEN 'valid' WHEN bool_or(openid_written) THEN 'invalid' ELSE 'missing'
    END AS openid_state,
    CASE
        WHEN bool_or(device_token IS NOT NULL) THEN 'valid'
        WHEN bool_or(device_token_written) THEN 'invalid'
        ELSE 'missing'
    END AS device_token_state,
    arg_min(district, delivered_last) FILTER (WHERE district IS NOT NULL) AS district,
    arg_min(city, delivered_last) FILTER (WHERE city IS NOT NULL) AS city,
    arg_min(country, delivered_last) FILTER (WHERE country IS NOT NULL) AS country,
    arg_min(language, delivered_last) FILTER (WHERE language IS NOT NULL) AS language,
    arg_min(time_zone, delivered_last) FILTER (WHERE time_zone IS NOT NULL) AS time_zone,
    min(registered_at) AS registered_at,
    min(deceased_at) AS deceased_at,
    bool_or(role IS DISTINCT FROM 'contact') AS is_patient,
    list_sort(list(DISTINCT source)) AS sources
FROM ranked
GROUP BY person_id;
