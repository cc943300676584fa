"""What a campaign does, by the people who were kept without it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from alongside.cli.output import AsJson, console, emit, fail, show_table
from alongside.model.enums import Locale

if TYPE_CHECKING:
    from datetime import tzinfo

    from alongside.analysis.campaign_effect import CampaignEffect
    from alongside.analysis.result import GoalComparison
    from alongside.bootstrap import Services
    from alongside.outreach.experiments import Metric


def effect(
    campaign: Annotated[str, typer.Argument(help="A campaign with a hold-out.")],
    metric: Annotated[
        list[str] | None,
        typer.Option(help="A file of config/metrics/, repeatable; default: the goals of its experiment."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """What a campaign does: people with it against those whom its hold-out kept without it."""
    from alongside.analysis.campaign_effect import campaign_effect
    from alongside.bootstrap import build
    from alongside.outreach.campaigns import find_campaign

    house = build()
    found = find_campaign(house.catalogues.campaigns, campaign)
    snapshot = house.warehouse.current()
    if snapshot is None:
        raise fail("There is no snapshot yet. Start a run first: 'alongside run'.")
    metrics = _metrics(house, campaign, metric or [])
    result = campaign_effect(found, metrics, house.ledger, house.project.var / "runs", snapshot, house.warehouse)
    emit(result.to_json()) if as_json else _show(result, house.zone)


def _metrics(house: Services, campaign: str, named: list[str]) -> list[Metric]:
    from alongside.model.findings import nearest
    from alongside.outreach.experiments import load_metrics

    known = load_metrics(house.project)
    for name in named:
        if name not in known:
            raise fail(f"unknown metric '{name}': {nearest(name, known) or ', '.join(known)}.")
    if named:
        return [known[name] for name in dict.fromkeys(named)]
    experiments = house.catalogues.experiments.values()
    goals = next((item.goals for item in experiments if item.campaign == campaign), ())
    if not goals:
        raise fail("say what to compare with --metric, for example --metric booked_screening.", code=2)
    return list(goals)


def _show(result: CampaignEffect, zone: tzinfo) -> None:
    from alongside.analysis.showing.wording import level, p_is

    out = console()
    counts = {name: arm.n for name, arm in result.arms.items()}
    since, as_of = (moment.astimezone(zone).date() for moment in (result.since, result.as_of))
    out.print(
        f"[bold]{result.campaign}[/bold] since {since}, as of {as_of}: "
        f"{counts['campaign']:,} people with it, {counts['without']:,} kept without it"
    )
    rows = []
    for item in result.comparisons:
        arms = (result.arms[name].metrics[item.metric.name] for name in ("campaign", "without"))
        rows.append((item.metric.words(Locale.EN), *(level(arm.mean, item.metric) for arm in arms), *_change(item)))
    show_table("", ("metric", "with it", "without it", "difference", "95 % interval", "p"), rows)
    if result.sample_ratio.mismatch:
        out.print(
            f"[red]The groups are not {result.holdout:.0%} to {1 - result.holdout:.0%} ("
            f"{p_is(result.sample_ratio.p_value)}): the share was changed, or something else tells them apart. "
            "Do not believe the difference.[/red]"
        )
    out.print("People count once their whole window is known. Decide on a day that you have named beforehand.")


def _change(item: GoalComparison) -> tuple[str, str, str]:
    from alongside.analysis.showing.wording import amount, bounds, p_text
    from alongside.stats import Unavailable

    comparison = item.comparison
    if comparison.difference is None or comparison.p_value is None:
        if comparison.reason is Unavailable.EMPTY_ARM:
            return "–", "no outcome is known yet", "–"
        return "–", comparison.reason.value.replace("_", " ") if comparison.reason else "cannot be given", "–"
    interval = bounds(item.adjusted, item.metric, Locale.EN, " to ")
    return amount(comparison.difference, item.metric, Locale.EN), interval, p_text(item.adjusted_p)
