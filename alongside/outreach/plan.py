"""Plan one campaign: audience -> gates -> rendered and linted -> assigned -> intentions in the ledger."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from alongside.ledger import Ledger
from alongside.ledger import experiments as registrations
from alongside.ledger import runs as run_store
from alongside.ledger.approvals import standing_approval
from alongside.ledger.pauses import active_pauses
from alongside.ledger.runs import RunPins
from alongside.model.enums import DeliveryMode
from alongside.model.errors import Refused
from alongside.outreach.appointments import links_to_appointment, load_booked
from alongside.outreach.approval import PlanHash, configuration_hash, objections, text_objections
from alongside.outreach.arms import NO_VARIANT, Arms
from alongside.outreach.campaign_plan import CampaignPlan
from alongside.outreach.campaigns import Campaign
from alongside.outreach.catalogues import Catalogues
from alongside.outreach.deciding import Deciding, evaluate
from alongside.outreach.experiments import Enrolment, ExperimentDefinition, Unit, design, unfit
from alongside.outreach.gates import ORDER, GateInput, close_gates, funnel_of
from alongside.outreach.intentions import Intentions, record
from alongside.outreach.refitting import Refitting
from alongside.outreach.relations import Facts, choose_audience, load_relations, open_snapshot
from alongside.outreach.routes import routes_of
from alongside.outreach.screening import Screen
from alongside.outreach.sensitivity import require_discreet
from alongside.outreach.units import clinics_with_an_arm, households_with_an_arm, load_units, units_of_people
from alongside.outreach.wishes import is_selective
from alongside.segments import failed_fields
from alongside.settings import HospitalSettings
from alongside.warehouse import Snapshot, Warehouse
from alongside.warehouse.duck import quoted

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

#: How a plan calls people who get the campaign's message and are not in its experiment.
OUTSIDE = "outside the experiment"


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
                record(self.ledger, self.run.run_id, plan, now)
            return plan
        with self.warehouse.connect() as connection:
            plan = self._decide(connection, campaign, plan, now, commit=commit)
        return plan

    # ----------------------------------------------------------------------------------------------- before deciding
    @property
    def _day(self) -> date:
        """The run's day in the hospital's zone."""
        return self.run.as_of.astimezone(ZoneInfo(self.settings.hospital.time_zone)).date()

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
        if not campaign.window.holds(self._day):
            return "closed", f"{self._day} lies outside its window"
        failed = self.snapshot.manifest.get("quality", {}).get("failed_fields", {})
        if fields := failed_fields(self.catalogues.reads(campaign), failed):
            because = "; ".join(f"{name} failed {failed[name]}" for name in fields[:5])
            return "blocked", f"it reads data that failed validation: {because}"
        with self.ledger.begin() as connection:
            pauses = active_pauses(connection)
        for scope in ("all", f"campaign:{campaign.name}"):
            if scope in pauses:
                return "paused", f"{scope}: {pauses[scope]}"
        channels = [f"channel:{channel.value}" for channel in campaign.channels]
        if all(scope in pauses for scope in channels):  # with one of them open, the others' messages wait in the ledger
            return "paused", "; ".join(f"{scope}: {pauses[scope]}" for scope in channels)
        return None

    # ------------------------------------------------------------------------------------------------------ deciding
    def _decide(
        self, duck: duckdb.DuckDBPyConnection, campaign: Campaign, plan: CampaignPlan, now: datetime, *, commit: bool
    ) -> CampaignPlan:
        definition = self.catalogues.content.message(campaign.message).definition
        purpose, topics = definition.purpose, tuple(definition.stopping_topics)
        open_snapshot(duck, self.facts)
        audience = choose_audience(duck, campaign.segment)
        load_relations(duck, self.facts, campaign, purpose, definition.to)
        self._answers(duck, campaign)
        content = self.catalogues.content
        linked = any(links_to_appointment(name, content) for name in self.catalogues.messages_of(campaign))
        load_booked(duck, self.facts, wanted=linked)
        routes = routes_of(campaign, self.catalogues.messages_of(campaign), self.catalogues.content, self.settings)
        self._require_discreet(campaign)
        selective, as_of = is_selective(campaign, self.catalogues), self.run.as_of
        wanted = GateInput(campaign, routes, purpose, topics, as_of, definition.to, selective)
        close_gates(duck, wanted, self.settings)
        arms = self._arms(duck, campaign)
        screen = Screen(self.catalogues.content, self.settings)
        digest = PlanHash()
        deciding = Deciding(duck, self.facts, self.catalogues, campaign, arms, screen, digest)
        deciding.run()
        Refitting(duck, deciding, wanted, self.settings).run()
        plan = replace(
            plan,
            **self._counts(duck, arms),
            plan_hash=digest.hex,
            samples=tuple(screen.samples.values()),
            findings=dict(screen.findings),
            **self._delta(duck, campaign),
        )
        plan = replace(plan, cost=plan.funnel["planned"] * campaign.cost_per_message)
        plan = self._approve(campaign, arms, plan, now)
        assert plan.funnel["audience"] == audience, "every member of the segment is counted once"  # noqa: S101
        if commit:
            plan = replace(plan, decisions=str(self._decisions(campaign)))
            left = Intentions(
                duck, self.ledger, self.settings, self.catalogues, self.run, campaign, arms, self.partitions
            )
            left.write_decisions(self._decisions(campaign))
            if plan.state == "planned":
                left.commit(plan, now)
            else:
                record(self.ledger, self.run.run_id, plan, now)
        return plan

    def _require_discreet(self, campaign: Campaign) -> None:
        """No variable reaches a place that may not carry what it reads. `check` says so too, but may not be asked."""
        for name in self.catalogues.messages_of(campaign):
            for channel in campaign.channels:
                require_discreet(
                    name, channel, self.catalogues.content, self.catalogues.segments, self.catalogues.sensitivity
                )

    def _answers(self, duck: duckdb.DuckDBPyConnection, campaign: Campaign) -> None:
        """Temp table `answers`: what the campaign's own expressions say of each candidate."""
        expressions = self.catalogues.expressions_of(campaign)
        evaluate(duck, self.catalogues, self.facts, "asked", expressions, "audience")
        columns = {
            "occurrence": "CAST(occurrence AS VARCHAR)" if "occurrence" in expressions else "NULL::VARCHAR",
            "fulfilled": "fulfilled" if "fulfilled" in expressions else "FALSE",
        }
        chosen = ", ".join(f"{sql} AS {name}" for name, sql in columns.items())
        duck.execute(f"CREATE OR REPLACE TEMP TABLE answers AS SELECT person_id, {chosen} FROM asked")

    def _arms(self, duck: duckdb.DuckDBPyConnection, campaign: Campaign) -> Arms:
        experiment = self.catalogues.experiment_of(campaign.name)
        if experiment is None:
            return Arms(None, {NO_VARIANT: campaign.message}, None, launched=False)
        with self.ledger.begin() as connection:
            registration = registrations.read(connection, experiment.name)
            # Of evaluations before this run only, so that a retry shares out its people in the same way.
            moving = experiment.bandit and registrations.shares_at(connection, experiment.name, self.run.as_of)
        if registration is not None and registration.winner is not None:
            return Arms.decided(experiment, registration.winner)
        enrolment, launched = self._enrolment(duck, experiment), registration is not None
        return Arms.of(experiment, enrolment, launched=launched, shares=moving or None)

    def _enrolment(self, duck: duckdb.DuckDBPyConnection, experiment: ExperimentDefinition) -> Enrolment:
        """Who is in an arm already, and whom other experiments of the layer have."""
        existing = registrations.assignments(self.ledger, experiment.name)
        taken, settled = self._taken(experiment), None
        if experiment.unit.is_cluster:
            load_units(duck, experiment.unit)
        if experiment.unit is Unit.HOUSEHOLD:
            settled = households_with_an_arm(duck, existing)
            taken = None if taken is None else units_of_people(duck, taken)
        elif experiment.unit is Unit.CLINIC:
            settled = clinics_with_an_arm(duck, existing, self.ledger.info.secret, experiment.name)
        return Enrolment(existing, taken, settled)

    def _taken(self, experiment: ExperimentDefinition) -> pa.Array | None:
        """People whom other experiments of its layer have: a slice may have been moved since they were assigned."""
        import pyarrow as pa

        others = self.catalogues.layer_mates(experiment)
        if not others:
            return None
        found = [registrations.assignments(self.ledger, name).column("person_id") for name in others]
        return pa.chunked_array([chunk for column in found for chunk in column.chunks], pa.string()).combine_chunks()

    # ------------------------------------------------------------------------------------------------------ counting
    def _counts(self, duck: duckdb.DuckDBPyConnection, arms: Arms) -> dict[str, Any]:
        """Funnel, gates, variants and channels from `candidate` and `decided`."""
        duck.execute(
            "CREATE OR REPLACE TEMP TABLE outcome AS"
            " SELECT c.*, d.variant, d.is_new, d.cluster_id, d.message_key, d.not_before,"
            " c.gates | coalesce(d.late, 0) AS mask FROM candidate AS c LEFT JOIN decided AS d USING (person_id)"
        )
        masks = {
            int(mask): int(n) for mask, n in duck.execute("SELECT mask, count(*) FROM outcome GROUP BY 1").fetchall()
        }
        funnel = funnel_of(masks)
        gates = {
            gate.name.lower(): stopped
            for gate in ORDER
            if gate.name and (stopped := sum(n for mask, n in masks.items() if mask & gate))
        }
        rows = duck.execute(
            "SELECT variant, channel, count(*) FROM outcome WHERE mask = 0 GROUP BY 1, 2 ORDER BY 1, 2"
        ).fetchall()
        variants, channels, senders = Counter[str](), Counter[str](), Counter[str]()
        for variant, channel, count in rows:
            sender = self.catalogues.content.message(arms.messages[variant]).definition.sender
            without = "all" if arms.experiment is None else OUTSIDE
            for counter, name in (
                (variants, variant or without),
                (channels, channel),
                (senders, f"{channel}/{sender}"),
            ):
                counter[name] += int(count)
        counted = {"variants": variants, "channels": channels, "senders": senders}
        return {"funnel": funnel, "gates": gates, **{name: dict(sorted(by.items())) for name, by in counted.items()}}

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
        for name in self.catalogues.messages_of(campaign):
            definition = self.catalogues.content.message(name).definition
            found += text_objections(name, definition, self.catalogues.content.template_hash(name), self._day)
        if arms.experiment is not None and not arms.launched:
            found += self._launch_gate(arms.experiment, plan)
        return replace(plan, state="held", reason="; ".join(found)) if found else plan

    @staticmethod
    def _launch_gate(experiment: ExperimentDefinition, plan: CampaignPlan) -> list[str]:
        """An experiment that could not find its effect is not launched: it would only cost patients' attention."""
        found = unfit(experiment)
        try:
            design(experiment, *plan.enrolment(experiment)).require_powered()
        except Refused as refusal:
            found.append(str(refusal))
        return found

    def _decisions(self, campaign: Campaign) -> Path:
        return self.folder / "decisions" / f"{campaign.name}.parquet"
