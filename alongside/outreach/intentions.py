"""Write what a plan intends: decisions beside the run, assignments, and messages in the ledger."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alongside.channels.capabilities import provider_of
from alongside.ledger import Ledger
from alongside.ledger import experiments as registrations
from alongside.ledger import runs as run_store
from alongside.ledger.messages import plan_batches
from alongside.ledger.runs import RunPins
from alongside.model.enums import Channel, Locale, Written
from alongside.outreach.appointments import MARK_SQL, links_to_appointment
from alongside.outreach.arms import NO_VARIANT, Arms
from alongside.outreach.campaign_plan import CampaignPlan
from alongside.outreach.campaigns import Campaign
from alongside.outreach.catalogues import Catalogues
from alongside.outreach.deciding import json_sql
from alongside.outreach.experiments import ANALYSIS_VERSION, ExperimentDefinition
from alongside.outreach.relations import CHUNK
from alongside.outreach.wishes import is_selective
from alongside.settings import HospitalSettings
from alongside.settings.channels import EmailChannel
from alongside.warehouse.duck import quoted

if TYPE_CHECKING:
    import duckdb
    from sqlalchemy.engine import Connection

#: What a message to a relative says beside its own values: what the reader is to the patient, and as whom they read.
_KIN = ", 'kin', json_object('is', o.relationship, 'gender', s.gender, 'as', '{written}')"


def record(ledger: Ledger, run_id: str, plan: CampaignPlan, now: datetime) -> None:
    """Remember a plan that sends nothing, with its reason."""
    with ledger.begin() as connection:
        _record(connection, run_id, plan, now)


def _record(connection: Connection, run_id: str, plan: CampaignPlan, now: datetime) -> None:
    values: dict[str, Any] = {"plan_hash": plan.plan_hash or None, "planned_at": now, "reason": plan.reason or None}
    run_store.record_campaign(connection, run_id, plan.campaign, plan.state, plan.funnel, **values)


@dataclass(frozen=True)
class Intentions:
    """What one campaign's plan leaves, out of the relation `outcome` of one DuckDB connection."""

    duck: duckdb.DuckDBPyConnection
    ledger: Ledger
    settings: HospitalSettings
    catalogues: Catalogues
    run: RunPins
    campaign: Campaign
    arms: Arms
    partitions: int

    def write_decisions(self, path: Path) -> None:
        """One row a candidate: the gates and the facts they decided on."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.duck.execute(
            f"""COPY (
                SELECT o.person_id, o.recipient_id, o.relationship, o.mask, o.channel, o.routes,
                       o.variant, o.message_key, o.not_before, o.language,
                       o.time_zone, o.age, o.country, o.address_state, o.consented, o.consent_seq,
                       o.consent_decided_at, o.abroad, o.suppressed_because,
                       o.recent_contacts, o.last_contact_at, o.pace_days, o.last_message_at, o.occurrence, o.topic_off,
                       o.held_out, o.kept_without
                FROM outcome AS o
                ORDER BY o.person_id
            ) TO {quoted(path)} (FORMAT parquet)"""
        )

    def commit(self, plan: CampaignPlan, now: datetime) -> None:
        """Intentions, assignments and the plan itself, in one transaction."""
        if self.arms.experiment is not None:
            self._enrol(self.arms.experiment)
        with self.ledger.begin() as connection:
            plan_batches(
                connection,
                self.duck.sql(self._messages_sql()).to_arrow_reader(CHUNK),
                run_id=self.run.run_id,
                campaign=self.campaign.name,
                planned_at=self.run.as_of,
                now=now,
                batch_size={channel.value: self._batch_size(channel) for channel in self.campaign.channels},
            )
            _record(connection, self.run.run_id, plan, now)

    def _batch_size(self, channel: Channel) -> int:
        """One request's worth; smaller where each message is a request, so that a crash leaves fewer unknown."""
        limits = self.settings.channels.of(channel)
        if not isinstance(limits, EmailChannel) or not provider_of(self.settings, channel).shares_texts:
            return limits.chunk_size
        bodies = (
            self.catalogues.content.compiled(message, channel, locale)
            for message in self.arms.distinct
            for locale in Locale
        )
        return limits.batch_size if all(body.batchable for body in bodies) else limits.chunk_size

    def _enrol(self, experiment: ExperimentDefinition) -> None:
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
        fresh = self.duck.sql(
            "SELECT person_id, variant, $at::TIMESTAMP AS assigned_at, channel, cluster_id FROM outcome"
            " WHERE mask = 0 AND is_new ORDER BY person_id",
            params={"at": self.run.as_of.replace(tzinfo=None)},
        ).to_arrow_table()
        registrations.insert_assignments(self.ledger, experiment.name, fresh, self.run.run_id)

    def _messages_sql(self) -> str:
        """Rows of `ledger.messages.PLAN_COLUMNS`."""
        content = self.catalogues.content
        # What the last look before the call has to know of the campaign.
        marks = ", 'urgent', true" if self.campaign.urgent else ""
        marks += ", 'selective', true" if is_selective(self.campaign, self.catalogues) else ""
        if Channel.LETTER in self.campaign.channels and (letters := self.settings.channels.letter):
            marks += f", 'large', coalesce(p.age >= {letters.large_type_from_age}, FALSE)"
        parts = []
        for variant, message in self.arms.messages.items():
            number = self.arms.distinct.index(message)
            bodies = [
                content.compiled(message, channel, locale) for channel in self.campaign.channels for locale in Locale
            ]
            hashes = " ".join(f"WHEN '{one.channel.value} {one.locale.value}' THEN '{one.hash}'" for one in bodies)
            one = bodies[0]
            written = one.definition.to
            kin = "" if written is Written.PATIENT else _KIN.format(written=written.value)
            about = MARK_SQL if links_to_appointment(message, content) else ""
            enrolled = self.arms.experiment if variant != NO_VARIANT else None
            experiment = f"'{enrolled.name}'" if enrolled else "NULL::VARCHAR"
            parts.append(
                f"""SELECT o.message_key, o.occurrence, o.recipient_id AS person_id,
                    o.person_id AS subject_person_id,
                    '{one.purpose.value}' AS purpose, o.channel, '{message}' AS template,
                    CASE o.channel || ' ' || o.language {hashes} END AS template_hash, o.language AS locale,
                    {experiment} AS experiment, nullif(o.variant, '') AS variant, o.address_blind,
                    CAST(json_object('v', {json_sql(self.catalogues, self.arms, number)}, 'gender', p.gender,
                        'zone', o.time_zone, 'quiet', [o.quiet_from, o.quiet_to]{marks}{kin}{about}) AS VARCHAR)
                        AS variables,
                    '{one.sender}' AS sender,
                    CAST(hash(o.person_id) % {self.partitions} AS INTEGER) AS partition, o.not_before
                FROM outcome AS o JOIN person AS p ON p.person_id = o.recipient_id
                JOIN person AS s ON s.person_id = o.person_id
                LEFT JOIN booked AS b ON b.person_id = o.person_id
                JOIN variables_{number} AS t{number} ON t{number}.person_id = o.person_id
                WHERE o.mask = 0 AND o.variant = '{variant}'"""
            )
        return " UNION ALL ".join(parts)
