-- Temp table `bond(person_id, blind)`: living people who share an address with few others, one row an address.
-- Relation: person. $most: an address of more people is a home for the old, a firm or a placeholder, not a household.
CREATE OR REPLACE TEMP TABLE bond AS
SELECT person_id, blind
FROM (
    SELECT person_id, unnest([postal_blind, email_blind, phone_blind]) AS blind
    FROM person
    WHERE NOT coalesce(deceased, FALSE)
)
WHERE blind IS NOT NULL
QUALIFY count(*) OVER (PARTITION BY blind) BETWEEN 2 AND $most
