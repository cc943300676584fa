-- How each person wishes to be written to: of each matter what was expressed last (the rule of alongside.ledger.wishes).
-- Relation: preference, extracts' rows and, of source 'alongside', what patients said on their own pages. There `-` means
-- "as usual" and ends what was wished before.
CREATE OR REPLACE TEMP TABLE preference_fact AS
WITH ranked AS (
    SELECT
        *,
        row_number() OVER (
            PARTITION BY person_id
            ORDER BY updated_at DESC NULLS LAST, source = 'alongside' DESC, source, source_id
        ) AS newest
    FROM preference
)
SELECT
    person_id,
    nullif(arg_min(channel, newest) FILTER (WHERE channel IS NOT NULL), '-') AS preferred_channel,
    arg_min(language, newest) FILTER (WHERE language IN ('zh_CN', 'en')) AS language,
    nullif(arg_min(quiet_from, newest) FILTER (WHERE newest_quiet), '-') AS quiet_from,
    nullif(arg_min(quiet_to, newest) FILTER (WHERE newest_quiet), '-') AS quiet_to,
    arg_min(topics_off, newest) FILTER (WHERE topics_off IS NOT NULL) AS topics_off
FROM (
    SELECT
        *,
        (source = 'alongside' AND quiet_from = '-' AND quiet_to = '-')
        OR (
            regexp_full_match(quiet_from, '([01][0-9]|2[0-3]):[0-5][0-9]')
            AND regexp_full_match(quiet_to, '([01][0-9]|2[0-3]):[0-5][0-9]')
        ) AS newest_quiet
    FROM ranked
) GROUP BY person_id;
