"""Contacts: what was said to whom and when, as gates and frequency caps count it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

    from alongside.ledger.engine import Ledger

_CONTACTS = """
SELECT
    COALESCE(p.survivor_id, m.person_id) AS person_id, COALESCE(s.survivor_id, m.subject_person_id) AS subject_id,
    m.address_blind, m.campaign, m.occurrence, m.planned_at AS said_at, m.purpose, m.run_id, m.state,
    -- one contact, on however many channels it is tried
    CASE WHEN m.follows IS NULL OR f.state = 'rejected' OR f.state = 'withheld' THEN 1 ELSE 0 END AS is_first
FROM message AS m
LEFT JOIN person AS p ON p.person_id = m.person_id
LEFT JOIN person AS s ON s.person_id = m.subject_person_id
LEFT JOIN message AS f ON f.message_key = m.follows
WHERE m.state <> 'withheld' AND (
    m.planned_at > :since OR m.campaign = :campaign
    OR (m.planned_at > :paced_since AND COALESCE(p.survivor_id, m.person_id) IN (
        SELECT COALESCE(q.survivor_id, w.person_id)
        FROM wish_event AS w LEFT JOIN person AS q ON q.person_id = w.person_id
        WHERE w.kind = 'pace' AND w.value <> 'normal'
    ))
)
"""


def contacts(ledger: Ledger, campaign: str, since: datetime, paced_since: datetime) -> pa.Table:
    """Messages after `since`, and every earlier one of this campaign; ids resolved to living people.

    Of people who ever wished to be written to less often, those after `paced_since`, too.

    Columns: person_id (recipient), subject_id (whom it is about), address_blind, campaign, occurrence, said_at,
    purpose, run_id, state, is_first. What was withheld at the last moment is no contact; what a vendor rejected is one
    for its own campaign (it is not tried again every day). `is_first` is 0 where the same contact is tried on another
    channel.
    """
    return ledger.read_arrow(_CONTACTS, {"since": since, "paced_since": paced_since, "campaign": campaign})
