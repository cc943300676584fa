"""For operators: how deliveries stand, and settling what nobody could tell."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from alongside.cli import options
from alongside.cli.output import AsJson, console, emit, fail, show_table
from alongside.model.enums import BatchState, Channel, MessageState, Ruled

if TYPE_CHECKING:
    from alongside.bootstrap import Services
    from alongside.delivery.warming import Standing
    from alongside.ledger.deliveries import Claimed, DeadLetter, DeadReason, Filter, Group, Overview
    from alongside.ledger.resolving import Target

REASONS = 20


# ---------------------------------------------------------------------------------------------------------- deliveries
def deliveries(
    channel: Annotated[Channel | None, typer.Option(help="Only this channel.")] = None,
    campaign: Annotated[str | None, typer.Option(help="Only this campaign.")] = None,
    run: Annotated[str | None, typer.Option(help="Only the plan of this run.")] = None,
    dead: Annotated[bool, typer.Option("--dead", help="List messages that are given up, the latest first.")] = False,
    limit: Annotated[int, typer.Option(help="How many of them.", min=1, max=10_000)] = 50,
    as_json: AsJson = False,
) -> None:
    """Show how deliveries stand: states, who holds what, what is unknown, what waits and why, what is given up."""
    from alongside.bootstrap import build
    from alongside.ledger.deliveries import Filter

    house = build()
    which = Filter(None if channel is None else channel.value, campaign, run)
    if dead:
        _dead(house, which, limit, as_json)
    else:
        _overview(house, which, as_json)


def _overview(house: Services, which: Filter, as_json: bool) -> None:
    from alongside.delivery.warming import standings
    from alongside.ledger.deliveries import overview

    now = house.clock()
    with house.ledger.reading() as connection:
        found = overview(connection, which, due=now, max_attempts=_max_attempts(house), reasons=REASONS)
        ramps = [one for one in standings(connection, house.settings, now) if which.channel in (None, one.channel)]
    if as_json:
        emit(_overview_json(found, now) | {"warm_up": [_ramp_json(one) for one in ramps]})
        return
    if not found.groups:
        console().print("The ledger has no such message. Paused: " + (_scopes(found) or "nothing") + ".")
    else:
        _show_overview(found, now)
    _show_ramps(ramps)


def _dead(house: Services, which: Filter, limit: int, as_json: bool) -> None:
    from alongside.ledger.deliveries import dead_letters, dead_reasons

    now = house.clock()
    tries = _max_attempts(house)
    with house.ledger.reading() as connection:
        reasons, total = dead_reasons(connection, which, due=now, max_attempts=tries, limit=REASONS)
        letters = dead_letters(connection, which, due=now, max_attempts=tries, limit=limit)
    if as_json:
        emit({"at": _iso(now), "dead": _dead_json(reasons, total), "letters": [_letter_json(one) for one in letters]})
    elif not total:
        console().print("No message is given up.")
    else:
        _show_reasons(reasons, total)
        columns = ("message", "person", "channel", "campaign", "state", "reason", "age")
        title = f"{len(letters):,} of {total:,} messages, the latest first"
        show_table(title, columns, [_letter_row(one, now) for one in letters])


def _max_attempts(house: Services) -> int:
    return house.settings.delivery.max_attempts


# ------------------------------------------------------------------------------------------------------------ as JSON
def _overview_json(found: Overview, now: datetime) -> dict[str, Any]:
    return {
        "at": _iso(now),
        "groups": [_group_json(group, now) for group in found.groups],
        "waiting": [asdict(one) | {"until": _iso(one.until)} for one in found.waiting],
        "pauses": [asdict(one) | {"since": _iso(one.since)} for one in found.pauses],
        "dead": _dead_json(found.dead, found.dead_messages),
    }


def _ramp_json(one: Standing) -> dict[str, Any]:
    return asdict(one) | {"day": str(one.day), "through": str(one.through) if one.through else None}


def _group_json(group: Group, now: datetime) -> dict[str, Any]:
    claim, since = group.oldest_claim, group.unknown_since
    return {
        "channel": group.channel,
        "campaign": group.campaign,
        "messages": group.messages,
        "batches": group.batches,
        "oldest_claim": None if claim is None else _claim_json(claim, now),
        "unknown": None
        if since is None
        else {
            "messages": group.messages.get(MessageState.UNKNOWN, 0),
            "since": _iso(since),
            "age_seconds": _seconds(now - since),
        },
    }


def _claim_json(claim: Claimed, now: datetime) -> dict[str, Any]:
    moments = {"since": _iso(claim.since), "lease_until": _iso(claim.lease_until)}
    return asdict(claim) | moments | {"age_seconds": _seconds(now - claim.since)}


def _dead_json(reasons: Iterable[DeadReason], total: int) -> dict[str, Any]:
    return {"messages": total, "reasons": [asdict(one) for one in reasons]}


def _letter_json(one: DeadLetter) -> dict[str, Any]:
    return asdict(one) | {"since": _iso(one.since)}


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="seconds")


def _seconds(age: timedelta) -> int:
    return max(0, round(age.total_seconds()))


# ------------------------------------------------------------------------------------------------------- for the eye
def _show_overview(found: Overview, now: datetime) -> None:
    message_states, batch_states = [state.value for state in MessageState], [state.value for state in BatchState]
    _show_states("Messages by state", [(one, one.messages) for one in found.groups], message_states)
    _show_states("Batches by state", [(one, one.batches) for one in found.groups], batch_states)
    _show_claims(found.groups, now)
    _show_unknown(found.groups, now)
    if found.waiting:
        columns = ("channel", "campaign", "because", "messages", "batches", "until")
        waiting = [(*(getattr(one, name) for name in columns[:-1]), _iso(one.until)) for one in found.waiting]
        show_table("Waiting", columns, waiting, numeric=("messages", "batches"))
    if found.pauses:
        pauses = [(one.scope, _age(now - one.since), one.by, one.reason) for one in found.pauses]
        show_table("Paused", ("scope", "for", "by", "reason"), pauses)
    if found.dead_messages:
        _show_reasons(found.dead, found.dead_messages)
        console().print("One by one: alongside deliveries --dead")


def _show_ramps(ramps: list[Standing]) -> None:
    rows = [
        (one.channel, one.name, one.day, "no limit" if one.allowed is None else one.allowed, one.taken, one.waiting,
         one.through or "")
        for one in ramps
    ]  # fmt: skip
    if rows:
        counts = ("allowed", "taken", "waiting")
        show_table("Warm-up of new senders", ("channel", "sender", "day", *counts, "the last on"), rows, counts)


def _show_claims(groups: list[Group], now: datetime) -> None:
    claims = [(one, one.oldest_claim) for one in groups if one.oldest_claim is not None]
    if claims:
        columns = ("channel", "campaign", "batch", "state", "age", "worker", "lease")
        show_table(
            "Oldest claim", columns, [(one.channel, one.campaign, *_claim_row(held, now)) for one, held in claims]
        )


def _show_unknown(groups: list[Group], now: datetime) -> None:
    unknown = [(one, one.unknown_since) for one in groups if one.unknown_since is not None]
    if unknown:
        count = MessageState.UNKNOWN.value
        rows = [(one.channel, one.campaign, one.messages.get(count, 0), _age(now - since)) for one, since in unknown]
        title = "Unknown: nobody knows whether they left"
        show_table(title, ("channel", "campaign", "messages", "oldest"), rows, numeric=("messages",))


def _show_states(title: str, counted: list[tuple[Group, dict[str, int]]], order: list[str]) -> None:
    occurring = [state for state in order if any(counts.get(state) for _, counts in counted)]
    rows = [(one.channel, one.campaign, *(counts.get(state, 0) for state in occurring)) for one, counts in counted]
    show_table(title, ("channel", "campaign", *occurring), rows, numeric=occurring)


def _claim_row(claim: Claimed, now: datetime) -> tuple[str, ...]:
    if claim.lease_until is None:
        lease = ""
    else:
        left = claim.lease_until - now
        lease = f"{_age(left)} left" if left > timedelta(0) else f"ran out {_age(-left)} ago"
    return claim.batch_id, claim.state, _age(now - claim.since), claim.worker, lease


def _show_reasons(reasons: list[DeadReason], total: int) -> None:
    columns = ("channel", "campaign", "state", "reason", "messages")
    rows = [(one.channel, one.campaign, one.state, one.reason, one.messages) for one in reasons]
    shown = sum(one.messages for one in reasons)
    rest = "" if shown == total else f"; {total - shown:,} for rarer reasons"
    show_table(f"Given up: {total:,} messages{rest}", columns, rows, numeric=("messages",))


def _letter_row(one: DeadLetter, now: datetime) -> tuple[str, ...]:
    age = _age(now - one.since)
    return one.message_key, one.person_id, one.channel, one.campaign, one.state, one.reason, age


def _scopes(found: Overview) -> str:
    return ", ".join(one.scope for one in found.pauses)


def _age(age: timedelta) -> str:
    """The two largest units: `3 d 4 h`, `2 h 5 min`, `40 s`."""
    seconds = _seconds(age)
    units = (("d", seconds // 86_400), ("h", seconds // 3600 % 24), ("min", seconds // 60 % 60), ("s", seconds % 60))
    first = next((place for place, (_, count) in enumerate(units) if count), 3)
    return " ".join(f"{count} {unit}" for unit, count in units[first : first + 2] if count) or "0 s"


# ------------------------------------------------------------------------------------------------------------- resolve
def resolve(
    message: Annotated[str | None, typer.Argument(help="Key of one message.", show_default=False)] = None,
    batch: Annotated[str | None, typer.Option(help="All of this batch.")] = None,
    campaign: Annotated[str | None, typer.Option(help="All of this campaign.")] = None,
    ruled: Annotated[Ruled | None, typer.Option("--as", help="What you have found out.")] = None,
    because: Annotated[str | None, typer.Option(help="How you know; no names or addresses of patients.")] = None,
    by: Annotated[str | None, typer.Option(parser=options.person, metavar="NAME", help="Who decides.")] = None,
    send_again: Annotated[
        bool, typer.Option("--send-again", help="Plan what was not sent again, whatever its purpose; care always is.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Settle messages of which nobody knows whether they left.

    Without arguments the vendor is asked. What it cannot tell is settled by hand: name a message, a batch or a
    campaign, --as accepted or --as not-sent, --because and --by. Every decision is kept in the audit trail.
    """
    from alongside.bootstrap import build

    given = [value for value in (message, batch, campaign) if value]
    if ruled is None:
        if given or because or by or send_again:
            raise fail("Say what you have found out: --as accepted or --as not-sent.", code=2)
        _ask_the_vendor(build(), as_json)
        return
    if len(given) != 1:
        raise fail("Name one message, or --batch ID, or --campaign NAME.", code=2)
    if not because or not by:
        raise fail("A decision is kept with --because TEXT and --by NAME.", code=2)
    from alongside.ledger.resolving import Ruling, Target

    ruling = Ruling(ruled, because, by, uuid.uuid4().hex[:24], send_again)
    _by_hand(build(), Target(message, batch, campaign), ruling, as_json)


def _ask_the_vendor(house: Services, as_json: bool) -> None:
    from alongside.delivery import reconcile
    from alongside.model.clock import RunClock

    settings, environment = house.settings, house.environment
    now = house.clock()
    report = reconcile(house.ledger, house.project, settings, environment, clock=RunClock(now, now))
    if as_json:
        emit(asdict(report))
    else:
        learnt = f"{report.found:,} accepted, {report.again:,} planned again, {report.unresolved:,} unresolved"
        console().print(f"{learnt}, {report.unknown:,} still unknown.")
    if report.trouble:
        raise fail(report.trouble)


def _by_hand(house: Services, target: Target, ruling: Any, as_json: bool) -> None:
    from alongside.ledger.calls import expire_calls
    from alongside.ledger.resolving import resolve_by_hand

    now = house.clock()
    expire_calls(house.ledger, now)  # what a dead worker was calling is unknown from now on
    done = resolve_by_hand(house.ledger, target, ruling, now=now, patient_now=now)
    if as_json:
        emit({"target": str(target), **asdict(done)})
        return
    console().print(
        f"{target}: {done.accepted:,} accepted, {done.planned_again:,} planned again, {done.given_up:,} given up."
    )
    if done.planned_again:
        console().print("What is planned again leaves with the next dispatch, if consent and relevance still allow it.")
    if done.given_up:
        console().print("To send given up messages after all, decide again with --send-again.")
