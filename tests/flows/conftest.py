"""A real Prefect server, a small hospital of its own, a stand-in and a web application, once a session."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
    PREFECT_LOGGING_TO_API_ENABLED,
    temporary_settings,
)

from alongside.bootstrap import Services, build
from alongside.model.enums import Channel
from alongside.sandbox.common.faults import Fault
from alongside.sandbox.hospital import generate
from alongside.sandbox.together import Scene, StandIns, start
from alongside.settings import Environment, HospitalSettings, Project, read_model
from tests.conftest import ROOT

BIN = Path(sys.executable).parent
PATIENTS = 400
POOL = "alongside-test"
#: The first extract lies a week back, so that played days are replays and the last ones are fresh data.
FIRST_DUMP = datetime.now(ZoneInfo("Asia/Shanghai")).date() - timedelta(days=8)


@dataclass
class Stage:
    """One project with everything that a scheduled production run has around it."""

    project: Project
    prefect_home: Path
    api: str
    stand_ins: StandIns
    environment: dict[str, str]
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    _worker: subprocess.Popen[bytes] | None = None

    @property
    def house(self) -> Services:
        return self.house_of(self.project)

    def house_of(self, project: Project) -> Services:
        return build(project, Environment.read(self.environment))

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Prefect's API, as its UI calls it."""
        request = urllib.request.Request(
            f"{self.api}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"content-type": "application/json"},
        )
        text = _answer(request)
        return json.loads(text) if text else None

    def start_run(self, deployment: str, parameters: dict[str, Any], **extra: Any) -> str:
        """Create a flow run of a deployment, as the UI's button does; returns its id."""
        found = self.call("GET", f"/deployments/name/{deployment}/alongside")
        given = {"project": str(self.project.root), **parameters}
        given = given if deployment in ("daily", "deliver") else {"daily": given}
        body = {"parameters": {"parameters": given}, **extra}
        return str(self.call("POST", f"/deployments/{found['id']}/create_flow_run", body)["id"])

    def retry(self, run_id: str) -> None:
        """What a click on Retry posts."""
        state = {"type": "SCHEDULED", "name": "AwaitingRetry"}
        self.call("POST", f"/flow_runs/{run_id}/set_state", {"state": state, "force": True})

    def beat(self, run_id: str, *tags: str) -> None:
        """A heartbeat, as the process of a run sends it."""
        related = [{"prefect.resource.id": f"prefect.tag.{tag}", "prefect.resource.role": "tag"} for tag in tags]
        event = {
            "event": "prefect.flow-run.heartbeat",
            "id": str(uuid.uuid4()),
            "occurred": datetime.now(UTC).isoformat(),
            "resource": {"prefect.resource.id": f"prefect.flow-run.{run_id}"},
            "related": related,
        }
        self.call("POST", "/events", [event])

    def work(self) -> subprocess.Popen[bytes]:
        """The worker that carries out what is due; started when there is none, or when it was killed."""
        if self._worker is None or self._worker.poll() is not None:
            command = [str(BIN / "prefect"), "worker", "start", "--pool", POOL, "--type", "process"]
            # not bound to one hospital: each run's parameters name its own
            environment = {name: value for name, value in self.environment.items() if name != "ALONGSIDE_HOME"}
            self._worker = subprocess.Popen(command, env=environment, cwd=self.project.root, start_new_session=True)
            self.processes.append(self._worker)
        return self._worker

    def state(self, run_id: str) -> str:
        return str(self.call("GET", f"/flow_runs/{run_id}")["state"]["type"])

    def wait_for(self, run_id: str, *states: str, patience: float = 240.0) -> str:
        until = time.monotonic() + patience
        while (state := self.state(run_id)) not in states:
            assert time.monotonic() < until, f"run is {state}, not {states}"
            time.sleep(0.3)
        return state

    def carry_out(self, run_id: str) -> str:
        """Let a worker run it to its end; returns the final state's type."""
        self.work()
        return self.wait_for(run_id, "COMPLETED", "FAILED", "CRASHED")

    def only_by_hand(self) -> None:
        """No schedule of any deployment starts a run in the middle of a test."""
        for deployment in self.call("POST", "/deployments/filter", {}):
            for schedule in deployment["schedules"]:
                path = f"/deployments/{deployment['id']}/schedules/{schedule['id']}"
                self.call("PATCH", path, {"active": False})

    @contextlib.contextmanager
    def within(self) -> Iterator[None]:
        """Flows that this process calls run on the server; a process a run would cost more than the run."""
        settings = {PREFECT_API_URL: self.api, PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}
        with temporary_settings({**settings, PREFECT_LOGGING_TO_API_ENABLED: False}):  # it outlives the server
            yield

    def accepted(self) -> list[str]:
        """Message keys by the stand-ins' own logs, repeats included."""
        return [record["m"] for record in self.stand_ins.accepted()]

    def behave(self, *faults: Fault) -> None:
        """How the provider of e-mail behaves from now on."""
        self.stand_ins.of(Channel.EMAIL).control.behave(list(faults))


def _answer(request: urllib.request.Request, tries: int = 8) -> bytes:
    """What the server says in the end: while its SQLite is locked it answers 503, and Prefect's clients ask again."""
    for left in reversed(range(tries)):
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                text: bytes = answer.read()
                return text
        except urllib.error.HTTPError as error:
            if error.code != 503 or not left:
                raise
        except TimeoutError:
            if request.method != "GET" or not left:
                raise
        time.sleep(1)
    raise AssertionError("not reached")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def day(number: int) -> date:
    """Day 0 is the first dump."""
    return FIRST_DUMP + timedelta(days=number)


def small_enough(project: Path) -> None:
    """The shipped experiment needs the people of a larger hospital; here it looks for a larger effect."""
    path = project / "config" / "experiments" / "hypertension_review_wording.yaml"
    path.write_text(path.read_text("utf-8").replace("minimum_effect: 0.09", "minimum_effect: 0.5"), "utf-8")


def copy_project(target: Path) -> Project:
    """The shipped project, awake at night because tests run at any time, with batches that can fail one by one."""
    for folder in ("config", "templates", "expectations"):
        shutil.copytree(ROOT / folder, target / folder)
    settings = target / "config" / "alongside.yaml"
    awake = settings.read_text("utf-8").replace('{from: "21:00", to: "08:00"}', '{from: "00:00", to: "00:00"}')
    settings.write_text(awake.replace("provider: sendgrid", "provider: sendgrid\n    batch_size: 5"), "utf-8")
    small_enough(target)
    return Project.at(target)


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    root = tmp_path_factory.mktemp("stage")
    project = copy_project(root / "project")
    web_port, api_port = free_port(), free_port()
    environment = {
        **os.environ,
        "PREFECT_HOME": str(root / "prefect"),
        "PREFECT_API_URL": f"http://127.0.0.1:{api_port}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_LOGGING_LEVEL": "WARNING",
        "PREFECT_WORKER_QUERY_SECONDS": "1",
        "DO_NOT_TRACK": "1",
        "ALONGSIDE_HOME": str(project.root),
        "ALONGSIDE_KEY_DIR": str(root / "keys"),
        "ALONGSIDE_PUBLIC_URL": f"http://127.0.0.1:{web_port}",
    }
    settings = read_model(HospitalSettings, project.config / "alongside.yaml")
    responses = project.config / "sandbox" / "responses.yaml"
    with contextlib.ExitStack() as stack:
        everything = Scene(settings, root / "stand-in", responses, environment["ALONGSIDE_PUBLIC_URL"])
        running = stack.enter_context(start(everything))
        environment |= running.environment
        scene = Stage(project, root / "prefect", f"http://127.0.0.1:{api_port}/api", running, environment)
        stack.callback(_end, scene)
        server = [str(BIN / "prefect"), "server", "start", "--host", "127.0.0.1", "--port", str(api_port)]
        web = [sys.executable, "-m", "alongside.web", f"--port={web_port}", f"--stand-in={everything.folder}"]
        for command in (server, web):
            scene.processes.append(subprocess.Popen(command, env=environment, cwd=root))
        generate(project.var / "hospital", patients=PATIENTS, start=FIRST_DUMP)  # while they come up
        _wait_for(f"{scene.api}/health")
        _wait_for(f"http://127.0.0.1:{web_port}/healthz")
        deploy = [str(BIN / "alongside"), "deploy", "--pool", POOL]
        subprocess.run(deploy, env=environment, cwd=project.root, check=True, timeout=180)
        scene.only_by_hand()
        yield scene


@pytest.fixture(scope="session")
def little(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Another hospital of a tenth of the patients, for the same server, worker and vendor."""
    project = copy_project(tmp_path_factory.mktemp("little") / "project")
    generate(project.var / "hospital", patients=PATIENTS // 10, seed=2, start=FIRST_DUMP)
    return project


def _wait_for(url: str, patience: float = 180.0) -> None:
    until = time.monotonic() + patience
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            assert time.monotonic() < until, f"{url} did not come up"
            time.sleep(0.3)


def _end(scene: Stage) -> None:
    """The first time Prefect's server waits for whoever is connected to it, this process among them; then no more."""
    for _ in range(2):
        for process in reversed(scene.processes):
            process.terminate()
        until = time.monotonic() + 5
        while time.monotonic() < until and any(process.poll() is None for process in scene.processes):
            time.sleep(0.05)
    for process in scene.processes:
        if process.poll() is None:
            process.kill()
        process.wait()
