"""`alongside approve`: a hash as `alongside plan` prints it, bounds that make sense, a record that planning finds."""

from __future__ import annotations

from functools import cache

import pytest

from alongside.bootstrap import Services, build
from alongside.ledger import Ledger
from alongside.ledger.approvals import Approval, standing_approval
from alongside.outreach.approval import configuration_hash
from alongside.outreach.campaigns import find_campaign
from alongside.settings import Project
from tests.cli.conftest import here
from tests.conftest import ROOT

PLAN = "0123456789abcdef" * 4


@cache
def house() -> Services:
    return build(Project.at(ROOT))


def standing(ledger: Ledger) -> Approval:
    campaign = find_campaign(house().catalogues.campaigns, "flu_vaccine")
    config_hash = configuration_hash(campaign, house().catalogues, house().settings)
    with ledger.begin() as connection:
        found = standing_approval(connection, "flu_vaccine", config_hash, house().clock())
    assert found is not None
    return found


def test_what_plan_prints_can_be_approved(shipped: Ledger) -> None:
    done = here("approve", "flu_vaccine", "--exact-plan", PLAN[:12].upper(), "--max-audience", "300", "--by", "Li")
    assert done.exit_code == 0, done.output
    assert PLAN[:12] in done.stdout
    found = standing(shipped)
    assert (found.plan_hash, found.approved_by, found.envelope["max_audience"]) == (PLAN[:12], "Li", 300)


@pytest.mark.parametrize("given", ["", "yes", PLAN[:11], PLAN + "0", "g" * 12, f"{PLAN[:12]}…"])
def test_what_is_no_hash_is_wrong_usage_and_approves_nothing(given: str, shipped: Ledger) -> None:
    done = here("approve", "flu_vaccine", "--exact-plan", given)
    assert done.exit_code == 2
    assert "hexadecimal" in done.stderr
    assert shipped.read_arrow("SELECT count(*) AS n FROM approval")["n"].to_pylist() == [0]
