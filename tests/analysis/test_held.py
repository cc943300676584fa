"""Why a campaign waits is said in one language: each reason that planning gives, by the functions that give it."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime

import pytest

from alongside.analysis.showing.held import held_because
from alongside.content import load
from alongside.ledger.approvals import Approval
from alongside.model.enums import DeliveryMode, Locale
from alongside.model.errors import Refused
from alongside.outreach.approval import objections, text_objections
from alongside.outreach.campaigns import Campaign
from alongside.outreach.experiments import design
from alongside.outreach.experiments.planning import DesignReport
from alongside.settings import Project
from tests.analysis.world import definition
from tests.delivery.clinic import ROOT

CAMPAIGN = Campaign.model_validate(
    {
        "name": "flood_notice",
        "description": {"en": "The ground floor is closed."},
        "segment": "everybody",
        "message": "prevention/flu_vaccine",
        "cost_per_message": 1,
        "envelope": {"max_audience": 10, "max_change": 0.1, "max_cost": 5},
        "approve_plan": True,
    }
)
#: What may stay in Latin letters: names, commands, fields and numbers.
_NAMES = re.compile(
    r"“[^”]*”|design\.\w+|prevention/\w+|flood_notice|wording|lis\.observation\.value|not_null|[\d,.%+-]+"
)


def underpowered() -> str:
    report: DesignReport = design(definition(), 20, 1.0)
    with pytest.raises(Refused) as caught:
        report.require_powered()
    return str(caught.value)


def reasons() -> list[str]:
    message = load(Project.at(ROOT, ROOT / "var")).message("prevention/flu_vaccine")
    signed = Approval(
        "flood_notice", "c" * 64, None, dict(CAMPAIGN.envelope), "Li", datetime(2026, 3, 1, tzinfo=UTC), None
    )
    old = message.definition.model_copy(update={"expires": date(2026, 1, 1)})
    approved = message.definition.model_validate(
        {**old.model_dump(), "approved": {"hash": "0" * 64, "role": "gp", "day": "2026-01-01"}}
    )
    return [
        *objections(CAMPAIGN, DeliveryMode.LIVE, None, "a" * 64, 20, 10),
        "; ".join(objections(CAMPAIGN, DeliveryMode.LIVE, signed, "a" * 64, 20, 10)),
        "; ".join(text_objections("prevention/flu_vaccine", approved, "1" * 64, date(2026, 3, 1))),
        underpowered(),
        "2026-03-01 lies outside its window",
        "it reads data that failed validation: lis.observation.value failed not_null",
    ]


@pytest.mark.parametrize("number", range(6))
def test_every_reason_is_said_in_chinese(number: int) -> None:
    reason = reasons()[number]
    said = held_because("held", reason, Locale.ZH_CN)
    assert re.findall(r"[A-Za-z]{2,}", _NAMES.sub("", said)) == [], said
    assert held_because("held", reason, Locale.EN) == reason


def test_what_a_person_wrote_stays_as_it_is() -> None:
    for words in ("campaign:flu: the vaccine is late", "channel:email: the vendor is down; DKIM failed again"):
        assert held_because("paused", words, Locale.ZH_CN) == words
