"""Processes that stay: the stand-in, the web application; deployments; demo data."""

from __future__ import annotations

import sys
from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from alongside.cli import options
from alongside.cli.output import AsJson, emit, show_pairs, tell
from alongside.model.enums import Channel
from alongside.model.errors import StoreUnavailable

#: The day before the demo's first run.
FIRST = date(2026, 2, 28)
hospital = typer.Typer(help="Demo data of a hospital that does not exist.", no_args_is_help=True)


def sandbox(
    port: options.Port = 8025,
    directory: Annotated[
        Path | None,
        typer.Option("--dir", parser=options.folder, metavar="DIR", help="Where its log lies; default var/sandbox."),
    ] = None,
    webhook: Annotated[str | None, typer.Option(help="Where events go, on this machine.")] = None,
    seed: Annotated[int, typer.Option(help="Of the simulated patients.")] = 0,
    channel: Annotated[Channel, typer.Option(help="Whose provider, of those that are set up.")] = Channel.EMAIL,
    fault: Annotated[
        list[str] | None,
        typer.Option(
            parser=options.fault, metavar="FAULT", help="KIND:name=value,... such as throttle:rate=0.1; repeatable."
        ),
    ] = None,
) -> None:
    """Start the stand-in of a channel's provider with its simulated patients."""
    import runpy

    from alongside.channels.capabilities import provider_of
    from alongside.settings import HospitalSettings, Project, read_model

    project = Project.find()
    settings = read_model(HospitalSettings, project.config / "alongside.yaml")
    provider = provider_of(settings, channel).provider
    usual = project.var / "sandbox"
    folder = directory or (usual if channel is Channel.EMAIL else usual / channel.value)
    given = [f"--dir={folder}", f"--port={port}", f"--seed={seed}", *(f"--fault={entry}" for entry in fault or [])]
    if provider == "sendgrid":
        given.append(f"--responses={project.config / 'sandbox' / 'responses.yaml'}")
    if provider == "aliyun" and settings.channels.sms is not None:
        given += [f"--template={one.code}={one.content}" for one in settings.channels.sms.registered]
    if provider == "wechat" and settings.channels.wechat is not None:
        from alongside.sandbox.wechat import Registered

        known = settings.channels.wechat.registered
        given += [f"--template={Registered(one.template_id, one.title, one.labels).to_text()}" for one in known]
    if webhook:
        given.append(f"--{'inbound' if provider == 'twilio' else 'webhook'}={webhook}")
    if provider in ("smtp", "fcm"):  # they tell nothing
        given = [entry for entry in given if not entry.startswith("--webhook")]
    sys.argv = ["alongside sandbox", *given]
    runpy.run_module(f"alongside.sandbox.{provider}", run_name="__main__", alter_sys=False)


def serve(
    port: options.Port = 8021,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    stand_in: Annotated[
        Path | None, typer.Option(help="Folder of a running stand-in: its key and simulated clock are used.")
    ] = None,
) -> None:
    """Start the web application: event webhooks, patients' pages, the inbox for programs."""
    import runpy

    given = [f"--port={port}", f"--host={host}"]
    sys.argv = ["alongside serve", *given, *([f"--stand-in={stand_in}"] if stand_in else [])]
    runpy.run_module("alongside.web", run_name="__main__", alter_sys=False)


def deploy(
    pool: Annotated[
        str, typer.Option(parser=options.pool, metavar="NAME", help="Prefect work pool of the workers.")
    ] = "alongside",
    staff: Annotated[
        str | None,
        typer.Option(
            "--tell", metavar="TYPE/NAME", help="Prefect's notification block through which staff hear of trouble."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Register the flows as Prefect deployments with their schedules, and the automations that watch their runs."""
    from httpx import HTTPError
    from prefect.settings import PREFECT_API_URL

    from alongside.settings import Project
    from flows import automations
    from flows.deployments import register

    root = Project.find().root
    try:
        block = None if staff is None else automations.find_block(staff)
        registered = [*register(root, pool), *automations.register(block)]
    except HTTPError as error:
        what = f"Prefect's server does not answer: {error}"
        remedy = "Start it ('prefect server start') and set PREFECT_API_URL to it; deploying again is safe."
        raise StoreUnavailable(what, where=PREFECT_API_URL.value(), remedy=remedy) from error
    said = [f"Registered {name}" for name in registered]
    tell({"pool": pool, "registered": registered}, as_json, *said, f"Next: prefect worker start --pool {pool}")


@hospital.command("generate")
def generate(
    directory: Annotated[
        Path | None, typer.Option("--dir", parser=options.folder, metavar="DIR", help="Default: var/hospital.")
    ] = None,
    patients: Annotated[int, typer.Option(min=10, max=10_000_000)] = 5000,
    seed: Annotated[int, typer.Option()] = 20260228,
    start: Annotated[
        date | None, typer.Option(parser=options.day, metavar="DAY", help=f"Day of the first extract; default {FIRST}.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write the extracts of a plausible hospital, of any size."""
    from alongside.sandbox.hospital import generate as write
    from alongside.settings import Project

    root = directory or Project.find().var / "hospital"
    report = write(root, patients=patients, seed=seed, start=start or FIRST)
    if as_json:
        emit({"directory": str(root), "patients": report.patients, "day": report.day, "rows": report.rows})
    else:
        show_pairs(f"Written to {root}", report.rows)
