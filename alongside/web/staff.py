"""Who of the staff may use the inbox from afar: bearer tokens of the environment, compared in constant time."""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass, field

from alongside.model.errors import Refused

VARIABLE = "ALONGSIDE_STAFF_TOKEN"
#: Short ones can be guessed.
SHORTEST = 24
_NAME = re.compile(r"[^\x00-\x1f\x7f]{1,120}")


@dataclass(frozen=True)
class StaffTokens:
    """Tokens and whose they are; an empty name for one that many use, who then say who they are.

    Nothing is told of which part of a wrong token is right.
    """

    named: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    @classmethod
    def read(cls, text: str) -> StaffTokens:
        """`TOKEN`, or `name=TOKEN` several times, separated by spaces.

        Raises
        ------
        Refused : a token is too short, or one without a name stands among others
        """
        named = []
        for word in text.split():
            name, given, token = word.partition("=")
            named.append((name, token) if given else ("", word))
        if any(len(token) < SHORTEST for _, token in named):
            remedy = f"Choose at least {SHORTEST} random characters: 'openssl rand -hex 24'."
            raise Refused("a token of the staff is too short", where=VARIABLE, remedy=remedy)
        if len(named) > 1 and not all(name for name, _ in named):
            raise Refused("a token without a name stands among others", where=VARIABLE, remedy="Write name=TOKEN.")
        return cls(tuple(named))

    def __bool__(self) -> bool:
        return bool(self.named)

    def holder(self, authorization: str) -> str | None:
        """Whose token a header `Authorization: Bearer ...` shows, empty for the shared one; None for nobody's."""
        scheme, _, given = authorization.partition(" ")
        if scheme.lower() != "bearer":
            return None
        found = None
        for name, token in self.named:  # all of them, so that the time tells nothing
            if hmac.compare_digest(token.encode(), given.strip().encode()):
                found = name
        return found


def actor_of(holder: str, said: str) -> str | None:
    """The name for the audit trail: of the token, else as the caller says; None where nobody says."""
    name = holder or said.strip()
    return name if _NAME.fullmatch(name) else None
