"""How probable it is that two records are one person, by the Fellegi-Sunter model of `splink`.

The parameters are fixed, not learned: an incremental night has too few pairs to learn from, and a probability must mean
the same tonight as last night. m (agreement among true pairs) reflects typing errors; u (agreement by chance) the
spread of the value. Names are adjusted by how frequent each name is among all records of the hospital, and the prior
falls with the number of records, so that name and birth date alone join two records of a small town and not of a
metropolis. docs/patient-identity.md holds the figures measured with them.
"""

from __future__ import annotations

import logging
from typing import Any

import duckdb

from alongside.patients import scripts

#: Chance that two random records are one person, times the number of records: each has about one partner to find.
PARTNERS = 1.0

Level = tuple[str, float, float]

_NAME: tuple[Level, ...] = (
    ("name_key_l = name_key_r", 0.85, 0.0005),
    ("names_close(name_key_l, name_key_r)", 0.11, 0.01),
    ("ELSE", 0.04, 0.9895),
)
_BIRTH: tuple[Level, ...] = (
    ("birth_date_l = birth_date_r", 0.93, 1 / 25_000),
    ("births_close(birth_date_l, birth_date_r)", 0.04, 1 / 1_500),
    ("ELSE", 0.03, 1 - 1 / 25_000 - 1 / 1_500),
)
#: Relatives share numbers and mailboxes: agreement by chance is far more frequent than one in the number of people.
_PHONE: tuple[Level, ...] = (("list_has_any(phones_l, phones_r)", 0.75, 1 / 20_000), ("ELSE", 0.25, 1 - 1 / 20_000))
_EMAIL: tuple[Level, ...] = (("list_has_any(emails_l, emails_r)", 0.8, 1 / 5_000), ("ELSE", 0.2, 1 - 1 / 5_000))
#: One in twenty true pairs of numbered records was registered twice.
_MRN: tuple[Level, ...] = (("list_has_any(mrns_l, mrns_r)", 0.95, 1 / 1_000_000), ("ELSE", 0.05, 1 - 1 / 1_000_000))
_GENDER: tuple[Level, ...] = (("gender_l = gender_r", 0.99, 0.5), ("ELSE", 0.01, 0.5))


def score(duck: duckdb.DuckDBPyConnection, records: int) -> None:
    """Temp table `scored` (`left_id, right_id, probability`) for every row of `open_pair`.

    Relations: open_pair(left_id, right_id), candidate, component. `records` counts those of the whole hospital.
    """
    from splink import DuckDBAPI, Linker
    from splink.logging import disable

    scripts.run(duck, "probability")
    api = DuckDBAPI(duck)
    linker = Linker(api.register("splink_record"), _settings(records))
    disable()  # the linker turns its own log on
    logging.getLogger("splink").setLevel(logging.ERROR)
    tables = linker.table_management
    tables.register_term_frequency_lookup(api.register("splink_name"), "name_key")
    tables.register_blocked_pairs_for_predict(api.register("splink_pair"))
    predicted = linker.inference.predict(warning_mode="never").physical_name
    duck.execute(
        "CREATE OR REPLACE TEMP TABLE scored AS SELECT own_id_l AS left_id, own_id_r AS right_id, "
        f"match_probability AS probability FROM {predicted}"
    )
    tables.delete_tables_created_by_splink_from_db()  # type: ignore[no-untyped-call]  # splink leaves it untyped


def _settings(records: int) -> dict[str, Any]:
    return {
        "link_type": "dedupe_only",
        "unique_id_column_name": "own_id",
        "probability_two_random_records_match": min(0.5, PARTNERS / max(records, 1)),
        "retain_matching_columns": False,
        "blocking_rules_to_generate_predictions": [{"blocking_rule": "l.own_id = r.own_id", "sql_dialect": "duckdb"}],
        "comparisons": [
            _comparison("name_key", _NAME, by_frequency=True),
            _comparison("birth_date", _BIRTH),
            _comparison("phones", _PHONE),
            _comparison("emails", _EMAIL),
            _comparison("mrns", _MRN),
            _comparison("gender", _GENDER),
        ],
    }


def _comparison(column: str, levels: tuple[Level, ...], *, by_frequency: bool = False) -> dict[str, Any]:
    null = f"{column}_l IS NULL OR {column}_r IS NULL"
    found: list[dict[str, Any]] = [{"sql_condition": null, "is_null_level": True}]
    for place, (condition, m, u) in enumerate(levels):
        level: dict[str, Any] = {"sql_condition": condition, "m_probability": m, "u_probability": u}
        if by_frequency and place == 0:
            level["tf_adjustment_column"] = column
        found.append(level)
    return {"output_column_name": column, "comparison_levels": found}
