"""Tell staff of what has to be looked at."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from prefect import get_run_logger, task
from prefect.exceptions import MissingContextError

from alongside.alerts import Told, tell
from alongside.model.errors import AlongsideError
from tasks.context import services, traced


def tell_staff(root: str | None = None) -> None:
    """Tell whoever is configured; a run neither fails nor waits because nobody could be told."""
    if services(root).settings.staff.receivers:
        tell_receivers(root)


@task(name="tell staff")
@traced
def tell_receivers(root: str | None = None) -> list[dict[str, Any]]:
    """What is new, worse or has lasted, to every receiver; trouble is logged, and tried again by the next look."""
    house = services(root)
    try:
        done = tell(house.ledger, house.settings, house.clock())
    except AlongsideError as error:
        _warn(f"staff could not be told: {error}")
        return []
    for one in done:
        if one.trouble:
            _warn(f"{one.receiver} could not be told: {one.trouble}")
    return [_counts(one) for one in done]


def _warn(text: str) -> None:
    with suppress(MissingContextError):  # outside a run (engine tests) nobody listens
        get_run_logger().warning(text)


def _counts(one: Told) -> dict[str, Any]:
    return {"receiver": one.receiver, "alerts": len(one.alerts), "messages": one.messages, "told": not one.trouble}
