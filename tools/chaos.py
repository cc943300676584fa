"""`make chaos`: the daily run in bad weather, and whether every message left exactly once.

Two runs of the same campaigns plan and send at once, on every channel. Meanwhile providers throttle, fail after taking
a message, hang, answer with errors and tell everything twice and out of order; delivery workers and whole runs are
killed (SIGKILL), and PostgreSQL is restarted as if its machine had lost power. Runs that died or failed are tried
again, as an operator's Retry does. Then the weather clears, events arrive, what is unknown is settled, and a checker
that shares no code with the engine holds the providers' own fsynced logs against the ledger.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, timedelta
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import psutil
import sqlalchemy as sa
import yaml

from alongside.bootstrap import build
from alongside.ledger.runs import pin_snapshot
from alongside.model.errors import AlongsideError
from alongside.sandbox.common.faults import Fault, FaultKind
from alongside.sandbox.hospital import generate
from alongside.sandbox.together import Scene, StandIns, start
from alongside.settings import Project
from alongside.settings.environment import export

ROOT = Path(__file__).resolve().parents[1]
DAY = date(2026, 3, 1)
AS_OF = datetime(2026, 3, 1, 10, tzinfo=UTC)  # six in the evening at the hospital: nobody sleeps
RUNS = ("chaos-a", "chaos-b")
#: How many times as long as it shall last a storm waits for the first worker.
PATIENCE = 5
#: Forked from a process that has imported what a run needs, which costs seconds: a storm begins many runs.
FORKS = multiprocessing.get_context("forkserver")
STEPS = ["tasks.delivery", "tasks.outreach", "tasks.runs"]
#: Weather, one after the other: what a provider does to a share of the requests.
WEATHER: tuple[tuple[Fault, ...], ...] = (
    (Fault(FaultKind.THROTTLE, rate=0.2, retry_after=0.1), Fault(FaultKind.SLOW, rate=0.2, seconds=0.2)),
    (Fault(FaultKind.DROP_AFTER, rate=0.1), Fault(FaultKind.FAIL, rate=0.1, status=500)),
    (Fault(FaultKind.HANG, rate=0.03, accept=True), Fault(FaultKind.DROP_BEFORE, rate=0.1)),
    (Fault(FaultKind.HTML, rate=0.05), Fault(FaultKind.FAIL, rate=0.2, status=503)),
    (Fault(FaultKind.HANG, rate=0.03), Fault(FaultKind.DROP_AFTER, rate=0.1)),
)
#: The next morning, when everybody is awake whatever they asked for.
MORNING = AS_OF + timedelta(hours=16)
#: States in which the ledger says that the provider has the message.
TAKEN = frozenset({"accepted", "deferred", "delivered", "bounced", "dropped"})


@dataclass
class Report:
    """What the storm did, and what the checker found."""

    patients: int
    store: str
    seconds: float = 0.0
    messages: int = 0
    by_channel: dict[str, int] = field(default_factory=dict)
    states: dict[str, int] = field(default_factory=dict)
    workers_killed: int = 0
    runs_killed: int = 0
    retries: int = 0
    database_restarts: int = 0
    faults: dict[str, int] = field(default_factory=dict)
    duplicates: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    invented: list[str] = field(default_factory=list)
    unexplained: list[str] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        return not (self.duplicates or self.lost or self.invented or self.unexplained)


# ------------------------------------------------------------------------------------------------------------- checker
def check(report: Report, accepted: Sequence[Mapping[str, Any]], ledger_url: str) -> None:
    """Hold the providers' logs against the ledger's tables; nothing of the engine is asked.

    duplicates: taken twice by a provider. lost: said to be taken, or still waiting, and no provider has it. invented: a
    provider has what the ledger does not say it has. unexplained: of unknown outcome without a reason to be.
    """
    engine = sa.create_engine(sa.engine.make_url(ledger_url).set(drivername=_driver(ledger_url)))
    with engine.connect() as connection:
        rows = connection.exec_driver_sql("SELECT message_key, channel, state, reason FROM message").all()
        listed = Counter(key for (key,) in connection.exec_driver_sql("SELECT task_id FROM call_task"))
    engine.dispose()
    taken = Counter(str(record["m"]) for record in accepted) + listed
    report.messages = len(rows)
    report.by_channel = dict(Counter(row[1] for row in rows))
    report.states = dict(Counter(row[2] for row in rows))
    report.duplicates = sorted(key for key, times in taken.items() if times > 1)
    known = {row[0]: row for row in rows}
    report.lost = sorted(key for key, row in known.items() if row[2] in TAKEN | {"planned"} and not taken[key])
    report.invented = sorted(key for key in taken if key not in known or known[key][2] not in TAKEN)
    report.unexplained = sorted(
        key for key, row in known.items() if row[2] == "unknown" or (row[2] == "unresolved" and not row[3])
    )


def _driver(url: str) -> str:
    return "sqlite" if url.startswith("sqlite") else "postgresql+psycopg"


# ------------------------------------------------------------------------------------------------------------ database
@dataclass
class Cluster:
    """A PostgreSQL server of our own, which nobody else's data can suffer from."""

    folder: Path
    port: int
    restarts: int = 0

    @classmethod
    def create(cls) -> Cluster | None:
        """In a folder of its own below the system's; None where PostgreSQL is not installed."""
        if _postgres() is None:
            return None
        folder = Path(tempfile.mkdtemp(prefix="alongside-pg-"))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            cluster = cls(folder, int(probe.getsockname()[1]))
        if os.getuid() == 0:
            shutil.chown(folder, "postgres")
        cluster._run("initdb", "-D", str(folder / "data"), "-A", "trust", "-U", "postgres", "-N")
        settings = f"port={cluster.port} listen_addresses='127.0.0.1' unix_socket_directories='{folder}'"
        with (folder / "data" / "postgresql.conf").open("a") as written:
            written.write("\n".join(settings.split(" ")) + "\n")
        cluster._run("pg_ctl", "-D", str(folder / "data"), "-l", str(folder / "log"), "-w", "start")
        return cluster

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def restart(self) -> None:
        """As after a power cut: nothing is flushed, nobody is asked to leave."""
        data, log = str(self.folder / "data"), str(self.folder / "log")
        self._run("pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")
        self._run("pg_ctl", "-D", data, "-l", log, "-w", "start")
        self.restarts += 1

    def stop(self) -> None:
        self._run("pg_ctl", "-D", str(self.folder / "data"), "-m", "immediate", "-w", "stop")
        shutil.rmtree(self.folder, ignore_errors=True)

    def _run(self, program: str, *words: str) -> None:
        command = [str((_postgres() or Path()) / program), *words]
        if os.getuid() == 0:  # PostgreSQL refuses to run as root
            command = ["runuser", "-u", "postgres", "--", *command]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60, cwd="/")


def _postgres() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if found:
        return found[-1].parent
    program = shutil.which("initdb")
    return Path(program).parent if program else None


# ----------------------------------------------------------------------------------------------------------------- run
def begin(run_id: str, root: str, snapshot_id: str) -> BaseProcess:
    """A process for the run, with the environment that this one has now."""
    process = FORKS.Process(target=campaigns, args=(run_id, root, snapshot_id, dict(os.environ)))
    process.start()
    return process


def campaigns(run_id: str, root: str, snapshot_id: str, environment: Mapping[str, str]) -> None:
    """What the flow `campaign` does, without Prefect's turns, in a process of its own; ends with 1 when it failed."""
    os.environ.clear()
    os.environ.update(environment)
    try:
        _campaigns(run_id, root, snapshot_id)
    except AlongsideError:  # what an operator would read, and retry
        sys.exit(1)


def _campaigns(run_id: str, root: str, snapshot_id: str) -> None:
    """Plan everything, then send on every channel side by side."""
    from tasks import delivery, outreach, runs
    from tasks.context import services

    delivery.FEW = 0  # always with workers: they are what is killed
    house = services(root)
    runs.start.fn(run_id, AS_OF, None, root)
    with house.ledger.begin() as connection:
        pin_snapshot(connection, run_id, snapshot_id)
    for campaign in house.catalogues.campaigns:
        outreach.plan_campaign.fn(run_id, campaign.name, 1, root)
    channels = delivery.open_channels(run_id, root)
    with ThreadPoolExecutor(max(len(channels), 1)) as pool:
        sent = [pool.submit(delivery.dispatch_partition.fn, run_id, 0, 1, root, channel) for channel in channels]
        for one in sent:
            one.result()


def settle(root: str) -> dict[str, Any]:
    """What `deliver` does every quarter of an hour; how much is still open and unknown."""
    from tasks import delivery
    from tasks.context import services

    delivery.FEW = 0
    house = services(root)
    with contextlib.suppress(AlongsideError):
        delivery.reconcile_waiting.fn(MORNING, root)
        for channel in delivery.open_channels(None, root):
            delivery.dispatch_waiting.fn(MORNING, root, channel)
    with house.ledger.reading() as connection:
        rows = connection.exec_driver_sql("SELECT state, count(*) FROM message GROUP BY state").all()
    return {str(state): int(count) for state, count in rows}


@dataclass
class Storm:
    """Kills, restarts and weather while runs are at work, all from one seed."""

    root: str
    snapshot_id: str
    stand_ins: StandIns
    cluster: Cluster | None
    report: Report
    chance: random.Random
    crew: dict[str, BaseProcess] = field(default_factory=dict)

    def rage(self, seconds: float) -> None:
        """For so long at most once something is sent, and until every run has come through.

        A slow machine plans for longer than the storm shall last: meanwhile it blows more gently.
        """
        begun, next_weather, next_kill, next_restart = time.monotonic(), 0.0, 0.0, time.monotonic() + 3
        sending, until = False, begun + PATIENCE * seconds
        for run_id in RUNS:
            self._begin(run_id)
        while time.monotonic() < until and self.crew:
            now = time.monotonic()
            if not sending and any(_workers_of(process) for process in self.crew.values()):
                sending, until, next_kill = True, now + seconds, now
            lull = 1 if sending else 4
            if now >= next_weather:
                self._weather()
                next_weather = now + self.chance.uniform(1.5, 4)
            if now >= next_kill:
                self._kill()
                next_kill = now + lull * self.chance.uniform(0.3, 1.5)
            if self.cluster is not None and now >= next_restart:
                self.cluster.restart()
                self.report.database_restarts += 1
                next_restart = now + lull * self.chance.uniform(5, 12)
            self._revive()
            time.sleep(0.05)
        for process in self.crew.values():
            process.kill()
            process.join()
        self._clear()

    def _begin(self, run_id: str) -> None:
        self.crew[run_id] = begin(run_id, self.root, self.snapshot_id)

    def _revive(self) -> None:
        """Whoever ended well is through; whoever died or failed is tried again."""
        for run_id, process in list(self.crew.items()):
            if process.is_alive():
                continue
            del self.crew[run_id]
            if process.exitcode != 0:
                self.report.retries += 1
                self._begin(run_id)

    def _kill(self) -> None:
        """A worker mostly, a whole run sometimes."""
        alive = [process for process in self.crew.values() if process.is_alive()]
        workers = [child for process in alive for child in _workers_of(process)]
        if alive and self.chance.random() < 0.08:
            victim = self.chance.choice(alive)
            for child in _workers_of(victim):
                with contextlib.suppress(psutil.NoSuchProcess):
                    child.kill()
            victim.kill()
            self.report.runs_killed += 1
        elif workers:
            with contextlib.suppress(psutil.NoSuchProcess):
                self.chance.choice(workers).send_signal(signal.SIGKILL)
                self.report.workers_killed += 1

    def _weather(self) -> None:
        for one in self.stand_ins.each:
            one.control.behave(self.chance.choice(WEATHER), seed=self.chance.randrange(10**6))

    def _clear(self) -> None:
        for one in self.stand_ins.each:
            one.control.behave([])


def _workers_of(process: BaseProcess) -> list[psutil.Process]:
    try:
        children = psutil.Process(process.pid).children(recursive=True)
        return [child for child in children if "alongside.delivery.worker" in " ".join(child.cmdline())]
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return []


# ---------------------------------------------------------------------------------------------------------------- scene
def write_project(folder: Path) -> Project:
    """The shipped configuration with room for everybody, small batches, short patience, and a call for some."""
    for name in ("config", "templates", "expectations"):
        shutil.copytree(ROOT / name, folder / name)
    path = folder / "config" / "alongside.yaml"
    settings = yaml.safe_load(path.read_text("utf-8"))
    settings["delivery"] |= {"lease_seconds": 5}
    settings["channels"]["email"] |= {"batch_size": 50, "timeout_seconds": 1.5, "unknown_grace_minutes": 0}
    settings["channels"]["sms"] |= {"chunk_size": 20, "timeout_seconds": 1.5, "unknown_grace_minutes": 0}
    settings["channels"]["sms"] |= {"rate_per_second": 500}
    settings["channels"]["call"] |= {"chunk_size": 20, "unknown_grace_minutes": 0}
    path.write_text(yaml.safe_dump(settings, allow_unicode=True), "utf-8")
    for file in (folder / "config" / "campaigns").glob("*.yaml"):
        campaign = yaml.safe_load(file.read_text("utf-8"))
        campaign["envelope"] = {"max_audience": 10**7}
        if campaign["name"] == "pre_op_checklist":
            campaign["channels"] = ["call", "sms", "email"]
        if campaign["name"] == "flu_vaccine":
            campaign["channels"] = ["sms", "email"]
        file.write_text(yaml.safe_dump(campaign, allow_unicode=True), "utf-8")
    return Project.at(folder)


def refresh(project: Project, patients: int) -> str:
    """Extracts, people and segments, in good weather; the id of the snapshot."""
    from tasks import patients as people
    from tasks import quality, runs, segments, sources

    root, run_id, snapshot_id = str(project.root), "chaos-refresh", "snapshot-chaos"
    generate(project.var / "hospital", patients=patients, start=DAY - timedelta(days=1))
    runs.start.fn(run_id, AS_OF, None, root)
    sources.ingest_extracts.fn(run_id, {}, root)
    quality.validate_data.fn(run_id, root)
    people.identify.fn(run_id, False, root)
    people.build_360.fn(run_id, snapshot_id, root)
    segments.refresh_segments.fn(run_id, snapshot_id, root)
    segments.publish.fn(run_id, snapshot_id, root)
    return snapshot_id


@contextlib.contextmanager
def web(project: Project, port: int, folder: Path) -> Iterator[None]:
    """The web application, which takes what the providers tell, once it listens."""
    command = [sys.executable, "-m", "alongside.web", f"--port={port}", f"--stand-in={folder}"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 60
        while time.monotonic() < until:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait(20)


def play(folder: Path, patients: int, seconds: float, seed: int, *, postgres: bool, say: Any = print) -> Report:
    """The whole: scene, storm, calm, check."""
    begun = time.monotonic()
    FORKS.set_forkserver_preload(STEPS)
    project = write_project(folder / "project")
    cluster = Cluster.create() if postgres else None
    ledger_url = cluster.url if cluster else f"sqlite:///{project.var / 'ledger.db'}"
    report = Report(patients, "PostgreSQL" if cluster else "SQLite")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    public = f"http://127.0.0.1:{port}"
    settings = build(project).settings
    scene = Scene(settings, folder / "vendors", project.config / "sandbox" / "responses.yaml", public, seed)
    try:
        with start(scene) as stand_ins:
            export(
                {
                    **stand_ins.environment,
                    "ALONGSIDE_LEDGER_URL": ledger_url,
                    "ALONGSIDE_KEY_DIR": str(folder / "keys"),
                    "ALONGSIDE_PUBLIC_URL": public,
                    "ALONGSIDE_HOME": str(project.root),
                }
            )
            stand_ins.set_clock(AS_OF)
            say(f"Building a hospital of {patients:,} patients on {report.store} ...")
            snapshot_id = refresh(project, patients)
            with web(project, port, scene.folder):
                say("The storm begins.")
                storm = Storm(str(project.root), snapshot_id, stand_ins, cluster, report, random.Random(seed))  # noqa: S311
                storm.rage(seconds)
                say("It clears. Settling what is open ...")
                _calm(project, stand_ins, say)
                report.faults = _faults(stand_ins)
                check(report, stand_ins.accepted(), ledger_url)
    finally:
        if cluster is not None:
            cluster.stop()
    report.seconds = round(time.monotonic() - begun, 1)
    return report


def _calm(project: Project, stand_ins: StandIns, say: Any) -> None:
    """Runs are retried to their end, events arrive, what is unknown is settled."""
    root = str(project.root)
    for run_id in RUNS:
        for _ in range(20):
            process = begin(run_id, root, "snapshot-chaos")
            process.join()
            if process.exitcode == 0:
                break
            time.sleep(1)
    stand_ins.set_clock(MORNING, settle=60)
    for _ in range(20):
        states = settle(root)
        if not states.get("planned") and not states.get("unknown"):
            return
        time.sleep(1)
    say(f"Not everything was settled: {states}")


def _faults(stand_ins: StandIns) -> dict[str, int]:
    shown: Counter[str] = Counter()
    for counters in stand_ins.stats().values():
        shown.update(counters["faults"])
    return dict(shown)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser("tools.chaos", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--patients", type=int, default=20_000)
    parser.add_argument("--seconds", type=float, default=120, help="longest storm")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--store", choices=("postgres", "sqlite"), default="postgres")
    arguments = parser.parse_args(argv)
    threading.current_thread().name = "chaos"
    with tempfile.TemporaryDirectory(prefix="alongside-chaos-") as folder:
        report = play(
            Path(folder), arguments.patients, arguments.seconds, arguments.seed, postgres=arguments.store == "postgres"
        )
    sys.stdout.write(json.dumps(asdict(report) | {"seed": arguments.seed}, indent=2) + "\n")
    return 0 if report.sound else 1


if __name__ == "__main__":
    sys.exit(main())
