"""The ledger in a file: backup and restore."""

from __future__ import annotations

import getpass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from alongside.cli.output import AsJson, console, emit, fail, show_table

if TYPE_CHECKING:
    from alongside.ledger.backups import Prospect, RestoreReport

Replace = Annotated[bool, typer.Option("--replace", help="Give up the ledger that is there now.")]
Confirm = Annotated[
    str | None, typer.Option(help="With --replace: the id of the ledger to give up, instead of asking.")
]


def backup(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="A new file; nothing is overwritten.")],
    as_json: AsJson = False,
) -> None:
    """Write the whole ledger, as it is at one moment, into one file; nobody has to stop for it."""
    from alongside.bootstrap import build
    from alongside.ledger.backups import backup as make

    house = build()
    made = make(house.ledger_url, path, now=house.clock(), actor=getpass.getuser())
    manifest = made.manifest
    if as_json:
        emit(
            {
                "file": str(path),
                "bytes": made.bytes,
                "ledger_id": manifest.ledger_id,
                "schema": manifest.revision,
                "epoch": manifest.epoch,
                "made_at": manifest.made_at.isoformat(),
                "rows": manifest.rows,
            }
        )
        return
    console().print(
        f"Backed up ledger {manifest.ledger_id} as of {_moment(manifest.made_at)}:"
        f" {sum(manifest.rows.values()):,} rows, {made.bytes:,} bytes in {path}.",
        soft_wrap=True,
    )
    console().print("Keep it apart from the vault key: one without the other names nobody.")


def restore(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="What 'alongside ledger backup' has written.")],
    replace: Replace = False,
    confirm: Confirm = None,
    as_json: AsJson = False,
) -> None:
    """Put a backup into the ledger, all or nothing. Afterwards everything is paused; what was open is never re-sent."""
    from alongside.bootstrap import build
    from alongside.ledger.backups import inspect
    from alongside.ledger.backups import restore as put

    house = build()
    prospect = inspect(house.ledger_url, path, house.environment)
    if replace and prospect.replaces is not None:
        _require_word(prospect, confirm)
    done = put(house.ledger_url, path, house.environment, now=house.clock(), actor=getpass.getuser(), replace=replace)
    if as_json:
        emit(_as_json(done))
    else:
        _tell(done)


def compare(as_json: AsJson = False) -> None:
    """After a restore and a run: ask the vendors which of the planned messages they have already; nothing is sent."""
    from alongside.bootstrap import build
    from alongside.delivery.overlap import compare as ask
    from alongside.model.clock import RunClock

    house = build()
    now = house.clock()
    report = ask(house.ledger, house.project, house.settings, house.environment, clock=RunClock(now, now))
    if as_json:
        emit(vars(report))
    else:
        console().print(f"{report.asked:,} planned messages asked about: {report.found:,} had left, accepted now.")
        for channel, why in report.not_asked.items():
            _warn(f"Nobody was asked about {channel}: {why}.")
    if report.trouble:
        raise fail(f"{report.trouble} Not everything was asked about: run it again before you resume.")
    if report.not_asked:
        names = ", ".join(report.not_asked)
        raise fail(f"Pause the campaigns that sent by {names} since the backup until their windows are over.")


def _require_word(prospect: Prospect, given: str | None) -> None:
    wanted = prospect.replaces
    if given is None:
        _warn(f"Ledger {wanted} is given up for the backup of {_moment(prospect.manifest.made_at)}.")
        for line in _losses(prospect):
            _warn(line)
        given = typer.prompt("Type its id to go on", err=True)
    if given != wanted:
        raise fail(f"Not confirmed: {given!r} is not the id of the ledger, {wanted}. Nothing was changed.")


def _losses(found: Prospect | RestoreReport) -> list[str]:
    if found.loss is None:
        return []
    loss = found.loss
    return [
        f"It forgets {loss.withdrawals:,} withdrawals of consent and {loss.suppressions:,} suppressions"
        f" that came since, and what became of {loss.accepted:,} messages."
    ]


def _tell(done: RestoreReport) -> None:
    manifest = done.manifest
    total = f"{sum(manifest.rows.values()):,} rows"
    console().print(f"Restored ledger {manifest.ledger_id}: {total}, epoch {done.epoch}.", soft_wrap=True)
    if done.held:
        show_table(
            "Unknown: may have been sent since the backup",
            ("campaign", "channel", "messages"),
            done.held,
            ("messages",),
        )
    span = f"between {_moment(manifest.made_at)} and {_moment(done.restored_at)}"
    _warn(f"LOST: every withdrawal of consent, suppression and message {span}.")
    for line in _losses(done):
        _warn(line)
    _warn("EVERYTHING IS PAUSED. Before 'alongside resume all':")
    for step in _STEPS:
        _warn(f"  - {step}")


_STEPS = (
    "export the vendor's suppressions (unsubscribes, bounces, complaints) of that span, then"
    " 'alongside suppressions import FILE';",
    "fetch new extracts of the systems that keep consent, and start a run: it plans, and sends nothing while paused;",
    "'alongside ledger compare' asks the vendor which of these it has: what left in that span is planned again;",
    "messages listed as unknown are never sent by themselves: events and the vendor's feed may still settle them.",
)


def _as_json(done: RestoreReport) -> dict[str, Any]:
    manifest = done.manifest
    return {
        "ledger_id": manifest.ledger_id,
        "epoch": done.epoch,
        "replaced": done.replaced,
        "rows": manifest.rows,
        "unknown": [{"campaign": name, "channel": channel, "messages": count} for name, channel, count in done.held],
        "lost_from": manifest.made_at.isoformat(),
        "lost_until": done.restored_at.isoformat(),
        "lost": vars(done.loss) if done.loss else None,
        "paused": "all",
    }


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def _warn(line: str) -> None:
    typer.secho(line, fg="yellow", err=True)
