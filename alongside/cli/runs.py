"""The daily flow, now."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from alongside.cli import options
from alongside.cli.output import AsJson, emit, fail

if TYPE_CHECKING:
    from alongside.bootstrap import Services
    from alongside.cli.stage import Stage


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

    Without SENDGRID_URL in sandbox mode stand-ins of all providers are started for the time of the run.
    """
    from alongside.bootstrap import build
    from alongside.cli.prefect_server import opening
    from alongside.cli.stage import stand_in_if_needed
    from alongside.cli.summary import show_run

    house = build()
    parameters: dict[str, Any] = {
        "as_of": options.in_zone(as_of, house.zone),
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
        if stage.played is not None:
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
    if not waiting or summary["held"] or stage.played is None:
        return moment.isoformat()
    far = timedelta(0) if is_replay(moment, house.clock()) else REPLAY_TOLERANCE + timedelta(days=1)
    noon = (moment + far).astimezone(house.zone).replace(hour=12, minute=0, second=0, microsecond=0)
    noon = noon if noon > moment else noon + timedelta(days=1)
    stage.played.set_clock(noon)
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


def _source(entry: str) -> tuple[str, str]:
    name, equals, path = entry.partition("=")
    if not (name and equals and path):
        raise fail(f"--source {entry}: write it as NAME=PATH.", code=2)
    return name, str(Path(path).resolve())
