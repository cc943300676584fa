"""Vendors' own API descriptions, and Prism before a stand-in; without them tests skip, and fail under CI=true."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tools.descriptions import FOLDER, PRISM

#: Ends Prism together with the tests, however they end.
_WITH_PARENT = "data:text/javascript,process.stdin.on('end',()=>process.exit()).resume()"
_PATIENCE = 60.0  # seconds


def description_of(vendor: str) -> dict[str, Any]:
    """The OpenAPI document of `fcm`, `sendgrid` or `twilio`. Shared: copy what is to be changed."""
    _require((FOLDER / f"{vendor}.json").is_file(), f"no API description of {vendor}")
    return _read(vendor)


@cache
def _read(vendor: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / f"{vendor}.json").read_text("utf-8"))
    return found


def _require(is_there: bool, lacking: str) -> None:
    if not is_there:
        reason = f"{lacking}: 'make system' fetches it with npm"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)


@contextlib.contextmanager
def proxying(folder: Path, description: dict[str, Any], upstream: str) -> Iterator[str]:
    """Prism between a client and the vendor at `upstream`; its address.

    It refuses a request that does not conform to the description (422), and replaces an answer that does not (500).
    """
    _require(PRISM.is_file() and shutil.which("node") is not None, "no Prism, or no Node to run it")
    document, log = folder / "description.json", folder / "prism.log"
    document.write_text(json.dumps(description), "utf-8")
    command = ["node", f"--import={_WITH_PARENT}", PRISM, "proxy", "--errors", "--host=127.0.0.1", "--port=0"]
    environment = {**os.environ, "FORCE_COLOR": "0"}
    # A file, because a pipe that nobody reads would stop it.
    with log.open("wb") as output, subprocess.Popen(
        [*command, document, upstream], stdin=subprocess.PIPE, stdout=output, stderr=output, env=environment
    ) as process:  # fmt: skip
        try:
            yield _address(process, log)
        finally:
            process.terminate()


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end and process.poll() is None:
        if found := re.search(r"listening on (http://\S+)", log.read_text("utf-8")):
            return found.group(1)
        time.sleep(0.05)
    raise AssertionError(f"Prism did not start:\n{log.read_text('utf-8')}")
