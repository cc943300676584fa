"""Counted links in what really leaves: one address for each recipient, in a text that all of them share."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from alongside.model.tokens import read_click
from alongside.sandbox.common.log import read_ndjson
from alongside.sandbox.sendgrid.launch import Running
from tests.delivery.clinic import SHARED, Clinic
from tests.delivery.conftest import AcceptedLog
from tests.fakes import key_of


@pytest.fixture(params=["redirect", "off"])
def counting(
    request: pytest.FixtureRequest, ledger_url: str, tmp_path: Path, vendor: Running
) -> Iterator[tuple[str, Clinic]]:
    """A clinic whose message links to the web site."""
    opened = Clinic.open(ledger_url, tmp_path / "project", vendor.url, delivery={"click_tracking": request.param})
    for file in (opened.project.templates / SHARED).glob("email.*.mjml.j2"):
        text = file.read_text("utf-8").replace(
            "A short walk", '<a href="{{ hospital.website }}/walks">A short walk</a>'
        )
        file.write_text(text, "utf-8")
    yield request.param, opened
    opened.ledger.engine.dispose()


def test_every_recipient_has_links_of_their_own(
    counting: tuple[str, Clinic], accepted: AcceptedLog, tmp_path: Path
) -> None:
    mode, clinic = counting
    clinic.admit(range(3))
    clinic.plan(range(3))
    assert clinic.dispatch().progress.accepted == 3
    assert len(accepted()) == 3
    secret, found = clinic.ledger.info.secret, []
    [request] = read_ndjson(tmp_path / "vendor" / "bodies.ndjson")  # one text for all
    [html] = [part["value"] for part in request["body"]["content"] if part["type"] == "text/html"]
    for item in request["body"]["personalizations"]:
        body = html
        for token, value in item["substitutions"].items():
            body = body.replace(token, value)
        found.append([read_click(secret, token) for token in re.findall(r'href="[^"]*/c/([^"/]+)"', body)])
        assert ("hospital.example/walks" in body) is (mode == "off")
    expected = [[(key_of(number), 1), (key_of(number), 0)] for number in range(3)]
    assert sorted(found) == (expected if mode == "redirect" else [[]] * 3)
