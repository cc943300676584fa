"""How a stand-in is set up."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from alongside.sandbox.common.faults import Fault, fault_text

#: The only project that it knows unless told otherwise.
PROJECT = "stand-in"


@dataclass(frozen=True)
class Options:
    """What `serve` and `start` need to know.

    Attributes
    ----------
    folder : where the log, the clock and the account's key live; another run in it carries on
    port : 0 picks a free one
    gone : share of devices whose app was removed: UNREGISTERED
    seed : decides which ones, and the faults
    faults : misbehaviour from the start
    """

    folder: Path
    host: str = "127.0.0.1"
    port: int = 0
    project: str = PROJECT
    gone: float = 0.0
    seed: int = 0
    faults: tuple[Fault, ...] = ()

    def arguments(self) -> list[str]:
        """The same set-up as arguments of `python -m alongside.sandbox.fcm`."""
        found = [f"--dir={self.folder}", f"--host={self.host}", f"--port={self.port}", f"--seed={self.seed}"]
        found += [f"--project={self.project}", f"--gone={self.gone}"]
        return found + [f"--fault={fault_text(fault)}" for fault in self.faults]
