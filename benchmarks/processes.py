"""Processes of their own, so that imports, caches and memory of one measurement do not count for the next."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[1]
_EVERY = 0.05


@dataclass(frozen=True)
class Finished:
    """What a child answered, and the most memory that it and its own children held together, in MB (RSS, summed)."""

    answer: Any
    peak_mb: float


class ChildFailed(RuntimeError):
    """A measuring process ended with an error; its own words stand on standard error."""


def call(function: str, arguments: Mapping[str, Any], environment: Mapping[str, str] | None = None) -> Finished:
    """Run `benchmarks.<module>:<function>(**arguments)` in a fresh process; arguments and answer travel as JSON."""
    command = [sys.executable, "-m", "benchmarks.child", function]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=None if environment is None else dict(environment),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    watch = _Memory(process.pid)
    watch.start()
    output, _ = process.communicate(json.dumps(dict(arguments)).encode())
    watch.stop()
    if process.returncode != 0:
        raise ChildFailed(f"{function} ended with exit code {process.returncode}")
    answer = json.loads(output.splitlines()[-1])
    return Finished(answer["answer"], max(watch.peak, answer["own_peak_mb"]))


class _Memory(threading.Thread):
    """Samples the resident memory of a process and all its descendants; pages that they share count for each."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.peak = 0.0
        self._pid = pid
        self._ended = threading.Event()

    def run(self) -> None:
        while not self._ended.wait(_EVERY):
            try:
                root = psutil.Process(self._pid)
                family = [root, *root.children(recursive=True)]
            except psutil.Error:
                return
            self.peak = max(self.peak, sum(_resident(one) for one in family))

    def stop(self) -> None:
        self._ended.set()
        self.join()


def _resident(process: psutil.Process) -> float:
    try:
        return float(process.memory_info().rss) / (1 << 20)
    except psutil.Error:  # it has just ended
        return 0.0
