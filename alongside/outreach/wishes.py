"""What patients wish, in a plan: their own pages count from the moment of the wish, not from the next snapshot."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from alongside.ledger import Ledger, wishes
from alongside.model.enums import Purpose
from alongside.outreach.campaigns import Campaign
from alongside.outreach.catalogues import Catalogues
from alongside.patients import own, scripts
from alongside.segments import compile_variables
from alongside.warehouse.duck import quoted

if TYPE_CHECKING:
    import duckdb

#: What may decide about messages for people who want general information only: who they are, and what they wish.
GENERAL = frozenset({"patient", "preference", "consent"})


def lay_over(connection: duckdb.DuckDBPyConnection, tables: Path, ledger: Ledger) -> None:
    """View `person`: the snapshot's, with the ledger's wishes laid over it, and two columns of wishes alone.

    These are pace_days INTEGER (at most one message in so many days; null: the hospital's own budget) and general_only
    BOOLEAN.
    """
    connection.register("arrived", wishes.current(ledger))
    connection.execute("CREATE OR REPLACE TEMP TABLE wish AS FROM arrived")
    connection.unregister("arrived")
    sql = own.PREFERENCE_SQL.format(relation="wish")
    connection.execute(f"CREATE OR REPLACE TEMP TABLE own_preference AS {sql}")
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE preference AS"
        f" SELECT * FROM read_parquet({quoted(tables / 'preference.parquet')})"
        f" WHERE source <> '{wishes.SOURCE}' AND person_id IN (SELECT person_id FROM own_preference)"
        " UNION ALL BY NAME FROM own_preference"
    )
    scripts.run(connection, "preference_fact")
    person = quoted(tables / "person.parquet")
    connection.execute(f"CREATE OR REPLACE TEMP VIEW pictured AS SELECT * FROM read_parquet({person})")
    connection.execute(resources.files("alongside.outreach").joinpath("wishes.sql").read_text("utf-8"))


def is_selective(campaign: Campaign, catalogues: Catalogues) -> bool:
    """Whether the campaign, care aside, chooses its people or words by their health or conduct.

    That is: its segment, a segment that this one refers to, or a variable of its messages reads anything but who
    somebody is and what they wish, itself or through a tag of another level than basic.
    """
    if catalogues.content.message(campaign.message).definition.purpose is Purpose.CARE:
        return False
    segments = catalogues.segments
    trees = [segments.definition(("segment", campaign.segment)).tree]
    for message in catalogues.messages_of(campaign):
        trees += compile_variables(catalogues.variables_of(message), segments).trees.values()
    read = frozenset().union(*(segments.chooses_by(tree) for tree in trees))
    return any(name.split(".", 1)[0] not in GENERAL for name in read)
