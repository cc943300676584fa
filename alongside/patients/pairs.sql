-- Pairs of records that may be one person, how they compare, and what a deterministic rule says.
-- Relations: record, detail, reviewed(left_id, right_id, decision). Variables: largest_block, fictional_domain.
-- A value that very many records share (the number of a front desk, a placeholder) tells nobody apart.
CREATE OR REPLACE TEMP TABLE crowded AS
SELECT kind, value
FROM (
    SELECT unnest([
        {'kind': 'n', 'value': national_id},
        {'kind': 'm', 'value': mrn},
        {'kind': 'p', 'value': phone_key},
        {'kind': 'e', 'value': email}
    ], recursive := TRUE)
    FROM detail
)
WHERE value IS NOT NULL
GROUP BY kind, value HAVING count(*) > getvariable('largest_block');

CREATE OR REPLACE TEMP TABLE candidate AS
SELECT
    r.own_id, r.changed, d.person_id, d.name_key, d.gender, d.birth_date,
    CASE WHEN n.value IS NULL THEN d.national_id END AS national_id,
    CASE WHEN m.value IS NULL THEN d.mrn END AS mrn,
    CASE WHEN p.value IS NULL THEN d.phone_key END AS phone_key,
    CASE WHEN e.value IS NULL AND d.email NOT LIKE '%@' || getvariable('fictional_domain') THEN d.email END AS email
FROM detail AS d
JOIN record AS r USING (source, source_id)
LEFT JOIN crowded AS n ON n.kind = 'n' AND n.value = d.national_id
LEFT JOIN crowded AS m ON m.kind = 'm' AND m.value = d.mrn
LEFT JOIN crowded AS p ON p.kind = 'p' AND p.value = d.phone_key
LEFT JOIN crowded AS e ON e.kind = 'e' AND e.value = d.email;

CREATE OR REPLACE TEMP TABLE block AS
WITH keys AS (
    SELECT own_id, changed, unnest([
        'n' || national_id,
        'm' || mrn,
        'p' || phone_key,
        'e' || email,
        'd' || name_key || '/' || strftime(birth_date, '%Y-%m-%d'),
        'y' || name_key || '/' || strftime(birth_date, '%Y')
    ]) AS key
    FROM candidate
),
usable AS (
    SELECT key FROM keys WHERE key IS NOT NULL
    GROUP BY key HAVING count(*) BETWEEN 2 AND getvariable('largest_block') AND bool_or(changed)
)
SELECT k.own_id, k.changed, k.key FROM keys AS k JOIN usable USING (key);

CREATE OR REPLACE TEMP TABLE pair AS
WITH met AS (
    SELECT DISTINCT l.own_id AS left_id, r.own_id AS right_id
    FROM block AS l JOIN block AS r ON r.key = l.key AND l.own_id < r.own_id AND (l.changed OR r.changed)
),
compared AS (
    SELECT
        met.left_id,
        met.right_id,
        coalesce(l.national_id = r.national_id, FALSE) AS same_national_id,
        is_checked_id(l.national_id) AND is_checked_id(r.national_id) AND l.national_id <> r.national_id AS other_national_id,
        coalesce(l.mrn = r.mrn, FALSE) AS same_mrn,
        coalesce(l.phone_key = r.phone_key, FALSE) AS same_phone,
        coalesce(l.email = r.email, FALSE) AS same_email,
        coalesce(l.name_key = r.name_key, FALSE) AS same_name,
        coalesce(names_close(l.name_key, r.name_key), FALSE) AS close_name,
        coalesce(l.birth_date = r.birth_date, FALSE) AS same_birth,
        coalesce(births_close(l.birth_date, r.birth_date), FALSE) AS close_birth,
        l.name_key IS NULL OR r.name_key IS NULL AS no_name,
        l.birth_date IS NULL OR r.birth_date IS NULL AS no_birth,
        greatest(l.birth_date, r.birth_date) > getvariable('today') - INTERVAL 18 YEAR AS minor,
        coalesce(l.gender <> r.gender, FALSE) AS other_gender
    FROM met
    JOIN candidate AS l ON l.own_id = met.left_id
    JOIN candidate AS r ON r.own_id = met.right_id
    WHERE l.person_id <> r.person_id
)
SELECT
    c.left_id,
    c.right_id,
    v.decision,
    CASE
        WHEN v.decision = 'different' OR c.other_national_id THEN NULL
        WHEN v.decision = 'same' THEN 'review'
        WHEN c.same_national_id AND backed THEN 'national_id'
        WHEN c.same_mrn AND backed THEN 'mrn'
        WHEN c.same_phone AND c.same_birth AND c.same_name THEN 'phone'
        WHEN c.same_email AND c.same_birth AND c.same_name THEN 'email'
    END AS rule,
    coalesce(v.decision = 'different', FALSE) OR c.other_national_id AS forbidden,
    -- the same number, but neither the name nor the birth date: mistyped, or somebody else's card
    (c.same_national_id OR c.same_mrn) AND NOT backed AS suspicious,
    (c.same_name OR c.close_name)::INT + (c.same_birth OR c.close_birth)::INT + c.same_phone::INT + c.same_email::INT >= 2
        AND (c.same_name OR c.close_name OR c.same_birth) AS plausible,
    -- twins share a birth date and their parents' telephone: a person decides
    c.same_birth AND NOT c.same_name AND (c.minor OR c.other_gender) AS twins
FROM (
    SELECT *, same_name OR close_name OR same_birth OR close_birth OR (no_name AND no_birth) AS backed FROM compared
) AS c
LEFT JOIN reviewed AS v ON v.left_id = c.left_id AND v.right_id = c.right_id;
