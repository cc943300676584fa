-- What a metric is held against, person by person: joined to the outcome once a person, so that neither multiplies the
-- other's rows. {fact}: person_id, happened_at, value. {value}: of a person. {start} and {end}: relative to assignment.
LEFT JOIN (
    SELECT other.person_id, {value} AS value
    FROM unit AS other
    LEFT JOIN ({fact}) AS fact
        ON fact.person_id = other.person_id
        AND fact.happened_at >= other.assigned_at + {start}
        AND fact.happened_at < other.assigned_at + {end}
    GROUP BY other.person_id
) AS beside ON beside.person_id = unit.person_id
