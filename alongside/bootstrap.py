"""The one place that builds adapters from settings."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from alongside.ledger import Ledger
from alongside.ledger.vault import Vault
from alongside.model.enums import DeliveryMode
from alongside.model.errors import Refused
from alongside.outreach.catalogues import Catalogues
from alongside.outreach.catalogues import load as load_catalogues
from alongside.settings import Environment, HospitalSettings, Project, Seeds, read_model, read_seeds
from alongside.warehouse import Warehouse

if TYPE_CHECKING:
    from alongside.delivery.desk import Desk
    from alongside.delivery.last_look import LastLook

#: What decides who gets which words: its hash pins a run's configuration.
CONFIGURED = ("config/**/*.yaml", "templates/**/*", "expectations/*.yaml")


@dataclass(frozen=True)
class Services:
    """Everything that acting needs, built once per process and handed on. Parts open when they are first used."""

    project: Project
    environment: Environment
    clock: Callable[[], datetime]

    @cached_property
    def settings(self) -> HospitalSettings:
        return read_model(HospitalSettings, self.project.config / "alongside.yaml")

    @cached_property
    def seeds(self) -> Seeds:
        return read_seeds(self.project)

    @cached_property
    def ledger_url(self) -> str:
        return self.environment.ledger_url or f"sqlite:///{self.project.var / 'ledger.db'}"

    @cached_property
    def ledger(self) -> Ledger:
        return Ledger.open(self.ledger_url)

    @cached_property
    def vault(self) -> Vault:
        return Vault.open(self.ledger, self.environment)

    @property
    def desk(self) -> Desk:
        """Where staff work through the inbox."""
        from alongside.delivery.desk import Desk  # who only checks or plans never sends

        return Desk(self.project, self.environment, self.settings, self.ledger, self.vault, self.clock)

    @property
    def last_look(self) -> LastLook:
        """What letters and calls are held against before they leave people's hands."""
        from alongside.delivery.last_look import LastLook, died_by

        return LastLook(self.settings, self.catalogues.content, died_by(self.warehouse))

    @cached_property
    def warehouse(self) -> Warehouse:
        wanted = self.settings.warehouse
        return Warehouse(self.project.var, wanted.memory_limit, wanted.threads)

    @cached_property
    def catalogues(self) -> Catalogues:
        return load_catalogues(self.project)

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.settings.hospital.time_zone)

    @property
    def public_url(self) -> str:
        return self.environment.public_url or self.settings.delivery.public_url

    @property
    def mode(self) -> DeliveryMode:
        return self.settings.delivery.mode

    def source_roots(self, given: Mapping[str, str]) -> dict[str, Path]:
        """Folder of every source that a run reads: those given, else the project's own extracts.

        Raises
        ------
        Refused : a source is unknown, or has no extract
        """
        from alongside.sources import load_sources

        known = load_sources(self.project)
        names = list(given) or self.settings.sources
        roots = {}
        for name in names:
            if name not in known:
                remedy = f"Known sources: {', '.join(sorted(known))}."
                raise Refused(f"unknown source '{name}'", where="config/sources", remedy=remedy)
            root = Path(given[name]) if name in given else self.project.var / "hospital" / name
            if not root.exists():
                remedy = f"Give its folder with --source {name}=PATH, or run 'alongside hospital generate'."
                raise Refused(f"source '{name}' has no extract", where=str(root), remedy=remedy)
            roots[name] = root
        return roots

    def configuration_hash(self) -> str:
        """SHA-256 over every configuration file and template, by name and content."""
        digest = hashlib.sha256()
        files = {path for pattern in CONFIGURED for path in self.project.root.glob(pattern) if path.is_file()}
        for path in sorted(files):
            digest.update(path.relative_to(self.project.root).as_posix().encode() + b"\x00")
            digest.update(hashlib.sha256(path.read_bytes()).digest())
        return digest.hexdigest()

    def configuration_commit(self) -> str:
        """The commit of the configuration's repository; `uncommitted` in front when files differ from it."""
        try:
            commit = self._git("rev-parse", "--short=12", "HEAD")
            dirty = self._git("status", "--porcelain", "--", "config", "templates", "expectations")
        except (OSError, subprocess.CalledProcessError):
            return "no-repository"
        return f"uncommitted+{commit}" if dirty else commit

    def _git(self, *words: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(self.project.root), *words], capture_output=True, text=True, check=True, timeout=20
        )
        return done.stdout.strip()


def build(project: Project | None = None, environment: Environment | None = None) -> Services:
    """Services of the project at hand, with the process's environment and the wall clock."""
    return Services(project or Project.find(), environment or Environment.read(), lambda: datetime.now(UTC))
