-- Numbers and addresses are those of everything already joined to the record: a laboratory's record that names no
-- telephone must not match any namesake better than the person it belongs to does.
CREATE OR REPLACE TEMP TABLE splink_record AS
WITH rooted AS (
    SELECT c.*, coalesce(k.root, c.person_id) AS root
    FROM candidate AS c LEFT JOIN component AS k ON k.person_id = c.person_id
),
wanted AS (
    SELECT * FROM rooted WHERE own_id IN (SELECT left_id FROM open_pair UNION SELECT right_id FROM open_pair)
),
known AS (
    SELECT
        root,
        list(DISTINCT phone_key) FILTER (WHERE phone_key IS NOT NULL) AS phones,
        list(DISTINCT email) FILTER (WHERE email IS NOT NULL) AS emails,
        list(DISTINCT mrn) FILTER (WHERE mrn IS NOT NULL) AS mrns
    FROM rooted WHERE root IN (SELECT root FROM wanted)
    GROUP BY root
)
SELECT w.own_id, w.name_key, w.birth_date, w.gender, k.phones, k.emails, k.mrns
FROM wanted AS w JOIN known AS k USING (root);

-- frequencies of the whole hospital, not of tonight's pairs
CREATE OR REPLACE TEMP TABLE splink_name AS
SELECT name_key, count(*) / sum(count(*)) OVER () AS tf_name_key
FROM candidate WHERE name_key IS NOT NULL GROUP BY name_key;

CREATE OR REPLACE TEMP TABLE splink_pair AS
SELECT '0' AS match_key, left_id AS join_key_l, right_id AS join_key_r FROM open_pair;
