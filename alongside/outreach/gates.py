"""Gates on set-based facts: who of an audience may be written to, and if not, why."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib import resources
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from alongside.model.enums import Gate, Purpose, Written
from alongside.outreach.campaigns import Campaign
from alongside.outreach.routes import Route
from alongside.settings import HospitalSettings

if TYPE_CHECKING:
    import duckdb

#: Gates decided by the SQL beside this module; the others need a rendered message or the moment of sending.
SET_GATES = (
    Gate.DECEASED,
    Gate.UNDER_AGE,
    Gate.ADMITTED,
    Gate.FULFILLED,
    Gate.NO_RELATIVE,
    Gate.NO_ADDRESS,
    Gate.INVALID_ADDRESS,
    Gate.NO_CONSENT,
    Gate.CROSS_BORDER,
    Gate.TOPIC_OFF,
    Gate.SUPPRESSED,
    Gate.ALREADY_SENT,
    Gate.FREQUENCY_CAP,
    Gate.DUPLICATE_ADDRESS,
    Gate.HOLDOUT,
    Gate.CAMPAIGN_HOLDOUT,
    Gate.NOT_CARRIED,
    Gate.OWN_PACE,
    Gate.GENERAL_ONLY,
    Gate.TOO_LATE,
)

#: The order of the funnel: a candidate is counted at the first gate that stops them. Values of gates are stored and
#: never change, so a gate that was added later has its place here.
_PLACE: dict[Gate, Gate] = {
    **{gate: gate for gate in Gate if gate},
    Gate.NO_RELATIVE: Gate.FULFILLED,
    Gate.NOT_CARRIED: Gate.INVALID_ADDRESS,
    Gate.GENERAL_ONLY: Gate.TOPIC_OFF,
    Gate.OWN_PACE: Gate.FREQUENCY_CAP,
    Gate.TOO_LATE: Gate.INVALID_ADDRESS,
    Gate.CAMPAIGN_HOLDOUT: Gate.HOLDOUT,
}
ORDER: tuple[Gate, ...] = tuple(sorted(_PLACE, key=lambda gate: (_PLACE[gate], gate)))

#: The funnel of a plan: the segment's members; those whom the campaign concerns today; those whose message could be
#: rendered; those whose message says nothing that may not be said. The gates between two stages make the difference.
STAGES = (
    "audience",
    *(f"gate:{(gate.name or '').lower()}" for gate in ORDER[: ORDER.index(Gate.FULFILLED) + 1]),
    "eligible",
    *(
        f"gate:{(gate.name or '').lower()}"
        for gate in ORDER[ORDER.index(Gate.FULFILLED) + 1 : ORDER.index(Gate.RENDER_FAILED) + 1]
    ),
    "rendered",
    *(f"gate:{(gate.name or '').lower()}" for gate in ORDER[ORDER.index(Gate.RENDER_FAILED) + 1 :]),
    "planned",
)

#: Purposes that reach an address once, however many people share it.
ONE_PER_ADDRESS = frozenset({Purpose.MARKETING, Purpose.SURVEY, Purpose.RESEARCH})


@dataclass(frozen=True)
class GateInput:
    """What the gates of one campaign need to know besides the relations.

    Attributes
    ----------
    selective : it chooses people or words by health or conduct, and is no care (`wishes.is_selective`)
    """

    campaign: Campaign
    routes: tuple[Route, ...]
    purpose: Purpose
    topics: tuple[str, ...]
    as_of: datetime
    written: Written = Written.PATIENT
    selective: bool = False


def occurrence_of(campaign: Campaign, as_of: datetime, zone: str) -> str:
    """The occurrence of everybody without a value of `repeat.per`: `once`, or the local day of the run."""
    if campaign.repeat.every_days is None:
        return "once"
    return as_of.astimezone(ZoneInfo(zone)).date().isoformat()


def close_gates(connection: duckdb.DuckDBPyConnection, wanted: GateInput, settings: HospitalSettings) -> None:
    """Create the temp table `candidate` (see gates.sql) in this connection."""
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE route (channel VARCHAR, place INTEGER, address VARCHAR, stores_in VARCHAR,"
        " countries VARCHAR[], barred VARCHAR[], days INTEGER)"
    )
    connection.execute(
        "CREATE TEMP TABLE IF NOT EXISTS unfit (person_id VARCHAR, recipient_id VARCHAR, channel VARCHAR, gate INTEGER)"
    )
    for place, route in enumerate(wanted.routes):
        countries = None if route.countries is None else list(route.countries)
        reach = [route.channel.value, place, route.channel.address, route.stores_in]
        row = [*reach, countries, list(route.barred), route.days]
        connection.execute("INSERT INTO route VALUES (?, ?, ?, ?, ?, ?, ?)", row)
    relatives = wanted.campaign.relatives
    connection.execute(
        _sql("addressees"),
        {
            "written": wanted.written.value,
            "wanted": None if relatives is None else [one.value for one in relatives],
            "guardian_below_age": settings.gates.guardian_below_age,
        },
    )
    connection.execute(_sql("gates"), _parameters(wanted, settings))


def _sql(name: str) -> str:
    return resources.files("alongside.outreach").joinpath(f"{name}.sql").read_text("utf-8")


def _parameters(wanted: GateInput, settings: HospitalSettings) -> dict[str, Any]:
    campaign, cap, hospital = wanted.campaign, settings.gates.frequency_cap, settings.hospital
    as_of = wanted.as_of.replace(tzinfo=None)
    every = campaign.repeat.every_days
    return {
        "campaign": campaign.name,
        "as_of": as_of,
        "cap_from": as_of - timedelta(days=cap.days),
        "cap_messages": cap.messages,
        "capped": wanted.purpose not in cap.exempt and not campaign.urgent,
        "repeat_from": None if every is None else as_of - timedelta(days=every),
        "per_occurrence": campaign.repeat.per is not None,
        "occurrence": occurrence_of(campaign, wanted.as_of, hospital.time_zone),
        "zone": hospital.time_zone,
        "country": hospital.country,
        "topics": list(wanted.topics),
        "selective": wanted.selective,
        "call_from_age": settings.channels.call and settings.channels.call.first_from_age,
        "guardian_below_age": settings.gates.guardian_below_age,
        "written": wanted.written.value,
        "inpatients": campaign.inpatients,
        "one_per_address": wanted.purpose in ONE_PER_ADDRESS,
        **{f"gate_{gate.name.lower()}": gate.value for gate in SET_GATES if gate.name},
    }


def first_gate(mask: int) -> Gate:
    """The gate at which the funnel counts a candidate: the first of its mask in `ORDER`."""
    return next((gate for gate in ORDER if mask & gate), Gate.NONE)


def funnel_of(masks: dict[int, int]) -> dict[str, int]:
    """Counts by funnel stage from counts by mask, in the order of `STAGES`; each candidate is counted at one gate.

    A gate that stopped nobody is left out.
    """
    stopped: dict[str, int] = {}
    for mask, count in masks.items():
        if mask and (name := first_gate(mask).name):
            stopped[f"gate:{name.lower()}"] = stopped.get(f"gate:{name.lower()}", 0) + count
    left = sum(masks.values())
    stages: dict[str, int] = {}
    for stage in STAGES:
        if stage.startswith("gate:"):
            left -= stopped.get(stage, 0)
            if stage in stopped:
                stages[stage] = stopped[stage]
        else:
            stages[stage] = left
    return stages
