-- One character apart (ideographs), or nearly the same words (letters).
CREATE OR REPLACE TEMP MACRO names_close(one, two) AS
    CASE
        WHEN one = two THEN FALSE
        WHEN is_ideographic(one) AND length(one) = length(two)
        THEN length(one) >= 2 AND 1 = len(
            list_filter(range(1, length(one) + 1), lambda place: substr(one, place, 1) <> substr(two, place, 1))
        )
        WHEN is_ideographic(one)
        THEN abs(length(one) - length(two)) = 1 AND least(length(one), length(two)) >= 2
            AND left(one, 1) = left(two, 1) AND right(one, 1) = right(two, 1)
        ELSE jaro_winkler_similarity(one, two) >= 0.92
    END;

-- Day and month exchanged, or one digit mistyped.
CREATE OR REPLACE TEMP MACRO births_close(one, two) AS
    one <> two AND (
        (year(one) = year(two) AND day(one) = month(two) AND month(one) = day(two))
        OR levenshtein(strftime(one, '%Y%m%d'), strftime(two, '%Y%m%d')) <= 1
    );
