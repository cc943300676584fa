"""Where a hospital's configuration, templates, expectations and data lie."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from alongside.model.errors import Refused

MARKER = "config/alongside.yaml"


@dataclass(frozen=True)
class Project:
    """A folder that holds `config/`, `templates/` and `expectations/`; `var` is what runs write."""

    root: Path
    var: Path

    @property
    def config(self) -> Path:
        return self.root / "config"

    @property
    def templates(self) -> Path:
        return self.root / "templates"

    @property
    def expectations(self) -> Path:
        return self.root / "expectations"

    @classmethod
    def at(cls, root: Path, var: Path | None = None) -> Project:
        """The project in `root`, wherever the process stands."""
        root = root.resolve()
        return cls(root, (var or root / "var").resolve())

    @classmethod
    def find(cls, start: Path | None = None) -> Project:
        """`$ALONGSIDE_HOME`, else the nearest folder at or above `start` with `config/alongside.yaml`.

        `$ALONGSIDE_VAR` moves what runs write (snapshots, SQLite ledger, reports) elsewhere.
        """
        var = os.environ.get("ALONGSIDE_VAR")
        home = os.environ.get("ALONGSIDE_HOME")
        here = (start or Path.cwd()).resolve()
        for root in [Path(home)] if home else [here, *here.parents]:
            if (root / MARKER).is_file():
                return cls.at(root, Path(var) if var else None)
        raise Refused(
            f"no {MARKER} found",
            where=home or str(here),
            remedy="Run in a project's folder, set ALONGSIDE_HOME, or create one with 'alongside init DIR'.",
        )
