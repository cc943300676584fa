-- Raw details of every known record, and what SQL alone makes of them. Relations: known, patient_row.
CREATE OR REPLACE TEMP TABLE plain AS
WITH raw AS (
    SELECT
        k.source, k.source_id, k.person_id, k.since,
        p.* EXCLUDE (source, source_id),
        phone_digits(p.phone) AS digits,
        lower(trim(p.email)) AS lower_email,
        regexp_replace(half_width(p.national_id), '[\s-]', '', 'g') AS number
    FROM known AS k
    JOIN patient_row AS p ON p.source = k.source AND p.source_id = k.source_id
)
SELECT
    * EXCLUDE (lower_email, number),
    plain_name(full_name) AS plain_name,
    plain_email(lower_email) AS plain_email,
    plain_phone(digits) AS plain_phone,
    national_id_of(number) AS plain_number
FROM raw;
