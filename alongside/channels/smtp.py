"""E-mail through any SMTP server (RFC 5321): one message a recipient, over connections that are kept open.

SMTP keeps no key and tells nothing afterwards: a connection that breaks between the end of the data and the answer
leaves an unknown outcome for ever, which policy decides. Bounces come back as mail, to the sender's own mailbox.
"""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime
from urllib.parse import unquote, urlsplit

import aiosmtplib
import orjson
from aiosmtplib import SMTP

from alongside.channels.base import Addressee, Letter, LetterRefused, Posted, RecipientLater
from alongside.channels.mime import mail
from alongside.channels.one_by_one import OneByOne
from alongside.model.enums import MessageState
from alongside.model.errors import DeliveryError, OutcomeUnknown, Permanent, Refused, Retryable, Throttled

_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+")
#: Replies about the server's own load: nobody is sent anything for a while (RFC 5321, 4.2.1).
_OF_THE_SERVER = frozenset({421, 452, 454})
_WAIT_SECONDS = 15.0
#: After other temporary replies one recipient is tried again: most servers that greylist want a few minutes (RFC 6647).
_LATER_SECONDS = 300.0
#: Replies that mean the account or the set-up, whoever the recipient is.
_OF_THE_ACCOUNT = frozenset({530, 534, 535, 538, 554})


class Smtp(OneByOne):
    """One server. Belongs to one event loop.

    Parameters
    ----------
    url : `smtp://user:password@host:587` (STARTTLS where the server offers it), `smtps://...:465`, or
        `smtp+starttls://...`, which sends nothing without TLS
    timeout : seconds without an answer after which the outcome is unknown
    at_once : connections
    """

    name = "email"

    def __init__(self, url: str, *, timeout: float = 20.0, at_once: int = 8) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("smtp", "smtps", "smtp+starttls") or not parts.hostname:
            raise Refused("not an address of an SMTP server", where="SMTP_URL", remedy="smtp://user:password@host:587")
        self.at_once = at_once
        self._host, self._secure = parts.hostname, parts.scheme
        self._port = parts.port or (465 if parts.scheme == "smtps" else 587)
        self._login = (unquote(parts.username or ""), unquote(parts.password or ""))
        self._timeout = timeout
        self._idle: list[SMTP] = []

    # ------------------------------------------------------------------------------------------------------------ build
    def check(self, letter: Letter) -> dict[str, str]:
        if not _ADDRESS.fullmatch(letter.sender_address):
            raise LetterRefused("the sender's address is not a valid ASCII address", where="SMTP")
        if not letter.text.strip() or not letter.subject.strip():
            raise LetterRefused("there is no subject or no text", where="SMTP")
        found = {}
        for one in letter.addressees:
            if not _ADDRESS.fullmatch(one.address) or len(one.address) > 254:
                found[one.key] = "the address is not one that the server takes"
            elif re.search(r"[\r\n]", f"{one.unsubscribe_url}{one.key}{letter.batch_id}"):
                found[one.key] = "a header would contain a line break"
        return found

    def build(self, letter: Letter) -> bytes:
        """Envelope as a line of JSON, then the message."""
        (one,) = letter.addressees
        subject, text, html = personal(letter, one)
        envelope = orjson.dumps({"from": letter.sender_address, "to": one.address})
        domain = letter.sender_address.rpartition("@")[2]
        written = mail(
            sender=(letter.sender_name, letter.sender_address),
            to=one.address,
            subject=re.sub(r"[\r\n]+", " ", subject),
            text=text,
            html=html,
            date=datetime.now(UTC),
            message_id=f"{one.key}.{letter.batch_id}@{domain}",
            reply_to=letter.reply_to,
            list_id=letter.list_id,
            unsubscribe_url=one.unsubscribe_url,
        )
        return envelope + b"\n" + written

    # ------------------------------------------------------------------------------------------------------------- post
    async def post(self, body: bytes) -> Posted:
        head, _, message = body.partition(b"\n")
        envelope = orjson.loads(head)
        line = await self._connected()
        refusal: DeliveryError | Refused | None = None
        kept = False
        try:
            refusal = await self._transact(line, envelope["from"], envelope["to"], message)
            kept = refusal is None or await self._reset(line)
        finally:
            if kept:
                self._idle.append(line)
            else:
                line.close()
        if refusal is not None:
            raise refusal
        return Posted(250)

    async def _transact(self, line: SMTP, sender: str, to: str, message: bytes) -> DeliveryError | Refused | None:
        """One message; what a negative answer means, None when it was taken.

        Raises
        ------
        DeliveryError : the connection broke
        """
        try:
            await line.mail(sender)
            await line.rcpt(to)
        except aiosmtplib.SMTPResponseException as error:
            return _meaning(error.code, "before the message")
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:  # no byte of the message has left
            raise Retryable("the connection broke before the message", where="SMTP") from error
        try:
            await line.data(message)
        except aiosmtplib.SMTPResponseException as error:
            return _meaning(error.code, "after the message")
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
            raise OutcomeUnknown("the server did not answer to the message", where="SMTP") from error
        return None

    @staticmethod
    async def _reset(line: SMTP) -> bool:
        """Whether the connection is usable after a refused transaction; it is, unless the server has closed it."""
        try:
            await line.rset()
        except (aiosmtplib.SMTPException, OSError, TimeoutError):
            return False
        return True

    async def _connected(self) -> SMTP:
        while self._idle:
            line = self._idle.pop()
            if line.is_connected:
                return line
        user, password = self._login
        line = SMTP(
            hostname=self._host,
            port=self._port,
            timeout=self._timeout,
            use_tls=self._secure == "smtps",
            start_tls={"smtp": None, "smtps": False, "smtp+starttls": True}[self._secure],
        )
        try:
            await line.connect()
            if user:
                await line.login(user, password)
        except aiosmtplib.SMTPAuthenticationError as error:
            line.close()
            raise Refused("the server does not accept the login", where="SMTP", remedy="Check SMTP_URL.") from error
        except aiosmtplib.SMTPNotSupported as error:
            line.close()
            raise Refused("the server offers no TLS", where="SMTP", remedy="Use smtps:// or another server.") from error
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
            line.close()
            raise Retryable(f"no connection ({type(error).__name__})", where="SMTP") from error
        return line

    async def lookup(self, argument: str, value: str) -> list[MessageState]:
        """Nobody can be asked.

        Raises
        ------
        Refused : always
        """
        raise Refused("an SMTP server cannot be asked what became of a message", where="SMTP")

    async def close(self) -> None:
        lines, self._idle = self._idle, []
        await asyncio.gather(*(_farewell(line) for line in lines))


async def _farewell(line: SMTP) -> None:
    try:
        await line.quit(timeout=2)
    except (aiosmtplib.SMTPException, OSError, TimeoutError):
        line.close()


def _meaning(code: int, when: str) -> DeliveryError | Refused:
    """What a negative reply means; nothing was taken."""
    where = f"SMTP, reply {code} {when}"
    if code in _OF_THE_SERVER:
        return Throttled("the server asks to come back later", retry_after=_WAIT_SECONDS, where=where)
    if 400 <= code < 500:
        return RecipientLater("the server wants this recipient later", retry_after=_LATER_SECONDS, where=where)
    if code in _OF_THE_ACCOUNT and when.startswith("before"):
        return Refused("the server refuses the sender or the login", where=where, remedy="Check SMTP_URL and senders.")
    return Permanent(f"{code} refused by the server", where=where)


def personal(letter: Letter, one: Addressee) -> tuple[str, str, str]:
    """Subject, text and HTML with this recipient's values. A value that looks like a token is not replaced again."""
    if not one.substitutions:
        return letter.subject, letter.text, letter.html
    tokens = sorted(one.substitutions, key=len, reverse=True)
    pattern = re.compile("|".join(map(re.escape, tokens)))

    def fill(part: str) -> str:
        return pattern.sub(lambda found: one.substitutions[found[0]], part)

    return fill(letter.subject), fill(letter.text), fill(letter.html)
