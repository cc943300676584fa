"""`alongside doctor`: is everything there that a run needs?"""

from __future__ import annotations

import shutil
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from alongside.bootstrap import Services
from alongside.checking import check_project
from alongside.ledger import consent
from alongside.model.enums import DeliveryMode
from alongside.model.errors import AlongsideError

#: Free space below which a run is likely to fail half-way.
LEAST_FREE_BYTES = 2_000_000_000


@dataclass(frozen=True)
class Check:
    """`state` is ok, warning or failed."""

    name: str
    state: str
    found: str


def examine(house: Services) -> list[Check]:
    """Every check, also when an earlier one failed."""
    return [_safely(name, check, house) for name, check in _CHECKS.items()]


def _safely(name: str, check: Callable[[Services], tuple[str, str]], house: Services) -> Check:
    try:
        return Check(name, *check(house))
    except (AlongsideError, OSError) as error:
        return Check(name, "failed", str(error))


def _configuration(house: Services) -> tuple[str, str]:
    errors = [finding for finding in check_project(house.project) if finding.severity == "error"]
    return ("failed", f"{len(errors)} faults: run 'alongside check'") if errors else ("ok", "no faults")


def _ledger(house: Services) -> tuple[str, str]:
    info = house.ledger.info
    kind = "SQLite" if house.ledger.is_sqlite else "PostgreSQL"
    return "ok", f"{kind}, id {info.ledger_id}, epoch {info.epoch}"


def _vault(house: Services) -> tuple[str, str]:
    environment = house.environment
    _ = house.vault
    place = environment.vault_key_file if environment.vault_key else environment.vault_key_dir
    if place is None:
        return "ok", "key from the environment"
    repository = _repository(house.project.root)
    if place.resolve().is_relative_to(repository):
        remedy = "move it out and set ALONGSIDE_KEY_DIR or ALONGSIDE_VAULT_KEY_FILE"
        return "warning", f"the key lies in {place}, inside {repository}, where it may be committed: {remedy}"
    return "ok", f"key file {place}" if environment.vault_key else f"key file in {place}"


def _repository(root: Path) -> Path:
    """The repository that holds the project, else the project's own folder."""
    here = root.resolve()
    return next((folder for folder in (here, *here.parents) if (folder / ".git").exists()), here)


def _consents(house: Services) -> tuple[str, str]:
    with house.ledger.reading() as connection:
        invented = consent.holds_invented(connection)
    if not invented:
        return "ok", "none invented"
    found = "--fictional-contacts invented some in this ledger"
    if house.mode is DeliveryMode.SANDBOX:
        return "warning", f"{found}: it stays in the sandbox, and staging or live need a new one"
    return "failed", f"{found}: {house.mode.value} is refused until ALONGSIDE_LEDGER_URL names a new one"


def _snapshot(house: Services) -> tuple[str, str]:
    current = house.warehouse.current()
    if current is None:
        return "warning", "none yet: start a run"
    age = house.clock() - current.as_of
    moment = f"{current.as_of.astimezone(house.zone):%Y-%m-%d %H:%M}"
    return ("ok" if age.days < 2 else "warning"), f"{current.id}, as of {moment}, {age.days} days old"


def _disk(house: Services) -> tuple[str, str]:
    house.project.var.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(house.project.var).free
    return ("ok" if free > LEAST_FREE_BYTES else "warning"), f"{free / 1e9:.0f} GB free below {house.project.var.name}/"


def _vendor(house: Services) -> tuple[str, str]:
    url = urlsplit(house.environment.sendgrid_url)
    if house.mode is DeliveryMode.SANDBOX and url.hostname not in ("127.0.0.1", "localhost", "::1"):
        found = "sandbox mode without SENDGRID_URL: 'alongside run' starts a stand-in of its own"
        return "warning", f"{found}, a worker needs 'alongside sandbox'"
    if not house.environment.sendgrid_api_key:
        return "warning", "SENDGRID_API_KEY is not set: nothing can be sent"
    try:
        with socket.create_connection((url.hostname or "", url.port or 443), timeout=5):
            return "ok", f"{url.hostname} answers"
    except OSError as error:
        return "failed", f"{url.hostname}: {error.strerror or error}"


def _webhook(house: Services) -> tuple[str, str]:
    if not house.environment.sendgrid_webhook_key:
        return "warning", "SENDGRID_WEBHOOK_KEY is not set: events would be refused"
    if house.mode is DeliveryMode.LIVE and urlsplit(house.public_url).scheme != "https":
        return "failed", f"public_url {house.public_url} is not https: mail clients refuse its one-click unsubscribe"
    return "ok", f"events arrive at {house.public_url}/webhooks/sendgrid"


def _clock(house: Services) -> tuple[str, str]:
    year = house.clock().year
    return ("ok", "plausible") if 2025 <= year < 2100 else ("failed", f"the machine's clock says {year}")


_CHECKS: dict[str, Callable[[Services], tuple[str, str]]] = {
    "configuration": _configuration,
    "ledger": _ledger,
    "vault key": _vault,
    "consents": _consents,
    "snapshot": _snapshot,
    "disk": _disk,
    "clock": _clock,
    "e-mail vendor": _vendor,
    "webhook": _webhook,
}
