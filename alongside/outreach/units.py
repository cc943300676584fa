"""Which household or clinic everybody belongs to, for experiments that assign those instead of people."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

from alongside.outreach.experiments import Unit, cluster_id

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

#: People at one address, number or mailbox who are still taken for a household.
LARGEST_HOUSEHOLD = 8


def load_units(connection: duckdb.DuckDBPyConnection, unit: Unit) -> None:
    """Temp table `own_unit(person_id, unit)` of the people in `person`; who is missing in it has no unit.

    A clinic is the department of the next appointment, else of the last encounter. A household is everybody who
    shares a postal address, a phone number or a mailbox, whoever they share another one with included; its key is its
    first person_id. Relations between people play no part: grown-up children rarely live with their parents.
    """
    if unit is Unit.CLINIC:
        connection.execute(
            "CREATE OR REPLACE TEMP TABLE own_unit AS"
            " SELECT person_id, coalesce(next_appointment_department, last_department) AS unit FROM person"
            " WHERE coalesce(next_appointment_department, last_department) IS NOT NULL"
        )
        return
    _load_households(connection)
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE own_unit AS"
        " SELECT person_id, coalesce(h.unit, person_id) AS unit FROM person LEFT JOIN household AS h USING (person_id)"
    )


def _load_households(connection: duckdb.DuckDBPyConnection) -> None:
    """Temp table `household(person_id, unit)` of people who share something.

    The smallest id travels along bonds; asking whoever it names for theirs makes long chains short.
    """
    sql = resources.files("alongside.outreach").joinpath("households.sql").read_text("utf-8")
    connection.execute(sql, {"most": LARGEST_HOUSEHOLD})
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE household AS SELECT DISTINCT person_id, person_id AS unit FROM bond"
    )
    moved = 1
    while moved:
        connection.execute(
            """CREATE OR REPLACE TEMP TABLE nearer AS
            WITH shared AS (
                SELECT blind, min(unit) AS unit FROM bond JOIN household USING (person_id) GROUP BY blind
            ),
            named AS (SELECT person_id, min(unit) AS unit FROM bond JOIN shared USING (blind) GROUP BY person_id)
            SELECT n.person_id, h.unit, own.unit AS before
            FROM named AS n
            JOIN household AS h ON h.person_id = n.unit
            JOIN household AS own ON own.person_id = n.person_id"""
        )
        moved = int(connection.execute("SELECT count(*) FROM nearer WHERE unit <> before").fetchall()[0][0])
        connection.execute("CREATE OR REPLACE TEMP TABLE household AS SELECT person_id, unit FROM nearer")


def units_of_people(connection: duckdb.DuckDBPyConnection, people: pa.Array) -> pa.Array:
    """Distinct units (see `load_units`) of these people."""
    import pyarrow as pa

    connection.register("asked_people", pa.table({"person_id": people}))
    found = connection.sql(
        "SELECT DISTINCT unit FROM own_unit WHERE person_id IN (SELECT person_id FROM asked_people)"
    ).to_arrow_table()
    connection.unregister("asked_people")
    return found.column("unit").combine_chunks()


def households_with_an_arm(connection: duckdb.DuckDBPyConnection, existing: pa.Table) -> pa.Table:
    """`unit, variant, cluster_id` of every household in which somebody has an arm: the first one's is the others'."""
    connection.register("armed", existing)
    found = connection.sql(
        """SELECT u.unit, arg_min(a.variant, (a.assigned_at, a.person_id)) AS variant,
            arg_min(a.cluster_id, (a.assigned_at, a.person_id)) AS cluster_id
        FROM armed AS a JOIN own_unit AS u USING (person_id) WHERE a.cluster_id IS NOT NULL GROUP BY u.unit"""
    ).to_arrow_table()
    connection.unregister("armed")
    return found


def clinics_with_an_arm(
    connection: duckdb.DuckDBPyConnection, existing: pa.Table, secret: bytes, experiment: str
) -> pa.Table:
    """`unit, variant, cluster_id` of every clinic whose people have an arm, wherever those people are treated now."""
    import pyarrow as pa

    names = [row[0] for row in connection.execute("SELECT DISTINCT unit FROM own_unit").fetchall()]
    known = {"unit": names, "cluster_id": [cluster_id(secret, experiment, name) for name in names]}
    connection.register("known_clinic", pa.table({key: pa.array(values, pa.string()) for key, values in known.items()}))
    connection.register("armed", existing)
    found = connection.sql(
        """SELECT k.unit, arg_min(a.variant, (a.assigned_at, a.person_id)) AS variant, k.cluster_id
        FROM armed AS a JOIN known_clinic AS k USING (cluster_id) GROUP BY k.unit, k.cluster_id"""
    ).to_arrow_table()
    connection.unregister("armed")
    connection.unregister("known_clinic")
    return found
