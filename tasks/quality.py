"""Validate: Great Expectations on staging, quarantine, scorecards."""

from __future__ import annotations

from typing import Any

from prefect import task

from alongside.quality import QualityReport, load_suites
from alongside.quality.results import DIMENSIONS
from tasks import artifacts
from tasks.context import keep, may_pass, run_pins, services, traced


@task(name="validate data", retries=1, retry_delay_seconds=10, retry_condition_fn=may_pass)
@traced
def validate_data(run_id: str, root: str | None = None) -> dict[str, Any]:
    """Judge staging against `expectations/`; returns the report in counts."""
    from alongside.quality.validation import validate

    house = services(root)
    staging = house.warehouse.staging(run_id)
    history = [
        QualityReport.from_json(snapshot.manifest["quality"])
        for snapshot in house.warehouse.all()
        if "quality" in snapshot.manifest
    ][-10:]
    report = validate(
        staging / "canonical",
        load_suites(house.project),
        history,
        run_pins(run_id, root).as_of,
        staging / "clean",
        house.warehouse,
    )
    _publish(report)
    return keep(run_id, "quality", report.to_json(), root)


def _publish(report: QualityReport) -> None:
    rows = [
        {"source": card.source, "rows": card.rows, **{name: _with_trend(card, name) for name in DIMENSIONS}}
        for card in report.scorecards
    ]
    artifacts.table("data-quality-scorecard", rows, "How far each source can be trusted, and its trend")
    failed = [
        {"table": check.table, "rule": check.id, "rows": check.unexpected, "action": check.action}
        for check in report.checks
        if not check.success
    ]
    artifacts.table("data-quality-failures", failed, "Expectations that failed, and what was done")


def _with_trend(card: Any, dimension: str) -> str:
    change = card.trend(dimension)
    share = f"{getattr(card, dimension):.1%}"
    return share if change is None or abs(change) < 0.0005 else f"{share} ({change * 100:+.1f})"
