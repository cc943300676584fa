-- Look-up entries of the vault for the affected people.
CREATE OR REPLACE TEMP TABLE entry AS
SELECT DISTINCT kind, blind_hash(hash_part(kind) || hash_part(value), 32) AS blind, person_id
FROM (
    SELECT person_id, unnest([
        {'kind': 'email', 'value': email},
        {'kind': 'phone', 'value': phone},
        {'kind': 'openid', 'value': openid},
        {'kind': 'device_token', 'value': device_token},
        {'kind': 'national_id', 'value': national_id},
        {'kind': 'mrn', 'value': mrn},
        {'kind': 'source:' || source, 'value': source_id}
    ], recursive := TRUE)
    FROM member
)
WHERE value IS NOT NULL;
