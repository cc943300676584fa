"""A hospital that invites to its health talk, and finds out by an experiment which invitation brings more bookings.

Its days are played within the test's process, on the server that the stage has started and with the stage's provider:
a process a run would cost more than the run.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import pytest
import sqlalchemy as sa

from alongside.bootstrap import Services
from alongside.ledger.experiments import Registration, read, results
from alongside.ledger.protocol import TAKEN
from alongside.ledger.schema import audit, message
from alongside.sandbox.hospital import Booking, advance, generate
from alongside.settings import Project
from flows.daily import daily
from flows.parameters import DailyParameters
from tasks import artifacts, context
from tests.flows.conftest import Stage, copy_project

FIRST_DUMP = date(2026, 2, 28)
PATIENTS = 800
CAMPAIGN, EXPERIMENT, METRIC = "heart_health_talk", "talk_wording", "booked_soon"
CONTROL, SHORT = "prevention/heart_health_talk", "prevention/heart_health_talk_short"
_METRIC = f"""\
name: {METRIC}
label: {{zh_CN: 很快预约了, en: booked soon}}
kind: binary
from: appointment
time: booked_at
where: service = 'consultation' AND status <> 'cancelled'
within_days: 1
direction: higher_is_better
"""
_EXPERIMENT = f"""\
name: {EXPERIMENT}
campaign: {CAMPAIGN}
hypothesis: {{zh_CN: 短邀请带来更多预约。, en: A short invitation brings more bookings.}}
variants:
  - {{name: control, message: {CONTROL}, share: 0.5}}
  - {{name: short, message: {SHORT}, share: 0.5}}
control: control
layer: {{name: talks, from: 0.0, to: 0.8}}
metrics:
  goal: {METRIC}
  guardrails:
    - {{metric: unsubscribed, margin: 0.5}}
    - {{metric: complained, margin: 0.5}}
    - {{metric: delivered, margin: 0.5}}
    - {{metric: no_show, margin: 0.5}}
design: {{base_rate: 0.1, minimum_effect: 0.6, planned_days: 3, looks: daily}}
decide: ship_winner
"""


@dataclass(frozen=True)
class Talks:
    """The project and its days."""

    stage: Stage
    project: Project

    @property
    def house(self) -> Services:
        return context.services(str(self.project.root))

    def play(self, number: int) -> str:
        """The extracts up to that day, and its run at ten in the hospital's zone; returns the run's id."""
        root = self.project.var / "hospital"
        for day in (FIRST_DUMP + timedelta(days=passed) for passed in range(1, number + 1)):
            if not (root / "his" / day.isoformat()).exists():
                advance(root, day, bookings=self._bookings())
        wanted = DailyParameters(as_of=at_ten(number), campaigns=[CAMPAIGN], project=str(self.project.root))
        with self.stage.within():
            return str(daily(wanted)["run_id"])

    def _bookings(self) -> list[Booking]:
        """Everybody who reads the short invitation of the first day books six hours later."""
        query = sa.select(message.c.message_key).where(message.c.variant == "short")
        with self.house.ledger.reading() as connection:
            short = set(connection.execute(query).scalars())
        read = [record["to"] for record in self.stage.stand_ins.accepted() if record["m"] in short]
        return [Booking(at_ten(1) + timedelta(hours=6), reader, "consultation") for reader in read]

    def standing(self) -> Registration:
        """What the ledger says of the experiment."""
        with self.house.ledger.reading() as connection:
            found = read(connection, EXPERIMENT)
        assert found is not None
        return found

    def verdicts(self) -> list[tuple[datetime, str]]:
        """When it was judged as of, and how, oldest first."""
        with self.house.ledger.reading() as connection:
            return [(item.as_of, item.verdict) for item in results(connection, EXPERIMENT)]

    def trail(self) -> list[str]:
        """What the audit trail says was done with the experiment, oldest first."""
        query = sa.select(audit.c.action).where(audit.c.subject == EXPERIMENT).order_by(audit.c.seq)
        with self.house.ledger.reading() as connection:
            return list(connection.execute(query).scalars())

    def told(self, run_id: str) -> dict[str, tuple[str, str | None]]:
        """person -> message and variant that the run sent them."""
        query = sa.select(message.c.subject_person_id, message.c.template, message.c.variant)
        query = query.where(message.c.run_id == run_id, message.c.state.in_(TAKEN))
        with self.house.ledger.reading() as connection:
            return {person: (template, variant) for person, template, variant in connection.execute(query)}

    def kept_without(self, run_id: str) -> set[str]:
        """The campaign's hold-out among its audience, by the run's decisions."""
        file = self.project.var / "runs" / run_id / "decisions" / f"{CAMPAIGN}.parquet"
        found = duckdb.sql(f"SELECT person_id FROM read_parquet('{file}') WHERE kept_without").fetchall()
        return {row[0] for row in found}

    def pages(self) -> list[str]:
        """What Prefect shows of the experiment, one page a run, oldest first."""
        key = artifacts.key(f"experiment-{EXPERIMENT}")
        wanted = {"artifacts": {"key": {"any_": [key]}}, "sort": "CREATED_DESC"}
        return [item["data"] for item in reversed(self.stage.call("POST", "/artifacts/filter", wanted))]


def at_ten(number: int) -> datetime:
    day = FIRST_DUMP + timedelta(days=number)
    return datetime(day.year, day.month, day.day, 2, tzinfo=UTC)


def _edit(project: Project, file: str, old: str, new: str) -> None:
    path = project.root / file
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")


@contextmanager
def talks(stage: Stage, root: Path) -> Iterator[Talks]:
    """The shipped project with this experiment on a campaign that invites every day, and keeps a tenth without it."""
    project = copy_project(root)
    _edit(project, f"config/campaigns/{CAMPAIGN}.yaml", "every_days: 180}", "every_days: 1}\nholdout: 0.1")
    _edit(project, "config/alongside.yaml", "frequency_cap: {messages: 3", "frequency_cap: {messages: 9")
    (project.config / "metrics" / f"{METRIC}.yaml").write_text(_METRIC, "utf-8")
    (project.config / "experiments" / f"{EXPERIMENT}.yaml").write_text(_EXPERIMENT, "utf-8")
    for guardrail in ("unsubscribed", "complained", "no_show", "delivered"):  # as soon known as the goal
        _edit(project, f"config/metrics/{guardrail}.yaml", "within_days: 7", "within_days: 1")
    shutil.copytree(project.templates / CONTROL, project.templates / SHORT)
    generate(project.var / "hospital", patients=PATIENTS, seed=3, start=FIRST_DUMP)
    environment = {**stage.environment, "ALONGSIDE_HOME": str(project.root)}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        context.services.cache_clear()
        yield Talks(stage, project)
    context.services.cache_clear()
