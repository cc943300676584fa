"""The HTML report: one self-contained page a language, with what the runs did and what was learnt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from alongside.analysis.evaluation import evaluate
from alongside.analysis.figures import funnel_svg
from alongside.analysis.section import Section, section
from alongside.analysis.trends import bars_svg, spark_svg
from alongside.ledger import Ledger
from alongside.ledger.messages import TAKEN
from alongside.ledger.schema import message, run, run_campaign
from alongside.model.enums import Locale, MessageState
from alongside.model.errors import Refused
from alongside.outreach.catalogues import Catalogues
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
    experiments: tuple[tuple[str, dict[Locale, Section]], ...]
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
    campaigns = tuple({"name": name, **counts, **states.get(name, {})} for name, counts in stages.items())
    experiments = []
    for name, definition in sorted(catalogues.experiments.items()):
        try:
            result = evaluate(definition, ledger, snapshot.path / "tables", pins["as_of"], warehouse)
        except Refused:
            continue  # not launched yet
        experiments.append((name, {locale: section(result, locale) for locale in Locale}))
    return Report(
        pins["as_of"],
        run_id,
        pins["config_commit"],
        snapshot,
        days,
        campaigns,
        dict(funnel),
        tuple(experiments),
        _scorecards(warehouse, snapshot),
    )


def _days(connection: sa.Connection, until: datetime) -> tuple[Day, ...]:
    """Runs up to the moment, oldest first, with what became of their messages."""
    taken = [state.value for state in TAKEN]
    counts = (
        sa.select(
            message.c.run_id,
            sa.func.sum(sa.case((message.c.state.in_(taken), 1), else_=0)).label("accepted"),
            sa.func.sum(sa.case((message.c.state == MessageState.DELIVERED.value, 1), else_=0)).label("delivered"),
        )
        .group_by(message.c.run_id)
        .subquery()
    )
    planned: dict[str, int] = {}
    for row in connection.execute(sa.select(run_campaign.c.run_id, run_campaign.c.funnel)):
        planned[row.run_id] = planned.get(row.run_id, 0) + int(row.funnel.get("planned", 0))
    query = (
        sa.select(run.c.run_id, run.c.as_of, counts.c.accepted, counts.c.delivered)
        .join(counts, counts.c.run_id == run.c.run_id, isouter=True)
        .where(run.c.as_of <= until, run.c.snapshot_id.is_not(None))
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
        loader=PackageLoader("alongside.analysis", "pages"),
        autoescape=select_autoescape(["html", "j2"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    zone = ZoneInfo(settings.hospital.time_zone)
    other = Locale.EN if locale is Locale.ZH_CN else Locale.ZH_CN
    stages = [(_stage_words(stage, locale), count) for stage, count in report.funnel.items() if count]
    return pages.get_template("report.html.j2").render(
        report=report,
        hospital=settings.hospital.name[locale],
        lang={"zh_CN": "zh-CN", "en": "en"}[locale.value],
        zh=locale is Locale.ZH_CN,
        locale=locale,
        other=paths[other].name,
        as_of=report.as_of.astimezone(zone),
        funnel=funnel_svg(stages, locale),
        days=bars_svg(_bars(report.days, zone), locale),
        dimensions=DIMENSIONS,
        quality=report.snapshot.manifest.get("quality", {}),
        segments=report.snapshot.manifest.get("segments", {}).get("segments", {}),
    )


def _bars(days: Sequence[Day], zone: ZoneInfo) -> list[tuple[str, int, int]]:
    return [(f"{day.as_of.astimezone(zone):%m-%d}", day.accepted, day.delivered) for day in days[-45:]]


_STAGES = {
    "audience": "人群",
    "planned": "计划发送",
    "sent": "写入账本",
    "accepted": "服务商已接收",
    "delivered": "已送达",
    "bounced": "退信",
    "rejected": "被拒绝",
    "withheld": "发送前拦下",
    "unknown": "未知",
    "gate:deceased": "拦：已故",
    "gate:under_age": "拦：未成年",
    "gate:admitted": "拦：住院中",
    "gate:fulfilled": "拦：已完成",
    "gate:no_address": "拦：无邮箱",
    "gate:invalid_address": "拦：邮箱无效",
    "gate:no_consent": "拦：未同意",
    "gate:cross_border": "拦：未同意出境",
    "gate:topic_off": "拦：不想收此主题",
    "gate:suppressed": "拦：禁发名单",
    "gate:already_sent": "拦：已发过",
    "gate:frequency_cap": "拦：频次上限",
    "gate:duplicate_address": "拦：同一邮箱",
    "gate:holdout": "拦：对照保留组",
    "gate:render_failed": "拦：渲染失败",
    "gate:claims_lint": "拦：用语不合规",
}


def _stage_words(stage: str, locale: Locale) -> str:
    if locale is Locale.ZH_CN:
        return _STAGES.get(stage, stage)
    return stage.replace("gate:", "held back: ").replace("_", " ")
