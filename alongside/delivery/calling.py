"""Calls that people make: the last look before they do, and what came of one for list, message and consent."""

from __future__ import annotations

from datetime import datetime

from alongside.delivery.events import ingest_within
from alongside.delivery.last_look import LastLook, note_withheld
from alongside.ledger import Ledger, call_list
from alongside.ledger.runs import write_audit
from alongside.ledger.vault import Vault
from alongside.model.enums import CallOutcome, CallStatus, Channel
from alongside.settings import HospitalSettings
from alongside.settings.channels import CallChannel


def record_call(
    ledger: Ledger,
    vault: Vault,
    settings: HospitalSettings,
    task_id: str,
    outcome: CallOutcome,
    *,
    note: str = "",
    by: str,
    now: datetime,
) -> CallStatus:
    """Write down the outcome of a try, and let it count as what happened to the message; one transaction.

    Raises
    ------
    Refused : the channel is not set up, there is no such call, or it is done
    """
    calls = settings.channels.of(Channel.CALL)
    assert isinstance(calls, CallChannel)  # noqa: S101 - the field's type
    with ledger.begin() as connection:
        status, event = call_list.record(
            connection, vault, task_id, outcome, note=note, most=calls.tries, now=now, patient_now=now
        )
        write_audit(connection, now, by, "call.record", task_id, {"outcome": outcome.value})
        ingest_within(connection, [event], now)
    return status


def look_again(ledger: Ledger, look: LastLook, now: datetime) -> dict[str, str]:
    """Take off the list whom nobody should call any more; returns the gate of each, by task."""
    with ledger.begin() as connection:
        closed = look.closed(connection, Channel.CALL, call_list.open_ids(connection), now)
        call_list.withhold(connection, closed, now)
        note_withheld(connection, "call", closed, now)
    return closed
