-- What an analyst would write by hand for the shipped tags and segments, as of 2026-03-01 08:00 in Shanghai: one
-- GROUP BY a table, joined once. The refresh must give the same rows, and in not much more time.
CREATE OR REPLACE MACRO ago(n) AS TIMESTAMP '2026-02-28 16:00:00' - to_days(n);
CREATE OR REPLACE MACRO since(t) AS DATE '2026-03-01' - CAST(t + INTERVAL 8 HOUR AS DATE);

CREATE OR REPLACE TEMP TABLE hand_people AS
WITH
obs AS (
    SELECT
        person_id,
        max(value) FILTER (WHERE c = 'systolic_bp' AND t >= ago(3)) AS sbp_max_3,
        max(value) FILTER (WHERE c = 'diastolic_bp' AND t >= ago(3)) AS dbp_max_3,
        arg_max(value, t) FILTER (WHERE c = 'systolic_bp' AND context = 'clinic') AS sbp_clinic,
        arg_max(value, t) FILTER (WHERE c = 'diastolic_bp' AND context = 'clinic') AS dbp_clinic,
        max(t) FILTER (WHERE c = 'systolic_bp' AND context = 'clinic') AS sbp_clinic_at,
        count(*) FILTER (WHERE c = 'systolic_bp' AND context = 'home' AND t >= ago(7)) AS sbp_home_7,
        avg(value) FILTER (WHERE c = 'systolic_bp' AND context = 'home' AND t >= ago(7)) AS sbp_home_mean,
        avg(value) FILTER (WHERE c = 'diastolic_bp' AND context = 'home' AND t >= ago(7)) AS dbp_home_mean,
        count(*) FILTER (WHERE c = 'systolic_bp' AND context = 'home' AND t >= ago(28)) AS sbp_home_28,
        count(*) FILTER (WHERE c = 'fasting_glucose' AND context = 'home' AND t >= ago(28)) AS glu_home_28,
        count(*) FILTER (WHERE c = 'systolic_bp' AND t >= ago(365)) AS sbp_year,
        arg_max(value, t) FILTER (WHERE c = 'fasting_glucose') AS glu,
        max(t) FILTER (WHERE c = 'fasting_glucose') AS glu_at,
        max(value) FILTER (WHERE c = 'fasting_glucose' AND t >= ago(3)) AS glu_max_3,
        min(value) FILTER (WHERE c = 'fasting_glucose' AND t >= ago(3)) AS glu_min_3,
        max(t) FILTER (WHERE c = 'hba1c') AS hba1c_at,
        arg_max(value, t) FILTER (WHERE c = 'ldl_cholesterol') AS ldl,
        arg_max(value, t) FILTER (WHERE c = 'egfr') AS egfr,
        max(t) FILTER (WHERE c = 'egfr') AS egfr_at,
        arg_max(value, t) FILTER (WHERE c = 'pain_severity') AS pain,
        max(t) FILTER (WHERE c = 'pain_severity') AS pain_at
    FROM (
        SELECT person_id, unnest(concepts) AS c, value, context, effective_at AS t
        FROM read_parquet('{tables}/observation.parquet')
        WHERE value IS NOT NULL
    )
    WHERE c IN ('systolic_bp', 'diastolic_bp', 'fasting_glucose', 'hba1c', 'ldl_cholesterol', 'egfr', 'pain_severity')
    GROUP BY person_id
),
enc AS (
    SELECT
        person_id,
        max(started_at) FILTER (WHERE department = 'cardiology') AS cardiology,
        max(started_at) FILTER (WHERE department = 'general_practice') AS gp,
        max(started_at) FILTER (WHERE department = 'endocrinology') AS endocrinology,
        max(started_at) FILTER (WHERE department = 'ophthalmology') AS ophthalmology,
        max(started_at) FILTER (WHERE department = 'nephrology') AS nephrology,
        max(started_at) FILTER (WHERE department = 'obstetrics') AS obstetrics
    FROM read_parquet('{tables}/encounter.parquet')
    WHERE department IN
        ('cardiology', 'general_practice', 'endocrinology', 'ophthalmology', 'nephrology', 'obstetrics')
    GROUP BY person_id
),
act AS (
    SELECT
        person_id,
        max(occurred_at) FILTER (WHERE topic = 'joint_health') AS joints,
        max(occurred_at) FILTER (WHERE topic = 'heart_health') AS heart,
        max(occurred_at) FILTER (WHERE topic = 'hypertension') AS hypertension,
        max(occurred_at) FILTER (WHERE topic = 'nutrition') AS nutrition,
        max(occurred_at) FILTER (WHERE topic = 'sleep') AS sleep
    FROM read_parquet('{tables}/interaction.parquet')
    WHERE topic IN ('joint_health', 'heart_health', 'hypertension', 'nutrition', 'sleep')
    GROUP BY person_id
),
app AS (
    SELECT
        person_id,
        min(start_at) FILTER (WHERE ahead AND service = 'follow_up') AS follow_up,
        min(start_at) FILTER (WHERE ahead AND service = 'vaccination') AS vaccination,
        min(start_at) FILTER (WHERE ahead AND service = 'screening') AS screening,
        min(start_at) FILTER (WHERE ahead AND service = 'surgery') AS surgery,
        min(start_at) FILTER (WHERE ahead AND service = 'antenatal') AS antenatal,
        min(start_at) FILTER (WHERE ahead AND service = 'rehabilitation') AS rehabilitation,
        bool_or(service IN ('follow_up', 'consultation')) FILTER
            (WHERE status = 'noshow' AND start_at <= TIMESTAMP '2026-03-01' AND start_at >= ago(7)) AS missed
    FROM (
        SELECT *, status = 'booked' AND start_at > TIMESTAMP '2026-03-01' AS ahead
        FROM read_parquet('{tables}/appointment.parquet')
    )
    GROUP BY person_id
),
med AS (
    SELECT person_id, bool_or(ends BETWEEN ago(14) AND ago(-8) - INTERVAL 1 MICROSECOND) AS refill
    FROM (
        SELECT person_id, c, max(authored_at + to_hours(CAST(days_supply * 24 AS BIGINT))) AS ends
        FROM (
            SELECT person_id, unnest(concepts) AS c, authored_at, days_supply, status
            FROM read_parquet('{tables}/medication_request.parquet')
        )
        WHERE status = 'active' AND c IN ('antihypertensive', 'metformin', 'insulin', 'statin', 'anticoagulant')
        GROUP BY person_id, c
    )
    GROUP BY person_id
),
pro AS (
    SELECT
        person_id,
        max(performed_at) FILTER (WHERE c = 'knee_replacement') AS knee,
        max(performed_at) FILTER (WHERE c = 'cataract_surgery') AS cataract,
        max(performed_at) FILTER (WHERE c = 'colonoscopy') AS colonoscopy,
        max(performed_at) FILTER (WHERE c = 'mammography') AS mammography,
        max(performed_at) FILTER (WHERE c = 'cesarean_section') AS cesarean,
        max(performed_at) FILTER (WHERE c = 'coronary_stent') AS stent,
        max(performed_at) FILTER (WHERE c = 'rehabilitation_session') AS training
    FROM (
        SELECT person_id, unnest(concepts) AS c, performed_at
        FROM read_parquet('{tables}/procedure.parquet')
        WHERE status = 'completed'
    )
    GROUP BY person_id
),
vac AS (
    SELECT
        person_id,
        max(occurred_at) FILTER (WHERE c = 'influenza_vaccine') AS flu,
        max(occurred_at) FILTER (WHERE c = 'pneumococcal_vaccine') AS pneumo
    FROM (
        SELECT person_id, unnest(concepts) AS c, occurred_at FROM read_parquet('{tables}/immunization.parquet')
    )
    GROUP BY person_id
),
con AS (
    SELECT person_id, min(onset_at) AS diabetes
    FROM (
        SELECT person_id, unnest(concepts) AS c, onset_at, abated_at FROM read_parquet('{tables}/condition.parquet')
    )
    WHERE c = 'diabetes_type_2' AND (abated_at IS NULL OR abated_at > TIMESTAMP '2026-03-01')
    GROUP BY person_id
),
ans AS (
    SELECT person_id, max(answered_at) AS answered
    FROM read_parquet('{tables}/questionnaire_response.parquet')
    WHERE questionnaire IN ('nps', 'visit_satisfaction')
    GROUP BY person_id
),
tagged AS (
    SELECT
        p.* EXCLUDE (last_nps),
        obs.* EXCLUDE (person_id),
        enc.* EXCLUDE (person_id),
        act.* EXCLUDE (person_id),
        app.* EXCLUDE (person_id),
        pro.* EXCLUDE (person_id),
        pneumo,
        diabetes,
        answered,
        NOT deceased AND NOT inpatient_now AS at_home,
        coalesce(age < 14, false) AS child,
        coalesce(age BETWEEN 18 AND 59, false) AS working_age,
        coalesce(age >= 60, false) AS senior,
        language = 'en' AS english_reader,
        email_state = 'valid' AS reachable_by_email,
        coalesce(since(registered_at) BETWEEN 0 AND 90, false) AS newly_registered,
        CASE WHEN age < 14 THEN 'child' WHEN age < 35 THEN 'young' WHEN age < 60 THEN 'middle' ELSE 'older' END
            AS life_phase,
        list_contains(conditions, 'hypertension') AS hypertensive,
        list_contains(conditions, 'diabetes_type_2') AS diabetic,
        list_has_any(
            conditions,
            ['hypertension', 'diabetes_type_2', 'coronary_heart_disease', 'heart_failure', 'atrial_fibrillation',
             'stroke', 'copd', 'asthma', 'chronic_kidney_disease']
        ) AS chronic_patient,
        len(conditions) >= 3 AS multimorbid,
        CASE WHEN age >= 65 THEN 150 ELSE 140 END AS bp_limit,
        coalesce(
            list_contains(conditions, 'hypertension') AND (
                (since(sbp_clinic_at) <= 180
                    AND (sbp_clinic >= CASE WHEN age >= 65 THEN 150 ELSE 140 END OR dbp_clinic >= 90))
                OR (sbp_home_7 >= 6 AND (round(sbp_home_mean, 6) >= 135 OR round(dbp_home_mean, 6) >= 85))
            ),
            false
        ) AS bp_uncontrolled,
        coalesce(sbp_max_3 >= 180 OR dbp_max_3 >= 110, false) AS bp_emergency,
        coalesce(list_contains(conditions, 'diabetes_type_2') AND since(glu_at) <= 180 AND glu >= 7, false)
            AS glucose_uncontrolled,
        coalesce(glu_max_3 >= 16.7 OR glu_min_3 <= 3.9, false) AS glucose_emergency,
        CASE
            WHEN list_contains(conditions_ever, 'coronary_heart_disease') OR list_contains(conditions_ever, 'stroke')
                OR list_contains(procedures, 'coronary_stent') THEN 'very high'
            WHEN list_has_all(conditions, ['hypertension', 'diabetes_type_2']) OR ldl >= 4.9 THEN 'high'
            WHEN list_has_any(conditions, ['hypertension', 'diabetes_type_2', 'hyperlipidemia']) THEN 'raised'
            ELSE 'usual'
        END AS heart_risk,
        coalesce(
            list_contains(conditions, 'chronic_kidney_disease') OR (since(egfr_at) <= 365 AND egfr < 60), false
        ) AS kidney_watch,
        list_contains(conditions, 'pregnancy') AS expecting,
        list_contains(medications, 'anticoagulant') AS on_anticoagulant,
        interactions_30d >= 3 AS active_online,
        articles_read_90d >= 3 AS engaged_reader,
        coalesce(sbp_home_28 >= 4 OR glu_home_28 >= 4, false) AS measures_at_home,
        noshows_12m >= 2 AS misses_appointments,
        encounters_12m >= 6 AS frequent_visitor,
        emergency_visits_12m >= 2 AS uses_emergency,
        coalesce(since(last_encounter_at) > 365, false) AS away_for_a_year,
        CASE WHEN last_nps >= 9 THEN 'promoter' WHEN last_nps >= 7 THEN 'passive' WHEN last_nps >= 0 THEN 'detractor' END
            AS nps_group,
        coalesce(flu >= ago(300), false) AS flu_given,
        coalesce(refill, false) AS needs_refill,
        coalesce(knee >= ago(100), false) AS needs_knee_exercises,
        coalesce(joints >= ago(60), false) AS interested_in_joints,
        coalesce(heart >= ago(60) OR hypertension >= ago(60), false) AS interested_in_heart,
        coalesce(nutrition >= ago(60), false) AND NOT list_contains(topics_off, 'nutrition') AS interested_in_nutrition,
        list_contains(conditions, 'diabetes_type_2') AND NOT coalesce(ophthalmology >= ago(365), false)
            AS needs_eye_check
    FROM read_parquet('{tables}/person.parquet') AS p
    LEFT JOIN obs USING (person_id)
    LEFT JOIN enc USING (person_id)
    LEFT JOIN act USING (person_id)
    LEFT JOIN app USING (person_id)
    LEFT JOIN med USING (person_id)
    LEFT JOIN pro USING (person_id)
    LEFT JOIN vac USING (person_id)
    LEFT JOIN con USING (person_id)
    LEFT JOIN ans USING (person_id)
),
needing AS (
    SELECT
        *,
        (senior OR chronic_patient OR expecting) AND NOT flu_given AS needs_flu_vaccine,
        kidney_watch AND NOT coalesce(nephrology >= ago(180), false) AS needs_kidney_care,
        next_appointment_department AS nextdep,
        greatest(cardiology, gp) AS heart_or_gp,
        greatest(endocrinology, gp) AS endo_or_gp
    FROM tagged
),
due AS (
    SELECT
        *,
        at_home AND hypertensive AND age >= 35 AND (
            (coalesce(since(sbp_clinic_at), 999) > 80 AND NOT coalesce(heart_or_gp >= ago(80), false))
            OR (bp_uncontrolled AND NOT coalesce(heart_or_gp >= ago(14), false))
        ) AND follow_up IS NULL AND coalesce(nextdep NOT IN ('cardiology', 'general_practice'), true)
            AS hypertension_follow_up_due,
        at_home AND diabetic AND (
            (coalesce(since(greatest(hba1c_at, glu_at)), 999) > 80 AND NOT coalesce(endo_or_gp >= ago(80), false))
            OR (glucose_uncontrolled AND NOT coalesce(endo_or_gp >= ago(30), false))
        ) AND follow_up IS NULL AND coalesce(nextdep NOT IN ('endocrinology', 'general_practice'), true)
            AS diabetes_review_due,
        at_home AND nps_group = 'detractor' AND coalesce(answered >= ago(90), false) AS service_recovery
    FROM needing
)
SELECT
    *,
    at_home AND needs_flu_vaccine AND vaccination IS NULL AS flu_vaccine_due,
    at_home AND age BETWEEN 1 AND 4 AND NOT flu_given AND vaccination IS NULL AS child_flu_vaccine_due,
    at_home AND (age >= 65 OR list_has_any(conditions, ['copd', 'asthma', 'heart_failure'])) AND pneumo IS NULL
        AND vaccination IS NULL AS pneumococcal_vaccine_due,
    at_home AND age BETWEEN 45 AND 75 AND NOT coalesce(colonoscopy >= ago(3650), false)
        AND NOT list_contains(conditions_ever, 'colorectal_cancer') AND screening IS NULL AS colorectal_screening_due,
    at_home AND gender = 'female' AND age BETWEEN 45 AND 69 AND NOT coalesce(mammography >= ago(730), false)
        AND NOT list_contains(conditions_ever, 'breast_cancer') AND screening IS NULL AS mammography_due,
    at_home AND age >= 35 AND NOT list_contains(conditions_ever, 'hypertension') AND coalesce(sbp_year, 0) = 0
        AS blood_pressure_check_due,
    at_home AND (list_contains(conditions, 'prediabetes') OR (glu BETWEEN 6.1 AND 6.9 AND since(glu_at) <= 365))
        AND NOT list_contains(conditions_ever, 'diabetes_type_2') AS prediabetes_lifestyle,
    at_home AND age BETWEEN 25 AND 59 AND NOT chronic_patient AND greatest(sleep, nutrition) >= ago(90)
        AND NOT list_has_all(topics_off, ['sleep', 'nutrition']) AS office_workers,
    at_home AND senior AND heart_risk <> 'usual' AND NOT coalesce(heart >= ago(30), false)
        AND NOT list_contains(topics_off, 'heart_health') AS older_people_heart_health,
    at_home AND age >= 60 AND list_contains(conditions, 'knee_osteoarthritis')
        AND ((pain >= 7 AND since(pain_at) <= 180) OR interested_in_joints)
        AND NOT list_contains(procedures, 'knee_replacement') AND surgery IS NULL AS knee_replacement_candidates,
    at_home AND list_contains(conditions, 'cataract') AND NOT list_contains(procedures, 'cataract_surgery')
        AND surgery IS NULL AS cataract_surgery_candidates,
    at_home AND list_contains(conditions, 'gallstones') AND (emergency_visits_12m >= 1 OR encounters_12m >= 3)
        AND NOT list_contains(procedures, 'cholecystectomy') AND surgery IS NULL AS gallstone_options,
    at_home AND since(diabetes) <= 90 AS newly_diagnosed_diabetes,
    NOT deceased AND surgery < ago(-8) AS pre_op_checklist,
    at_home AND needs_refill AND NOT coalesce(follow_up < ago(-15), false) AS medication_refill_due,
    at_home AND expecting AND coalesce(since(obstetrics), 999) > 28 AND antenatal IS NULL AS antenatal_visit_due,
    at_home AND since(next_appointment_at) = -1 AS appointment_tomorrow,
    at_home AND missed AND next_appointment_at IS NULL AS missed_appointment,
    at_home AND since(knee) BETWEEN 1 AND 10 AS knee_rehab_week_1,
    at_home AND since(knee) BETWEEN 11 AND 42 AS knee_rehab_month_1,
    at_home AND since(knee) BETWEEN 43 AND 100 AS knee_rehab_month_3,
    at_home AND since(stent) BETWEEN 7 AND 180 AND NOT coalesce(training >= ago(30), false) AND rehabilitation IS NULL
        AS cardiac_rehab,
    at_home AND since(cataract) BETWEEN 1 AND 30 AS cataract_recovery,
    at_home AND gender = 'female'
        AND (since(cesarean) BETWEEN 35 AND 49
            OR (last_department = 'obstetrics' AND since(last_discharge_at) BETWEEN 35 AND 49))
        AND coalesce(nextdep <> 'obstetrics', true) AS new_mothers_day_42,
    NOT deceased AND NOT inpatient_now AND bp_emergency AS hypertension_urgent_review,
    at_home AND needs_eye_check AND coalesce(nextdep <> 'ophthalmology', true) AS diabetes_eye_check_due,
    at_home AND needs_kidney_care AND coalesce(nextdep <> 'nephrology', true) AS kidney_review_due,
    at_home AND age >= 14 AND since(last_encounter_at) BETWEEN 1 AND 7 AND NOT coalesce(answered >= ago(90), false)
        AS satisfaction_survey_due,
    at_home AND away_for_a_year AND chronic_patient AND next_appointment_at IS NULL
        AND NOT coalesce(hypertension_follow_up_due, false) AND NOT coalesce(diabetes_review_due, false)
        AS lapsed_patients,
    at_home AND age >= 18 AND days_to_birthday = 0 AND NOT coalesce(service_recovery, false) AS birthday_today
FROM due;
