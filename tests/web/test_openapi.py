"""What `/openapi.json` tells programs: a valid description of the machine routes, and of nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.ledgers import SqliteLedgers
from tests.web.test_limits import everything_on  # noqa: F401 - a fixture


@pytest.fixture
def ledger_url(tmp_path: Any, sqlite_ledgers: SqliteLedgers) -> str:
    """The description does not depend on the store: SQLite only."""
    return sqlite_ledgers.place(tmp_path / "ledger.db")


@pytest.fixture
def described(everything_on: list[FastAPI]) -> list[dict[str, Any]]:  # noqa: F811 - as pytest wants it
    found = []
    for app in everything_on:
        with TestClient(app) as client:
            answer = client.get("/openapi.json")
        assert answer.headers["Content-Type"] == "application/json"
        found.append(answer.json())
    return found


def operations(document: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {
        (method.upper(), path): operation
        for path, of_path in document["paths"].items()
        for method, operation in of_path.items()
    }


def test_it_is_valid(described: list[dict[str, Any]]) -> None:
    for document in described:
        assert document["openapi"].startswith("3.1.")
        assert [str(error) for error in OpenAPIV31SpecValidator(document).iter_errors()] == []


def test_the_validator_would_notice(described: list[dict[str, Any]]) -> None:
    document = described[0]
    document["paths"]["/healthz"]["get"]["responses"] = {}
    document["paths"]["/webhooks/sendgrid"]["post"].pop("responses")
    assert list(OpenAPIV31SpecValidator(document).iter_errors())


def test_machine_routes_are_described_and_patients_pages_are_not(described: list[dict[str, Any]]) -> None:
    common = {
        ("POST", "/webhooks/sendgrid"),
        ("GET", "/healthz"),
        ("GET", "/metrics"),
        ("GET", "/api/inbox"),
        ("GET", "/api/inbox/{thread}"),
        ("POST", "/api/inbox/{thread}/take"),
        ("POST", "/api/inbox/{thread}/answer"),
        ("POST", "/api/inbox/{thread}/close"),
    }
    twilio = {("POST", "/webhooks/twilio/status"), ("POST", "/webhooks/twilio/inbound")}
    aliyun = {("POST", "/webhooks/aliyun/{token}/report"), ("POST", "/webhooks/aliyun/{token}/text")}
    assert operations(described[0]).keys() == common | twilio
    wechat = {("GET", "/webhooks/wechat"), ("POST", "/webhooks/wechat")}
    assert operations(described[1]).keys() == common | aliyun | wechat


def test_every_refusal_has_the_same_shape_and_every_operation_its_own_name(described: list[dict[str, Any]]) -> None:
    for document in described:
        names = [operation["operationId"] for operation in operations(document).values()]
        assert len(names) == len(set(names))
        for place, operation in operations(document).items():
            for status, answer in operation["responses"].items():
                if status.startswith("4"):
                    schema = answer["content"]["application/json"]["schema"]
                    assert schema == {"$ref": "#/components/schemas/Error"}, (place, status)
            assert "429" in operation["responses"], place


def test_the_inbox_wants_a_token_and_says_so(described: list[dict[str, Any]]) -> None:
    for document in described:
        for (_, path), operation in operations(document).items():
            assert ("security" in operation) is path.startswith("/api/"), path
        assert document["components"]["securitySchemes"]["HTTPBearer"]["scheme"] == "bearer"
