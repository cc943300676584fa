"""How a stand-in is set up."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

from alongside.model.errors import Refused
from alongside.sandbox.common.faults import Fault, fault_text
from alongside.sandbox.wechat.followers import Rates

#: The only account that the stand-in knows unless told otherwise; it opens nothing anywhere else.
DEFAULT_APP_ID = "wx-stand-in"
DEFAULT_SECRET = "stand-in"  # noqa: S105
DEFAULT_TOKEN = "standin"  # noqa: S105


@dataclass(frozen=True)
class Registered:
    """A template of the account: its title, and its fields (name -> label) in their order."""

    template_id: str
    title: str
    fields: Mapping[str, str]

    def to_text(self) -> str:
        return json.dumps([self.template_id, self.title, dict(self.fields)], ensure_ascii=False)

    @classmethod
    def from_text(cls, text: str) -> Registered:
        """Raises `Refused` for what `to_text` would not write."""
        try:
            template_id, title, found = json.loads(text)
            return cls(str(template_id), str(title), {str(name): str(label) for name, label in found.items()})
        except (ValueError, TypeError, AttributeError) as error:
            remedy = 'Give ["template id", "title", {"thing1": "label"}] as JSON.'
            raise Refused("a template is not understood", where="--template", remedy=remedy) from error


@dataclass(frozen=True)
class Options:
    """What `serve` and `start` need to know.

    Attributes
    ----------
    folder : where the logs and the clock live; another run in it carries on
    port : 0 picks a free one
    token : shared with the receiver; signs callbacks
    templates : of the account
    webhook_url : receiver of callbacks, on loopback
    rates, seed : of the simulated followers
    faults : misbehaviour from the start
    duplicates : share of callbacks that are told twice
    patients : False switches simulated followers off: nothing happens after acceptance
    quota : messages a day
    """

    folder: Path
    host: str = "127.0.0.1"
    port: int = 0
    app_id: str = DEFAULT_APP_ID
    secret: str = field(default=DEFAULT_SECRET, repr=False)
    token: str = field(default=DEFAULT_TOKEN, repr=False)
    templates: tuple[Registered, ...] = ()
    webhook_url: str | None = None
    rates: Rates = field(default_factory=Rates)
    seed: int = 0
    faults: tuple[Fault, ...] = ()
    duplicates: float = 0.0
    patients: bool = True
    quota: int = 1_000_000

    def arguments(self) -> list[str]:
        """The same set-up as arguments of `python -m alongside.sandbox.wechat`."""
        found = [f"--dir={self.folder}", f"--host={self.host}", f"--port={self.port}", f"--seed={self.seed}"]
        found += [f"--app-id={self.app_id}", f"--secret={self.secret}", f"--token={self.token}"]
        found += [f"--duplicates={self.duplicates}", f"--quota={self.quota}"]
        found += [f"--template={one.to_text()}" for one in self.templates]
        found += [f"--rate={item.name}={getattr(self.rates, item.name)}" for item in fields(Rates)]
        found += [f"--webhook={self.webhook_url}"] if self.webhook_url else []
        found += [] if self.patients else ["--no-patients"]
        found += [f"--fault={fault_text(fault)}" for fault in self.faults]
        return found
