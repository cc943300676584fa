"""Values of options that need more than a type: a wrong one is wrong usage (exit code 2), said in one sentence."""

from __future__ import annotations

import typer


def plan_hash(text: str) -> str:
    """The hash of a plan, whole or the part of it that `alongside plan` prints; in lower case."""
    from alongside.outreach.approval import PRINTED, is_plan_hash

    found = text.strip().lower()
    if not is_plan_hash(found):
        raise typer.BadParameter(f"'{text}' is no hash of a plan: give {PRINTED} to 64 of its hexadecimal digits.")
    return found
