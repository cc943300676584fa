"""What staff have to look at, who was told of it, and a trial of telling them."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from alongside.cli.output import AsJson, console, emit, fail, show_table

if TYPE_CHECKING:
    from alongside.alerts import Told
    from alongside.ledger.staff_alerts import Alert

app = typer.Typer(help="What staff have to look at, and who was told.", no_args_is_help=True)


@app.command("list")
def list_alerts(as_json: AsJson = False) -> None:
    """What somebody has to look at now, since when, and whom the engine has told. Tells nobody."""
    from alongside.alerts import find_causes
    from alongside.bootstrap import build
    from alongside.ledger import staff_alerts

    house = build()
    now = house.clock()
    with house.ledger.begin() as connection:
        staff_alerts.note(connection, find_causes(connection, house.settings, now), now)
        found = staff_alerts.lasting_alerts(connection)
    if as_json:
        emit([_alert_json(one) for one in found])
    elif not found:
        console().print("There is nothing that somebody has to look at.")
    else:
        rows = [(one.event, one.subject, one.level, _local(house.zone, one.since), _told(one)) for one in found]
        show_table("", ("alert", "of", "count", "since", "told"), rows, ("count",))


@app.command("tell")
def tell(as_json: AsJson = False) -> None:
    """Tell staff now what is new, worse, or has lasted: what the scheduled runs do by themselves."""
    from alongside.alerts import receivers_of
    from alongside.alerts import tell as tell_staff
    from alongside.bootstrap import build

    house = build()
    receivers_of(house.settings, None)
    _report(tell_staff(house.ledger, house.settings, house.clock()), as_json, "There is nothing new to tell.")


@app.command("test")
def send_trial(
    to: Annotated[str | None, typer.Option("--to", metavar="NAME", help="One receiver; by default all.")] = None,
    as_json: AsJson = False,
) -> None:
    """Send a trial to staff, through the services that alerts go through. Nothing is written down."""
    from alongside.alerts import receivers_of, trial
    from alongside.bootstrap import build

    house = build()
    found = [trial(house.settings, receiver) for receiver in receivers_of(house.settings, to)]
    _report(found, as_json, "")


def _report(done: list[Told], as_json: bool, nothing: str) -> None:
    if as_json:
        emit([asdict(one) for one in done])
    elif not done:
        console().print(nothing)
    for one in done if not as_json else ():
        said = one.trouble or f"told, {one.messages} messages"
        console().print(f"{one.receiver}: {said}", markup=False, soft_wrap=True)
    if any(one.trouble for one in done):
        raise fail("Not everybody was told.")


def _alert_json(one: Alert) -> dict[str, Any]:
    told = [
        {
            "receiver": notice.receiver,
            "count": notice.level,
            "at": None if notice.told_at is None else _iso(notice.told_at),
            "tries": notice.tries,
            "trouble": notice.trouble,
        }
        for notice in one.notices.values()
    ]
    return {"event": one.event, "subject": one.subject, "count": one.level, "since": _iso(one.since), "told": told}


def _told(one: Alert) -> str:
    return ", ".join(
        notice.receiver if notice.told_at is not None else f"{notice.receiver} (not yet: {notice.trouble or 'waits'})"
        for notice in one.notices.values()
    )


def _local(zone: Any, moment: datetime) -> str:
    return f"{moment.astimezone(zone):%Y-%m-%d %H:%M}"


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")
