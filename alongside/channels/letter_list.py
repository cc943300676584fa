"""Letters that people print and post: a channel of the hospital's own, kept in its ledger until somebody prints them.

As with the list of calls nothing can be lost between two parties, and the protocol stays the same: a letter is listed
once, by its message's key, with the words that it had then.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import orjson

from alongside.channels.base import Channel, Letter, LetterRefused, Posted
from alongside.channels.texts import filled
from alongside.ledger import Ledger, letter_list
from alongside.ledger.letter_list import Words
from alongside.ledger.vault import Vault
from alongside.model.enums import MessageState
from alongside.model.errors import Retryable, StoreUnavailable


class LetterList(Channel):
    """Lists letters; `alongside letters print` takes them from there.

    Parameters
    ----------
    zone : the hospital's, which decides the day that a letter belongs to
    """

    name = "letter"
    max_recipients = 100  # of one transaction

    def __init__(self, ledger: Ledger, vault: Vault, zone: ZoneInfo) -> None:
        self._ledger, self._vault, self._zone = ledger, vault, zone

    def check(self, letter: Letter) -> dict[str, str]:
        if not letter.html.strip():
            raise LetterRefused("there is nothing to print", where="letter list")
        wrong = "no address that a letter can be sent to"
        return {one.key: wrong for one in letter.addressees if "\n" not in one.address.strip()}

    def build(self, letter: Letter) -> bytes:
        letters = [
            {"key": one.key, "lines": one.address.split("\n"), "html": filled(letter.html, one)}
            for one in letter.addressees
        ]
        return orjson.dumps({"batch": letter.batch_id, "letters": letters})

    async def post(self, body: bytes) -> Posted:
        await asyncio.to_thread(self._list, orjson.loads(body))
        return Posted(200)

    def _list(self, given: dict[str, Any]) -> None:
        now = datetime.now(UTC)
        letters = {one["key"]: Words(tuple(one["lines"]), one["html"]) for one in given["letters"]}
        try:
            with self._ledger.begin() as connection:
                day = now.astimezone(self._zone).date()
                letter_list.add(connection, self._vault, given["batch"], letters, day=day, now=now)
        except StoreUnavailable as error:
            raise Retryable("the ledger did not take the letters", where="letter list") from error

    async def lookup(self, argument: str, value: str) -> list[MessageState]:
        with self._ledger.reading() as connection:
            return [MessageState.ACCEPTED] * letter_list.count(connection, argument, value)

    async def close(self) -> None:
        """Nothing to let go."""
