"""Decide for each candidate whom the gates let through: what rendering says, which arm, which key, from when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, time
from typing import TYPE_CHECKING, Any

import orjson

from alongside.model.enums import Channel, Gate, Locale
from alongside.model.ids import message_key
from alongside.outreach.approval import PlanHash
from alongside.outreach.arms import Arms
from alongside.outreach.campaigns import Campaign
from alongside.outreach.catalogues import Catalogues
from alongside.outreach.quiet_hours import earliest_send
from alongside.outreach.relations import Facts, chunks
from alongside.outreach.screening import Screen
from alongside.segments import compile_variables

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa


@dataclass(frozen=True)
class Deciding:
    """The deciding of one campaign in one DuckDB connection.

    `screen` and `digest` gather samples, findings and the plan's hash on the way.
    """

    duck: duckdb.DuckDBPyConnection
    facts: Facts
    catalogues: Catalogues
    campaign: Campaign
    arms: Arms
    screen: Screen
    digest: PlanHash

    def run(self) -> None:
        """Temp table `decided`: what rendering adds to the gates, the arm and the message key of each candidate."""
        self.duck.execute("CREATE OR REPLACE TEMP TABLE eligible AS SELECT person_id FROM candidate WHERE gates = 0")
        for number, message in enumerate(self.arms.distinct):
            expressions = self.catalogues.variables_of(message)
            evaluate(self.duck, self.catalogues, self.facts, f"variables_{number}", expressions, "eligible")
        self.duck.execute(
            "CREATE OR REPLACE TEMP TABLE decided (person_id VARCHAR, late INTEGER, variant VARCHAR, is_new BOOLEAN,"
            " message_key VARCHAR, not_before TIMESTAMP, cluster_id VARCHAR)"
        )
        self.decide("TRUE")

    def decide(self, which: str) -> None:
        """Rows of `decided` for the eligible candidates of an SQL condition on `candidate` as `c`."""
        for chunk in chunks(self.duck, self._candidates_sql(which)):
            self.duck.register("fresh", self._decide(chunk))
            self.duck.execute("INSERT INTO decided SELECT * FROM fresh")
            self.duck.unregister("fresh")

    def _candidates_sql(self, which: str) -> str:
        """Eligible candidates with the JSON of every message's variables as `v0`, `v1`, ..."""
        numbers = range(len(self.arms.distinct))
        joins = " ".join(f"JOIN variables_{number} AS t{number} USING (person_id)" for number in numbers)
        values = ", ".join(
            f"CAST({json_sql(self.catalogues, self.arms, number)} AS VARCHAR) AS v{number}" for number in numbers
        )
        unit, belongs = "NULL::VARCHAR", ""
        if self.arms.in_clusters:
            unit, belongs = "u.unit", "LEFT JOIN own_unit AS u ON u.person_id = c.person_id"
        return f"""
            SELECT c.person_id, c.recipient_id, c.channel, c.language, c.time_zone, c.quiet_from, c.quiet_to,
                   c.occurrence, {unit} AS unit, {values}
            FROM candidate AS c {joins} {belongs} WHERE c.gates = 0 AND ({which}) ORDER BY c.person_id"""

    def _decide(self, chunk: pa.Table) -> pa.Table:
        import pyarrow as pa

        secret = self.facts.ledger.info.secret
        people = chunk.column("person_id").combine_chunks()
        late = self._late_gates(chunk)
        units = chunk.column("unit") if self.arms.in_clusters else None
        assigned = self.arms.assign(secret, people, units)
        variants = assigned.column("variant").to_pylist()
        keys: list[str | None] = []
        occurrences = chunk.column("occurrence").to_pylist()
        locales = chunk.column("language").to_pylist()
        channels = chunk.column("channel").to_pylist()
        recipients = chunk.column("recipient_id").to_pylist()
        for subject, recipient, occurrence, gate in zip(people.to_pylist(), recipients, occurrences, late, strict=True):
            key = message_key(secret, recipient, subject, self.campaign.name, "-", occurrence)
            keys.append(None if gate else key)
        self.digest.add(
            (key, self.arms.messages[variant], channel, locale)
            for key, variant, channel, locale in zip(keys, variants, channels, locales, strict=True)
            if key is not None
        )
        return pa.table(
            {
                "person_id": people,
                "late": pa.array([int(gate) for gate in late], pa.int32()),
                "variant": assigned.column("variant"),
                "is_new": assigned.column("is_new"),
                "message_key": pa.array(keys, pa.string()),
                "not_before": pa.array(self._not_before(chunk), pa.timestamp("us")),
                "cluster_id": assigned.column("cluster_id"),
            }
        )

    def _late_gates(self, chunk: pa.Table) -> list[Gate]:
        """The gate that rendering any possible message closes for each candidate of the chunk."""
        late = [Gate.NONE] * chunk.num_rows
        bodies = list(zip(chunk.column("channel").to_pylist(), chunk.column("language").to_pylist(), strict=True))
        for number, message in enumerate(self.arms.distinct):
            values = [orjson.loads(text) for text in chunk.column(f"v{number}").to_pylist()]
            for channel, locale in sorted(set(bodies)):
                places = [place for place, own in enumerate(bodies) if own == (channel, locale)]
                rows = [values[place] for place in places]
                found = self.screen.gates(message, Channel(channel), Locale(locale), rows)
                for place, gate in zip(places, found, strict=True):
                    late[place] |= gate
        return late

    def _not_before(self, chunk: pa.Table) -> list[datetime | None]:
        """End of the recipients' quiet hours where the run's moment lies within them."""
        house = self.facts.settings.gates.quiet_hours
        purpose = self.catalogues.content.message(self.campaign.message).definition.purpose
        if self.campaign.urgent or purpose in house.exempt:
            return [None] * chunk.num_rows
        answers: dict[tuple[Any, ...], datetime | None] = {}
        columns = [chunk.column(name).to_pylist() for name in ("time_zone", "quiet_from", "quiet_to", "channel")]
        for key in set(zip(*columns, strict=True)):
            if not Channel(key[3]).keeps_quiet_hours:
                answers[key] = None
                continue
            start = _clock(key[1]) or house.start
            end = _clock(key[2]) or house.end
            moment = earliest_send(self.facts.as_of, key[0], start, end)
            answers[key] = None if moment == self.facts.as_of else moment.replace(tzinfo=None)
        return [answers[key] for key in zip(*columns, strict=True)]


def evaluate(
    duck: duckdb.DuckDBPyConnection,
    catalogues: Catalogues,
    facts: Facts,
    target: str,
    expressions: Mapping[str, str],
    people: str,
) -> None:
    """Temp table `target` with person_id and one column an expression, for the people of a relation."""
    if not expressions:
        duck.execute(f"CREATE OR REPLACE TEMP TABLE {target} AS SELECT person_id FROM {people}")
        return
    compiled = compile_variables(expressions, catalogues.segments)
    query = compiled.select_sql(facts.tables, facts.as_of, people)
    duck.execute(f"CREATE OR REPLACE TEMP TABLE {target} AS {query}")


def json_sql(catalogues: Catalogues, arms: Arms, number: int) -> str:
    """SQL of the JSON object of one message's variables, from its table `variables_<number>` as `t<number>`."""
    names = list(catalogues.variables_of(arms.distinct[number]))
    if not names:
        return "'{}'::JSON"
    pairs = ", ".join(f"'{name}', t{number}.\"{name}\"" for name in names)
    return f"json_object({pairs})"


def _clock(text: str | None) -> time | None:
    """`HH:MM` as a time; None where the patient set nothing readable."""
    try:
        return time.fromisoformat(text) if text else None
    except ValueError:
        return None
