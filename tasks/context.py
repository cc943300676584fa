"""What every task needs: the engine's services, and the folder of a run."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from functools import lru_cache, wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from prefect import State, Task
from prefect.client.schemas.objects import TaskRun

from alongside import telemetry
from alongside.bootstrap import Services, build
from alongside.ledger.runs import RunPins, read_run
from alongside.model.errors import ConfigurationInvalid, DataInvalid, Refused, StoreUnavailable, VaultUnavailable
from alongside.settings import Project

#: What only a person can mend: trying again would keep them waiting for the same answer.
_FINAL = (ConfigurationInvalid, DataInvalid, Refused, VaultUnavailable)


def may_pass(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    """Whether a task that failed is tried again by itself: a disk or a store may come back, a missing extract not."""
    return not isinstance(state.data, _FINAL)


@lru_cache(maxsize=4)
def services(root: str | None = None) -> Services:
    """Services of the project in `root` (default: the one at hand), built once per process."""
    house = build(Project.find(Path(root)) if root else None)
    telemetry.start("alongside", wanted=house.environment.traces, traceparent=house.environment.traceparent)
    return house


Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def traced(body: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """A task's body as a stage in the trace of its run, where somebody wants traces; stands below `@task`."""
    signature = inspect.signature(body)
    name = body.__name__.replace("_", " ")

    @wraps(body)
    def within(*words: Parameters.args, **named: Parameters.kwargs) -> Result:
        given = signature.bind(*words, **named).arguments
        services(given.get("root"))  # whoever is first in a process starts its tracer
        about = {key: given[key] for key in ("campaign", "channel", "partition") if given.get(key) is not None}
        with telemetry.stage(name, given.get("run_id"), **about):
            return body(*words, **named)

    return within


def run_pins(run_id: str, root: str | None = None) -> RunPins:
    """What the run pinned at its first step."""
    with services(root).ledger.begin() as connection:
        pins = read_run(connection, run_id)
    if pins is None:
        raise StoreUnavailable(f"run {run_id} is not in this ledger", remedy="Start the daily flow, not a step of it.")
    return pins


def run_folder(run_id: str, root: str | None = None) -> Path:
    """`var/runs/<run id>`: reports of the run's steps, so that a retried step finds what was done."""
    folder = services(root).project.var / "runs" / run_id
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def keep(run_id: str, name: str, content: dict[str, Any], root: str | None = None) -> dict[str, Any]:
    """Remember a step's report beside the run and hand it on."""
    path = run_folder(run_id, root) / f"{name}.json"
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1, default=str), "utf-8")
    return content


def kept(run_id: str, name: str, root: str | None = None) -> dict[str, Any] | None:
    """A step's report of an earlier try, or None."""
    path = run_folder(run_id, root) / f"{name}.json"
    return json.loads(path.read_text("utf-8")) if path.exists() else None
