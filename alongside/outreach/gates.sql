-- One row per member of the campaign's segment: who is written to about them, the channel that is chosen, and the bit
-- mask of every gate that closes on set-based facts on it; `routes` holds the masks of all channels, in the recipient's
-- own order. `person_id` is the patient; `recipient_id` the same, or a relative, or null where nobody may be told.
-- Relations: audience(person_id), addressee(person_id, recipient_id, relationship, turn), ward(person_id: a guardian
--   decides for them), refusing(person_id), person (snapshot), answers(person_id, fulfilled, occurrence),
--   route(channel, place, address, stores_in, countries, barred, days), consent(person_id, channel, permitted, seq,
--   decided_at), cross_border(person_id, channel, permitted), suppressed(channel, blind, reason),
--   contact(person_id, subject_id, address_blind, campaign, occurrence, said_at, counts), heldout(person_id: no
--   marketing for them), kept_without(person_id: nothing about them from this campaign),
--   unfit(person_id, recipient_id, channel, gate: what rendering said of this channel for them, see refitting.py).
CREATE OR REPLACE TEMP TABLE candidate AS
WITH recent AS (
    SELECT person_id, count_if(said_at > $cap_from) AS contacts, max(said_at) AS last_contact_at
    FROM contact
    WHERE counts AND said_at <= $as_of
    GROUP BY person_id
),
same_campaign AS (
    -- `repeat_from` is the moment after which an earlier message still stands in the way; null means for ever.
    -- It was said about the patient, whoever heard it.
    SELECT subject_id, max(said_at) AS last_at, list(DISTINCT occurrence) AS occurrences
    FROM contact
    WHERE campaign = $campaign
    GROUP BY subject_id
),
addressed AS (
    SELECT address_blind, min(subject_id) AS subject_id
    FROM contact
    WHERE campaign = $campaign AND ($repeat_from IS NULL OR said_at > $repeat_from)
    GROUP BY address_blind
),
fact AS (
    SELECT
        u.person_id,
        t.recipient_id,
        t.relationship,
        coalesce(t.turn, 1) AS turn,
        w.channel,
        -- The patient's wish first; then a call for older people who read no screens; then the order of the campaign.
        CASE
            WHEN p.preferred_channel = w.channel THEN -2
            WHEN w.channel = 'call' AND p.age >= $call_from_age AND p.preferred_channel IS NULL
                AND coalesce(p.interactions_30d, 0) = 0 THEN -1
            ELSE w.place
        END AS place,
        p.language,
        coalesce(p.time_zone, $zone) AS time_zone,
        p.quiet_from,
        p.quiet_to,
        s.age,
        CASE w.channel
            WHEN 'email' THEN p.email_state
            WHEN 'sms' THEN p.text_state
            WHEN 'wechat' THEN p.openid_state
            WHEN 'push' THEN p.device_token_state
            WHEN 'letter' THEN p.postal_state
            ELSE p.phone_state
        END AS address_state,
        reached.blind AS address_blind,
        w.stores_in,
        coalesce(p.country, $country) AS country,
        list_contains(w.barred, coalesce(p.country, $country))
        OR (w.countries IS NOT NULL AND NOT list_contains(w.countries, coalesce(p.country, $country))) AS not_carried,
        -- a letter about an appointment is there the day before it, or it is not sent (routes.arrives_in_time)
        $per_occurrence AND w.days > 0 AND coalesce(
            TRY_CAST(a.occurrence AS TIMESTAMP) > $as_of
            AND CAST(TRY_CAST(a.occurrence AS TIMESTAMP) AS DATE) <= CAST($as_of + to_days(w.days) AS DATE),
            FALSE
        ) AS too_late,
        coalesce(s.deceased, FALSE) AS deceased,
        coalesce(s.inpatient_now, FALSE) AS inpatient_now,
        d.person_id IS NOT NULL AS is_ward,
        f.person_id IS NOT NULL AND t.recipient_id <> u.person_id AS refused,
        list_has_any(coalesce(p.topics_off, []), $topics) AS topic_off,
        coalesce(a.fulfilled, FALSE) AS fulfilled,
        coalesce(a.occurrence, $occurrence) AS occurrence,
        c.permitted AS consented,
        c.seq AS consent_seq,
        c.decided_at AS consent_decided_at,
        b.permitted AS abroad,
        x.reason AS suppressed_because,
        coalesce(r.contacts, 0) AS recent_contacts,
        r.last_contact_at,
        p.pace_days,
        p.general_only,
        m.last_at AS last_message_at,
        CASE
            WHEN m.subject_id IS NULL THEN FALSE
            WHEN $per_occurrence THEN list_contains(m.occurrences, a.occurrence)
            ELSE $repeat_from IS NULL OR m.last_at > $repeat_from
        END AS already_sent,
        e.subject_id IS NOT NULL AND e.subject_id <> u.person_id AS address_taken,
        h.person_id IS NOT NULL AS held_out,
        k.person_id IS NOT NULL AS kept_without,
        coalesce(n.gate, 0) AS unfit
    FROM audience AS u
    JOIN person AS s ON s.person_id = u.person_id
    LEFT JOIN addressee AS t ON t.person_id = u.person_id
    LEFT JOIN person AS p ON p.person_id = t.recipient_id
    CROSS JOIN route AS w
    CROSS JOIN LATERAL (
        SELECT
            CASE w.address
                WHEN 'email' THEN p.email_blind
                WHEN 'openid' THEN p.openid_blind
                WHEN 'device_token' THEN p.device_token_blind
                WHEN 'postal' THEN p.postal_blind
                ELSE p.phone_blind
            END AS blind
    ) AS reached
    LEFT JOIN ward AS d ON d.person_id = u.person_id
    LEFT JOIN refusing AS f ON f.person_id = u.person_id
    LEFT JOIN answers AS a ON a.person_id = u.person_id
    LEFT JOIN consent AS c ON c.person_id = p.person_id AND c.channel = w.channel
    LEFT JOIN cross_border AS b ON b.person_id = p.person_id AND b.channel = w.channel
    LEFT JOIN suppressed AS x ON x.channel = w.channel AND x.blind = reached.blind
    LEFT JOIN recent AS r ON r.person_id = p.person_id
    LEFT JOIN same_campaign AS m ON m.subject_id = u.person_id
    LEFT JOIN addressed AS e ON e.address_blind = reached.blind
    LEFT JOIN heldout AS h ON h.person_id = p.person_id
    LEFT JOIN kept_without AS k ON k.person_id = u.person_id
    LEFT JOIN unfit AS n ON n.person_id = u.person_id AND n.recipient_id = t.recipient_id AND n.channel = w.channel
),
masked AS (
    SELECT
        *,
        (CASE WHEN deceased THEN $gate_deceased ELSE 0 END)
        | (CASE WHEN $written <> 'guardian' AND (is_ward OR coalesce(age < $guardian_below_age, FALSE))
               THEN $gate_under_age ELSE 0 END)
        | (CASE WHEN inpatient_now AND NOT $inpatients THEN $gate_admitted ELSE 0 END)
        | (CASE WHEN fulfilled THEN $gate_fulfilled ELSE 0 END)
        | (CASE WHEN recipient_id IS NULL THEN $gate_no_relative
                WHEN address_state = 'missing' OR address_state IS NULL THEN $gate_no_address ELSE 0 END)
        | (CASE WHEN address_state = 'invalid' THEN $gate_invalid_address ELSE 0 END)
        | (CASE WHEN recipient_id IS NOT NULL AND (consented IS NOT TRUE OR refused) THEN $gate_no_consent ELSE 0 END)
        | (CASE WHEN recipient_id IS NOT NULL AND stores_in <> country AND country = 'CN' AND abroad IS NOT TRUE
               THEN $gate_cross_border ELSE 0 END)
        | (CASE WHEN topic_off THEN $gate_topic_off ELSE 0 END)
        | (CASE WHEN suppressed_because IS NOT NULL THEN $gate_suppressed ELSE 0 END)
        | (CASE WHEN already_sent THEN $gate_already_sent ELSE 0 END)
        | (CASE WHEN $capped AND recent_contacts >= $cap_messages THEN $gate_frequency_cap ELSE 0 END)
        | (CASE WHEN held_out THEN $gate_holdout ELSE 0 END)
        | (CASE WHEN kept_without THEN $gate_campaign_holdout ELSE 0 END)
        | (CASE WHEN $capped AND last_contact_at > $as_of - to_days(pace_days) THEN $gate_own_pace ELSE 0 END)
        | (CASE WHEN $selective AND general_only THEN $gate_general_only ELSE 0 END)
        | (CASE WHEN not_carried THEN $gate_not_carried ELSE 0 END)
        | (CASE WHEN too_late THEN $gate_too_late ELSE 0 END)
        | unfit AS mask
    FROM fact
),
chosen AS (
    -- The first recipient and channel that are open; where none is, those on which the message got furthest.
    SELECT
        *,
        list({'channel': channel, 'gates': mask}) OVER (
            PARTITION BY person_id, recipient_id
            ORDER BY place ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
        ) AS routes
    FROM masked
    QUALIFY row_number() OVER (
        PARTITION BY person_id
        ORDER BY mask <> 0,
            CASE WHEN mask IN ($gate_not_carried, $gate_too_late) THEN -$gate_invalid_address ELSE -(mask & -mask) END,
            turn, place
    ) = 1
),
ranked AS (
    -- Marketing goes to an address once: the first open candidate by person_id keeps it.
    SELECT
        *,
        row_number() OVER (PARTITION BY channel, address_blind, mask = 0 ORDER BY person_id) AS rank
    FROM chosen
)
SELECT
    * EXCLUDE (mask, rank, place, turn, stores_in, is_ward, refused, too_late, unfit),
    mask | (CASE WHEN $one_per_address AND (address_taken OR (mask = 0 AND rank > 1))
                 THEN $gate_duplicate_address ELSE 0 END) AS gates
FROM ranked
