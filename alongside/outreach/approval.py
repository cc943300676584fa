"""What exactly is approved, and whether a plan stays within it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from datetime import date
from typing import Any

from alongside.content import MessageDefinition
from alongside.ledger.approvals import Approval
from alongside.model.enums import DeliveryMode
from alongside.outreach.campaigns import Campaign, Envelope
from alongside.outreach.catalogues import Catalogues
from alongside.settings import HospitalSettings
from alongside.settings.channels import ChannelSettings

#: Digits of a hash that people read and type: 48 bits, so that no other plan of theirs begins alike.
PRINTED = 12
_PLAN_HASH = re.compile(rf"[0-9a-f]{{{PRINTED},64}}")


def configuration_hash(campaign: Campaign, catalogues: Catalogues, settings: HospitalSettings) -> str:
    """SHA-256 over everything that decides whom the campaign reaches with which words (64 hex digits).

    The campaign itself, its segment with all that it refers to, every template it could use, the experiment, the
    gates and the sender. Where data are kept and how fast they are sent is not part of it.
    """
    experiment = catalogues.experiment_of(campaign.name)
    parts: dict[str, Any] = {
        "campaign": approved_form(campaign),
        "segment": catalogues.segments.version("segment", campaign.segment),
        "messages": {name: catalogues.content.template_hash(name) for name in catalogues.messages_of(campaign)},
        "experiment": experiment.definition_hash if experiment else None,
        "gates": settings.gates.model_dump(mode="json", by_alias=True),
        "hospital": settings.hospital.model_dump(mode="json"),
        "senders": {channel: _senders(settings.channels.of(channel)) for channel in campaign.channels},
    }
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def approved_form(campaign: Campaign) -> dict[str, Any]:
    """What of the campaign's own file is approved. A hold-out that it does not have is left out, as before there was
    such a choice: an upgrade voids no approval."""
    form = campaign.model_dump(mode="json", by_alias=True)
    if not campaign.holdout:
        del form["holdout"]
    return form


def _senders(channel: ChannelSettings) -> dict[str, Any]:
    return {name: sender.model_dump(mode="json") for name, sender in channel.senders.items()}


class PlanHash:
    """A hash over a set of intended messages that does not depend on their order or partition."""

    def __init__(self) -> None:
        self._sum = 0
        self._count = 0

    def add(self, rows: Iterable[tuple[str, ...]]) -> None:
        """Add messages, each as its key and whatever decides its words."""
        for row in rows:
            digest = hashlib.sha256("\x1f".join(row).encode()).digest()
            self._sum = (self._sum + int.from_bytes(digest, "big")) % 2**256
            self._count += 1

    @property
    def hex(self) -> str:
        return hashlib.sha256(self._count.to_bytes(8, "big") + self._sum.to_bytes(32, "big")).hexdigest()


def is_plan_hash(text: str) -> bool:
    """Whether the text can name one plan: the lower-case hexadecimal hash, or its first digits (`PRINTED` at least)."""
    return _PLAN_HASH.fullmatch(text) is not None


def covers(approved: str | None, plan_hash: str) -> bool:
    """Whether the approved hash, whole or in part, is that of this plan."""
    return approved is not None and is_plan_hash(approved) and plan_hash.startswith(approved)


def objections(
    campaign: Campaign,
    mode: DeliveryMode,
    approval: Approval | None,
    plan_hash: str,
    planned: int,
    previous: int | None,
) -> list[str]:
    """Why a plan must wait for a person; empty when it may proceed by itself.

    The stand-in needs no approval, but keeps to the envelope of the campaign file, so that the bounds are tried
    before anything is live.
    """
    if approval is None:
        if mode is not DeliveryMode.SANDBOX:
            return [f"this configuration is not approved: review it with 'alongside plan {campaign.name}'"]
        envelope = campaign.envelope
    else:
        envelope = Envelope.model_validate(dict(approval.envelope))
    found = _outside(envelope, campaign.cost_per_message, planned, previous)
    exact = campaign.approve_plan and mode is not DeliveryMode.SANDBOX
    if exact and not covers(approval.plan_hash if approval else None, plan_hash):
        command = f"alongside approve {campaign.name} --exact-plan {plan_hash[:PRINTED]}"
        found.append(f"its exact plan is not approved: review it, then '{command}'")
    return found


def text_objections(name: str, definition: MessageDefinition, version: str, day: date) -> list[str]:
    """Why a text may not leave as it stands, in any mode: nobody has read it since its date, or since its edit.

    Parameters
    ----------
    version : of the text as it is now (`ContentCatalogue.template_hash`)
    day : on which it would leave, in the hospital's zone
    """
    found = []
    if definition.expires < day:
        found.append(f"the text {name} expired on {definition.expires}: have its reviewers renew it")
    if definition.approved is not None and definition.approved.hash != version:
        found.append(f"the text {name} was edited after it was signed: have its reviewers sign this version")
    return found


def _outside(envelope: Envelope, cost: float, planned: int, previous: int | None) -> list[str]:
    found = []
    if planned > envelope.max_audience:
        found.append(f"{planned} messages exceed the envelope's {envelope.max_audience}")
    if envelope.max_change is not None and previous and planned > previous * (1 + envelope.max_change):
        found.append(f"{planned} messages are more than {envelope.max_change:+.0%} against {previous} of the last run")
    if envelope.max_cost is not None and planned * cost > envelope.max_cost:
        found.append(f"a cost of {planned * cost:.2f} exceeds the envelope's {envelope.max_cost:.2f}")
    return found
