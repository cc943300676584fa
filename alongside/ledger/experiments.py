"""What the ledger remembers of experiments: the registered definition, who is in which arm, results, the decision."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from alongside.ledger.runs import write_audit
from alongside.ledger.schema import assignment, experiment, experiment_result

if TYPE_CHECKING:
    import pyarrow as pa

    from alongside.ledger.engine import Ledger


@dataclass(frozen=True)
class Registration:
    """An experiment as it was launched."""

    experiment: str
    definition_hash: str
    definition: dict[str, Any]
    config_commit: str
    analysis_version: str
    launched_at: datetime
    exploratory_since: datetime | None
    decided_at: datetime | None
    decision: dict[str, Any] | None

    @property
    def winner(self) -> str | None:
        """The variant that everybody gets from now on: the decided one, else None while nothing is decided."""
        return str(self.decision["variant"]) if self.decision and self.decision.get("variant") else None

    @property
    def waits(self) -> str | None:
        """The variant that won and waits for a clinician, while everybody gets the control."""
        return self.decision.get("waits") if self.decision else None


def register(
    connection: Connection,
    name: str,
    definition: Mapping[str, Any],
    definition_hash: str,
    *,
    config_commit: str,
    analysis_version: str,
    at: datetime,
) -> Registration:
    """Launch the experiment, or find it launched; `at` is patient time.

    The first definition stays registered. Another hash makes the experiment exploratory from `at` on, for good: its
    result is still computed, and says that it proves nothing.
    """
    values = {
        "experiment": name,
        "definition_hash": definition_hash,
        "definition": dict(definition),
        "config_commit": config_commit,
        "analysis_version": analysis_version,
        "launched_at": at,
    }
    # Not "look, then insert": of two runs that launch it at the same time one would fail.
    insert = _insert(connection, experiment).values(**values).on_conflict_do_nothing()
    launched = connection.execute(insert.returning(experiment.c.experiment)).first() is not None
    found = read(connection, name)
    assert found is not None  # noqa: S101  # written or found in this transaction
    if launched:
        write_audit(connection, at, "system", "experiment.launch", name, {"definition_hash": definition_hash})
        return found
    if found.definition_hash != definition_hash and found.exploratory_since is None:
        row = experiment.update().where(experiment.c.experiment == name).values(exploratory_since=at)
        connection.execute(row)
        details = {"registered": found.definition_hash, "edited": definition_hash}
        write_audit(connection, at, "system", "experiment.edited", name, details)
        return replace(found, exploratory_since=at)
    return found


def read(connection: Connection, name: str) -> Registration | None:
    """The registration, or None before launch."""
    row = connection.execute(sa.select(experiment).where(experiment.c.experiment == name)).mappings().first()
    return Registration(**row) if row else None


def judged_last(connection: Connection) -> list[Registration]:
    """Experiments that the newest evaluation judged, by name; one whose file was removed is judged no more."""
    newest = sa.select(sa.func.max(experiment_result.c.as_of)).scalar_subquery()
    judged = sa.select(experiment_result.c.experiment).where(experiment_result.c.as_of == newest)
    query = sa.select(experiment).where(experiment.c.experiment.in_(judged)).order_by(experiment.c.experiment)
    return [Registration(**row) for row in connection.execute(query).mappings()]


def decide(connection: Connection, name: str, decision: Mapping[str, Any], at: datetime) -> bool:
    """Write the decision down, once: False when there already is one."""
    undecided = (experiment.c.experiment == name) & experiment.c.decided_at.is_(None)
    done = connection.execute(
        experiment.update().where(undecided).values(decided_at=at, decision=dict(decision))
    ).rowcount
    if done:
        write_audit(connection, at, "system", "experiment.decide", name, dict(decision))
    return bool(done)


def apply(
    connection: Connection, name: str, variant: str, *, by: str, reason: str, role: str | None, at: datetime
) -> bool:
    """Have everybody get this variant from the next run on, whatever was decided; False before there is a decision.

    What stood before, who changed it and why stay in the decision and in the audit trail.
    """
    found = read(connection, name)
    if found is None or found.decision is None:
        return False
    change = {"at": at.isoformat(), "by": by, "role": role, "reason": reason, "from": found.winner, "to": variant}
    decision = {
        **found.decision, "variant": variant, "waits": None, "changes": [*found.decision.get("changes", []), change],
    }  # fmt: skip
    connection.execute(experiment.update().where(experiment.c.experiment == name).values(decision=decision))
    write_audit(connection, at, by, "experiment.apply", name, change)
    return True


def save_result(
    connection: Connection, name: str, as_of: datetime, run_id: str, verdict: str, result: Mapping[str, Any]
) -> None:
    """The evaluation as of this moment; evaluating again as of the same moment replaces it."""
    found = {"run_id": run_id, "verdict": verdict, "result": dict(result)}
    insert = _insert(connection, experiment_result).values(experiment=name, as_of=as_of.astimezone(UTC), **found)
    key = (experiment_result.c.experiment, experiment_result.c.as_of)
    connection.execute(insert.on_conflict_do_update(index_elements=key, set_=found))


def _insert(connection: Connection, table: sa.Table) -> sqlite.Insert | postgresql.Insert:
    """An insert that may say what to do about a conflict."""
    return sqlite.insert(table) if connection.dialect.name == "sqlite" else postgresql.insert(table)


@dataclass(frozen=True)
class StoredResult:
    as_of: datetime
    run_id: str
    verdict: str
    result: dict[str, Any]


def results(connection: Connection, name: str) -> list[StoredResult]:
    """Every evaluation, oldest first."""
    columns = [experiment_result.c[field] for field in StoredResult.__dataclass_fields__]
    query = sa.select(*columns).where(experiment_result.c.experiment == name).order_by(experiment_result.c.as_of)
    return [StoredResult(**row) for row in connection.execute(query).mappings()]


def result_at(connection: Connection, name: str, as_of: datetime) -> StoredResult | None:
    """The evaluation as of this moment, if there was one."""
    columns = [experiment_result.c[field] for field in StoredResult.__dataclass_fields__]
    wanted = (experiment_result.c.experiment == name) & (experiment_result.c.as_of == as_of)
    row = connection.execute(sa.select(*columns).where(wanted)).mappings().first()
    return StoredResult(**row) if row else None


def shares_at(connection: Connection, name: str, at: datetime) -> dict[str, float] | None:
    """The shares that the newest evaluation before this moment gave a bandit; None before the first."""
    earlier = [item for item in results(connection, name) if item.as_of < at and item.result.get("next_shares")]
    return dict(earlier[-1].result["next_shares"]) if earlier else None


# Who was merged is followed to the last survivor; UNION (not ALL) ends even if merges ever formed a circle. Only people
# whom the question is about are followed: a hospital knows most people several times, and merged them long ago.
def _survivors_of(people: str) -> str:
    """Relation `survivor(origin, current)` of those who were merged; `people`: a query for their `person_id`."""
    return f"""
WITH RECURSIVE chain(origin, current) AS (
    SELECT person.person_id, person.survivor_id
    FROM ({people}) AS asked JOIN person ON person.person_id = asked.person_id
    WHERE person.survivor_id IS NOT NULL
    UNION
    SELECT chain.origin, person.survivor_id
    FROM chain JOIN person ON person.person_id = chain.current
    WHERE person.survivor_id IS NOT NULL
),
survivor AS (
    SELECT chain.origin, chain.current
    FROM chain JOIN person ON person.person_id = chain.current
    WHERE person.survivor_id IS NULL
)
"""


def survivors(ledger: Ledger) -> pa.Table:
    """`origin, current` of everybody who was merged with somebody: under which id they live on."""
    return ledger.read_arrow(_survivors_of("SELECT person_id FROM person") + "SELECT origin, current FROM survivor", {})


# Nearly everybody was never merged with anybody, and is read as they stand: to sort all by who they are now costs as
# much as reading them.
_ASSIGNMENTS = (
    _survivors_of("SELECT person_id FROM assignment WHERE experiment = :experiment")
    + """,
touched AS (SELECT origin AS person_id FROM survivor UNION SELECT current FROM survivor)
SELECT person_id, variant, assigned_at, channel, cluster_id
FROM assignment
WHERE experiment = :experiment AND person_id NOT IN (SELECT person_id FROM touched)
UNION ALL
SELECT person_id, variant, assigned_at, channel, cluster_id
FROM (
    SELECT
        COALESCE(survivor.current, assignment.person_id) AS person_id,
        assignment.variant,
        assignment.assigned_at,
        assignment.channel,
        assignment.cluster_id,
        ROW_NUMBER() OVER (
            PARTITION BY COALESCE(survivor.current, assignment.person_id)
            ORDER BY assignment.assigned_at, assignment.person_id
        ) AS place
    FROM touched
    JOIN assignment ON assignment.experiment = :experiment AND assignment.person_id = touched.person_id
    LEFT JOIN survivor ON survivor.origin = assignment.person_id
) AS resolved
WHERE place = 1
"""
)


def assignments(ledger: Ledger, name: str) -> pa.Table:
    """`person_id, variant, assigned_at, channel, cluster_id` of everybody in the experiment, one row a living identity.

    `cluster_id` is null where people are what was assigned. A merged person is known under the survivor's id; where
    both had an arm, the earlier one counts.
    """
    return ledger.read_arrow(_ASSIGNMENTS, {"experiment": name})


def count_of(connection: Connection, people: Collection[str]) -> int:
    """In how many experiments these records of one person have an arm."""
    query = sa.select(sa.func.count(assignment.c.experiment.distinct())).where(assignment.c.person_id.in_(people))
    return int(connection.execute(query).scalar_one())


def insert_assignments(ledger: Ledger, name: str, rows: pa.Table, run_id: str) -> int:
    """Remember new assignments: `person_id, variant, assigned_at, channel`; who has an arm keeps it.

    With `cluster_id` where households or clinics are assigned. Returns how many were new.
    """
    if rows.num_rows == 0:
        return 0
    import pyarrow as pa

    columns = ["person_id", "variant", "assigned_at", "channel", "cluster_id"]
    wanted = rows.select([name for name in columns if name in rows.column_names])
    for column, value in (("experiment", name), ("run_id", run_id)):
        wanted = wanted.append_column(column, pa.array([value], pa.string()).take(pa.array([0] * len(wanted))))
    return ledger.insert_arrow(assignment, wanted, on_conflict="ignore")


_EVENTS = (
    _survivors_of("SELECT person_id FROM message WHERE experiment = :experiment")
    + """
SELECT
    COALESCE(survivor.current, message.person_id) AS person_id,
    delivery_event.kind AS kind,
    delivery_event.occurred_at AS occurred_at
FROM message
JOIN delivery_event ON delivery_event.message_key = message.message_key
LEFT JOIN survivor ON survivor.origin = message.person_id
WHERE message.experiment = :experiment AND delivery_event.kind IN :kinds
"""
)


def events(ledger: Ledger, name: str, kinds: list[str]) -> pa.Table:
    """`person_id, kind, occurred_at` of what people (not machines) did with this experiment's messages."""
    sql = _EVENTS + " AND NOT delivery_event.machine"
    return ledger.read_arrow(sql, {"experiment": name, "kinds": kinds or [""]})


_DELIVERY = """
SELECT
    message.variant AS variant,
    COUNT(*) AS planned,
    COUNT(CASE WHEN message.accepted_at IS NOT NULL THEN 1 END) AS accepted,
    COUNT(CASE WHEN message.state = 'withheld' THEN 1 END) AS withheld,
    COUNT(heard.delivered) AS delivered,
    COUNT(heard.clicked) AS clicked,
    COUNT(heard.unsubscribed) AS unsubscribed,
    COUNT(heard.complained) AS complained,
    COUNT(heard.bounced) AS bounced
FROM message
LEFT JOIN (
    SELECT
        delivery_event.message_key AS message_key,
        MAX(CASE WHEN kind = 'delivered' THEN 1 END) AS delivered,
        MAX(CASE WHEN kind = 'click' AND NOT machine THEN 1 END) AS clicked,
        MAX(CASE WHEN kind = 'unsubscribe' AND NOT machine THEN 1 END) AS unsubscribed,
        MAX(CASE WHEN kind = 'complaint' AND NOT machine THEN 1 END) AS complained,
        MAX(CASE WHEN kind = 'bounce' THEN 1 END) AS bounced
    FROM delivery_event JOIN message AS own ON own.message_key = delivery_event.message_key
    WHERE own.experiment = :experiment
    GROUP BY delivery_event.message_key
) AS heard ON heard.message_key = message.message_key
WHERE message.experiment = :experiment
GROUP BY message.variant
ORDER BY message.variant
"""


def delivery_by_variant(ledger: Ledger, name: str) -> dict[str, dict[str, int]]:
    """Messages (not people) of each variant: planned, accepted, withheld, delivered, clicked, and so on."""
    rows = ledger.read_arrow(_DELIVERY, {"experiment": name}).to_pylist()
    return {str(row["variant"]): {key: int(value) for key, value in row.items() if key != "variant"} for row in rows}


_TEXTS = """
SELECT variant, channel, locale, COUNT(DISTINCT template_hash) AS texts
FROM message
WHERE experiment = :experiment AND planned_at <= :until
GROUP BY variant, channel, locale
HAVING COUNT(DISTINCT template_hash) > 1
"""


def edited_variants(ledger: Ledger, name: str, until: datetime) -> list[str]:
    """Variants whose text was changed while the experiment ran, among messages planned until this moment."""
    rows = ledger.read_arrow(_TEXTS, {"experiment": name, "until": until}).to_pylist()
    return sorted({str(row["variant"]) for row in rows})
