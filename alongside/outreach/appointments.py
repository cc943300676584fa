"""Which appointment a message is about, for the page on which a patient says whether they come."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alongside.content import ContentCatalogue
from alongside.model.enums import Locale
from alongside.outreach.relations import Facts
from alongside.warehouse.duck import quoted

if TYPE_CHECKING:
    import duckdb

#: Name under which a message's variables hold it: source, id and moment of the booking.
VARIABLE = "appointment"
#: What the JSON object of a message's variables is given, from `booked` as `b`.
MARK_SQL = (
    f", '{VARIABLE}', json_object('source', b.source, 'id', b.source_id,"
    " 'at', strftime(b.start_at, '%Y-%m-%dT%H:%M:%SZ'))"
)


def links_to_appointment(message: str, content: ContentCatalogue) -> bool:
    """Whether any body of the message prints `appointment_url`."""
    channels = content.message(message).definition.channels
    return any(
        "appointment_url" in content.compiled(message, channel, locale).reads
        for channel in channels
        for locale in Locale
    )


def load_booked(connection: duckdb.DuckDBPyConnection, facts: Facts, *, wanted: bool) -> None:
    """Temp table `booked(person_id, source, source_id, start_at)`: the next appointment of each of the audience.

    It is the one whose moment `next_appointment_at` tells. Nothing is read, and the table stays empty, unless a message
    links to it.
    """
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE booked (person_id VARCHAR, source VARCHAR, source_id VARCHAR, start_at TIMESTAMP)"
    )
    if wanted:
        source = quoted(facts.tables / "appointment.parquet")
        connection.execute(
            f"INSERT INTO booked SELECT person_id, source, source_id, start_at FROM read_parquet({source})"
            " WHERE status = 'booked' AND start_at > $as_of AND person_id IN (SELECT person_id FROM audience)"
            " QUALIFY row_number() OVER (PARTITION BY person_id ORDER BY start_at, source_id) = 1",
            {"as_of": facts.as_of.replace(tzinfo=None)},
        )
