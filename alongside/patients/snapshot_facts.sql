-- What each person's history says as of the run. Relations: the history views of the draft, all up to `as_of`.
-- Variable: as_of.
CREATE OR REPLACE TEMP TABLE encounter_fact AS
SELECT
    person_id,
    min(started_at) AS first_encounter_at,
    max(started_at) AS last_encounter_at,
    max(ended_at) FILTER (WHERE class = 'IMP' AND ended_at <= getvariable('as_of')) AS last_discharge_at,
    count_if(started_at > getvariable('as_of') - INTERVAL 12 MONTH) AS encounters_12m,
    count_if(class = 'EMER' AND started_at > getvariable('as_of') - INTERVAL 12 MONTH) AS emergency_visits_12m,
    bool_or(
        class = 'IMP' AND (ended_at IS NULL OR ended_at > getvariable('as_of'))
        AND started_at >= getvariable('as_of') - INTERVAL 60 DAY
    ) AS inpatient_now,
    arg_max(department, (started_at, source_id)) FILTER (WHERE department IS NOT NULL) AS last_department
FROM encounter GROUP BY person_id;

CREATE OR REPLACE TEMP TABLE appointment_fact AS
SELECT
    person_id,
    max(booked_at) AS last_appointment_booked_at,
    count_if(
        status = 'noshow' AND start_at > getvariable('as_of') - INTERVAL 12 MONTH AND start_at <= getvariable('as_of')
    ) AS noshows_12m,
    arg_min(
        {'start_at': start_at, 'department': department, 'service': service}, (start_at, source_id)
    ) FILTER (WHERE status = 'booked' AND start_at > getvariable('as_of')) AS next_appointment
FROM appointment GROUP BY person_id;

CREATE OR REPLACE TEMP TABLE condition_fact AS
SELECT
    person_id,
    list_sort(list(DISTINCT concept) FILTER (WHERE active)) AS conditions,
    list_sort(list(DISTINCT concept)) AS conditions_ever
FROM (
    SELECT
        person_id,
        unnest(concepts) AS concept,
        abated_at IS NULL OR abated_at > getvariable('as_of') AS active
    FROM condition
) GROUP BY person_id;

CREATE OR REPLACE TEMP TABLE medication_fact AS
SELECT person_id, list_sort(list(DISTINCT concept)) AS medications
FROM (
    SELECT person_id, unnest(concepts) AS concept
    FROM medication_request
    WHERE status = 'active' AND (ended_at IS NULL OR ended_at > getvariable('as_of'))
) GROUP BY person_id;

CREATE OR REPLACE TEMP TABLE procedure_fact AS
SELECT
    person_id,
    list_sort(list_distinct(flatten(list(concepts)))) AS procedures,
    arg_max(concepts[1], (performed_at, source_id)) FILTER (WHERE len(concepts) > 0) AS last_procedure_concept,
    max(performed_at) FILTER (WHERE len(concepts) > 0) AS last_procedure_at
FROM procedure WHERE status = 'completed' GROUP BY person_id;

CREATE OR REPLACE TEMP TABLE allergy_fact AS
SELECT person_id, list_sort(list_distinct(flatten(list(concepts)))) AS allergies
FROM allergy_intolerance GROUP BY person_id;

CREATE OR REPLACE TEMP TABLE interaction_fact AS
SELECT
    person_id,
    count_if(occurred_at > getvariable('as_of') - INTERVAL 30 DAY) AS interactions_30d,
    count_if(kind = 'article_read' AND occurred_at > getvariable('as_of') - INTERVAL 90 DAY) AS articles_read_90d
FROM interaction GROUP BY person_id;

CREATE OR REPLACE TEMP TABLE nps_fact AS
SELECT person_id, arg_max(score, (answered_at, source_id)) AS last_nps
FROM questionnaire_response
WHERE regexp_matches(lower(questionnaire), '(^|[^a-z])nps([^a-z]|$)') AND score IS NOT NULL
GROUP BY person_id;
