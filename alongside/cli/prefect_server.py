"""Prefect for a run in this process: its settings, and its server, which takes longest to start and so starts first."""

from __future__ import annotations

import logging
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from pathlib import Path

from alongside.model.errors import StoreUnavailable

#: How often Prefect's own server may be started in vain.
STARTS = 3


@cache
def opening(root: str) -> Future[None]:
    """Begin to open Prefect in the background; once per process. Its result is None as soon as flows can run.

    Without a Prefect server (PREFECT_API_URL) Prefect starts one for the life of this process: some ten seconds of
    another core, while this process still imports and prepares.

    Raises
    ------
    StoreUnavailable : from `result()`; the server that PREFECT_API_URL names does not answer, or its own not start
    """
    from alongside.settings import Project
    from alongside.settings.environment import export_defaults

    home = Project.find(Path(root)).var / "prefect"
    home.mkdir(parents=True, exist_ok=True)  # Prefect makes the last folder of it only
    export_defaults(
        {
            "PREFECT_HOME": str(home),
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


def _say_failures_once() -> None:
    """Leave out what Prefect prints when a flow or task of this process fails: the same error reaches the caller.

    It would stand in front of our one sentence three times, with tracebacks.
    """
    import prefect.main  # noqa: F401  # makes the handlers, once a process

    for handler in logging.getLogger().handlers:
        handler.addFilter(_is_not_said_elsewhere)


def _is_not_said_elsewhere(record: logging.LogRecord) -> bool:
    return record.levelno < logging.ERROR or not record.name.startswith(("prefect.flow_runs", "prefect.task_runs"))


def _open() -> None:
    from httpx import HTTPError
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_URL, PREFECT_HOME

    _say_failures_once()
    url = PREFECT_API_URL.value()
    if url is None:
        _limit_starts()
    try:
        with get_client(sync_client=True) as client:
            client.hello()
    except (HTTPError, RuntimeError) as error:
        if url is None:
            what, where = "does not start", f"{PREFECT_HOME.value()}"
            remedy = "Its own error stands above. If its database is broken, remove this folder: no message is in it."
        else:
            what, where = "does not answer", url
            remedy = "Start it ('prefect server start'), or unset PREFECT_API_URL to run without one."
        raise StoreUnavailable(f"Prefect's server {what}: {error}", where=where, remedy=remedy) from error


def _limit_starts() -> None:
    """Let Prefect's own server end at its start a few times, not for ever.

    Where it cannot start (a broken database, a full disk) Prefect 3.8 looks for another port and starts it again,
    without end and without a word.
    """
    from prefect.server.api.server import SubprocessASGIServer

    server = SubprocessASGIServer()  # one a process: the client will get this one
    find, left = server.find_available_port, iter(range(STARTS))

    def find_available_port() -> int:
        if next(left, None) is None:
            raise RuntimeError(f"it has ended {STARTS} times")
        return find()

    setattr(server, "find_available_port", find_available_port)  # noqa: B010  # mypy forbids the plain assignment
