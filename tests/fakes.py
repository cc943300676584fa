"""Made-up things that several tests share, each as small as its test allows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import pyarrow as pa

from alongside.channels.base import Addressee, Letter
from alongside.ledger import Ledger
from alongside.ledger.messages import Planned, plan_batches

NOON = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)  # 12:00 in Shanghai


def key_of(number: int) -> str:
    """The message key of the number-th made-up message: 32 hex digits."""
    return f"{number:032x}"


def plan_rows(numbers: Sequence[int], **columns: object) -> pa.Table:
    """Rows for `plan_batches`, one message per number; a column may be given as one value or as a list."""
    values: dict[str, object] = {
        "message_key": [key_of(number) for number in numbers],
        "occurrence": "once",
        "person_id": [f"p{number:016x}" for number in numbers],
        "subject_person_id": [f"p{number:016x}" for number in numbers],
        "purpose": "education",
        "channel": "email",
        "template": "prevention/hypertension",
        "template_hash": "h" * 64,
        "locale": "en",
        "address_blind": [f"{number:032x}" for number in numbers],
        "variables": '{"age_band": "60-74"}',
        "sender": "care",
    }
    values |= columns
    return pa.table(
        {
            name: value if isinstance(value, (list, pa.Array)) else [value] * len(numbers)
            for name, value in values.items()
        }
    )


def plan(
    ledger: Ledger, numbers: Sequence[int], *, batch_size: int = 1000, campaign: str = "hello", **columns: object
) -> Planned:
    """Plan made-up messages in one transaction."""
    with ledger.begin() as connection:
        return plan_batches(
            connection,
            plan_rows(numbers, **columns),
            run_id="run-1",
            campaign=campaign,
            planned_at=NOON,
            now=NOON,
            batch_size=batch_size,
        )


def letter(count: int, *, substitutions: dict[str, str] | None = None, same_address: bool = False) -> Letter:
    """A letter to `count` made-up recipients."""
    addressees = tuple(
        Addressee(
            key_of(number),
            "shared@example.com" if same_address else f"patient{number}@example.com",
            substitutions or {},
            f"https://hospital.example/u/{number}",
        )
        for number in range(count)
    )
    return Letter(
        batch_id="b" + "0" * 32,
        sender_address="care@mail.hospital.example",
        sender_name="Qinghe Hospital",
        reply_to="hello@hospital.example",
        subject="Your blood pressure",
        text="Dear -s01-",
        html="<p>Dear -s01-</p>",
        list_id="care.mail.hospital.example",
        addressees=addressees,
    )
