-- Who speaks for each group: whoever was minted first; of the new ones, the record of the most trusted source.
CREATE OR REPLACE TEMP TABLE joined AS
WITH rooted AS (
    SELECT person_id, coalesce(u.root, c.root) AS root
    FROM component AS c LEFT JOIN untangled AS u USING (person_id)
),
own AS (
    SELECT own_id, min(coalesce(t.place, 1000)) AS place, min(source) AS source, min(source_id) AS source_id
    FROM record LEFT JOIN trust AS t USING (source)
    GROUP BY own_id
),
ranked AS (
    SELECT
        g.person_id,
        g.root,
        row_number() OVER (
            PARTITION BY g.root
            ORDER BY coalesce(k.minted_at, getvariable('now')), k.person_id IS NULL,
                o.place NULLS LAST, o.source, o.source_id, g.person_id
        ) AS rank
    FROM rooted AS g
    LEFT JOIN person_known AS k ON k.person_id = g.person_id
    LEFT JOIN own AS o ON o.own_id = g.person_id
)
SELECT r.person_id, s.person_id AS survivor_id
FROM ranked AS r JOIN ranked AS s ON s.root = r.root AND s.rank = 1;
