"""For operators: pause and resume, opt-outs of an older tool, the ledger's schema, a doctor."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from alongside.cli import options
from alongside.cli.output import AsJson, console, emit, fail, show_table, tell
from alongside.model.enums import Channel

if TYPE_CHECKING:
    from alongside.bootstrap import Services

suppressions = typer.Typer(help="Addresses that must not be written to.", no_args_is_help=True)
ledger = typer.Typer(help="The transactional store.", no_args_is_help=True)
Scope = Annotated[
    str, typer.Argument(parser=options.scope, metavar="SCOPE", help="all, channel:NAME, campaign:NAME or run:ID.")
]


def pause(
    scope: Scope,
    reason: Annotated[str, typer.Option(help="Shown in every plan.")] = "by hand",
    as_json: AsJson = False,
) -> None:
    """Stop sending at once: everything, a channel, a campaign or a run. What is planned waits."""
    from alongside.bootstrap import build
    from alongside.ledger.pauses import active_pauses, set_pause
    from alongside.ledger.runs import write_audit

    house = build()
    _require_known(house, scope)
    with house.ledger.begin() as connection:
        fresh = set_pause(connection, scope, by=getpass.getuser(), reason=reason, now=house.clock())
        standing = active_pauses(connection)[scope]
        write_audit(connection, house.clock(), getpass.getuser(), "pause", scope, {"reason": reason})
    found = {"scope": scope, "paused": True, "reason": standing, "was_paused": not fresh}
    said = f"Paused {scope}." if fresh else f"{scope} was paused already; its first reason stands."
    tell(found, as_json, said)


def _require_known(house: Services, scope: str) -> None:
    """A pause of a mistyped name would stop nothing, and look as if it did."""
    from alongside.ledger.runs import read_run
    from alongside.outreach.campaigns import find_campaign

    kind, _, name = scope.partition(":")
    if kind == "campaign":
        find_campaign(house.catalogues.campaigns, name)
    if kind == "channel" and name not in set(Channel):
        raise fail(f"unknown channel '{name}'. There are: {', '.join(Channel)}.")
    if kind == "run":
        with house.ledger.reading() as connection:
            known = read_run(connection, name)
        if known is None:
            raise fail(f"the ledger knows no run '{name}'. 'alongside run --json' and Prefect's pages show its id.")


def resume(scope: Scope, as_json: AsJson = False) -> None:
    """Lift a pause."""
    from alongside.bootstrap import build
    from alongside.ledger.pauses import active_pauses, lift_pause
    from alongside.ledger.runs import write_audit

    house = build()
    with house.ledger.begin() as connection:
        lifted = lift_pause(connection, scope)
        if lifted:
            write_audit(connection, house.clock(), getpass.getuser(), "resume", scope, {})
        standing = active_pauses(connection)
    if not lifted:
        raise fail(f"{scope} is not paused. Paused now: {', '.join(standing) or 'nothing'}.")
    found = {"scope": scope, "paused": False, "still_paused": standing}
    still = f" Still paused: {', '.join(standing)}." if standing else ""
    tell(found, as_json, f"Resumed {scope}.{still}")


@suppressions.command("import")
def import_suppressions(
    path: Annotated[Path, typer.Argument(help="CSV with a column 'address', optionally scope, reason, date.")],
    as_json: AsJson = False,
) -> None:
    """Take over the opt-outs of the tool that was used before. Lines that cannot be read are listed."""
    from alongside.bootstrap import build
    from alongside.ledger.suppressions import import_csv

    house = build()
    vault = house.vault  # opened before the transaction: setting a vault up writes to the ledger itself
    with house.ledger.begin() as connection:
        report = import_csv(path, connection, vault, house.clock(), region=house.settings.hospital.country)
    if as_json:
        emit(report.to_json())
    else:
        console().print(f"{report.read} lines: {report.added} added, {report.known} known before.")
        for fault in report.faults:
            typer.secho(str(fault), fg="yellow", err=True)
    if any(fault.severity == "error" for fault in report.faults):
        raise typer.Exit(1)


@ledger.command("upgrade")
def upgrade_ledger(as_json: AsJson = False) -> None:
    """Bring the ledger's tables to this release."""
    from alongside.bootstrap import build
    from alongside.ledger.upgrading import upgrade

    house = build()
    before, after = upgrade(house.ledger_url)
    tell({"before": before, "schema": after}, as_json, "The ledger's tables are those of this release.")


def doctor(as_json: AsJson = False) -> None:
    """Check configuration, ledger, vault key, snapshot, e-mail vendor and webhook set-up."""
    from alongside.bootstrap import build
    from alongside.diagnosis import examine

    results = examine(build())
    if as_json:
        emit({"ok": all(item.state != "failed" for item in results), "checks": [vars(item) for item in results]})
    else:
        show_table("", ("check", "state", "what was found"), [(item.name, item.state, item.found) for item in results])
    if any(item.state == "failed" for item in results):
        raise typer.Exit(1)
