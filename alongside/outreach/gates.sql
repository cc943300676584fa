-- One row per member of the campaign's segment, with the bit mask of every gate that closes on set-based facts.
-- Relations: audience(person_id), person (snapshot), answers(person_id, fulfilled, occurrence),
--   consent(person_id, permitted), cross_border(person_id, permitted), suppressed(blind, reason),
--   contact(person_id, address_blind, campaign, occurrence, said_at, counts), heldout(person_id).
-- {address} is the identifier that the campaign's channel needs: email or phone.
CREATE OR REPLACE TEMP TABLE candidate AS
WITH recent AS (
    SELECT person_id, count(*) AS contacts
    FROM contact
    WHERE counts AND said_at > $cap_from AND said_at <= $as_of
    GROUP BY person_id
),
same_campaign AS (
    -- `repeat_from` is the moment after which an earlier message still stands in the way; null means for ever.
    SELECT person_id, max(said_at) AS last_at, list(DISTINCT occurrence) AS occurrences
    FROM contact
    WHERE campaign = $campaign
    GROUP BY person_id
),
addressed AS (
    SELECT address_blind, min(person_id) AS person_id
    FROM contact
    WHERE campaign = $campaign AND ($repeat_from IS NULL OR said_at > $repeat_from)
    GROUP BY address_blind
),
fact AS (
    SELECT
        p.person_id,
        p.language,
        coalesce(p.time_zone, $zone) AS time_zone,
        p.quiet_from,
        p.quiet_to,
        p.age,
        p.{address}_state AS address_state,
        p.{address}_blind AS address_blind,
        coalesce(p.country, $country) AS country,
        coalesce(p.deceased, FALSE) AS deceased,
        coalesce(p.inpatient_now, FALSE) AS inpatient_now,
        list_has_any(coalesce(p.topics_off, []), $topics) AS topic_off,
        coalesce(a.fulfilled, FALSE) AS fulfilled,
        coalesce(a.occurrence, $occurrence) AS occurrence,
        c.permitted AS consented,
        b.permitted AS abroad,
        s.reason AS suppressed_because,
        coalesce(r.contacts, 0) AS recent_contacts,
        m.last_at AS last_message_at,
        CASE
            WHEN m.person_id IS NULL THEN FALSE
            WHEN $per_occurrence THEN list_contains(m.occurrences, a.occurrence)
            ELSE $repeat_from IS NULL OR m.last_at > $repeat_from
        END AS already_sent,
        d.person_id IS NOT NULL AND d.person_id <> p.person_id AS address_taken,
        h.person_id IS NOT NULL AS held_out
    FROM audience AS u
    JOIN person AS p USING (person_id)
    LEFT JOIN answers AS a USING (person_id)
    LEFT JOIN consent AS c USING (person_id)
    LEFT JOIN cross_border AS b USING (person_id)
    LEFT JOIN suppressed AS s ON s.blind = p.{address}_blind
    LEFT JOIN recent AS r USING (person_id)
    LEFT JOIN same_campaign AS m USING (person_id)
    LEFT JOIN addressed AS d ON d.address_blind = p.{address}_blind
    LEFT JOIN heldout AS h ON h.person_id = p.person_id
),
masked AS (
    SELECT
        *,
        (CASE WHEN deceased THEN $gate_deceased ELSE 0 END)
        | (CASE WHEN age IS NOT NULL AND age < $guardian_below_age THEN $gate_under_age ELSE 0 END)
        | (CASE WHEN inpatient_now AND NOT $inpatients THEN $gate_admitted ELSE 0 END)
        | (CASE WHEN fulfilled THEN $gate_fulfilled ELSE 0 END)
        | (CASE WHEN address_state = 'missing' OR address_state IS NULL THEN $gate_no_address ELSE 0 END)
        | (CASE WHEN address_state = 'invalid' THEN $gate_invalid_address ELSE 0 END)
        | (CASE WHEN consented IS NOT TRUE THEN $gate_no_consent ELSE 0 END)
        | (CASE WHEN $stores_in <> country AND country = 'CN' AND abroad IS NOT TRUE
               THEN $gate_cross_border ELSE 0 END)
        | (CASE WHEN topic_off THEN $gate_topic_off ELSE 0 END)
        | (CASE WHEN suppressed_because IS NOT NULL THEN $gate_suppressed ELSE 0 END)
        | (CASE WHEN already_sent THEN $gate_already_sent ELSE 0 END)
        | (CASE WHEN $capped AND recent_contacts >= $cap_messages THEN $gate_frequency_cap ELSE 0 END)
        | (CASE WHEN held_out THEN $gate_holdout ELSE 0 END) AS mask
    FROM fact
),
ranked AS (
    -- Marketing goes to an address once: the first open candidate by person_id keeps it.
    SELECT
        *,
        row_number() OVER (PARTITION BY address_blind, mask = 0 ORDER BY person_id) AS place
    FROM masked
)
SELECT
    * EXCLUDE (mask, place),
    mask | (CASE WHEN $one_per_address AND (address_taken OR (mask = 0 AND place > 1))
                 THEN $gate_duplicate_address ELSE 0 END) AS gates
FROM ranked
