"""`make serve`: Prefect server with its UI, a worker, the stand-ins of all providers and the web application.

A hospital that lives today: its systems hand over an extract every night, so that the scheduled run of 08:00 finds
fresh data. Everything listens on loopback, keeps its state in `var/serve/`, and ends with Ctrl-C.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from types import FrameType
from urllib.error import URLError
from urllib.request import urlopen

from alongside.bootstrap import Services, build
from alongside.model.enums import Channel, DeliveryMode
from alongside.model.errors import AlongsideError, Refused, StoreUnavailable
from alongside.sandbox.hospital import advance, generate, read_bookings
from alongside.sandbox.together import Scene, StandIns, start
from alongside.settings import Project

API_PORT, WEB_PORT = 4200, 8021
STAND_IN_PORTS = {Channel.EMAIL: 8025, Channel.SMS: 8026}
API = f"http://127.0.0.1:{API_PORT}/api"
PUBLIC = f"http://127.0.0.1:{WEB_PORT}"
POOL = "alongside"
PATIENTS = 5000
#: The extract of a day is taken at 02:00 by the hospital's clock.
EXTRACT_HOUR = 2


def main() -> None:
    """Start everything, register the deployments, and stay until Ctrl-C or until a part ends by itself."""
    project = Project.at(Project.find().root)
    project = Project.at(project.root, project.var / "serve")
    house = build(project)
    if house.mode is not DeliveryMode.SANDBOX:
        raise Refused("'make serve' plays on the stand-in only", remedy="Set delivery.mode to sandbox.")
    for port in (API_PORT, WEB_PORT, *STAND_IN_PORTS.values()):
        _require_free(port)
    open_hospital(house)
    scene = Scene(
        house.settings,
        project.var / "sandbox",
        project.config / "sandbox" / "responses.yaml",
        PUBLIC,
        ports=STAND_IN_PORTS,
    )
    for number in (signal.SIGINT, signal.SIGTERM):  # SIGINT too: a shell's background job begins with it ignored
        signal.signal(number, _interrupt)
    with start(scene) as stand_ins:
        environment = _environment(project, stand_ins)
        script = _write_environment(project.var / "environment", environment)
        crew = Crew({**os.environ, **environment}, project.root)
        try:
            _start(crew)
            sys.stdout.write(_welcome(house, script))
            sys.stdout.flush()
            while not (ended := crew.ended()):
                time.sleep(1)
                open_hospital(house)
            raise StoreUnavailable(f"{ended} ended by itself", remedy=f"Its error stands above, or in {project.var}.")
        except KeyboardInterrupt:
            sys.stdout.write("\nEnding ...\n")
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):  # an impatient second Ctrl-C would leave processes behind
                signal.signal(number, signal.SIG_IGN)
            crew.end()


def _start(crew: Crew) -> None:
    var = Path(crew.environment["ALONGSIDE_VAR"])
    # On SQLite the server complains at length about locks that it overcomes by itself.
    log, folder = var / "prefect-server.log", var / "sandbox"
    words = ("server", "start", "--host=127.0.0.1", f"--port={API_PORT}")
    _wait(f"{API}/health", crew.start("Prefect's server", "prefect", *words, log=log), log)
    web = crew.start(
        "the web application", "python", "-m", "alongside.web", f"--port={WEB_PORT}", f"--stand-in={folder}"
    )
    _wait(f"{PUBLIC}/healthz", web)
    crew.run("alongside", "deploy", "--pool", POOL)
    crew.start("the worker", "prefect", "worker", "start", "--pool", POOL)


def open_hospital(house: Services) -> None:
    """The hospital, with every extract that its systems have handed over until now."""
    root = house.project.var / "hospital"
    now = datetime.now(house.zone)
    today = now.date() if now.hour >= EXTRACT_HOUR else now.date() - timedelta(days=1)
    if not (root / "truth" / "hospital.json").is_file():
        sys.stdout.write("Building a hospital of its own for this ...\n")
        generate(root, patients=PATIENTS, start=today - timedelta(days=1))
    latest = max(date.fromisoformat(folder.name) for folder in (root / "his").iterdir())
    for number in range(1, (today - latest).days + 1):
        bookings, _ = read_bookings(house.project.var / "sandbox" / "bookings.ndjson")
        advance(root, latest + timedelta(days=number), bookings=bookings)


def _environment(project: Project, stand_ins: StandIns) -> dict[str, str]:
    """What worker, web application and commands beside them need to meet."""
    return {
        "PREFECT_HOME": str(project.var / "prefect"),
        "PREFECT_API_URL": API,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_UI_V2_ENABLED": "false",  # the classic UI asks no host outside
        "DO_NOT_TRACK": "1",
        "ALONGSIDE_HOME": str(project.root),
        "ALONGSIDE_VAR": str(project.var),
        "ALONGSIDE_PUBLIC_URL": PUBLIC,
        **stand_ins.environment,
    }


def _write_environment(path: Path, environment: dict[str, str]) -> Path:
    path.write_text("".join(f"export {name}='{value}'\n" for name, value in environment.items()), "utf-8")
    return path


def _welcome(house: Services, script: Path) -> str:
    morning = datetime.now(house.zone).replace(hour=8, minute=0, second=0, microsecond=0)
    return f"""
Prefect   http://127.0.0.1:{API_PORT}      Deployments > daily > Run > Quick run
Stand-in  http://127.0.0.1:{STAND_IN_PORTS[Channel.EMAIL]}/_sandbox/stats
Texts     http://127.0.0.1:{STAND_IN_PORTS[Channel.SMS]}/_sandbox/stats
Web       {PUBLIC}/healthz

Messages keep quiet at night by the hospital's clock ({house.settings.hospital.time_zone}, now \
{datetime.now(house.zone):%H:%M}). To send at once all the same: Custom run, as_of {morning.isoformat()}.
Commands beside it:  source {os.path.relpath(script)}
Ctrl-C ends everything.

"""


@dataclass
class Crew:
    """Processes that end together. Each leads a group of its own, so that nothing it started is left behind."""

    environment: dict[str, str]
    folder: Path
    members: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, name: str, program: str, *words: str, log: Path | None = None) -> subprocess.Popen[bytes]:
        with log.open("ab") if log else contextlib.nullcontext() as output:
            process = subprocess.Popen(
                [_program(program), *words],
                cwd=self.folder,
                env=self.environment,
                start_new_session=True,
                stdout=output,
                stderr=output,
            )
        self.members[name] = process
        return process

    def run(self, program: str, *words: str) -> None:
        """One that ends by itself."""
        done = subprocess.run([_program(program), *words], cwd=self.folder, env=self.environment, check=False)
        if done.returncode:
            raise StoreUnavailable(f"'{program} {' '.join(words)}' failed", remedy="Its error stands above.")

    def ended(self) -> str | None:
        """Name of a process that is no more."""
        return next((name for name, process in self.members.items() if process.poll() is not None), None)

    def end(self, patience: float = 20.0) -> None:
        """The last one first: a worker hands its runs back while the server still answers."""
        for process in reversed(self.members.values()):
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(patience)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _program(name: str) -> str:
    return str(Path(sys.executable).parent / name)


def _require_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            remedy = "Is another 'make serve' or Prefect server running? End it first."
            raise Refused(f"port {port} is taken", where="127.0.0.1", remedy=remedy) from error


def _wait(url: str, process: subprocess.Popen[bytes], log: Path | None = None, patience: float = 180.0) -> None:
    until = time.monotonic() + patience
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(URLError, OSError), urlopen(url, timeout=2):  # noqa: S310  # loopback, our own
            return
        time.sleep(0.3)
    remedy = f"Its error stands in {log}." if log else "Its error stands above."
    raise StoreUnavailable("a part did not start", where=url, remedy=remedy)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    try:
        main()
    except AlongsideError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(1)
