"""What the next run would do, and a person's agreement to it."""

from __future__ import annotations

import getpass
import tempfile
import uuid
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from alongside.cli import options
from alongside.cli.output import AsJson, console, emit, fail, show_table, tell

if TYPE_CHECKING:
    from alongside.bootstrap import Services
    from alongside.cli.prospects import Prospects
    from alongside.delivery.warming import HeldBack
    from alongside.ledger.approvals import Approval
    from alongside.outreach.campaign_plan import CampaignPlan

Campaigns = Annotated[list[str] | None, typer.Argument(help="Campaigns; all enabled ones when left out.")]


def plan(
    campaigns: Campaigns = None,
    as_of: Annotated[
        datetime | None,
        typer.Option(parser=options.moment, metavar="MOMENT", help="Plan as of this moment, 2026-03-01T08:00."),
    ] = None,
    samples: Annotated[bool, typer.Option(help="Print sample renders.")] = True,
    as_json: AsJson = False,
) -> None:
    """Show what the next run would do: audience, gates, variants, words, findings. Sends nothing."""
    from alongside.bootstrap import build
    from alongside.cli.prospects import of_plan, show

    house = build()
    at = options.in_zone(as_of, house.zone) or house.clock()
    plans = dry_plans(house, campaigns or [], at)
    held_back = _held_back(house, plans, at)
    launches = [of_plan(house, item) for item in plans]
    if as_json:
        told = zip(plans, held_back, launches, strict=True)
        emit([_plan_json(item, held, launch) for item, held, launch in told])
        return
    _warn_of_age(house, at)
    for item, launch in zip(plans, launches, strict=True):
        _show_plan(item, samples)
        if launch is not None:
            show(launch, curve=False)
    _show_held_back(plans, held_back)


def _warn_of_age(house: Services, at: datetime) -> None:
    """A plan is as good as its snapshot: appointments and visits since then are not in it."""
    snapshot = house.warehouse.current()
    age = None if snapshot is None else at - snapshot.as_of
    if age is not None and snapshot is not None and abs(age) > timedelta(days=2):
        text = f"The snapshot is of {snapshot.as_of:%Y-%m-%d}, {abs(age.days)} days off the moment planned for."
        console().print(f"[yellow]{text} Give --as-of, or start a run for a fresh one.[/yellow]")


def approve(
    campaign: Annotated[str, typer.Argument(help="Campaign whose configuration is approved as it stands.")],
    max_audience: Annotated[int | None, typer.Option(help="Most messages of one run.", min=1, max=10**9)] = None,
    max_change: Annotated[
        float | None, typer.Option(help="Largest growth against the last run, 0.5 is +50 %.", min=0.001, max=1000)
    ] = None,
    max_cost: Annotated[float | None, typer.Option(help="Largest cost of one run.", min=0, max=1e12)] = None,
    exact_plan: Annotated[
        str | None,
        typer.Option(parser=options.plan_hash, metavar="HASH", help="The plan that a one-off campaign needs approved."),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(parser=options.person, metavar="NAME", help="Who approves; default: the user of this machine."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Approve a campaign's configuration within an envelope. Any later edit voids it."""
    from alongside.bootstrap import build
    from alongside.ledger.approvals import approve as write

    house = build()
    given = {"max_audience": max_audience, "max_change": max_change, "max_cost": max_cost}
    approval = _approval(house, campaign, given, exact_plan, by or getpass.getuser())
    with house.ledger.begin() as connection:
        write(connection, approval)
    bounds = ", ".join(f"{name} {value:,}" for name, value in approval.envelope.items() if value is not None)
    exactly = f" plan {approval.plan_hash}," if approval.plan_hash else ""
    said = f"Approved {campaign} at configuration {approval.config_hash[:12]},{exactly} within {bounds}."
    tell(asdict(approval), as_json, said)


def _approval(house: Services, campaign: str, given: dict[str, Any], plan_hash: str | None, by: str) -> Approval:
    """The campaign as it stands, within its own envelope and what was given instead of it."""
    from alongside.ledger.approvals import Approval
    from alongside.outreach.approval import configuration_hash
    from alongside.outreach.campaigns import Envelope, find_campaign

    wanted = find_campaign(house.catalogues.campaigns, campaign)
    envelope = wanted.envelope.model_dump() | {name: value for name, value in given.items() if value is not None}
    return Approval(
        campaign=campaign,
        config_hash=configuration_hash(wanted, house.catalogues, house.settings),
        plan_hash=plan_hash,
        envelope=Envelope.model_validate(envelope).model_dump(),
        approved_by=by,
        approved_at=house.clock(),
        expires_at=None,
    )


def dry_plans(house: Services, names: list[str], as_of: datetime) -> list[CampaignPlan]:
    from alongside.ledger.runs import RunPins
    from alongside.outreach.campaigns import find_campaign
    from alongside.outreach.plan import Planner

    snapshot = house.warehouse.current()
    if snapshot is None:
        raise fail("There is no snapshot yet. Start a run first: 'alongside run'.")
    now = house.clock()
    pins = RunPins(
        run_id=f"plan-{uuid.uuid4().hex[:12]}",
        as_of=as_of,
        config_hash=house.configuration_hash(),
        config_commit=house.configuration_commit(),
        mode=house.mode.value,
        replay=False,
        late=False,
        started_at=now,
        snapshot_id=snapshot.id,
    )
    wanted = house.catalogues.campaigns
    chosen = [find_campaign(wanted, name) for name in names] if names else list(wanted)
    with tempfile.TemporaryDirectory(prefix="alongside-plan-") as folder:
        planner = Planner(house.ledger, house.warehouse, snapshot, house.settings, house.catalogues, pins, Path(folder))
        return [planner.plan(item, now, commit=False) for item in chosen]


def _held_back(house: Services, plans: list[CampaignPlan], at: datetime) -> list[list[HeldBack]]:
    """For each plan, what the ramps of new senders hold back of it."""
    from alongside.delivery.warming import Wish, hold_back
    from alongside.outreach.campaigns import find_campaign

    wishes = []
    for item in plans:
        wanted = find_campaign(house.catalogues.campaigns, item.campaign)
        purpose = house.catalogues.content.message(wanted.message).definition.purpose
        wishes.append(Wish(purpose.value, wanted.urgent, item.senders if item.state == "planned" else {}))
    with house.ledger.reading() as connection:
        return hold_back(connection, house.settings, wishes, at)


def _show_held_back(plans: list[CampaignPlan], held_back: list[list[HeldBack]]) -> None:
    rows = [
        (item.campaign, one.channel, one.ramp, one.messages, one.allowed, one.held, one.until or "")
        for item, held in zip(plans, held_back, strict=True)
        for one in held
    ]
    if rows:
        counts = ("messages", "allowed that day", "wait")
        show_table("Warm-up", ("campaign", "channel", "sender", *counts, "the last until"), rows, counts)


def _plan_json(
    item: CampaignPlan, held_back: Sequence[HeldBack] = (), launch: Prospects | None = None
) -> dict[str, Any]:
    """The plan, with the reason of every gate that closes for somebody, what waits for a new sender, and what an
    experiment that it launches could find."""
    from alongside.outreach.why import meaning_of

    warm_up = [asdict(one) | {"until": str(one.until) if one.until else None} for one in held_back]
    reasons = {gate: meaning_of(gate) for gate in item.gates}
    experiment = launch.to_json() if launch else None
    return {**item.to_json(), "reasons": reasons, "warm_up": warm_up, "experiment": experiment}


def _show_plan(item: CampaignPlan, samples: bool) -> None:
    from rich.markup import escape

    from alongside.outreach.approval import PRINTED

    out = console()
    out.print(f"\n[bold]{item.campaign}[/bold]: {item.state}" + (f" ({escape(item.reason)})" if item.reason else ""))
    if not item.funnel:
        return
    before = "" if item.previous is None else f", last run {item.previous:,}"
    out.print(f"segment: {item.entered:+,} entered, {-item.left:+,} left{before}")
    _show_funnel(item)
    out.print("variants: " + ", ".join(f"{name} {count:,}" for name, count in item.variants.items()))
    out.print("channels: " + ", ".join(f"{name} {count:,}" for name, count in item.channels.items()))
    short = item.plan_hash[:PRINTED]  # what `approve --exact-plan` takes
    out.print(f"configuration {item.config_hash[:12]}  plan {short}  cost {item.cost:.2f}")
    for text, count in item.findings.items():
        out.print(f"[yellow]{count:,} x {escape(text)}[/yellow]")
    for sample in item.samples if samples else ():
        out.rule(f"{sample.message} ({sample.locale}): {sample.subject}", align="left")
        out.print(sample.text, markup=False)


def _show_funnel(item: CampaignPlan) -> None:
    """Everybody once, at the first gate that stopped them; and how many each gate closes for, with its reason."""
    from alongside.outreach.why import meaning_of

    rows = []
    for stage, count in item.funnel.items():
        gate = stage.removeprefix("gate:")
        closes = stage != gate and gate in item.gates
        rows.append((stage, count, item.gates[gate] if closes else "", meaning_of(gate) if closes else ""))
    counts = ("stopped first here", "closes for")
    show_table("", ("stage", *counts, "because"), rows, counts)
