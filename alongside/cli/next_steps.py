"""What to try after a demo: commands that work as they are printed."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

if TYPE_CHECKING:
    from alongside.bootstrap import Services


def next_steps(house: Services, as_of: datetime) -> list[str]:
    """Three commands: the next day's plan; why one patient got a message, and how it read."""
    from alongside.ledger.schema import message

    tomorrow = (as_of.astimezone(house.zone) + timedelta(days=1)).replace(tzinfo=None)
    found = [f"plan --as-of {tomorrow.isoformat(timespec='minutes')}"]
    query = sa.select(message.c.person_id, message.c.template).order_by(
        message.c.planned_at.desc(), message.c.message_key
    )
    with house.ledger.reading() as connection:
        newest = connection.execute(query.limit(1)).first()
    if newest is not None:
        found += [f"why {newest.person_id}", f"preview {newest.template} --patient {newest.person_id}"]
    return [f"{_program()} {words}" for words in found]


def _program() -> str:
    """`alongside` where the shell finds it, else the path of this one."""
    here = Path(sys.executable).parent / "alongside"
    known = shutil.which("alongside")
    if known and os.path.samefile(known, here):
        return "alongside"
    return shlex.quote(os.path.relpath(here))
