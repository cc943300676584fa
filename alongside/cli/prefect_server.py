"""Prefect for a run in this process: its settings, and its server, which takes longest to start and so starts first."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from pathlib import Path

from alongside.model.errors import StoreUnavailable


@cache
def opening(root: str) -> Future[None]:
    """Begin to open Prefect in the background; once per process. Its result is None as soon as flows can run.

    Without a Prefect server (PREFECT_API_URL) Prefect starts one for the life of this process: some ten seconds of
    another core, while this process still imports and prepares.

    Raises
    ------
    StoreUnavailable : from `result()`; the server that PREFECT_API_URL names does not answer
    """
    from alongside.settings.environment import export_defaults

    export_defaults(
        {
            "PREFECT_HOME": str(Path(root) / "var" / "prefect"),
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
            "PREFECT_LOGGING_LEVEL": "ERROR",
            # a busy machine needs longer than Prefect's 20 s
            "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "180",
        }
    )
    pool = ThreadPoolExecutor(1, thread_name_prefix="open-prefect")
    future = pool.submit(_open)
    pool.shutdown(wait=False)
    return future


def _open() -> None:
    from httpx import HTTPError
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        try:
            client.hello()
        except HTTPError as error:
            raise StoreUnavailable(
                f"Prefect's server does not answer: {error}",
                where=str(client.api_url),
                remedy="Start it ('prefect server start'), or unset PREFECT_API_URL to run without one.",
            ) from error
