"""Plan, approve and run."""

from __future__ import annotations

import getpass
import tempfile
import uuid
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from alongside.cli import options
from alongside.cli.output import AsJson, console, emit, fail, show_table

if TYPE_CHECKING:
    from alongside.bootstrap import Services
    from alongside.cli.stage import Stage
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

    house = build()
    at = _in_zone(house, as_of) or house.clock()
    plans = _dry_plans(house, campaigns or [], at)
    if as_json:
        emit([_plan_json(item) for item in plans])
        return
    _warn_of_age(house, at)
    for item in plans:
        _show_plan(item, samples)


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
) -> None:
    """Approve a campaign's configuration within an envelope. Any later edit voids it."""
    from alongside.bootstrap import build
    from alongside.ledger.approvals import Approval
    from alongside.ledger.approvals import approve as write
    from alongside.outreach.approval import configuration_hash
    from alongside.outreach.campaigns import Envelope, find_campaign

    house = build()
    wanted = find_campaign(house.catalogues.campaigns, campaign)
    given = {"max_audience": max_audience, "max_change": max_change, "max_cost": max_cost}
    envelope = wanted.envelope.model_dump() | {name: value for name, value in given.items() if value is not None}
    approval = Approval(
        campaign=campaign,
        config_hash=configuration_hash(wanted, house.catalogues, house.settings),
        plan_hash=exact_plan,
        envelope=Envelope.model_validate(envelope).model_dump(),
        approved_by=by or getpass.getuser(),
        approved_at=house.clock(),
        expires_at=None,
    )
    with house.ledger.begin() as connection:
        write(connection, approval)
    bounds = ", ".join(f"{name} {value:,}" for name, value in approval.envelope.items() if value is not None)
    exactly = f" plan {approval.plan_hash}," if approval.plan_hash else ""
    console().print(f"Approved {campaign} at configuration {approval.config_hash[:12]},{exactly} within {bounds}.")


def run(
    as_of: Annotated[
        datetime | None,
        typer.Option(parser=options.moment, metavar="MOMENT", help="Play the run as of this moment (stand-in only)."),
    ] = None,
    source: Annotated[list[str] | None, typer.Option(help="NAME=PATH, repeatable: read this extract.")] = None,
    campaign: Annotated[list[str] | None, typer.Option(help="Only this campaign, repeatable.")] = None,
    partitions: Annotated[int | None, typer.Option(min=1, max=1024, help="Delivery partitions.")] = None,
    fictional_contacts: Annotated[
        bool, typer.Option("--fictional-contacts", help="Give everybody a marked, reserved-domain address.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Run the daily flow now: refresh, plan, send, evaluate.

    Without SENDGRID_URL in sandbox mode a stand-in of SendGrid is started for the time of the run.
    """
    from alongside.bootstrap import build
    from alongside.cli.prefect_server import opening
    from alongside.cli.stage import stand_in_if_needed
    from alongside.cli.summary import show_run

    house = build()
    parameters: dict[str, Any] = {
        "as_of": _in_zone(house, as_of),
        "sources": dict(_source(entry) for entry in source or []),
        "campaigns": campaign or [],
        "partitions": partitions,
        "fictional_contacts": fictional_contacts,
        "project": str(house.project.root),
    }
    _require_known(house, parameters)
    opening(parameters["project"])
    with stand_in_if_needed(house, parameters["as_of"]) as stage:
        summary = run_flow(parameters)
        if stage.control is not None:
            stage.settle(_play_on(house, stage, parameters, summary))
        summary = stage.refreshed(summary)
    if as_json:
        emit(summary)
    else:
        show_run(summary)
    if summary["held"]:
        raise typer.Exit(1)


def _play_on(house: Services, stage: Stage, parameters: dict[str, Any], summary: dict[str, Any]) -> str:
    """On a stand-in of our own time is ours: whoever was asleep gets theirs at noon. Returns the moment reached."""
    from alongside.outreach.run import REPLAY_TOLERANCE, is_replay

    moment = datetime.fromisoformat(summary["as_of"])
    waiting = summary["funnel"].get("planned", 0) - summary["funnel"].get("accepted", 0)
    if not waiting or summary["held"] or stage.control is None:
        return moment.isoformat()
    far = timedelta(0) if is_replay(moment, house.clock()) else REPLAY_TOLERANCE + timedelta(days=1)
    noon = (moment + far).astimezone(house.zone).replace(hour=12, minute=0, second=0, microsecond=0)
    noon = noon if noon > moment else noon + timedelta(days=1)
    stage.control.set_clock(noon)
    run_flow({**parameters, "as_of": noon}, only_waiting=True)
    return noon.isoformat()


def run_flow(parameters: dict[str, Any], *, only_waiting: bool = False) -> dict[str, Any]:
    """The daily flow (or `deliver`) in this process, quietly; the daily summary is what `run --json` prints."""
    from alongside.cli.prefect_server import opening

    ready = opening(parameters["project"])
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

    import alongside.quality.validation  # noqa: F401  # seconds of imports, while the server still starts
    from flows.daily import daily
    from flows.deliver import deliver
    from flows.parameters import DailyParameters

    ready.result()
    # A heartbeat tells a server that a process elsewhere lives; here it would only cost a second a flow.
    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        flow = deliver if only_waiting else daily
        summary: dict[str, Any] = flow(DailyParameters.model_validate(parameters))
    return summary


def _require_known(house: Services, parameters: dict[str, Any]) -> None:
    """What the flow would refuse after its retries is refused at once, before Prefect starts."""
    from alongside.outreach.campaigns import find_campaign

    for name in parameters["campaigns"]:
        find_campaign(house.catalogues.campaigns, name)
    house.source_roots(parameters["sources"])


def _in_zone(house: Services, moment: datetime | None) -> datetime | None:
    """A moment without a zone is the hospital's."""
    return moment if moment is None or moment.tzinfo else moment.replace(tzinfo=house.zone)


def _source(entry: str) -> tuple[str, str]:
    name, equals, path = entry.partition("=")
    if not (name and equals and path):
        raise fail(f"--source {entry}: write it as NAME=PATH.", code=2)
    return name, str(Path(path).resolve())


def _dry_plans(house: Services, names: list[str], as_of: datetime) -> list[CampaignPlan]:
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


def _plan_json(item: CampaignPlan) -> dict[str, Any]:
    """The plan, with the reason of every gate that closes for somebody."""
    from alongside.outreach.why import meaning_of

    return {**item.to_json(), "reasons": {gate: meaning_of(gate) for gate in item.gates}}


def _show_plan(item: CampaignPlan, samples: bool) -> None:
    from alongside.outreach.approval import PRINTED

    out = console()
    out.print(f"\n[bold]{item.campaign}[/bold]: {item.state}" + (f" ({item.reason})" if item.reason else ""))
    if not item.funnel:
        return
    before = "" if item.previous is None else f", last run {item.previous:,}"
    out.print(f"segment: {item.entered:+,} entered, {-item.left:+,} left{before}")
    _show_funnel(item)
    out.print("variants: " + ", ".join(f"{name} {count:,}" for name, count in item.variants.items()))
    short = item.plan_hash[:PRINTED]  # what `approve --exact-plan` takes
    out.print(f"configuration {item.config_hash[:12]}  plan {short}  cost {item.cost:.2f}")
    for text, count in item.findings.items():
        out.print(f"[yellow]{count:,} x {text}[/yellow]")
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
