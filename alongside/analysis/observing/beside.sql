-- What a metric is held against, unit by unit: joined to the outcome once a unit, so that neither multiplies the
-- other's rows. {fact}: person_id, happened_at, value. {value}: of a person. {start} and {end}: relative to assignment.
LEFT JOIN (
    SELECT other.unit, {value} AS value
    FROM unit AS other
    JOIN ({fact}) AS fact
        ON fact.person_id = other.person_id
        AND fact.happened_at >= other.assigned_at + {start}
        AND fact.happened_at < other.assigned_at + {end}
    GROUP BY other.unit
) AS beside ON beside.unit = unit.unit
