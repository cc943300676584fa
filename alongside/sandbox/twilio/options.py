"""How a stand-in is set up."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path

from alongside.sandbox.common.faults import Fault, fault_text
from alongside.sandbox.common.phones import Rates

#: The only credentials that the stand-in takes unless told otherwise; they open nothing anywhere else.
DEFAULT_ACCOUNT_SID = "AC" + "0" * 32
DEFAULT_AUTH_TOKEN = "stand-in"  # noqa: S105
#: The number that the vendor's own test credentials send from.
DEFAULT_NUMBER = "+15005550006"


@dataclass(frozen=True)
class Options:
    """What `serve` and `start` need to know.

    Attributes
    ----------
    folder : where the logs and the clock live; another run in it carries on
    port : 0 picks a free one
    auth_token : password of requests, and key of the webhooks' signatures
    api_keys : `SK...` -> secret; accepted besides the auth token
    number : that a messaging service sends from
    senders : numbers and services that may send; empty allows any
    inbound_url : receiver of patients' messages, on loopback; may be set later
    rates, seed : of the simulated patients
    faults : misbehaviour from the start
    duplicates, reorder : shares of callbacks repeated, and of messages whose callbacks come in reverse
    patients : False switches simulated patients off: nothing happens after acceptance
    concurrency : requests at a time, 429 beyond
    """

    folder: Path
    host: str = "127.0.0.1"
    port: int = 0
    account_sid: str = DEFAULT_ACCOUNT_SID
    auth_token: str = field(default=DEFAULT_AUTH_TOKEN, repr=False)
    api_keys: dict[str, str] = field(default_factory=dict, repr=False)
    number: str = DEFAULT_NUMBER
    senders: tuple[str, ...] = ()
    inbound_url: str | None = None
    rates: Rates = field(default_factory=Rates)
    seed: int = 0
    faults: tuple[Fault, ...] = ()
    duplicates: float = 0.0
    reorder: float = 0.0
    patients: bool = True
    concurrency: int = 100

    def arguments(self) -> list[str]:
        """The same set-up as arguments of `python -m alongside.sandbox.twilio`."""
        found = [f"--dir={self.folder}", f"--host={self.host}", f"--port={self.port}", f"--number={self.number}"]
        found += [f"--account-sid={self.account_sid}", f"--auth-token={self.auth_token}"]
        found += [f"--seed={self.seed}", f"--duplicates={self.duplicates}", f"--reorder={self.reorder}"]
        found += [f"--concurrency={self.concurrency}"]
        found += [f"--api-key={key}:{secret}" for key, secret in self.api_keys.items()]
        found += [f"--rate={item.name}={getattr(self.rates, item.name)}" for item in fields(Rates)]
        found += [f"--inbound={self.inbound_url}"] if self.inbound_url else []
        found += [] if self.patients else ["--no-patients"]
        found += [f"--sender={sender}" for sender in self.senders]
        found += [f"--fault={fault_text(fault)}" for fault in self.faults]
        return found
