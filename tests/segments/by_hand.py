"""The hand-written equivalent of a refresh: the yardstick for its rows and its time."""

from __future__ import annotations

from pathlib import Path

import duckdb

from alongside.segments import Catalogue


def refresh_by_hand(
    catalogue: Catalogue, tables: Path, out: Path, previous: Path | None, connection: duckdb.DuckDBPyConnection
) -> None:
    """Write `tag`, `membership` and `membership_change` (.parquet) as of 2026-03-01 08:00 in Shanghai."""
    out.mkdir(parents=True, exist_ok=True)
    script = (Path(__file__).parent / "handwritten.sql").read_text("utf-8").replace("{tables}", str(tables))
    connection.execute(script)
    tags = ", ".join(sorted(catalogue.tags))
    connection.execute(f"COPY (SELECT person_id, {tags} FROM hand_people) TO '{out}/tag.parquet' (COMPRESSION zstd)")
    now = " UNION ALL ".join(
        f"SELECT '{name}' AS segment, person_id FROM hand_people WHERE {name}" for name in catalogue.segments
    )
    before = (
        f"SELECT * FROM read_parquet('{previous}/membership.parquet')"
        if previous
        else "SELECT '' AS segment, '' AS person_id, NULL::TIMESTAMP AS since WHERE false"
    )
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE hand_diff AS "
        "SELECT coalesce(n.segment, b.segment) AS segment, coalesce(n.person_id, b.person_id) AS person_id, since, "
        "n.person_id IS NOT NULL AS belongs, b.person_id IS NOT NULL AS belonged "
        f"FROM ({now}) AS n FULL JOIN ({before}) AS b ON n.person_id = b.person_id AND n.segment = b.segment"
    )
    connection.execute(
        "COPY (SELECT segment, person_id, coalesce(since, TIMESTAMP '2026-03-01') AS since FROM hand_diff "
        f"WHERE belongs) TO '{out}/membership.parquet' (COMPRESSION zstd)"
    )
    connection.execute(
        "COPY (SELECT segment, person_id, if(belongs, 'entered', 'left') AS change FROM hand_diff "
        f"WHERE belongs <> belonged) TO '{out}/membership_change.parquet' (COMPRESSION zstd)"
    )
    connection.execute("SELECT segment, count(*) FROM hand_diff GROUP BY segment").fetchall()
    connection.execute("DROP TABLE hand_people; DROP TABLE hand_diff")
