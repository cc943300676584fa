"""How a stand-in is set up."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from alongside.sandbox.common.faults import Fault, fault_text

#: The only key that the stand-in takes unless told otherwise; it opens nothing anywhere else.
DEFAULT_API_KEY = "SG.stand-in"


@dataclass(frozen=True)
class Options:
    """What `serve` and `start` need to know.

    Attributes
    ----------
    folder : where the log, bookings, keys and the clock live; another run in it carries on
    port : 0 picks a free one
    responses : path of `responses.yaml`; None gives every message the default rates
    seed : of the simulated patients' draws
    webhook_url : receiver of events, on loopback; may be set later
    faults : misbehaviour from the start
    duplicates, reorder : shares of events repeated and of batches reversed
    keep_bodies : also keep whole requests, in `bodies.ndjson`
    patients : False switches simulated patients off: nothing happens after acceptance
    senders : domains that may stand in `from`; empty allows any
    rate_limit : mail/send requests a minute, 429 beyond
    """

    folder: Path
    host: str = "127.0.0.1"
    port: int = 0
    api_key: str = DEFAULT_API_KEY
    responses: Path | None = None
    seed: int = 0
    webhook_url: str | None = None
    faults: tuple[Fault, ...] = ()
    duplicates: float = 0.0
    reorder: float = 0.0
    keep_bodies: bool = False
    patients: bool = True
    senders: tuple[str, ...] = ()
    rate_limit: int = 600_000

    def arguments(self) -> list[str]:
        """The same set-up as arguments of `python -m alongside.sandbox.sendgrid`."""
        found = [f"--dir={self.folder}", f"--host={self.host}", f"--port={self.port}", f"--api-key={self.api_key}"]
        found += [f"--seed={self.seed}", f"--duplicates={self.duplicates}", f"--reorder={self.reorder}"]
        found += [f"--rate-limit={self.rate_limit}"]
        found += [f"--responses={self.responses}"] if self.responses else ["--no-rules"]
        found += [f"--webhook={self.webhook_url}"] if self.webhook_url else []
        found += ["--keep-bodies"] if self.keep_bodies else []
        found += [] if self.patients else ["--no-patients"]
        found += [f"--sender={domain}" for domain in self.senders]
        found += [f"--fault={fault_text(fault)}" for fault in self.faults]
        return found
