"""What patients told Alongside itself, as rows of the canonical tables: beside what the hospital's systems know."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from alongside.ledger import Ledger, appointments, surveys, wishes
from alongside.patients import scripts

if TYPE_CHECKING:
    import duckdb

#: Canonical tables that have rows of our own, in temp tables `own_<table>`, by `person_id`.
TABLES = ("preference", "questionnaire_response", "interaction")
#: Columns of `preference` from a relation of wishes.
PREFERENCE_SQL = f"""
    SELECT
        person_id, '{wishes.SOURCE}' AS source, kind AS source_id, decided_at AS updated_at,
        CASE WHEN kind = 'channel' THEN value END AS channel,
        CASE WHEN kind = 'language' THEN value END AS language,
        CASE WHEN kind = 'quiet' THEN string_split(value, '/')[1] END AS quiet_from,
        CASE WHEN kind = 'quiet' THEN string_split(value, '/')[-1] END AS quiet_to,
        CASE WHEN kind = 'topics_off' THEN value END AS topics_off
    FROM {{relation}} WHERE kind IN ('channel', 'language', 'quiet', 'topics_off')"""

#: One row a question: its name is the questionnaire's.
_RESPONSES = f"""
    SELECT
        person_id, '{wishes.SOURCE}' AS source, message_key || ':' || name AS source_id, name AS questionnaire,
        CAST(json_extract(scores, '$.' || name) AS DOUBLE) AS score, answered_at
    FROM (SELECT *, unnest(json_keys(scores)) AS name FROM answered) WHERE TRUE"""

#: What a patient answers about an appointment is something that they did on our pages.
_INTERACTIONS = f"""
    SELECT
        person_id, '{wishes.SOURCE}' AS source, CAST(seq AS VARCHAR) AS source_id,
        CASE answer WHEN 'confirm' THEN 'appointment_confirmed' ELSE 'appointment_cancelled' END AS kind,
        answered_at AS occurred_at
    FROM answered WHERE TRUE"""


def load(duck: duckdb.DuckDBPyConnection, ledger: Ledger, as_of: datetime) -> None:
    """Temp tables `own_<table>` of what was said by the moment, by people whom an extract describes (view `mapped`)."""
    duck.register("wished", wishes.current(ledger, as_of))
    described = "person_id IN (SELECT person_id FROM mapped)"
    sql = PREFERENCE_SQL.format(relation="wished")
    duck.execute(f"CREATE OR REPLACE TEMP TABLE own_preference AS {sql} AND {described}")
    duck.unregister("wished")
    duck.register("answered", surveys.answers(ledger, as_of))
    duck.execute(f"CREATE OR REPLACE TEMP TABLE own_questionnaire_response AS {_RESPONSES} AND {described}")
    duck.unregister("answered")
    duck.register("answered", appointments.answers(ledger, as_of))
    duck.execute(f"CREATE OR REPLACE TEMP TABLE own_interaction AS {_INTERACTIONS} AND {described}")
    duck.unregister("answered")


def union_sql(table: str) -> str:
    """What follows a query of the table's rows, so that ours come with them."""
    return f"UNION ALL BY NAME FROM own_{table}" if table in TABLES else ""


def rows(duck: duckdb.DuckDBPyConnection, table: str) -> int:
    """How many rows of the table are ours."""
    return scripts.count(duck, f"SELECT count(*) FROM own_{table}") if table in TABLES else 0
