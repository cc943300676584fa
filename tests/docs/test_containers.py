"""compose.yaml and Dockerfile, read and not built: commands exist, nothing secret stands in them, nobody is root."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import pytest
import typer
import yaml

from alongside.cli.app import app
from alongside.settings import Environment
from tests.conftest import ROOT

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))
DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = [name for name, service in SERVICES.items() if service["image"] == "alongside"]
GIVEN = {
    "ALONGSIDE_DB_PASSWORD": "0123456789abcdef",
    "ALONGSIDE_VAULT_KEY_FILE": "/srv/keys/vault.key",
    "ALONGSIDE_PUBLIC_URL": "https://messages.hospital.example",
    "SENDGRID_API_KEY": "SG.of-the-environment",
    "SENDGRID_WEBHOOK_KEY": "MFkw",
}


def filled(text: str) -> str:
    """The value as Compose gives it on; a variable that is required and that nobody is told of is an error."""

    def value(match: re.Match[str]) -> str:
        name, sign, default = match.groups()
        return GIVEN[name] if sign == ":?" else GIVEN.get(name, default)

    return re.sub(r"\$\{(\w+)(:[?-])([^}]*)\}", value, text)


def test_everything_that_runs_in_production_is_there() -> None:
    assert set(SERVICES) == {"db", "prefect", "deploy", "worker", "web"}
    assert set(OURS) == set(SERVICES) - {"db"}


@pytest.mark.parametrize("name", OURS)
def test_commands_exist_with_their_options(name: str) -> None:
    program, *words = SERVICES[name]["command"]
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["scripts"]
    assert program in {"prefect", *scripts}
    if program == "alongside":
        command = typer.main.get_command(app).commands[words[0]]
        known = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= known


def test_the_worker_takes_what_deploy_registers() -> None:
    pools = {SERVICES[name]["command"][SERVICES[name]["command"].index("--pool") + 1] for name in ("deploy", "worker")}
    assert len(pools) == 1
    assert SERVICES["worker"]["depends_on"]["deploy"]["condition"] == "service_completed_successfully"


@pytest.mark.parametrize("name", ["deploy", "worker", "web"])
def test_the_engine_finds_its_environment(name: str) -> None:
    given = {key: filled(value) for key, value in SERVICES[name]["environment"].items()}
    key_file = given.pop("ALONGSIDE_VAULT_KEY_FILE")
    assert key_file == "/run/secrets/" + SERVICES[name]["secrets"][0]
    found = Environment.read(given)
    assert found.ledger_url == "postgresql://alongside:0123456789abcdef@db/alongside"
    assert (found.sendgrid_api_key, found.sendgrid_webhook_key) == ("SG.of-the-environment", "MFkw")
    assert given.keys() - {"PREFECT_API_URL"} <= set(re.findall(r"[A-Z_]{6,}", _readers()))


def _readers() -> str:
    return "".join(path.read_text("utf-8") for path in (ROOT / "alongside" / "settings").glob("*.py"))


def test_no_credential_stands_in_the_files() -> None:
    text = (ROOT / "compose.yaml").read_text("utf-8")
    for line in text.splitlines():
        setting = line.partition("#")[0]
        if re.search(r"PASSWORD|_KEY\b|SECRET|TOKEN", setting) and ":" in setting:
            assert "${" in setting or "/run/secrets/" in setting, line
    passwords = re.findall(r"://\w+:([^@/\s]+)@", text)
    assert len(passwords) == 2
    assert all(password.startswith("${") for password in passwords)
    assert not re.search(r"PASSWORD|API_KEY|SECRET|TOKEN", DOCKERFILE)


@pytest.mark.parametrize("name", [name for name, service in SERVICES.items() if "ports" in service])
def test_ports_are_published_on_loopback(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name]["ports"])


@pytest.mark.parametrize("name", OURS)
def test_nobody_has_rights_that_are_not_needed(name: str) -> None:
    service = SERVICES[name]
    assert (service["cap_drop"], service["security_opt"]) == (["ALL"], ["no-new-privileges:true"])
    assert "user" not in service
    assert not service.get("privileged")


def test_the_image_is_of_no_root_and_of_the_lock_file() -> None:
    steps = [line for line in DOCKERFILE.replace("\\\n", " ").splitlines() if line and not line.startswith("#")]
    users = [step.split()[1] for step in steps if step.startswith("USER")]
    assert users == ["10001"]
    assert all(step.split()[0] != "RUN" for step in steps[steps.index("USER 10001") :])
    installs = [step for step in steps if "pip install" in step]
    assert len(installs) == 2
    assert "--require-hashes --requirement /tmp/requirements.lock" in installs[0]
    assert "--no-deps /tmp/wheel/" in installs[1]


def test_the_image_holds_all_that_the_wheel_is_made_of() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    wheel = settings["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = {*wheel["packages"], *wheel["force-include"], settings["project"]["readme"], "LICENSE", "pyproject.toml"}
    copied = {word for line in re.findall(r"^COPY ([^-].*)$", DOCKERFILE, re.M) for word in line.split()[:-1]}
    assert needed <= copied
    ignored = (ROOT / ".dockerignore").read_text("utf-8").split()
    assert copied.isdisjoint(ignored)
    assert {".git", ".venv", "var"} <= set(ignored)
