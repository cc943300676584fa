"""A small hospital in which an experiment runs: people, arms, bookings and events, as the pipeline leaves them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from alongside.ledger import Ledger, experiments, schema
from alongside.outreach.experiments import ExperimentDefinition, load_metrics
from alongside.settings import Project
from alongside.warehouse import Warehouse

ROOT = Path(__file__).resolve().parents[2]
LAUNCH = datetime(2026, 3, 1, tzinfo=UTC)
MARGINS = {"unsubscribed": 0.03, "complained": 0.02, "delivered": 0.05}
METRICS = load_metrics(Project.at(ROOT))


def definition(
    goals: Sequence[str] = ("booked_follow_up",),
    variants: Mapping[str, float] | None = None,
    margins: Mapping[str, float] = MARGINS,
    **changes: Any,
) -> ExperimentDefinition:
    """The shipped kind of experiment: twelve days of enrolment, a week to book, a day for the extract."""
    shares = variants or {"control": 0.5, "personal": 0.5}
    content = {
        "name": "wording",
        "campaign": "hypertension_follow_up",
        "hypothesis": {"zh_CN": "更亲切更有效", "en": "Personal words work better."},
        "variants": [{"name": name, "message": f"follow_up/{name}", "share": share} for name, share in shares.items()],
        "control": "control",
        "unit": "person",
        "goals": [METRICS[name].model_dump(mode="json", by_alias=True) for name in goals],
        "guardrails": [
            {"metric": METRICS[name].model_dump(mode="json", by_alias=True), "margin": margin}
            for name, margin in margins.items()
        ],
        "design": {"base_rate": 0.15, "minimum_effect": 0.08, "planned_days": 12},
        "decide": "ship_winner",
    }
    return ExperimentDefinition.model_validate({**content, **changes})


def due(experiment: ExperimentDefinition) -> datetime:
    return experiment.verdict_due(LAUNCH)


def people(count: int, prefix: str = "p") -> list[str]:
    return [f"{prefix}{number:012x}" for number in range(count)]


def moments(values: Sequence[datetime]) -> pa.Array:
    return pa.array([value.astimezone(UTC).replace(tzinfo=None) for value in values], pa.timestamp("us"))


class World:
    """One experiment in one ledger, with the snapshot's tables in a folder."""

    def __init__(self, ledger: Ledger, folder: Path, experiment: ExperimentDefinition) -> None:
        self.ledger = ledger
        self.experiment = experiment
        self.tables = folder / "tables"
        self.tables.mkdir(parents=True, exist_ok=True)
        self.warehouse = Warehouse(folder, "500MB", 1)
        self.bookings: list[tuple[str, datetime, str, str]] = []
        self._events = 0
        self.launch(experiment)

    def launch(self, experiment: ExperimentDefinition, at: datetime = LAUNCH) -> None:
        with self.ledger.begin() as connection:
            experiments.register(
                connection,
                experiment.name,
                experiment.as_json(),
                experiment.definition_hash,
                config_commit="test",
                analysis_version="2",
                at=at,
            )

    def enrol(
        self,
        arms: Mapping[str, str],
        at: datetime = LAUNCH,
        channel: str = "email",
        clusters: Mapping[str, str] | None = None,
    ) -> None:
        """person -> variant, with an accepted and delivered message each."""
        self.assign(arms, at, channel, clusters)
        messages = [self._message(person, variant, at) for person, variant in arms.items()]
        with self.ledger.begin() as connection:
            connection.execute(schema.message.insert(), messages)
        self.hear("delivered", list(arms), at + timedelta(minutes=1))

    def assign(
        self,
        arms: Mapping[str, str],
        at: datetime = LAUNCH,
        channel: str = "email",
        clusters: Mapping[str, str] | None = None,
    ) -> None:
        """person -> variant, without any message; person -> household or clinic where those are assigned."""
        rows = pa.table(
            {
                "person_id": list(arms),
                "variant": list(arms.values()),
                "assigned_at": moments([at] * len(arms)),
                "channel": [channel] * len(arms),
                "cluster_id": pa.array([(clusters or {}).get(person) for person in arms], pa.string()),
            }
        )
        experiments.insert_assignments(self.ledger, self.experiment.name, rows, "run")

    def _message(self, person: str, variant: str, at: datetime) -> dict[str, Any]:
        return {
            "message_key": f"m-{person}", "batch_id": "b", "run_id": "run", "campaign": self.experiment.campaign,
            "occurrence": "1", "person_id": person, "subject_person_id": person, "purpose": "care",
            "channel": "email", "template": f"follow_up/{variant}", "template_hash": variant, "locale": "en",
            "experiment": self.experiment.name, "variant": variant, "address_blind": person, "variables": {},
            "state": "delivered", "planned_at": at, "accepted_at": at, "updated_at": at,
        }  # fmt: skip

    def hear(self, kind: str, who: Sequence[str], at: datetime, machine: bool = False) -> None:
        rows = []
        for person in who:
            self._events += 1
            rows.append(
                {
                    "event_id": str(self._events), "message_key": f"m-{person}", "kind": kind, "occurred_at": at,
                    "received_at": at, "machine": machine, "detail": "",
                }
            )  # fmt: skip
        if rows:
            with self.ledger.begin() as connection:
                connection.execute(schema.delivery_event.insert(), rows)

    def book(self, who: Sequence[str], at: datetime, service: str = "follow_up", status: str = "booked") -> None:
        self.bookings += [(person, at, service, status) for person in who]
        self.write_bookings()

    def write_bookings(self) -> None:
        table = pa.table(
            {
                "person_id": pa.array([row[0] for row in self.bookings], pa.string()),
                "booked_at": moments([row[1] for row in self.bookings]),
                "service": pa.array([row[2] for row in self.bookings], pa.string()),
                "status": pa.array([row[3] for row in self.bookings], pa.string()),
            }
        )
        pq.write_table(table, self.tables / "appointment.parquet")
