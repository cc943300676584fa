"""Vendors that take one recipient a request: several requests under way at once, none begun after trouble."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace

from alongside.channels.base import Answer, Channel, Gate, Letter, LetterRefused, _open_gate


class OneByOne(Channel):
    """A channel whose portions are single recipients.

    One after the other, a batch of a thousand would take a thousand round trips and outlive its lease.

    Attributes
    ----------
    at_once : requests of one letter that may be under way together
    """

    max_recipients = 1
    at_once: int = 8

    async def send(self, letter: Letter, *, deadline: float, gate: Gate = _open_gate) -> Answer:
        """As `Channel.send`: what the first trouble finds not yet begun is left for another time."""
        try:
            faults = self.check(letter)
        except LetterRefused as error:
            keys = tuple(one.key for one in letter.addressees)
            return Answer(retry=keys, trouble=error, burn=True)
        portions = iter([replace(letter, addressees=(one,)) for one in letter.addressees if one.key not in faults])
        sender = _Run(self, portions, Answer(rejected=faults), deadline, gate)
        await asyncio.gather(*(sender.work() for _ in range(self.at_once)))
        # What nobody began, because trouble came first.
        left = tuple(one.addressees[0].key for one in portions)
        return sender.answer + Answer(retry=left)


class _Run:
    """One letter on its way, shared by the workers that send its portions."""

    def __init__(
        self, channel: OneByOne, portions: Iterator[Letter], answer: Answer, deadline: float, gate: Gate
    ) -> None:
        self.channel, self.portions, self.answer = channel, portions, answer
        self.deadline, self.gate = deadline, gate

    async def work(self) -> None:
        while self.answer.trouble is None:
            portion = next(self.portions, None)
            if portion is None:
                return
            found = await self.channel._request(portion, self.deadline, self.gate)
            self.answer += found
