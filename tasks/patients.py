"""Identify people, keep the consent log, build the patient 360."""

from __future__ import annotations

from typing import Any

from prefect import task

from alongside import patients
from tasks.context import keep, may_pass, run_pins, services, traced


@task(name="identify people", retries=1, retry_delay_seconds=10, retry_condition_fn=may_pass)
@traced
def identify(run_id: str, fictional_contacts: bool, root: str | None = None) -> dict[str, Any]:
    """Resolve records to persons, seal identifiers in the vault, append decisions and relatives to their logs."""
    house = services(root)
    clean = house.warehouse.staging(run_id) / "clean"
    now = house.clock()
    if fictional_contacts:
        patients.fictional_contacts(clean, secret=house.ledger.info.secret, warehouse=house.warehouse)
    report = patients.resolve(
        clean, house.ledger, house.vault, now=now, warehouse=house.warehouse, settings=house.settings
    )
    person_map = clean.parent / patients.PERSON_MAP
    consents = patients.record_consents(clean, person_map, house.ledger, now=now, warehouse=house.warehouse)
    relatives = patients.record_relations(clean, person_map, house.ledger, now=now, warehouse=house.warehouse)
    said = {"identity": report.to_json(), "consents": consents.to_json(), "relatives": relatives.to_json()}
    return keep(run_id, "identity", said, root)


@task(name="build patient 360", retries=1, retry_delay_seconds=10, retry_condition_fn=may_pass)
@traced
def build_360(run_id: str, snapshot_id: str, root: str | None = None) -> dict[str, Any]:
    """Write the pseudonymous tables of a snapshot that nobody reads yet."""
    house = services(root)
    as_of = run_pins(run_id, root).as_of
    draft = house.warehouse.begin(snapshot_id, as_of)
    clean = house.warehouse.staging(run_id) / "clean"
    report = patients.build_snapshot(
        clean, draft, house.ledger, house.vault, as_of=as_of, settings=house.settings, warehouse=house.warehouse
    )
    return keep(run_id, "patients", report.to_json(), root)
