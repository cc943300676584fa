"""What becomes of letters on paper besides being printed: the last look, posting, and what the post brings back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy.engine import Connection

from alongside.delivery.events import ingest_within
from alongside.delivery.last_look import LastLook, note_withheld
from alongside.ledger import Ledger, letter_list, pauses
from alongside.ledger.events import DeliveryEvent
from alongside.ledger.letter_list import PrintedLetter
from alongside.ledger.runs import write_audit
from alongside.model.enums import Channel, EventKind, LetterStatus, ReturnReason
from alongside.model.errors import Refused

_LETTER = Channel.LETTER.value


@dataclass(frozen=True)
class Withheld:
    """Letters that are not printed.

    Attributes
    ----------
    gates : gate -> how many it has closed for since they were listed; these will never be printed
    paused : how many wait because their campaign or run is paused
    """

    keys: frozenset[str]
    gates: dict[str, int]
    paused: int


def look_again(connection: Connection, letters: Sequence[PrintedLetter], look: LastLook, now: datetime) -> Withheld:
    """Take out what may not leave any more: a letter may lie for days between being listed and being printed.

    Raises
    ------
    Refused : everything, or every letter, is paused
    """
    silenced = pauses.active_pauses(connection)
    for scope in (pauses.ALL, f"channel:{_LETTER}"):
        if scope in silenced:
            remedy = f"'alongside resume {scope}' lifts it."
            raise Refused(f"letters are paused: {silenced[scope]}", where="letters print", remedy=remedy)
    paused = {one.letter_id for one in letters if {f"campaign:{one.campaign}", f"run:{one.run_id}"} & silenced.keys()}
    rest = [one.letter_id for one in letters if one.letter_id not in paused]
    closed = look.closed(connection, Channel.LETTER, rest, now)
    for gate in sorted(set(closed.values())):
        keys = [key for key, why in closed.items() if why == gate]
        letter_list.move(connection, keys, _UNPOSTED, LetterStatus.WITHHELD, now, gate)
    note_withheld(connection, "letter", closed, now)
    gates: dict[str, int] = {}
    for gate in closed.values():
        gates[gate] = gates.get(gate, 0) + 1
    return Withheld(frozenset(paused | closed.keys()), gates, len(paused))


_UNPOSTED = (LetterStatus.LISTED, LetterStatus.PRINTED)


# ------------------------------------------------------------------------------------------------------------- posting
def record_posted(
    ledger: Ledger,
    *,
    day: date | None = None,
    stack: int | None = None,
    numbers: Sequence[str] = (),
    by: str,
    now: datetime,
) -> int:
    """Note that printed letters were handed to the post: those of a day, of a stack of it, or single ones.

    The message stays accepted: of a letter's arrival nobody hears. Returns how many were not posted before.

    Raises
    ------
    Refused : there is no such letter, or one that is named was not printed
    """
    with ledger.begin() as connection:
        found = [letter_list.find(connection, number) for number in numbers]
        for one in found:
            if one.status not in (LetterStatus.PRINTED, LetterStatus.POSTED):
                remedy = "Only printed letters can be posted: 'alongside letters print' makes them."
                raise Refused(f"letter {one.number} is {one.status}", where="letters posted", remedy=remedy)
        if day is not None:
            found += [one for one in letter_list.of_day(connection, day) if stack is None or one.stack == stack]
            if not found:
                what = f"there are no letters of {day}" + (f", stack {stack}" if stack else "")
                raise Refused(what, where="letters posted", remedy="See 'alongside letters list'.")
        printed = [one.letter_id for one in found if one.status is LetterStatus.PRINTED]
        posted = letter_list.move(connection, printed, (LetterStatus.PRINTED,), LetterStatus.POSTED, now)
        events = [_posted(key, now) for key in printed]
        ingest_within(connection, events, now)
        target = f"{day}/{stack or ''}".rstrip("/") if day else ", ".join(one.number for one in found)[:200]
        write_audit(connection, now, by, "letters.posted", target, {"letters": posted})
    return posted


def _posted(key: str, now: datetime) -> DeliveryEvent:
    return DeliveryEvent(f"letter:{key}.posted", key, EventKind.PROCESSED, now, detail="posted")


def record_stopped(ledger: Ledger, number: str, *, by: str, now: datetime) -> PrintedLetter:
    """Note that whoever got a letter wants no more of its kind: they have called, or written, with its number.

    Consent for letters of this purpose, and for promotion by letter, is withdrawn. Repeated, it changes nothing.

    Raises
    ------
    Refused : no letter has this number, or it was never printed
    """
    with ledger.begin() as connection:
        letter = letter_list.find(connection, number)
        if letter.status in (LetterStatus.LISTED, LetterStatus.WITHHELD):
            remedy = "Check the number; it stands in the window and at the foot of each page."
            raise Refused(f"letter {letter.number} is {letter.status}", where="letters stop", remedy=remedy)
        key = letter.letter_id
        event = DeliveryEvent(f"letter:{key}.stopped", key, EventKind.UNSUBSCRIBE, now, detail="by telephone or post")
        ingest_within(connection, [event], now)
        write_audit(connection, now, by, "letters.stop", letter.number, {})
    return letter


#: What a return says of the message, and whether of the address. A letter that nobody fetched says nothing about it.
_RETURNS: dict[ReturnReason, tuple[EventKind, str | None]] = {
    **dict.fromkeys(ReturnReason, (EventKind.BOUNCE, "hard_bounce")),
    ReturnReason.UNCLAIMED: (EventKind.BLOCKED, None),
    ReturnReason.OTHER: (EventKind.BLOCKED, None),
}


def record_returned(ledger: Ledger, number: str, reason: ReturnReason, *, by: str, now: datetime) -> PrintedLetter:
    """Note that a letter came back: the message bounced, and nothing more goes to an address that is none.

    Raises
    ------
    Refused : no letter has this number, it was never printed, or it came back before
    """
    with ledger.begin() as connection:
        letter = letter_list.find(connection, number)
        if letter.status is LetterStatus.RETURNED:
            remedy = "Nothing more has to be done for it."
            raise Refused(f"letter {letter.number} came back before ({letter.reason})", where="letters", remedy=remedy)
        on_its_way = (LetterStatus.PRINTED, LetterStatus.POSTED)
        if not letter_list.move(connection, [letter.letter_id], on_its_way, LetterStatus.RETURNED, now, reason.value):
            remedy = "Check the number; it stands in the window."
            raise Refused(f"letter {letter.number} is {letter.status}", where="letters returned", remedy=remedy)
        kind, closes = _RETURNS[reason]
        event = DeliveryEvent(
            f"letter:{letter.letter_id}.returned", letter.letter_id, kind, now, detail=reason.value, closes=closes
        )
        ingest_within(connection, [event], now)
        write_audit(connection, now, by, "letters.returned", letter.number, {"reason": reason.value})
    return letter
