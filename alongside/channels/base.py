"""What every channel does, and the sequence of a send that all of them share.

A vendor's file only translates: a letter into a request (`build`), an answer into one of four errors (`post`). What
follows from an error is decided here, once.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from alongside.model.enums import MessageState
from alongside.model.errors import DeliveryError, OutcomeUnknown, Permanent, Refused, Retryable, Throttled


@dataclass(slots=True)
class Addressee:
    """One recipient of a letter. Made once per message: a frozen class costs thrice.

    Attributes
    ----------
    key : message key; travels to the vendor and comes back in its events
    substitutions : token of the shared text -> this recipient's value
    unsubscribe_url : signed, accepts RFC 8058 one-click POST
    """

    key: str
    address: str = field(repr=False)
    substitutions: Mapping[str, str] = field(default_factory=dict, repr=False)
    unsubscribe_url: str = field(default="", repr=False)


@dataclass(slots=True)
class Letter:
    """One text for one or many recipients, from one sender. Not frozen for the same reason.

    Attributes
    ----------
    batch_id : opaque; the vendor's activity feed can be asked for it
    list_id : identifies the kind of mail to the recipient's provider (RFC 2919)
    answering : what a person answers to what the recipient wrote; some vendors carry that by another way
    """

    batch_id: str
    sender_address: str
    sender_name: str
    reply_to: str
    subject: str = field(repr=False)
    text: str = field(repr=False)
    html: str = field(repr=False)
    list_id: str
    addressees: tuple[Addressee, ...] = field(repr=False)
    answering: bool = False


@dataclass(slots=True)
class Answer:
    """What is known of a letter's messages after sending. Each key stands in exactly one place. Not frozen either.

    Attributes
    ----------
    retry : nothing of these was accepted
    retry_after : seconds the vendor asked to wait
    trouble : the error behind `retry` and `unknown`; what the channel's breaker counts
    burn : whether the vendor looked at the letter and it counts as a try
    rest : seconds for which nothing more may be sent, although this was accepted: the allowance is used up
    closes : of those rejected, whose address gets nothing more by this channel -> the reason of the suppression
    receipts : of those accepted, the vendor's own id, where its events name no other
    """

    accepted: tuple[str, ...] = ()
    rejected: Mapping[str, str] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()
    retry: tuple[str, ...] = ()
    retry_after: float | None = None
    trouble: DeliveryError | Refused | None = None
    burn: bool = False
    requests: int = 0
    http_status: int | None = None
    rest: float = 0.0
    closes: Mapping[str, str] = field(default_factory=dict)
    receipts: Mapping[str, str] = field(default_factory=dict)

    def __add__(self, other: Answer) -> Answer:
        waits = [wait for wait in (self.retry_after, other.retry_after) if wait is not None]
        return Answer(
            self.accepted + other.accepted,
            {**self.rejected, **other.rejected},
            self.unknown + other.unknown,
            self.retry + other.retry,
            max(waits, default=None),
            self.trouble or other.trouble,
            self.burn or other.burn,
            self.requests + other.requests,
            self.http_status if other.http_status is None else other.http_status,
            max(self.rest, other.rest),
            {**self.closes, **other.closes},
            {**self.receipts, **other.receipts},
        )


class Posted(NamedTuple):
    """A request that was accepted: its status, `Answer.rest`, and the vendor's own id of its one message."""

    status: int
    rest: float = 0.0
    receipt: str = ""


class LetterRefused(Permanent):
    """The vendor refused the letter itself: no recipient is to blame, none is given up."""


class AddressClosed(Permanent):
    """The vendor refused the recipient for good: nothing can reach this address by this channel any more.

    Parameters
    ----------
    closes : the reason of the suppression
    """

    def __init__(self, what: str, *, closes: str, where: str | None = None) -> None:
        super().__init__(what, where=where)
        self.closes = closes


class RecipientLater(Throttled):
    """The vendor wants to see this recipient again later (greylisting, a full mailbox); nobody else is concerned."""


class RecipientsRefused(Permanent):
    """The vendor refused the request and named recipients by their place in it."""

    def __init__(self, what: str, places: Mapping[int, str], *, where: str | None = None) -> None:
        super().__init__(what, where=where)
        self.places = dict(places)


Gate = Callable[[int], Awaitable[None]]
#: Seconds before a request of unknown outcome is repeated, for the first time and for the last.
_REPEAT_AFTER = (0.1, 1.0)


async def _open_gate(_messages: int) -> None:
    """No rate limit."""


class Channel(ABC):
    """A vendor. `build` and `check` are pure; `post` and `lookup` talk to it.

    Attributes
    ----------
    name : value of `model.enums.Channel`
    max_recipients : of one request
    """

    name: str
    max_recipients: int

    @abstractmethod
    def check(self, letter: Letter) -> dict[str, str]:
        """Recipients that the vendor would refuse: key -> reason. Raises `LetterRefused` for the letter itself."""

    @abstractmethod
    def build(self, letter: Letter) -> bytes:
        """The request's body."""

    @abstractmethod
    async def post(self, body: bytes) -> Posted:
        """Send it; returns how it was accepted, or raises what the caller should do.

        Raises
        ------
        Retryable, Throttled : nothing was accepted
        Permanent : refused; nothing was accepted
        OutcomeUnknown : bytes left and no clear answer came
        Refused : the account or the configuration: no request of this channel can succeed
        """

    def recognises(self, letter: Letter) -> float:
        """Seconds for which the vendor takes this very letter once, however often it is sent; 0 where it does not."""
        return 0.0

    @abstractmethod
    async def lookup(self, argument: str, value: str) -> list[MessageState]:
        """What the vendor's activity feed knows of messages with a custom argument (`m` or `b`).

        Raises
        ------
        Retryable, Throttled, Refused : nothing was learnt
        """

    @abstractmethod
    async def close(self) -> None:
        """Let connections go."""

    async def send(self, letter: Letter, *, deadline: float, gate: Gate = _open_gate) -> Answer:
        """Send a letter to all its recipients; never raises for what the vendor does.

        Parameters
        ----------
        deadline : `time.monotonic()` after which no request is begun any more: the lease that covers it has ended
        gate : awaited with the number of messages before each request (rate limit)
        """
        try:
            faults = self.check(letter)
        except LetterRefused as error:
            return Answer(retry=_keys(letter), trouble=error, burn=True)
        if faults:
            letter = replace(letter, addressees=tuple(one for one in letter.addressees if one.key not in faults))
        parts = self.split(letter)
        if len(parts) == 1 and not faults:
            return await self._request(letter, deadline, gate)
        answer = Answer(rejected=faults)
        for part in parts:
            if answer.trouble is not None:  # what failed once would fail again; the caller decides when to come back
                answer += Answer(retry=_keys(part))
            else:
                answer += await self._request(part, deadline, gate)
        return answer

    def split(self, letter: Letter) -> list[Letter]:
        """Letters of one request each: within the vendor's limit, and no address twice."""
        if len(letter.addressees) == 1:
            return [letter]
        addresses = {one.address.lower() for one in letter.addressees}
        if len(letter.addressees) <= self.max_recipients and len(addresses) == len(letter.addressees):
            return [letter] if letter.addressees else []
        return [replace(letter, addressees=part) for part in self._portions(letter.addressees)]

    def _portions(self, addressees: Sequence[Addressee]) -> list[tuple[Addressee, ...]]:
        portions: list[dict[str, Addressee]] = [{}]
        first_free = 0
        for one in addressees:
            address = one.address.lower()
            for portion in portions[first_free:]:
                if len(portion) < self.max_recipients and address not in portion:
                    portion[address] = one
                    break
            else:
                portions.append({address: one})
            while first_free < len(portions) - 1 and len(portions[first_free]) >= self.max_recipients:
                first_free += 1
        return [tuple(portion.values()) for portion in portions if portion]

    async def _request(self, letter: Letter, deadline: float, gate: Gate) -> Answer:
        keys = _keys(letter)
        await gate(len(keys))
        if time.monotonic() >= deadline:
            late = Retryable("the lease ended before the request could begin", where=self.name)
            return Answer(retry=keys, trouble=late)
        try:
            posted = await self._insist(letter, deadline)
        except RecipientsRefused as error:
            return await self._without(letter, error, deadline, gate)
        except RecipientLater as error:  # no trouble of the channel's
            return Answer(retry=keys, retry_after=error.retry_after, burn=True, requests=1)
        except (DeliveryError, Refused) as error:
            if isinstance(error, Permanent) and not isinstance(error, LetterRefused):
                return await self._halve(letter, error, deadline, gate)
            return _meaning(error, keys)
        receipts = dict.fromkeys(keys, posted.receipt) if posted.receipt else {}
        return Answer(accepted=keys, requests=1, http_status=posted.status, rest=posted.rest, receipts=receipts)

    async def _insist(self, letter: Letter, deadline: float) -> Posted:
        """Post; and again while nobody knows what became of it, where the vendor recognises a repetition.

        Only an acceptance settles it: what a vendor says of a repetition may be another thing than became of the first.
        """
        body, begun = self.build(letter), time.monotonic()
        until = min(deadline, begun + self.recognises(letter))
        try:
            return await self.post(body)
        except OutcomeUnknown as error:
            unknown = error
        for pause in _REPEAT_AFTER:
            if time.monotonic() + pause >= until:
                break
            await asyncio.sleep(pause)
            with contextlib.suppress(DeliveryError, Refused):
                return await self.post(body)
        raise unknown

    async def _without(self, letter: Letter, error: RecipientsRefused, deadline: float, gate: Gate) -> Answer:
        """A refused request accepted nothing, so the others may be sent at once."""
        named = {letter.addressees[place].key: why for place, why in error.places.items()}
        rest = tuple(one for one in letter.addressees if one.key not in named)
        answer = Answer(rejected=named, requests=1)
        return answer + await self._request(replace(letter, addressees=rest), deadline, gate) if rest else answer

    async def _halve(self, letter: Letter, error: Permanent, deadline: float, gate: Gate) -> Answer:
        """Find the recipients that a request was refused for, when the vendor does not name them."""
        if len(letter.addressees) == 1:
            key = letter.addressees[0].key
            closes = {key: error.closes} if isinstance(error, AddressClosed) else {}
            return Answer(rejected={key: error.what}, requests=1, closes=closes)
        middle = len(letter.addressees) // 2
        answer = Answer(requests=1)
        for half in (letter.addressees[:middle], letter.addressees[middle:]):
            part = replace(letter, addressees=half)
            if answer.trouble is not None:
                answer += Answer(retry=_keys(part))
            else:
                answer += await self._request(part, deadline, gate)
        return answer


def _meaning(error: DeliveryError | Refused, keys: tuple[str, ...]) -> Answer:
    """What an error of `post` leaves of the request's messages."""
    if isinstance(error, OutcomeUnknown):
        return Answer(unknown=keys, trouble=error, requests=1)
    wait = error.retry_after if isinstance(error, Throttled) else None
    return Answer(retry=keys, retry_after=wait, trouble=error, burn=isinstance(error, LetterRefused), requests=1)


def _keys(letter: Letter) -> tuple[str, ...]:
    return tuple(one.key for one in letter.addressees)
