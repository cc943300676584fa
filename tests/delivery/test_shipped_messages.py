"""Every message of the project in both languages, dispatched, against the vendor's description and its helper."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from alongside.channels.base import Letter
from alongside.channels.sendgrid import SendGrid
from alongside.model.enums import Channel, Locale, Written
from alongside.sandbox.common.log import read_ndjson
from alongside.sandbox.sendgrid.launch import Running
from tests.channels.sendgrid_contract import by_helper, mail_send, normal, violations
from tests.delivery.clinic import ROOT, Clinic, write_project
from tests.ledgers import SqliteLedgers


@pytest.fixture
def clinic(tmp_path: Path, vendor: Running, sqlite_ledgers: SqliteLedgers) -> Iterator[Clinic]:
    """A clinic with the project's own messages."""
    project = write_project(tmp_path / "project")
    shutil.rmtree(project.templates)
    shutil.copytree(ROOT / "templates", project.templates)
    opened = Clinic.attach(sqlite_ledgers.place(tmp_path / "ledger.db"), project.root, vendor.url)
    yield opened
    opened.ledger.engine.dispose()


@pytest.fixture
def letters(monkeypatch: pytest.MonkeyPatch) -> list[Letter]:
    """What the channel is given to send."""
    given: list[Letter] = []
    build = SendGrid.build

    def overheard(channel: SendGrid, letter: Letter) -> bytes:
        given.append(letter)
        return build(channel, letter)

    monkeypatch.setattr(SendGrid, "build", overheard)
    return given


def plan_everything(clinic: Clinic) -> set[tuple[str, str]]:
    """Each message in each language to two patients; returns (message, language)."""
    wanted = [(name, locale) for name in clinic.content for locale in Locale]
    for number, (name, locale) in enumerate(wanted):
        definition = clinic.content.message(name).definition
        assert Channel.EMAIL in definition.channels
        values = {key: variable.example_for(locale) for key, variable in definition.variables.items()}
        pair, patients = [2 * number, 2 * number + 1], [1000 + 2 * number, 1001 + 2 * number]
        about, kin = pair, {}
        if definition.to is not Written.PATIENT:
            about, kin = patients, {"kin": {"is": "child", "gender": "male", "as": definition.to.value}}
            clinic.admit(patients)
            clinic.relate(patients, pair)
        clinic.plan(
            pair,
            template=name,
            locale=locale.value,
            purpose=definition.purpose.value,
            subject_person_id=[f"p{one:016x}" for one in about],
            variables=json.dumps({"v": values, **kin}),
        )
        clinic.admit(pair)
    return {(name, locale.value) for name, locale in wanted}


def test_every_shipped_message_is_a_body_that_the_vendor_describes_and_its_helper_builds(
    clinic: Clinic, letters: list[Letter], tmp_path: Path
) -> None:
    wanted = plan_everything(clinic)
    report = clinic.dispatch()
    assert (report.complete, report.progress.accepted) == (True, 2 * len(wanted)), report
    bodies = [record["body"] for record in read_ndjson(tmp_path / "vendor" / "bodies.ndjson")]
    assert violations(mail_send(), bodies) == []
    assert sorted(map(_text, bodies)) == sorted(map(_text, map(by_helper, letters)))
    sent = clinic.ledger.read_arrow("SELECT DISTINCT template, locale FROM message WHERE state = 'accepted'")
    assert {(row["template"], row["locale"]) for row in sent.to_pylist()} == wanted


def _text(body: dict[str, object]) -> str:
    return json.dumps(normal(body), sort_keys=True)
