"""What came of a call that somebody made: for the list, for the message, and for the patient's consent."""

from __future__ import annotations

from datetime import datetime

from alongside.delivery.events import ingest_within
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
