-- The snapshot's picture with the wishes of the ledger laid over it: a person who wished anything is as the rule says.
-- Relations: pictured (person.parquet), preference_fact (people with wishes), wish(person_id, kind, value).
CREATE OR REPLACE TEMP TABLE wished AS
SELECT
    person_id,
    max(CASE value WHEN 'weekly' THEN 7 WHEN 'monthly' THEN 30 END) FILTER (WHERE kind = 'pace') AS pace_days,
    bool_or(kind = 'general_only' AND value = 'yes') AS general_only
FROM wish GROUP BY person_id;

CREATE OR REPLACE TEMP VIEW person AS
SELECT
    p.* REPLACE (
        coalesce(w.language, p.language) AS language,
        CASE WHEN w.person_id IS NULL THEN p.preferred_channel ELSE w.preferred_channel END AS preferred_channel,
        CASE WHEN w.person_id IS NULL THEN p.quiet_from ELSE w.quiet_from END AS quiet_from,
        CASE WHEN w.person_id IS NULL THEN p.quiet_to ELSE w.quiet_to END AS quiet_to,
        CASE
            WHEN w.person_id IS NULL THEN p.topics_off
            ELSE list_filter(
                list_transform(string_split(coalesce(w.topics_off, ''), '|'), lambda topic: trim(topic)),
                lambda topic: topic <> ''
            )
        END AS topics_off
    ),
    k.pace_days,
    coalesce(k.general_only, FALSE) AS general_only
FROM pictured AS p
LEFT JOIN preference_fact AS w USING (person_id)
LEFT JOIN wished AS k USING (person_id);
