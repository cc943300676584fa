"""The list of calls that people make: a channel of the hospital's own, kept in its ledger.

Nothing can be lost between two parties here, but the protocol stays the same: a call is listed once, by its message's
key.
"""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime, timedelta

import orjson

from alongside.channels.base import Letter, LetterRefused, Posted
from alongside.channels.one_by_one import OneByOne
from alongside.channels.texts import personal_text
from alongside.ledger import Ledger, call_list
from alongside.ledger.vault import Vault
from alongside.model.enums import MessageState
from alongside.model.errors import Retryable, StoreUnavailable

_PHONE = re.compile(r"\+[1-9]\d{7,14}(?:;ext=\d{1,7})?")


class CallList(OneByOne):
    """Lists calls; people take them from there.

    Parameters
    ----------
    within : after being listed, somebody should have called
    """

    name = "call"

    def __init__(self, ledger: Ledger, vault: Vault, within: timedelta) -> None:
        self._ledger, self._vault, self._within = ledger, vault, within

    def check(self, letter: Letter) -> dict[str, str]:
        if not letter.text.strip():
            raise LetterRefused("there is nothing to say", where="call list")
        wrong = "no telephone number that can be called"
        return {one.key: wrong for one in letter.addressees if not _PHONE.fullmatch(one.address)}

    def build(self, letter: Letter) -> bytes:
        (one,) = letter.addressees
        words = {"number": one.address, "script": personal_text(letter, one).strip()}
        return orjson.dumps({"key": one.key, "batch": letter.batch_id, "words": words})

    async def post(self, body: bytes) -> Posted:
        await asyncio.to_thread(self._list, orjson.loads(body))
        return Posted(200)

    def _list(self, given: dict[str, dict[str, str]]) -> None:
        now = datetime.now(UTC)
        try:
            with self._ledger.begin() as connection:
                call_list.add(
                    connection,
                    self._vault,
                    str(given["key"]),
                    str(given["batch"]),
                    given["words"],
                    now=now,
                    due_at=now + self._within,
                )
        except StoreUnavailable as error:
            raise Retryable("the ledger did not take the call", where="call list") from error

    async def lookup(self, argument: str, value: str) -> list[MessageState]:
        with self._ledger.reading() as connection:
            return [MessageState.ACCEPTED] * call_list.count(connection, argument, value)

    async def close(self) -> None:
        """Nothing to let go."""
