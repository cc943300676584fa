"""The brakes: a campaign whose messages come back or draw complaints pauses itself, until a person resumes it."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from sqlalchemy.engine import Connection

from alongside.delivery.clocks import patient_now
from alongside.ledger import Ledger, claims
from alongside.ledger.claims import Scope
from alongside.ledger.harm import answered, harm, resumed_at
from alongside.ledger.pauses import ITSELF, set_pause
from alongside.ledger.runs import write_audit
from alongside.model.clock import RunClock
from alongside.model.errors import StoreUnavailable
from alongside.settings.channels import StopCampaign

#: Events take seconds to arrive, and a look costs a few statements for each campaign.
SECONDS_BETWEEN_LOOKS = 10.0


@dataclass
class Brakes:
    """Watches the campaigns of a dispatch.

    Attributes
    ----------
    limits : None stops nothing
    stopped : why each campaign was stopped, for a person
    """

    ledger: Ledger
    limits: StopCampaign | None
    scope: Scope
    clock: RunClock
    stopped: list[str] = field(default_factory=list)
    _looked: float = field(default=float("-inf"), init=False)

    def look_again(self) -> None:
        """`look`, unless that was a moment ago.

        A ledger that is away for a moment ends no dispatch: the next look tells.
        """
        if time.monotonic() - self._looked >= SECONDS_BETWEEN_LOOKS:
            with contextlib.suppress(StoreUnavailable):
                self.look()

    def look(self) -> None:
        """Pause what has gone beyond a limit. Workers claim nothing more of it, and call no batch that they hold.

        Raises
        ------
        StoreUnavailable : the ledger does not answer
        """
        if self.limits is None:
            return
        self._looked = time.monotonic()
        now = datetime.now(UTC)
        with self.ledger.reading() as connection:
            reasons = {
                name: self._reason(connection, self.limits, name, now)
                for name in claims.open_campaigns(connection, self.scope)
            }
        found = {name: reason for name, reason in reasons.items() if reason}
        if not found:
            return
        with self.ledger.begin() as connection:
            for name, reason in found.items():
                scope = f"campaign:{name}"
                if set_pause(connection, scope, by=ITSELF, reason=reason, now=now):
                    write_audit(connection, now, ITSELF, "pause", scope, {"reason": reason})
                    self.stopped.append(f"{scope} paused itself: {reason}")

    def _reason(self, connection: Connection, limits: StopCampaign, campaign: str, now: datetime) -> str | None:
        channel = self.scope.channel
        since = patient_now(self.clock, now) - timedelta(days=limits.within_days)
        resumed = resumed_at(connection, (f"campaign:{campaign}", f"channel:{channel}", "all"))
        if resumed is not None:  # whoever resumed it has seen what came before
            since = max(since, patient_now(self.clock, resumed))
        found = harm(connection, channel, campaign, since)
        kinds = (
            ("came back", found.came_back, limits.bounce_rate),
            ("complained of", found.complaints, limits.complaint_rate),
        )
        # Few bad ones are within the limit however many there are in all, and counting them all is what costs.
        if all(count <= rate * limits.from_messages for _, count, rate in kinds):
            return None
        total = answered(connection, channel, campaign, since)
        for words, count, rate in kinds:
            if count > rate * max(total, limits.from_messages):
                return (
                    f"{count:,} of {total:,} messages ({channel}) since {since:%Y-%m-%d %H:%M} UTC {words}; "
                    f"the limit is {rate:.2%} of at least {limits.from_messages:,}"
                )
        return None
