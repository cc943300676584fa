-- Plain spellings, settled without a library. Each macro answers NULL for what it cannot be sure of.
CREATE OR REPLACE TEMP MACRO half_width(value) AS
    translate(value, getvariable('full_width'), getvariable('half_width'));

CREATE OR REPLACE TEMP MACRO squeezed(value) AS
    nullif(trim(regexp_replace(half_width(value), '\s+', ' ', 'g')), '');

-- ASCII (or its full-width form), common ideographs and the middle dot are their own NFKC form.
CREATE OR REPLACE TEMP MACRO plain_name(value) AS
    CASE WHEN regexp_full_match(half_width(value), '[\x20-\x7e\x{4e00}-\x{9fff}·]+') THEN squeezed(value) END;

CREATE OR REPLACE TEMP MACRO plain_email(value) AS
    CASE
        WHEN regexp_full_match(value, getvariable('email_pattern'))
            AND NOT regexp_matches(value, getvariable('email_special'))
            AND strpos(value, '@') <= 65
            AND length(value) <= 254
            AND NOT regexp_matches(value, '[^@.]{64}')
        THEN value
    END;

CREATE OR REPLACE TEMP MACRO phone_digits(value) AS
    regexp_replace(
        regexp_replace(half_width(value), '[\s().-]', '', 'g'),
        '^(?:\+|00)' || getvariable('phone_code'), ''
    );

-- `digits` as `phone_digits` leaves them
CREATE OR REPLACE TEMP MACRO plain_phone(digits) AS
    CASE
        WHEN regexp_full_match(digits, getvariable('phone_pattern')) THEN '+' || getvariable('phone_code') || digits
    END;

-- An address that no person ever typed is itself or nothing.
CREATE OR REPLACE TEMP MACRO written_by_machine(value, pattern) AS
    CASE WHEN regexp_full_match(trim(value), pattern) THEN trim(value) END;

-- What two records compare: letters only, Latin words in one order, courtesy titles left out.
CREATE OR REPLACE TEMP MACRO is_ideographic(value) AS regexp_matches(value, '[\x{3400}-\x{9fff}]');

-- What clerks write where they know no address.
CREATE OR REPLACE TEMP MACRO says_nothing(value) AS
    value IS NULL
    OR NOT regexp_matches(value, '[\pL\pN]')
    OR regexp_full_match(
        lower(value), '(?:地址)?(?:不详|不明|不祥|未知|未填|未提供|暂无|无|没有|同上|保密)|unknown|none|nil|n/?a|same|test|x+|0+'
        '|no fixed (?:abode|address)|homeless'
    );

CREATE OR REPLACE TEMP MACRO without_start(value, start) AS
    CASE WHEN is_ideographic(start) AND starts_with(value, start) THEN ltrim(substr(value, length(start) + 1), ' ,，')
    ELSE value END;

-- The same as `model.postal.postal_key`.
CREATE OR REPLACE TEMP MACRO postal_key(value) AS
    translate(value, getvariable('postal_from'), getvariable('postal_to'));

CREATE OR REPLACE TEMP MACRO name_key_of(value) AS
    nullif(
        CASE
            WHEN is_ideographic(value)
            THEN regexp_replace(regexp_replace(lower(value), '(?:先生|女士|小姐)$', ''), '[\s·.,''-]', '', 'g')
            ELSE array_to_string(
                list_sort(
                    list_filter(
                        string_split_regex(strip_accents(lower(value)), '[^\pL]+'),
                        lambda word: word NOT IN ('', 'mr', 'mrs', 'ms', 'miss', 'dr')
                    )
                ),
                ' '
            )
        END,
        ''
    );

-- `value` without blanks and hyphens; a single repeated character is how a clerk writes "unknown".
CREATE OR REPLACE TEMP MACRO national_id_of(value) AS
    CASE WHEN length(value) >= 6 AND replace(value, left(value, 1), '') <> '' THEN upper(value) END;

-- GB 11643-1999: the last character is a check digit over the first seventeen.
CREATE OR REPLACE TEMP MACRO is_checked_id(value) AS
    coalesce(
        regexp_full_match(value, '[0-9]{17}[0-9X]')
        AND substr('10X98765432', 1 + CAST(
            list_sum(
                list_transform(
                    [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2],
                    lambda weight, place: weight * TRY_CAST(substr(value, place, 1) AS INTEGER)
                )
            ) AS INTEGER) % 11, 1) = right(value, 1),
        FALSE
    );
