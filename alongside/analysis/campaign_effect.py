"""What a campaign does: people whom it reached against those whom its hold-out kept without it.

Both groups are everybody whom the gates of the campaign left open, from the day that first happened: they differ by a
keyed hash alone (intention to treat).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from alongside.analysis.judging.comparing import compare_goals
from alongside.analysis.observing.metric_sql import naive
from alongside.analysis.observing.observation import aggregate
from alongside.analysis.observing.sums import NOBODY, Sums
from alongside.analysis.result import Arm, GoalComparison, MetricInfo, comparison_json
from alongside.ledger import experiments as store
from alongside.ledger.schema import run, run_campaign
from alongside.model.enums import Gate, Locale
from alongside.model.errors import Refused
from alongside.outreach.campaigns import Campaign
from alongside.outreach.experiments import ExperimentDefinition, Metric
from alongside.outreach.experiments.metrics import DELIVERY
from alongside.stats.sample_ratio import SampleRatio, sample_ratio

if TYPE_CHECKING:
    import pyarrow as pa

    from alongside.ledger import Ledger
    from alongside.warehouse import Snapshot, Warehouse

WITH, WITHOUT = "campaign", "without"
ALPHA = 0.05
_MOST_DAYS = 730
_ASIDE = Gate.CAMPAIGN_HOLDOUT | Gate.DUPLICATE_ADDRESS | Gate.RENDER_FAILED | Gate.CLAIMS_LINT
#: A plan that was made counts, also where its messages wait or were stopped; one that was refused reached nobody.
_PLANNED = ("planned", "dispatched", "paused")


@dataclass(frozen=True)
class CampaignEffect:
    """The campaign against no campaign, on each metric; p-values and intervals are of one look.

    Attributes
    ----------
    arms : `campaign` and `without`: people since the hold-out began, and each metric over those whose window is closed
    comparisons : `campaign` minus `without`; the adjusted numbers account for several metrics (Holm)
    sample_ratio : the groups' sizes against the hold-out's share
    """

    campaign: str
    since: datetime
    as_of: datetime
    holdout: float
    arms: Mapping[str, Arm]
    comparisons: tuple[GoalComparison, ...]
    sample_ratio: SampleRatio

    def to_json(self) -> dict[str, Any]:
        """The documented, stable shape (docs/marketer.md)."""
        return {
            "campaign": self.campaign,
            "since": self.since.isoformat(),
            "as_of": self.as_of.isoformat(),
            "holdout": self.holdout,
            "arms": {name: arm.to_json() for name, arm in self.arms.items()},
            "comparisons": [comparison_json(item) for item in self.comparisons],
            "sample_ratio": {
                "p_value": self.sample_ratio.p_value,
                "observed": self.sample_ratio.observed,
                "expected": self.sample_ratio.expected,
            },
        }


def campaign_effect(
    campaign: Campaign,
    metrics: Sequence[Metric],
    ledger: Ledger,
    runs_folder: Path,
    snapshot: Snapshot,
    warehouse: Warehouse,
) -> CampaignEffect:
    """Compare on the snapshot's data; nothing later counts.

    Raises
    ------
    Refused : the campaign has no hold-out, a metric cannot be compared with it, or nobody was kept without it yet
    StoreUnavailable : a table of the snapshot is missing
    """
    where = f"campaign {campaign.name}"
    if not campaign.holdout:
        remedy = "Add for example 'holdout: 0.05' to its file; then it is measured on people from that day on."
        raise Refused("it has no hold-out to compare with", where=where, remedy=remedy)
    for metric in metrics:
        _require_comparable(metric, where)
    people = _people(campaign.name, ledger, runs_folder, snapshot.as_of, warehouse)
    if not people.num_rows or WITHOUT not in people.column("variant").to_pylist():
        raise Refused("nobody has been kept without it yet", where=where, remedy="Look again after its next run.")
    since: datetime = min(people.column("assigned_at").to_pylist()).replace(tzinfo=UTC)
    definition = _as_experiment(campaign, metrics, since, snapshot.as_of)
    events = _no_events()
    observed = aggregate(definition, since, people, events, snapshot.path / "tables", snapshot.as_of, warehouse)
    infos = [MetricInfo.of(metric) for metric in metrics]
    return CampaignEffect(
        campaign.name,
        since,
        snapshot.as_of,
        campaign.holdout,
        {name: _arm(infos, observed.sums, observed.units.get(name, 0), name) for name in (WITH, WITHOUT)},
        compare_goals(infos, observed.sums, [WITH], WITHOUT, ALPHA),
        sample_ratio({name: observed.units.get(name, 0) for name in definition.shares}, definition.shares),
    )


def _require_comparable(metric: Metric, where: str) -> None:
    if DELIVERY in {metric.origin, metric.per.origin if metric.per else ""}:
        what = f"'{metric.name}' counts what people do with messages, and the hold-out gets none"
        raise Refused(what, where=where, remedy="Take a metric on visits, bookings or readings.")
    if metric.averages:
        what = f"'{metric.name}' is a mean or count, which a hold-out is too small to compare reliably"
        raise Refused(what, where=where, remedy="Take a rate (kind: binary) or a quantile.")


def _people(name: str, ledger: Ledger, runs_folder: Path, as_of: datetime, warehouse: Warehouse) -> pa.Table:
    """`person_id, variant, assigned_at, channel, cluster_id`, one row a living identity, of the last two years."""
    import pyarrow as pa

    query = (
        sa.select(run.c.run_id, run.c.as_of)
        .join(run_campaign, run_campaign.c.run_id == run.c.run_id)
        .where(run_campaign.c.campaign == name, run_campaign.c.state.in_(_PLANNED), run.c.as_of <= as_of)
    )
    with ledger.begin() as connection:
        found = [
            (runs_folder / row.run_id / "decisions" / f"{name}.parquet", row.as_of) for row in connection.execute(query)
        ]
    kept = [(str(path), naive(at)) for path, at in found if path.is_file()]
    if not kept:
        return pa.table({"person_id": pa.array([], pa.string())})
    with warehouse.connect() as duck:
        duck.register("planned", pa.table({"filename": [one for one, _ in kept], "as_of": [at for _, at in kept]}))
        duck.register("survivor", store.survivors(ledger))
        return duck.sql(
            files("alongside.analysis.observing").joinpath("first_open.sql").read_text("utf-8"),
            params={
                "files": [one for one, _ in kept],
                "aside": _ASIDE.value,
                "since": naive(as_of - timedelta(days=_MOST_DAYS - 1)),
            },
        ).to_arrow_table()


def _as_experiment(
    campaign: Campaign, metrics: Sequence[Metric], since: datetime, as_of: datetime
) -> ExperimentDefinition:
    """The same question in the form that the sums are made for: two arms, everybody enrolled until now."""
    days = (as_of - since) // timedelta(days=1) + 1  # past this moment, so that the newest count as well
    share = campaign.holdout
    return ExperimentDefinition.model_validate(
        {
            "name": campaign.name,
            "campaign": campaign.name,
            "hypothesis": {Locale.EN: campaign.name},
            "variants": [
                {"name": WITHOUT, "message": campaign.message, "share": share},
                {"name": WITH, "message": campaign.message, "share": 1 - share},
            ],
            "control": WITHOUT,
            "unit": "person",
            "goals": [metric.model_dump(mode="json", by_alias=True) for metric in metrics],
            "guardrails": [],
            "design": {"base_rate": 0.0, "minimum_effect": 1.0, "planned_days": days},
            "decide": "report_only",
        }
    )


def _no_events() -> pa.Table:
    import pyarrow as pa

    return pa.table(
        {
            "person_id": pa.array([], pa.string()),
            "kind": pa.array([], pa.string()),
            "occurred_at": pa.array([], pa.timestamp("us")),
        }
    )


def _arm(infos: Sequence[MetricInfo], sums: Mapping[str, Sums], people: int, name: str) -> Arm:
    return Arm(people, {info.name: sums[info.name].get(name, NOBODY).as_metric(info) for info in infos})
