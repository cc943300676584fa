"""The HTML report: one self-contained page a language, with what the runs did and what was learnt."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup, escape

from alongside.analysis.evaluation import evaluate
from alongside.analysis.showing.decided import decided_words
from alongside.analysis.showing.held import held_because
from alongside.analysis.showing.section import Section, section
from alongside.analysis.showing.trends import bars_svg, spark_svg
from alongside.analysis.showing.words import words
from alongside.ledger import Ledger
from alongside.ledger import experiments as registrations
from alongside.ledger.protocol import TAKEN
from alongside.ledger.schema import message, run, run_campaign
from alongside.ledger.seeds import of_patients
from alongside.model.enums import Locale, MessageState
from alongside.model.errors import Refused
from alongside.outreach.catalogues import Catalogues
from alongside.outreach.experiments import ExperimentDefinition
from alongside.settings import HospitalSettings
from alongside.warehouse import Snapshot, Warehouse

DIMENSIONS = ("completeness", "validity", "consistency", "uniqueness", "timeliness")


@dataclass(frozen=True)
class Day:
    """One run in numbers."""

    as_of: datetime
    planned: int
    accepted: int
    delivered: int


@dataclass(frozen=True)
class Report:
    """Everything that the page shows, in counts."""

    as_of: datetime
    run_id: str
    config_commit: str
    snapshot: Snapshot
    days: tuple[Day, ...]
    campaigns: tuple[dict[str, Any], ...]
    funnel: dict[str, int]
    experiments: tuple[tuple[ExperimentDefinition, dict[Locale, Section]], ...]
    segment_labels: Mapping[str, Mapping[Locale, str]]
    scorecards: tuple[dict[str, Any], ...]


def collect(
    ledger: Ledger,
    warehouse: Warehouse,
    snapshot: Snapshot,
    catalogues: Catalogues,
    run_id: str,
    stages: Mapping[str, Mapping[str, int]],
    states: Mapping[str, Mapping[str, Any]],
    funnel: Mapping[str, int],
) -> Report:
    """Read the ledger and the kept snapshots.

    Parameters
    ----------
    stages, states, funnel : the run's campaigns with their counts and states, and the sum of all
    """
    with ledger.begin() as connection:
        pins = connection.execute(sa.select(run).where(run.c.run_id == run_id)).mappings().one()
        days = _days(connection, pins["as_of"])
    about = {item.name: item.description for item in catalogues.campaigns}
    campaigns = tuple(
        {"name": name, "about": about.get(name, {}), **counts, **states.get(name, {})}
        for name, counts in stages.items()
    )
    experiments, zone = [], ZoneInfo(catalogues.content.settings.hospital.time_zone)
    for _, definition in sorted(catalogues.experiments.items()):
        try:
            result = evaluate(definition, ledger, snapshot.path / "tables", snapshot.as_of, warehouse, zone=zone)
        except Refused:
            continue  # not launched yet
        with ledger.begin() as connection:
            decided = decided_words(registrations.read(connection, definition.name), zone)
        experiments.append((definition, {locale: section(result, locale, decided[locale], zone) for locale in Locale}))
    return Report(
        pins["as_of"],
        run_id,
        pins["config_commit"],
        snapshot,
        days,
        campaigns,
        dict(funnel),
        tuple(experiments),
        {name: item.label for name, item in catalogues.segments.segments.items()},
        _scorecards(warehouse, snapshot),
    )


def _days(connection: sa.Connection, until: datetime) -> tuple[Day, ...]:
    """Runs that planned up to the moment, oldest first, with what became of their messages."""
    taken = [state.value for state in TAKEN]
    counts = (
        sa.select(
            message.c.run_id,
            sa.func.sum(sa.case((message.c.state.in_(taken), 1), else_=0)).label("accepted"),
            sa.func.sum(sa.case((message.c.state == MessageState.DELIVERED.value, 1), else_=0)).label("delivered"),
        )
        .where(of_patients(message.c.campaign))
        .group_by(message.c.run_id)
        .subquery()
    )
    planned: dict[str, int] = {}
    for row in connection.execute(sa.select(run_campaign.c.run_id, run_campaign.c.funnel)):
        planned[row.run_id] = planned.get(row.run_id, 0) + int(row.funnel.get("planned", 0))
    query = (
        sa.select(run.c.run_id, run.c.as_of, counts.c.accepted, counts.c.delivered)
        .join(counts, counts.c.run_id == run.c.run_id, isouter=True)
        .where(run.c.as_of <= until, run.c.run_id.in_(sa.select(run_campaign.c.run_id)))
        .order_by(run.c.as_of, run.c.started_at)
    )
    return tuple(
        Day(row.as_of, planned.get(row.run_id, 0), row.accepted or 0, row.delivered or 0)
        for row in connection.execute(query)
    )


def _scorecards(warehouse: Warehouse, snapshot: Snapshot) -> tuple[dict[str, Any], ...]:
    """The snapshot's scorecards, each with its course over the snapshots that are kept."""
    course: dict[str, list[float]] = {}
    for kept in warehouse.all():
        if kept.as_of > snapshot.as_of:
            continue
        for card in kept.manifest.get("quality", {}).get("scorecards", []):
            course.setdefault(card["source"], []).append(sum(card[name] for name in DIMENSIONS) / len(DIMENSIONS))
    cards = snapshot.manifest.get("quality", {}).get("scorecards", [])
    return tuple({**card, "course": spark_svg(course.get(card["source"], []))} for card in cards)


def write_pages(report: Report, settings: HospitalSettings, folder: Path) -> dict[Locale, Path]:
    """Write `report.html` in the hospital's language and `report.<locale>.html` in the others."""
    home = settings.hospital.default_locale
    paths = {locale: folder / ("report.html" if locale is home else f"report.{locale.value}.html") for locale in Locale}
    folder.mkdir(parents=True, exist_ok=True)
    for locale, path in paths.items():
        path.write_text(_render(report, settings, locale, paths), "utf-8")
    return paths


def _render(report: Report, settings: HospitalSettings, locale: Locale, paths: Mapping[Locale, Path]) -> str:
    pages = Environment(
        loader=PackageLoader("alongside.analysis.showing", "pages"),
        autoescape=select_autoescape(["html", "j2"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.filters["unbroken"] = unbroken
    zone = ZoneInfo(settings.hospital.time_zone)
    other = Locale.EN if locale is Locale.ZH_CN else Locale.ZH_CN
    bars = _bars(report.days, zone)
    return pages.get_template("report.html.j2").render(
        report=report,
        hospital=settings.hospital.name[locale],
        lang=locale.value.replace("_", "-"),
        locale=locale,
        say=words(locale),
        held_because=held_because,
        other=paths[other].name,
        other_lang=other.value.replace("_", "-"),
        as_of=report.as_of.astimezone(zone),
        days=bars_svg(bars, locale),
        narrow_days=bars_svg(bars, locale, width=340),
        dimensions=DIMENSIONS,
        quality=report.snapshot.manifest.get("quality", {}),
        segments=report.snapshot.manifest.get("segments", {}).get("segments", {}),
    )


#: Days, odds, options and numbers with their unit: a line that ends within one is hard to read.
_WHOLE = re.compile(r"\d{4}-\d\d-\d\d|[\d,]+ : [\d,]+|[+-]?[\d.,]+ (?:%|points|个百分点)|--\w+|p [=<] [\d.]+")


def unbroken(words: str) -> Markup:
    """The words with what belongs on one line kept there."""
    return Markup(_WHOLE.sub(r'<span class="u">\g<0></span>', str(escape(words))))  # noqa: S704  # escaped just here


def _bars(days: Sequence[Day], zone: ZoneInfo) -> list[tuple[str, int, int]]:
    return [(f"{day.as_of.astimezone(zone):%m-%d}", day.accepted, day.delivered) for day in days]
