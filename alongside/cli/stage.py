"""The stage of a sandbox run: the stand-ins of all providers and the web application, started for its time only."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import URLError
from urllib.request import urlopen

from alongside.channels.capabilities import provider_of
from alongside.model.enums import Channel, DeliveryMode
from alongside.model.errors import StoreUnavailable
from alongside.settings.environment import export

if TYPE_CHECKING:
    from alongside.bootstrap import Services
    from alongside.sandbox.together import StandIns

#: How much of the simulated day passes after a run, so that deliveries and first answers arrive.
AFTERWARDS = timedelta(hours=10)


@dataclass(frozen=True)
class Stage:
    """What a run plays on. Without `played` the vendors are not ours to steer, and nothing is simulated."""

    played: StandIns | None
    root: str

    def settle(self, as_of: str) -> None:
        """Let the simulated day go on until its events have arrived."""
        if self.played is not None:
            self.played.set_clock(datetime.fromisoformat(as_of) + AFTERWARDS, settle=30)

    def refreshed(self, summary: dict[str, Any]) -> dict[str, Any]:
        """The run's summary, and its report, with what arrived since."""
        from tasks.analysis import write_report

        write_report.fn(summary["run_id"], self.root)
        return self.recounted(summary)

    def recounted(self, summary: dict[str, Any]) -> dict[str, Any]:
        """The run's summary with what arrived since."""
        from tasks.runs import funnels

        found = funnels(summary["run_id"], self.root)
        return {
            **summary,
            "funnel": found["total"],
            "campaigns": found["campaigns"],
            "unknown": found["total"].get("unknown", 0),
        }


@contextlib.contextmanager
def stand_in_if_needed(house: Services, as_of: datetime | None) -> Iterator[Stage]:
    """In sandbox mode without SENDGRID_URL: start stand-ins and web application, and end them with the block."""
    root = str(house.project.root)
    if house.mode is not DeliveryMode.SANDBOX or _is_announced(house):
        yield Stage(None, root)
        return
    moment = as_of or house.clock()
    with open_stage(house, _folder(house, moment)) as stage:
        if stage.played is not None:
            stage.played.set_clock(moment)
        yield stage


def _is_announced(house: Services) -> bool:
    """Whether the environment names a server of the provider of e-mail."""
    if provider_of(house.settings, Channel.EMAIL).provider == "smtp":
        return bool(house.environment.smtp_url)
    return house.environment.sendgrid_url_given


def _folder(house: Services, moment: datetime) -> Path:
    """The stand-in's folder: the one at hand, or a fresh one for a moment that its clock has passed."""
    from alongside.sandbox.common.clock import simulated_now

    usual = house.project.var / "sandbox" / "runs"
    reached = simulated_now(usual / "clock.json")
    return (
        usual if reached is None or reached <= moment else usual.with_name(f"replay-{moment:%Y%m%dT%H%M}-{os.getpid()}")
    )


@contextlib.contextmanager
def open_stage(house: Services, folder: Path, seed: int = 0) -> Iterator[Stage]:
    """Stand-ins (their logs in `folder`) and web application on free ports, announced to this process and children."""
    from alongside.sandbox.together import Scene, start
    from tasks.context import services

    port = _free_port()
    public_url = f"http://127.0.0.1:{port}"
    responses = house.project.config / "sandbox" / "responses.yaml"
    with start(Scene(house.settings, folder, responses, public_url, seed)) as running:
        export(
            {
                **running.environment,
                "ALONGSIDE_PUBLIC_URL": public_url,
                "ALONGSIDE_HOME": str(house.project.root),
                "ALONGSIDE_VAR": str(house.project.var),
            }
        )
        services.cache_clear()
        with _web(port, folder):
            yield Stage(running, str(house.project.root))


@contextlib.contextmanager
def _web(port: int, folder: Path) -> Iterator[None]:
    """The web application as a process of its own, ended with the block."""
    command = [sys.executable, "-m", "alongside.web", f"--port={port}", f"--stand-in={folder}"]
    process = subprocess.Popen(command, env=dict(os.environ))
    try:
        _wait_for(f"http://127.0.0.1:{port}/healthz", process)
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for(url: str, process: subprocess.Popen[bytes], patience: float = 60.0) -> None:
    until = time.monotonic() + patience
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(URLError, OSError), urlopen(url, timeout=2):  # noqa: S310  # loopback, our own
            return
        time.sleep(0.1)
    raise StoreUnavailable("the web application did not start", where=url, remedy="Its error stands above.")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
