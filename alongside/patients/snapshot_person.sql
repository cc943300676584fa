-- person.parquet: docs/architecture.md describes every column. Variables: as_of, today, country, time_zone, locale.
CREATE OR REPLACE TEMP VIEW snapshot_person AS
WITH dated AS (
    SELECT
        *,
        -- the 29th of February is kept on the 28th in common years
        CAST(birth_date + to_years(CAST(year(getvariable('today')) - year(birth_date) AS INTEGER)) AS DATE) AS birthday
    FROM golden
),
aged AS (
    SELECT
        *,
        year(getvariable('today')) - year(birth_date)
        - CASE WHEN birthday > getvariable('today') THEN 1 ELSE 0 END AS age,
        CASE
            WHEN birthday >= getvariable('today') THEN birthday
            ELSE CAST(birth_date + to_years(CAST(year(getvariable('today')) - year(birth_date) + 1 AS INTEGER)) AS DATE)
        END AS next_birthday
    FROM dated
)
SELECT
    g.person_id,
    g.is_patient,
    g.gender,
    coalesce(w.language, g.language, getvariable('locale')) AS language,
    coalesce(g.time_zone, getvariable('time_zone')) AS time_zone,
    coalesce(g.country, getvariable('country')) AS country,
    g.city,
    g.district,
    CAST(g.age AS INTEGER) AS age,
    CASE
        WHEN g.age < 14 THEN '0-13'
        WHEN g.age < 35 THEN '14-34'
        WHEN g.age < 45 THEN '35-44'
        WHEN g.age < 60 THEN '45-59'
        WHEN g.age < 75 THEN '60-74'
        WHEN g.age >= 75 THEN '75+'
    END AS age_band,
    CAST(date_diff('day', getvariable('today'), g.next_birthday) AS INTEGER) AS days_to_birthday,
    coalesce(g.deceased_at <= getvariable('as_of'), FALSE) AS deceased,
    g.email_state,
    g.phone_state,
    CASE WHEN g.phone_state = 'valid' AND NOT coalesce(g.takes_texts, FALSE) THEN 'invalid' ELSE g.phone_state
    END AS text_state,
    g.postal_state,
    CASE WHEN g.email IS NOT NULL THEN blind_hash(hash_part('email') || hash_part(g.email), 32) END AS email_blind,
    CASE WHEN g.phone IS NOT NULL THEN blind_hash(hash_part('phone') || hash_part(g.phone), 32) END AS phone_blind,
    CASE WHEN g.postal IS NOT NULL THEN blind_hash(hash_part('postal') || hash_part(postal_key(g.postal)), 32)
    END AS postal_blind,
    g.openid_state,
    CASE WHEN g.openid IS NOT NULL THEN blind_hash(hash_part('openid') || hash_part(g.openid), 32) END AS openid_blind,
    g.device_token_state,
    CASE
        WHEN g.device_token IS NOT NULL THEN blind_hash(hash_part('device_token') || hash_part(g.device_token), 32)
    END AS device_token_blind,
    w.preferred_channel,
    w.quiet_from,
    w.quiet_to,
    list_filter(
        list_transform(string_split(coalesce(w.topics_off, ''), '|'), lambda topic: trim(topic)),
        lambda topic: topic <> ''
    ) AS topics_off,
    CASE WHEN g.registered_at <= getvariable('as_of') THEN g.registered_at END AS registered_at,
    e.first_encounter_at,
    e.last_encounter_at,
    e.last_discharge_at,
    CAST(coalesce(e.encounters_12m, 0) AS INTEGER) AS encounters_12m,
    CAST(coalesce(e.emergency_visits_12m, 0) AS INTEGER) AS emergency_visits_12m,
    CAST(coalesce(a.noshows_12m, 0) AS INTEGER) AS noshows_12m,
    coalesce(e.inpatient_now, FALSE) AS inpatient_now,
    e.last_department,
    a.next_appointment.start_at AS next_appointment_at,
    a.next_appointment.department AS next_appointment_department,
    a.next_appointment.service AS next_appointment_service,
    a.last_appointment_booked_at,
    coalesce(c.conditions, []) AS conditions,
    coalesce(c.conditions_ever, []) AS conditions_ever,
    coalesce(m.medications, []) AS medications,
    coalesce(p.procedures, []) AS procedures,
    coalesce(l.allergies, []) AS allergies,
    p.last_procedure_concept,
    p.last_procedure_at,
    CAST(coalesce(i.interactions_30d, 0) AS INTEGER) AS interactions_30d,
    CAST(coalesce(i.articles_read_90d, 0) AS INTEGER) AS articles_read_90d,
    n.last_nps,
    g.sources
FROM aged AS g
LEFT JOIN encounter_fact AS e USING (person_id)
LEFT JOIN appointment_fact AS a USING (person_id)
LEFT JOIN condition_fact AS c USING (person_id)
LEFT JOIN medication_fact AS m USING (person_id)
LEFT JOIN procedure_fact AS p USING (person_id)
LEFT JOIN allergy_fact AS l USING (person_id)
LEFT JOIN interaction_fact AS i USING (person_id)
LEFT JOIN nps_fact AS n USING (person_id)
LEFT JOIN preference_fact AS w USING (person_id)
ORDER BY person_id;
