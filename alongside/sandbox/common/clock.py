"""The stand-in's time: the wall, until somebody sets a moment; then it stands still until set again."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path

from alongside.model.clock import require_utc
from alongside.model.errors import Refused


class StandInClock:
    """Time in seconds since the epoch; a moment that was set survives a restart in `clock.json`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        moment = simulated_now(path)
        self._simulated = moment.timestamp() if moment else None

    @property
    def simulated(self) -> bool:
        return self._simulated is not None

    def now(self) -> float:
        return time.time() if self._simulated is None else self._simulated

    def set(self, moment: datetime) -> None:
        """Advance to a moment.

        Raises
        ------
        Refused : it lies before the one that was set last: what happened since cannot be undone
        """
        seconds = require_utc(moment).timestamp()
        if self._simulated is not None and seconds < self._simulated:
            raise Refused(
                "time cannot run backwards",
                where="stand-in clock",
                remedy="Start with an empty folder to replay an earlier day.",
            )
        self._simulated = seconds
        temporary = self._path.with_suffix(".tmp")
        temporary.write_text(json.dumps({"now": require_utc(moment).isoformat()}), "utf-8")
        temporary.replace(self._path)


def simulated_now(path: Path) -> datetime | None:
    """The moment that was set, read from `clock.json`; None while the stand-in follows the wall."""
    try:
        moment = datetime.fromisoformat(json.loads(path.read_text("utf-8"))["now"])
    except FileNotFoundError:
        return None
    return moment.astimezone(UTC)
