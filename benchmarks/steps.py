"""The steps of a daily run, each in a process of its own, called as Prefect calls them but without a Prefect server."""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import hospital
from benchmarks.processes import ROOT, call

RUN_ID = "00000000-0000-4000-8000-000000000001"
SNAPSHOT = "20260228T0000-00000000"
ORDER = (
    "start", "ingest", "validate", "identify", "build 360", "segments", "publish", "plan", "dispatch", "reconcile",
    "evaluate", "report", "finish",
)  # fmt: skip


@dataclass(frozen=True)
class Step:
    """Wall seconds within the step (imports apart), peak memory of its process tree, and of its imports alone (MB)."""

    name: str
    seconds: float
    peak_mb: float
    start_mb: float
    answer: Any


def run_day(root: Path, size: int) -> list[Step]:
    """Play the run of the first dump in an empty folder; the stand-in takes the messages, nobody answers them."""
    from alongside.sandbox.sendgrid.launch import start
    from alongside.sandbox.sendgrid.options import Options

    root.mkdir(parents=True)
    project = hospital.write_project(root)
    call("hospital:generate", {"root": str(root), "size": size})
    with start(Options(root / "stand-in", patients=False, rate_limit=10**9)) as vendor:
        environment = {**os.environ, **_environment(project.root, vendor.url, vendor.api_key, vendor.public_key)}
        return [_step(name, environment) for name in ORDER]


def _environment(root: Path, url: str, key: str, public_key: str) -> Mapping[str, str]:
    return {
        "ALONGSIDE_HOME": str(root),
        "ALONGSIDE_VAR": str(root / "var"),
        "ALONGSIDE_KEY_DIR": str(root / "keys"),
        "ALONGSIDE_LEDGER_URL": f"sqlite:///{root / 'var' / 'ledger.db'}",
        "SENDGRID_URL": url,
        "SENDGRID_API_KEY": key,
        "SENDGRID_WEBHOOK_KEY": public_key,
        "PYTHONPATH": str(ROOT),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    }


def _step(name: str, environment: Mapping[str, str]) -> Step:
    done = call("steps:one", {"name": name}, environment)
    return Step(name, done.answer["seconds"], done.peak_mb, done.answer["start_mb"], done.answer["answer"])


# --------------------------------------------------------------------------------------------------- within the child
def _plan_all(root: str) -> int:
    """Every campaign in the order in which a run plans them; returns how many there are."""
    from tasks.context import services
    from tasks.outreach import plan_campaign

    names = [item.name for item in services(root).catalogues.campaigns]
    for name in names:
        plan_campaign.fn(RUN_ID, name, 1, root)
    return len(names)


def _send(root: str) -> dict[str, int]:
    """The e-mails, which the only stand-in here takes; messages on other channels stay planned."""
    from alongside.model.enums import Channel
    from tasks import delivery

    report = delivery.dispatch_partition.fn(RUN_ID, 0, 1, root, Channel.EMAIL)
    delivery.close_dispatch(RUN_ID, root)
    return dict(report["states"])


def one(name: str) -> dict[str, Any]:
    """Do one step; its imports are not timed."""
    work = _work(os.environ["ALONGSIDE_HOME"])[name]
    start_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)
    begun = time.perf_counter()
    answer = work()
    seconds = time.perf_counter() - begun
    return {"seconds": seconds, "start_mb": start_mb, "answer": json.loads(json.dumps(answer, default=str))}


def _work(root: str) -> dict[str, Callable[[], Any]]:
    from tasks import analysis, delivery, patients, quality, runs, segments, sources

    return {
        "start": lambda: runs.start.fn(RUN_ID, hospital.AS_OF, None, root),
        "ingest": lambda: sources.ingest_extracts.fn(RUN_ID, {}, root),
        "validate": lambda: quality.validate_data.fn(RUN_ID, root)["quarantined"],
        "identify": lambda: patients.identify.fn(RUN_ID, False, root),
        "build 360": lambda: patients.build_360.fn(RUN_ID, SNAPSHOT, root),
        "segments": lambda: segments.refresh_segments.fn(RUN_ID, SNAPSHOT, root),
        "publish": lambda: segments.publish.fn(RUN_ID, SNAPSHOT, root),
        "plan": lambda: _plan_all(root),
        "dispatch": lambda: _send(root),
        "reconcile": lambda: delivery.reconcile_unknown.fn(RUN_ID, root),
        "evaluate": lambda: len(analysis.evaluate_experiments.fn(RUN_ID, root)),
        "report": lambda: analysis.write_report.fn(RUN_ID, root),
        "finish": lambda: runs.finish.fn(RUN_ID, False, root)["total"],
    }
