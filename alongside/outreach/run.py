"""Starting a run: what it pins in the ledger, so that a retry finds it and carries on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from alongside.ledger import Ledger, consent
from alongside.ledger.runs import RunPins, pin_run
from alongside.model.enums import DeliveryMode
from alongside.model.errors import Refused

#: How far `as_of` may lie from the wall clock before a run counts as a replay.
REPLAY_TOLERANCE = timedelta(hours=48)
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}


@dataclass(frozen=True)
class RunRequest:
    """What whoever starts a run asks for.

    Attributes
    ----------
    run_id : the root flow run's id; the same on every retry
    as_of : moment that decides content; None means the scheduled moment, else now
    scheduled_at : when the schedule wanted the run to start; None for a run by hand
    fictional_contacts : whether the run invents addresses and consents for synthetic patients
    """

    run_id: str
    mode: DeliveryMode
    config_hash: str
    config_commit: str
    vendor_url: str
    max_lateness: timedelta
    as_of: datetime | None = None
    scheduled_at: datetime | None = None
    fictional_contacts: bool = False


def start_run(ledger: Ledger, request: RunRequest, now: datetime) -> RunPins:
    """Pin the run, or find what an earlier try of the same id pinned.

    Raises
    ------
    Refused : a replay (`as_of` far from now) or invented contacts with anything but the stand-in; staging or live on a
        ledger that holds invented consents
    """
    if request.fictional_contacts and not _is_stand_in(request):
        raise Refused(
            "--fictional-contacts invents addresses and consents, which are for the stand-in only",
            where=f"delivery.mode {request.mode.value}",
            remedy="Set delivery.mode to sandbox and SENDGRID_URL to the stand-in on this machine, or leave it out.",
        )
    require_real_consents(ledger, request.mode)
    as_of = request.as_of or request.scheduled_at or now
    replay = is_replay(as_of, now)
    if replay and not _is_stand_in(request):
        raise Refused(
            f"as-of {as_of:%Y-%m-%d %H:%M} is a replay, and a replay reaches the stand-in only",
            where=f"delivery.mode {request.mode.value}",
            remedy="Set delivery.mode to sandbox and SENDGRID_URL to the stand-in on this machine, or leave --as-of.",
        )
    late = request.as_of is None and request.scheduled_at is not None and now - as_of > request.max_lateness
    wanted = RunPins(
        run_id=request.run_id,
        as_of=as_of,
        config_hash=request.config_hash,
        config_commit=request.config_commit,
        mode=request.mode.value,
        replay=replay,
        late=late,
        started_at=now,
        scheduled_at=request.scheduled_at,
    )
    with ledger.begin() as connection:
        return pin_run(connection, wanted)


def require_real_consents(ledger: Ledger, mode: DeliveryMode) -> None:
    """Refuse to reach anybody on the strength of consents that were invented.

    Raises
    ------
    Refused : staging or live on a ledger in which `--fictional-contacts` has ever recorded one
    """
    if mode is DeliveryMode.SANDBOX:
        return
    with ledger.reading() as connection:
        if not consent.holds_invented(connection):
            return
    raise Refused(
        "this ledger holds consents that --fictional-contacts invented, and permits nobody to be written to",
        where=f"delivery.mode {mode.value}",
        remedy="Give it a new ledger: set ALONGSIDE_LEDGER_URL to an empty database, or move var/ledger.db away.",
    )


def is_replay(as_of: datetime | None, now: datetime) -> bool:
    """Whether the moment lies so far from the wall clock that patients' time must follow it."""
    return as_of is not None and abs(now - as_of) > REPLAY_TOLERANCE


def _is_stand_in(request: RunRequest) -> bool:
    return request.mode is DeliveryMode.SANDBOX and urlsplit(request.vendor_url).hostname in _LOOPBACK
