"""Plan one campaign: audience -> gates -> rendered and linted -> assigned -> intentions in the ledger."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from sqlalchemy.engine import Connection

from alongside.ledger import Ledger
from alongside.ledger import experiments as registrations
from alongside.ledger import runs as run_store
from alongside.ledger.approvals import standing_approval
from alongside.ledger.messages import plan_batches
from alongside.ledger.pauses import active_pauses
from alongside.ledger.runs import RunPins
from alongside.model.enums import DeliveryMode, Gate, Locale
from alongside.model.errors import Refused
from alongside.model.ids import message_key
from alongside.outreach.approval import PlanHash, configuration_hash, objections
from alongside.outreach.arms import Arms
from alongside.outreach.campaign_plan import CampaignPlan
from alongside.outreach.campaigns import Campaign
from alongside.outreach.catalogues import Catalogues
from alongside.outreach.experiments import ExperimentDefinition, design
from alongside.outreach.gates import GateInput, close_gates, funnel_of
from alongside.outreach.quiet_hours import earliest_send
from alongside.outreach.relations import CHUNK, Facts, choose_audience, chunks, load_relations, open_snapshot
from alongside.outreach.screening import Screen
from alongside.segments import compile_variables, failed_fields
from alongside.settings import HospitalSettings
from alongside.warehouse import Snapshot, Warehouse
from alongside.warehouse.duck import quoted

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

#: Version of the analysis that an experiment is registered with at launch.
ANALYSIS_VERSION = "1"


@dataclass(frozen=True)
class Planner:
    """Plans the campaigns of one run on one snapshot.

    `commit=False` writes nothing to the ledger: the same plan, for people to read.
    """

    ledger: Ledger
    warehouse: Warehouse
    snapshot: Snapshot
    settings: HospitalSettings
    catalogues: Catalogues
    run: RunPins
    folder: Path
    partitions: int = 1

    @property
    def facts(self) -> Facts:
        return Facts(self.snapshot.path / "tables", self.ledger, self.settings, self.run.as_of, self.folder)

    def plan(self, campaign: Campaign, now: datetime, *, commit: bool) -> CampaignPlan:
        """Plan one campaign; once planned in a run, the same plan is returned again and nothing is written."""
        if commit and (known := self._known(campaign)) is not None:
            return known
        config_hash = configuration_hash(campaign, self.catalogues, self.settings)
        plan = CampaignPlan(campaign.name, "planned", config_hash=config_hash)
        if stop := self._stop(campaign):
            plan = replace(plan, state=stop[0], reason=stop[1])
            if commit:
                self._record(plan, now)
            return plan
        with self.warehouse.connect() as connection:
            plan = self._decide(connection, campaign, plan, now, commit=commit)
        return plan

    # ----------------------------------------------------------------------------------------------- before deciding
    def _known(self, campaign: Campaign) -> CampaignPlan | None:
        with self.ledger.begin() as connection:
            row = run_store.read_campaign_plan(connection, self.run.run_id, campaign.name)
        if row is None or row["state"] not in ("planned", "dispatched"):
            return None
        decisions = self._decisions(campaign)
        return CampaignPlan(
            campaign.name,
            "planned",
            funnel=dict(row["funnel"]),
            plan_hash=row["plan_hash"] or "",
            decisions=str(decisions) if decisions.exists() else "",
        )

    def _stop(self, campaign: Campaign) -> tuple[str, str] | None:
        """Why the campaign is not planned at all in this run."""
        from zoneinfo import ZoneInfo

        day = self.run.as_of.astimezone(ZoneInfo(self.settings.hospital.time_zone)).date()
        if not campaign.window.holds(day):
            return "closed", f"{day} lies outside its window"
        failed = self.snapshot.manifest.get("quality", {}).get("failed_fields", {})
        if fields := failed_fields(self.catalogues.reads(campaign), failed):
            because = "; ".join(f"{name} failed {failed[name]}" for name in fields[:5])
            return "blocked", f"it reads data that failed validation: {because}"
        with self.ledger.begin() as connection:
            pauses = active_pauses(connection)
        for scope in ("all", f"channel:{campaign.channel.value}", f"campaign:{campaign.name}"):
            if scope in pauses:
                return "paused", f"{scope}: {pauses[scope]}"
        return None

    # ------------------------------------------------------------------------------------------------------ deciding
    def _decide(
        self, duck: duckdb.DuckDBPyConnection, campaign: Campaign, plan: CampaignPlan, now: datetime, *, commit: bool
    ) -> CampaignPlan:
        purpose = self.catalogues.content.message(campaign.message).definition.purpose
        topics = tuple(self.catalogues.content.message(campaign.message).definition.topics)
        open_snapshot(duck, self.facts.tables)
        audience = choose_audience(duck, campaign.segment)
        load_relations(duck, self.facts, campaign, purpose)
        self._answers(duck, campaign)
        close_gates(duck, GateInput(campaign, purpose, topics, self.run.as_of), self.settings)
        arms = self._arms(campaign)
        screen = Screen(self.catalogues.content, campaign.channel)
        digest = PlanHash()
        self._screen_and_assign(duck, campaign, arms, screen, digest)
        plan = replace(
            plan,
            **self._counts(duck),
            plan_hash=digest.hex,
            samples=tuple(screen.samples.values()),
            findings=dict(screen.findings),
            **self._delta(duck, campaign),
        )
        plan = replace(plan, cost=plan.funnel["planned"] * campaign.cost_per_message)
        plan = self._approve(campaign, arms, plan, now)
        assert plan.funnel["audience"] == audience, "every member of the segment is counted once"  # noqa: S101
        if commit:
            plan = replace(plan, decisions=str(self._write_decisions(duck, campaign)))
            self._commit(duck, campaign, arms, plan, now)
        return plan

    def _answers(self, duck: duckdb.DuckDBPyConnection, campaign: Campaign) -> None:
        """Temp table `answers`: what the campaign's own expressions say of each candidate."""
        expressions = self.catalogues.expressions_of(campaign)
        self._evaluate(duck, "asked", expressions, "audience")
        columns = {
            "occurrence": "CAST(occurrence AS VARCHAR)" if "occurrence" in expressions else "NULL::VARCHAR",
            "fulfilled": "fulfilled" if "fulfilled" in expressions else "FALSE",
        }
        chosen = ", ".join(f"{sql} AS {name}" for name, sql in columns.items())
        duck.execute(f"CREATE OR REPLACE TEMP TABLE answers AS SELECT person_id, {chosen} FROM asked")

    def _evaluate(
        self, duck: duckdb.DuckDBPyConnection, target: str, expressions: Mapping[str, str], people: str
    ) -> None:
        """Temp table `target` with person_id and one column an expression, for the people of a relation."""
        if not expressions:
            duck.execute(f"CREATE OR REPLACE TEMP TABLE {target} AS SELECT person_id FROM {people}")
            return
        compiled = compile_variables(expressions, self.catalogues.segments)
        query = compiled.select_sql(self.facts.tables, self.run.as_of, people)
        duck.execute(f"CREATE OR REPLACE TEMP TABLE {target} AS {query}")

    def _arms(self, campaign: Campaign) -> Arms:
        experiment = self.catalogues.experiment_of(campaign.name)
        if experiment is None:
            return Arms(None, {"": campaign.message}, None, launched=False)
        with self.ledger.begin() as connection:
            registration = registrations.read(connection, experiment.name)
        if registration is not None and registration.winner in experiment.messages:
            return Arms(None, {"": experiment.messages[registration.winner]}, None, launched=True)
        existing = registrations.assignments(self.ledger, experiment.name)
        return Arms(experiment, dict(experiment.messages), existing, launched=registration is not None)

    def _screen_and_assign(
        self,
        duck: duckdb.DuckDBPyConnection,
        campaign: Campaign,
        arms: Arms,
        screen: Screen,
        digest: PlanHash,
    ) -> None:
        """Temp table `decided`: what rendering adds to the gates, the arm and the message key of each candidate."""
        duck.execute("CREATE OR REPLACE TEMP TABLE eligible AS SELECT person_id FROM candidate WHERE gates = 0")
        for number, message in enumerate(arms.distinct):
            self._evaluate(duck, f"variables_{number}", self.catalogues.variables_of(message), "eligible")
        duck.execute(
            "CREATE OR REPLACE TEMP TABLE decided (person_id VARCHAR, late INTEGER, variant VARCHAR, is_new BOOLEAN,"
            " message_key VARCHAR, not_before TIMESTAMP)"
        )
        for chunk in chunks(duck, self._candidates_sql(arms)):
            decided = self._decide_chunk(chunk, campaign, arms, screen, digest)
            duck.register("fresh", decided)
            duck.execute("INSERT INTO decided SELECT * FROM fresh")
            duck.unregister("fresh")

    def _candidates_sql(self, arms: Arms) -> str:
        """Eligible candidates with the JSON of every message's variables as `v0`, `v1`, ..."""
        joins = " ".join(
            f"JOIN variables_{number} AS t{number} USING (person_id)" for number in range(len(arms.distinct))
        )
        values = ", ".join(
            f"CAST({self._json_sql(number, arms)} AS VARCHAR) AS v{number}" for number in range(len(arms.distinct))
        )
        return f"""
            SELECT c.person_id, c.language, c.time_zone, c.quiet_from, c.quiet_to, c.occurrence, {values}
            FROM candidate AS c {joins} WHERE c.gates = 0 ORDER BY c.person_id"""

    def _json_sql(self, number: int, arms: Arms) -> str:
        names = list(self.catalogues.variables_of(arms.distinct[number]))
        if not names:
            return "'{}'::JSON"
        pairs = ", ".join(f"'{name}', t{number}.\"{name}\"" for name in names)
        return f"json_object({pairs})"

    def _decide_chunk(
        self, chunk: pa.Table, campaign: Campaign, arms: Arms, screen: Screen, digest: PlanHash
    ) -> pa.Table:
        import pyarrow as pa

        people = chunk.column("person_id").combine_chunks()
        late = self._late_gates(chunk, arms, screen)
        variants, is_new = arms.variants(self.ledger.info.secret, people)
        keys: list[str | None] = []
        occurrences = chunk.column("occurrence").to_pylist()
        locales = chunk.column("language").to_pylist()
        for person, occurrence, gate in zip(people.to_pylist(), occurrences, late, strict=True):
            key = message_key(self.ledger.info.secret, person, person, campaign.name, "-", occurrence)
            keys.append(None if gate else key)
        digest.add(
            (key, arms.messages[variant], locale)
            for key, variant, locale in zip(keys, variants, locales, strict=True)
            if key is not None
        )
        return pa.table(
            {
                "person_id": people,
                "late": pa.array([int(gate) for gate in late], pa.int32()),
                "variant": pa.array(variants, pa.string()),
                "is_new": pa.array(is_new, pa.bool_()),
                "message_key": pa.array(keys, pa.string()),
                "not_before": pa.array(self._not_before(chunk, campaign), pa.timestamp("us")),
            }
        )

    def _late_gates(self, chunk: pa.Table, arms: Arms, screen: Screen) -> list[Gate]:
        """The gate that rendering any possible message closes for each candidate of the chunk."""
        late = [Gate.NONE] * chunk.num_rows
        locales = chunk.column("language").to_pylist()
        for number, message in enumerate(arms.distinct):
            values = [orjson.loads(text) for text in chunk.column(f"v{number}").to_pylist()]
            for locale in sorted(set(locales)):
                places = [place for place, own in enumerate(locales) if own == locale]
                found = screen.gates(message, Locale(locale), [values[place] for place in places])
                for place, gate in zip(places, found, strict=True):
                    late[place] |= gate
        return late

    def _not_before(self, chunk: pa.Table, campaign: Campaign) -> list[datetime | None]:
        """End of the recipients' quiet hours where the run's moment lies within them."""
        house = self.settings.gates.quiet_hours
        purpose = self.catalogues.content.message(campaign.message).definition.purpose
        if campaign.urgent or purpose in house.exempt:
            return [None] * chunk.num_rows
        answers: dict[tuple[Any, ...], datetime | None] = {}
        columns = [chunk.column(name).to_pylist() for name in ("time_zone", "quiet_from", "quiet_to")]
        for key in set(zip(*columns, strict=True)):
            start = _clock(key[1]) or house.start
            end = _clock(key[2]) or house.end
            moment = earliest_send(self.run.as_of, key[0], start, end)
            answers[key] = None if moment == self.run.as_of else moment.replace(tzinfo=None)
        return [answers[key] for key in zip(*columns, strict=True)]

    # ------------------------------------------------------------------------------------------------------ counting
    def _counts(self, duck: duckdb.DuckDBPyConnection) -> dict[str, Any]:
        """Funnel, gates and variants from `candidate` and `decided`."""
        duck.execute(
            "CREATE OR REPLACE TEMP TABLE outcome AS SELECT c.*, d.variant, d.is_new, d.message_key, d.not_before,"
            " c.gates | coalesce(d.late, 0) AS mask FROM candidate AS c LEFT JOIN decided AS d USING (person_id)"
        )
        masks = {
            int(mask): int(n) for mask, n in duck.execute("SELECT mask, count(*) FROM outcome GROUP BY 1").fetchall()
        }
        funnel = funnel_of(masks)
        funnel["planned"] = funnel.pop("eligible")
        gates = {
            gate.name.lower(): stopped
            for gate in Gate
            if gate.name and (stopped := sum(n for mask, n in masks.items() if mask & gate))
        }
        rows = duck.execute("SELECT variant, count(*) FROM outcome WHERE mask = 0 GROUP BY 1 ORDER BY 1").fetchall()
        return {"funnel": funnel, "gates": gates, "variants": {name or "all": int(n) for name, n in rows}}

    def _delta(self, duck: duckdb.DuckDBPyConnection, campaign: Campaign) -> dict[str, Any]:
        """Who entered and left the segment with this snapshot, and what the campaign planned last time."""
        changes = quoted(self.facts.tables / "membership_change.parquet")
        rows = duck.execute(
            f"SELECT change, count(*) FROM read_parquet({changes}) WHERE segment = $segment GROUP BY 1",
            {"segment": campaign.segment},
        ).fetchall()
        moved = {str(change): int(n) for change, n in rows}
        with self.ledger.begin() as connection:
            before = run_store.last_planned(connection, campaign.name, self.run.as_of)
        previous = None if before is None else int(before["funnel"].get("planned", 0))
        return {"entered": moved.get("entered", 0), "left": moved.get("left", 0), "previous": previous}

    def _approve(self, campaign: Campaign, arms: Arms, plan: CampaignPlan, now: datetime) -> CampaignPlan:
        """The plan as it is, or held with every reason why it needs a person."""
        with self.ledger.begin() as connection:
            approval = standing_approval(connection, campaign.name, plan.config_hash, now)
        found = objections(
            campaign, DeliveryMode(self.run.mode), approval, plan.plan_hash, plan.funnel["planned"], plan.previous
        )
        if arms.experiment is not None and not arms.launched:
            found += self._launch_gate(arms.experiment, plan)
        return replace(plan, state="held", reason="; ".join(found)) if found else plan

    @staticmethod
    def _launch_gate(experiment: ExperimentDefinition, plan: CampaignPlan) -> list[str]:
        """An experiment that could not find its effect is not launched: it would only cost patients' attention."""
        per_day = plan.entered if plan.previous is not None else 0
        try:
            design(experiment, plan.funnel["planned"], per_day).require_powered()
        except Refused as refusal:
            return [str(refusal)]
        return []

    # ------------------------------------------------------------------------------------------------------- writing
    def _decisions(self, campaign: Campaign) -> Path:
        return self.folder / "decisions" / f"{campaign.name}.parquet"

    def _write_decisions(self, duck: duckdb.DuckDBPyConnection, campaign: Campaign) -> Path:
        path = self._decisions(campaign)
        path.parent.mkdir(parents=True, exist_ok=True)
        duck.execute(
            f"""COPY (
                SELECT o.person_id, o.mask, o.variant, o.message_key, o.not_before, o.language, o.time_zone, o.age,
                       o.country, o.email_state, o.consented, k.seq AS consent_seq, k.decided_at AS consent_decided_at,
                       o.abroad, o.suppressed_because, o.recent_contacts, o.last_message_at, o.occurrence, o.topic_off,
                       o.held_out
                FROM outcome AS o LEFT JOIN consent AS k USING (person_id)
                ORDER BY o.person_id
            ) TO {quoted(path)} (FORMAT parquet)"""
        )
        return path

    def _commit(
        self, duck: duckdb.DuckDBPyConnection, campaign: Campaign, arms: Arms, plan: CampaignPlan, now: datetime
    ) -> None:
        """Intentions, assignments and the plan itself, in one transaction."""
        if plan.state != "planned":
            self._record(plan, now)
            return
        if arms.experiment is not None:
            self._enrol(duck, campaign, arms.experiment)
        with self.ledger.begin() as connection:
            plan_batches(
                connection,
                duck.sql(self._messages_sql(arms, campaign)).to_arrow_reader(CHUNK),
                run_id=self.run.run_id,
                campaign=campaign.name,
                planned_at=self.run.as_of,
                now=now,
                batch_size=self._batch_size(arms, campaign),
            )
            self._record(plan, now, connection)

    def _batch_size(self, arms: Arms, campaign: Campaign) -> int:
        """One request's worth; smaller where each message is a request, so that a crash leaves fewer unknown."""
        email = self.settings.channels.email
        bodies = (
            self.catalogues.content.compiled(message, campaign.channel, locale)
            for message in arms.distinct
            for locale in Locale
        )
        return email.batch_size if all(body.batchable for body in bodies) else email.chunk_size

    def _enrol(self, duck: duckdb.DuckDBPyConnection, campaign: Campaign, experiment: ExperimentDefinition) -> None:
        """Register the experiment and remember new assignments, before the messages that follow from them.

        A crash in between leaves people assigned without a message; the next try assigns them the same arm.
        """
        with self.ledger.begin() as connection:
            registrations.register(
                connection,
                experiment.name,
                experiment.as_json(),
                experiment.definition_hash,
                config_commit=self.run.config_commit,
                analysis_version=ANALYSIS_VERSION,
                at=self.run.as_of,
            )
        fresh = duck.sql(
            "SELECT person_id, variant, $at::TIMESTAMP AS assigned_at, $channel AS channel FROM outcome"
            " WHERE mask = 0 AND is_new ORDER BY person_id",
            params={"at": self.run.as_of.replace(tzinfo=None), "channel": campaign.channel.value},
        ).to_arrow_table()
        registrations.insert_assignments(self.ledger, experiment.name, fresh, self.run.run_id)

    def _messages_sql(self, arms: Arms, campaign: Campaign) -> str:
        """Rows of `ledger.messages.PLAN_COLUMNS`."""
        content = self.catalogues.content
        urgent = ", 'urgent', true" if campaign.urgent else ""
        parts = []
        for variant, message in arms.messages.items():
            number = arms.distinct.index(message)
            compiled = {locale: content.compiled(message, campaign.channel, locale) for locale in Locale}
            hashes = " ".join(f"WHEN '{locale.value}' THEN '{one.hash}'" for locale, one in compiled.items())
            one = compiled[Locale.EN]
            experiment = f"'{arms.experiment.name}'" if arms.experiment else "NULL::VARCHAR"
            parts.append(
                f"""SELECT o.message_key, o.occurrence, o.person_id, o.person_id AS subject_person_id,
                    '{one.purpose.value}' AS purpose, '{campaign.channel.value}' AS channel, '{message}' AS template,
                    CASE o.language {hashes} END AS template_hash, o.language AS locale, {experiment} AS experiment,
                    nullif(o.variant, '') AS variant, o.email_blind AS address_blind,
                    CAST(json_object('v', {self._json_sql(number, arms)}, 'gender', p.gender, 'zone', o.time_zone,
                        'quiet', [o.quiet_from, o.quiet_to]{urgent}) AS VARCHAR) AS variables,
                    '{one.sender}' AS sender,
                    CAST(hash(o.person_id) % {self.partitions} AS INTEGER) AS partition, o.not_before
                FROM outcome AS o JOIN person AS p USING (person_id)
                JOIN variables_{number} AS t{number} USING (person_id)
                WHERE o.mask = 0 AND o.variant = '{variant}'"""
            )
        return " UNION ALL ".join(parts)

    def _record(self, plan: CampaignPlan, now: datetime, connection: Connection | None = None) -> None:
        values: dict[str, Any] = {
            "plan_hash": plan.plan_hash or None,
            "planned_at": now,
            "reason": plan.reason or None,
        }
        if connection is not None:
            run_store.record_campaign(connection, self.run.run_id, plan.campaign, plan.state, plan.funnel, **values)
            return
        with self.ledger.begin() as fresh:
            run_store.record_campaign(fresh, self.run.run_id, plan.campaign, plan.state, plan.funnel, **values)


def _clock(text: str | None) -> time | None:
    """`HH:MM` as a time; None where the patient set nothing readable."""
    try:
        return time.fromisoformat(text) if text else None
    except ValueError:
        return None
