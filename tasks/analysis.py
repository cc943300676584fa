"""Judge experiments and write the report."""

from __future__ import annotations

from typing import Any

from prefect import task

from alongside.analysis import evaluate, section
from alongside.analysis.showing.brief import brief
from alongside.analysis.showing.decided import decided_words
from alongside.analysis.showing.report import collect, write_pages
from alongside.ledger import experiments as registrations
from alongside.ledger.runs import last_planned_on
from alongside.model.enums import Locale
from alongside.model.errors import Refused
from tasks import artifacts
from tasks.context import keep, run_pins, services, traced
from tasks.runs import funnels


@task(name="evaluate experiments")
@traced
def evaluate_experiments(run_id: str, root: str | None = None) -> dict[str, Any]:
    """Evaluate every launched experiment as of the run's snapshot; results are stored in the ledger."""
    house = services(root)
    pins = run_pins(run_id, root)
    snapshot = house.warehouse.open(pins.snapshot_id or "")
    results: dict[str, Any] = {}
    for name, definition in sorted(house.catalogues.experiments.items()):
        try:
            result = evaluate(
                definition,
                house.ledger,
                snapshot.path / "tables",
                snapshot.as_of,
                house.warehouse,
                run_id,
                house.catalogues.clinical_variants(definition),
                house.zone,
            )
        except Refused:
            continue  # its campaign has not launched it yet
        results[name] = result.to_json()
        with house.ledger.begin() as connection:
            decided = decided_words(registrations.read(connection, name), house.zone)
        pages = [brief(section(result, locale, decided[locale], house.zone), locale) for locale in Locale]
        artifacts.markdown(f"experiment-{name}", "\n---\n\n".join(pages), f"Experiment {name}")
    return keep(run_id, "experiments", results, root)


@task(name="write report")
@traced
def write_report(run_id: str, root: str | None = None) -> str:
    """Write the HTML report; returns the path of the hospital's language.

    A run that planned nothing itself (an evaluation by hand) shows the run that planned last on its snapshot.
    """
    house = services(root)
    pins = run_pins(run_id, root)
    with house.ledger.begin() as connection:
        shown = last_planned_on(connection, pins.snapshot_id or "", rather=run_id) or run_id
    found = funnels(shown, root)
    report = collect(
        house.ledger,
        house.warehouse,
        house.warehouse.open(pins.snapshot_id or ""),
        house.catalogues,
        shown,
        found["campaigns"],
        found["states"],
        found["total"],
    )
    paths = write_pages(report, house.settings, house.project.var)
    path = paths[house.settings.hospital.default_locale]
    artifacts.link("report", path.as_uri(), "The report of this run")
    return str(path)
