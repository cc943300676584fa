CREATE OR REPLACE TEMP TABLE splink_record AS
SELECT own_id, name_key, birth_date, phone_key, email, gender
FROM candidate
WHERE own_id IN (SELECT left_id FROM open_pair UNION SELECT right_id FROM open_pair);

-- frequencies of the whole hospital, not of tonight's pairs
CREATE OR REPLACE TEMP TABLE splink_name AS
SELECT name_key, count(*) / sum(count(*)) OVER () AS tf_name_key
FROM candidate WHERE name_key IS NOT NULL GROUP BY name_key;

CREATE OR REPLACE TEMP TABLE splink_pair AS
SELECT '0' AS match_key, left_id AS join_key_l, right_id AS join_key_r FROM open_pair;
