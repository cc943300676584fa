"""What follows from an experiment's decision, in words: who gets what, what it waits for, who changed it and why."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from typing import Any

from alongside.ledger.experiments import Registration
from alongside.model.enums import Locale

_DECISIONS: Mapping[str, tuple[str, str]] = {
    "applied": ("{day} 之后的运行向所有人发送“{variant}”。", "Runs after {day} send “{variant}” to everybody."),
    "waits": (
        "“{waits}”胜出，但属医疗内容：在临床医生批准之前，所有人收到“{variant}”。"
        "批准：alongside experiment rollout {name} --role 审阅角色 --reason 理由",
        "“{waits}” won, and is medical content: until a clinician agrees, everybody gets “{variant}”. To agree:"
        " alongside experiment rollout {name} --role REVIEWER --reason WHY",
    ),
    "people": (
        "由人决定，在此之前活动照常按原分组发送：alongside experiment rollout {name} --variant 方案名 --reason 理由"
        "（医疗内容另加 --role 审阅角色）",
        "People decide, and until then the campaign goes on with its arms: alongside experiment rollout {name}"
        " --variant VARIANT --reason WHY (and --role REVIEWER for medical content)",
    ),
    "changed": ("{by} 于 {day} 从“{old}”改为“{new}”：{reason}", "{by} changed “{old}” to “{new}” on {day}: {reason}"),
}


def decision_words(
    name: str, decision: Mapping[str, Any], decided_at: datetime, locale: Locale, zone: tzinfo = UTC
) -> list[str]:
    """What follows from the experiment's decision, and who changed it since; days are those of the zone."""
    changes = decision.get("changes", [])
    days = [datetime.fromisoformat(change["at"]).astimezone(zone).date().isoformat() for change in changes]
    day = days[-1] if days else decided_at.astimezone(zone).date().isoformat()
    place = 0 if locale is Locale.ZH_CN else 1
    key = "waits" if decision.get("waits") else "applied" if decision.get("variant") else "people"
    values = {
        "name": name,
        "variant": decision.get("variant"),
        "waits": decision.get("waits"),
        "day": day,
    }
    found = [_DECISIONS[key][place].format(**values)]
    for change, changed in zip(changes, days, strict=True):
        facts = {"by": change["by"], "day": changed, "old": change["from"] or "–", "new": change["to"]}
        found.append(_DECISIONS["changed"][place].format(reason=change["reason"], **facts))
    return found


def decided_words(found: Registration | None, zone: tzinfo = UTC) -> dict[Locale, list[str]]:
    """The same in every language; nothing before there is a decision."""
    if found is None or found.decision is None or found.decided_at is None:
        return {locale: [] for locale in Locale}
    facts = (found.experiment, found.decision, found.decided_at)
    return {locale: decision_words(*facts, locale, zone) for locale in Locale}
