"""Who is kept without messages by lot, so that somebody can tell what messages do. A keyed hash draws the lots.

The same people stay out in every run, and a larger share has the smaller one's people among its own.
"""

from __future__ import annotations

from alongside.model.ids import unit_interval

#: What tells one draw from any other: the ledger's secret and words.
Salt = tuple[bytes, *tuple[str, ...]]


def of_marketing(secret: bytes) -> Salt:
    """Of those who get no marketing at all (`gates.global_holdout`)."""
    return secret, "global-holdout"


def of_campaign(secret: bytes, campaign: str) -> Salt:
    """Of those whom one campaign leaves out (its `holdout`)."""
    return secret, "campaign-holdout", campaign


def is_kept_out(salt: Salt, person_id: str, share: float) -> bool:
    return unit_interval(*salt, person_id) < share
