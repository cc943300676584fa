"""The desk at which staff work through the inbox: the same steps for the command line and for programs, audited."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from alongside.delivery.dispatch import dispatch
from alongside.delivery.replies import ANSWERS
from alongside.delivery.replies import answer as plan_answer
from alongside.ledger import Ledger, inbox
from alongside.ledger.inbox import Entry, Thread
from alongside.ledger.runs import write_audit
from alongside.ledger.vault import Vault
from alongside.model.clock import RunClock
from alongside.model.enums import Channel, ThreadStatus
from alongside.model.errors import AlongsideError
from alongside.settings import Environment, HospitalSettings, Project


@dataclass(frozen=True)
class Left:
    """What became of an answer when its way was tried at once.

    Attributes
    ----------
    sent : the provider has it
    stopped : it was not sent, and will not be: a gate closed, or the provider refused it
    why : in words, where it is not sent
    """

    sent: bool
    why: str = ""
    stopped: bool = False


@dataclass(frozen=True)
class Desk:
    """Reading and answering what patients wrote. `clock` is wall time."""

    project: Project
    environment: Environment
    settings: HospitalSettings
    ledger: Ledger
    vault: Vault
    clock: Callable[[], datetime]

    def threads(self, statuses: Collection[ThreadStatus], limit: int) -> list[Thread]:
        """Conversations of these states, the most urgent first."""
        with self.ledger.reading() as connection:
            return inbox.threads(connection, statuses, limit=limit)

    def show(self, thread: str) -> tuple[Thread, Sequence[Entry]]:
        """One conversation with its words.

        Raises
        ------
        Refused : there is none of this id
        """
        with self.ledger.reading() as connection:
            return inbox.find(connection, thread), inbox.entries(connection, self.vault, thread)

    def note_reading(self, thread: str, who: str) -> None:
        """Remember who has read a patient's words from afar."""
        with self.ledger.begin() as connection:
            write_audit(connection, self.clock(), who, "inbox.read", thread, {})

    def take(self, thread: str, who: str) -> None:
        """Say who answers."""
        now = self.clock()
        with self.ledger.begin() as connection:
            inbox.assign(connection, thread, who, now)
            write_audit(connection, now, who, "inbox.take", thread, {})

    def close(self, thread: str, who: str) -> None:
        """No (further) answer is needed."""
        now = self.clock()
        with self.ledger.begin() as connection:
            inbox.set_status(connection, thread, ThreadStatus.CLOSED, now)
            write_audit(connection, now, who, "inbox.close", thread, {})

    def answer(self, thread: str, words: str, who: str) -> str:
        """Plan an answer by the way on which the patient wrote; returns its message key.

        Raises
        ------
        Refused : as of `delivery.replies.answer`
        """
        with self.ledger.reading() as connection:
            inbox.find(connection, thread)
            locale = inbox.locale_of(connection, thread) or self.settings.hospital.default_locale
        sender, now = self.settings.inbox.sender, self.clock()
        key = plan_answer(
            self.ledger, self.vault, self.settings, thread, words, by=who, sender=sender, locale=locale, now=now
        )
        with self.ledger.begin() as connection:
            write_audit(connection, now, who, "inbox.answer", thread, {"message": key})
        return key

    def send(self, channel: Channel) -> Left:
        """Dispatch answers that wait on this channel."""
        now = self.clock()
        try:
            report = dispatch(
                self.ledger,
                self.project,
                self.settings,
                self.environment,
                clock=RunClock(now, now),
                channel=channel,
                run_id=ANSWERS,
                workers=0,
            )
        except AlongsideError as error:
            return Left(False, str(error))
        gates = ", ".join(report.progress.gates)
        if report.progress.withheld or report.progress.rejected:
            return Left(False, gates or "the provider refused it", stopped=True)
        sent = report.complete and report.progress.unknown == 0
        return Left(sent, "" if sent else "; ".join(report.reasons) or "its outcome is not known yet")
