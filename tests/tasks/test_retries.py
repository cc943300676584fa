"""Steps are tried again by themselves when that could help, and never when only a person can."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any

import pytest
from prefect import Task
from prefect.states import Failed

import tasks
from alongside.model.errors import DataInvalid, Refused, StoreUnavailable, VaultUnavailable
from tasks.context import may_pass
from tasks.sources import ingest_extracts


def every_task() -> list[Task[..., Any]]:
    modules = [importlib.import_module(f"tasks.{module.name}") for module in pkgutil.iter_modules(tasks.__path__)]
    return [item for module in modules for item in vars(module).values() if isinstance(item, Task)]


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (Refused("source 'his' has no extract"), False),
        (DataInvalid("the header is missing"), False),
        (VaultUnavailable("the key does not fit"), False),
        (StoreUnavailable("the ledger did not answer"), True),
        (OSError("the share is away"), True),
    ],
)
def test_what_only_a_person_can_mend_is_not_tried_again(error: Exception, again: bool) -> None:
    assert may_pass(ingest_extracts, None, Failed(data=error)) is again  # type: ignore[arg-type]  # never looked at


def test_every_task_that_is_tried_again_asks_whether_it_may_help() -> None:
    retried = [item for item in every_task() if item.retries]
    assert len(retried) >= 5
    assert {item.name for item in retried if item.retry_condition_fn is not may_pass} == set()
