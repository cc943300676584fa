"""How a stand-in is set up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

from alongside.sandbox.common.faults import Fault, fault_text
from alongside.sandbox.common.phones import Rates

#: The only key that the stand-in takes unless told otherwise; it opens nothing anywhere else.
DEFAULT_KEY_ID = "LTAI-stand-in"
DEFAULT_SECRET = "stand-in"  # noqa: S105


@dataclass(frozen=True)
class Options:
    """What `serve` and `start` need to know.

    Attributes
    ----------
    folder : where the logs and the clock live; another run in it carries on
    port : 0 picks a free one
    templates : code -> text that counts as registered and approved
    signatures : that count as registered; empty allows any
    webhook_url : beginning of the addresses for reports (`/report`) and patients' texts (`/text`), on loopback
    rates, seed : of the simulated patients
    faults : misbehaviour from the start
    duplicates, reorder : shares of reports told twice, and of messages whose reports come in reverse
    patients : False switches simulated patients off: nothing happens after acceptance
    """

    folder: Path
    host: str = "127.0.0.1"
    port: int = 0
    key_id: str = DEFAULT_KEY_ID
    secret: str = field(default=DEFAULT_SECRET, repr=False)
    templates: Mapping[str, str] = field(default_factory=dict)
    signatures: tuple[str, ...] = ()
    webhook_url: str | None = None
    rates: Rates = field(default_factory=Rates)
    seed: int = 0
    faults: tuple[Fault, ...] = ()
    duplicates: float = 0.0
    reorder: float = 0.0
    patients: bool = True

    def arguments(self) -> list[str]:
        """The same set-up as arguments of `python -m alongside.sandbox.aliyun`."""
        found = [f"--dir={self.folder}", f"--host={self.host}", f"--port={self.port}"]
        found += [f"--key-id={self.key_id}", f"--secret={self.secret}", f"--seed={self.seed}"]
        found += [f"--duplicates={self.duplicates}", f"--reorder={self.reorder}"]
        found += [f"--template={code}={content}" for code, content in self.templates.items()]
        found += [f"--signature={name}" for name in self.signatures]
        found += [f"--rate={item.name}={getattr(self.rates, item.name)}" for item in fields(Rates)]
        found += [f"--webhook={self.webhook_url}"] if self.webhook_url else []
        found += [] if self.patients else ["--no-patients"]
        found += [f"--fault={fault_text(fault)}" for fault in self.faults]
        return found
