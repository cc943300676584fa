"""A hospital's own project: create it, add to it, check it."""

from __future__ import annotations

import gc
import shutil
from importlib import resources
from pathlib import Path
from typing import Annotated

import typer

from alongside.cli import options
from alongside.cli.output import AsJson, emit, fail, tell
from alongside.cli.skeletons import KINDS, skeleton

FOLDERS = ("config", "templates", "expectations")


def init(
    directory: Annotated[Path, typer.Argument(parser=options.folder, metavar="DIR", help="Folder to create.")],
    as_json: AsJson = False,
) -> None:
    """Give a hospital its own config/, templates/ and expectations/."""
    if directory.exists() and any(directory.iterdir()):
        raise fail(f"{directory} is not empty. Choose a new folder; nothing was changed.")
    for name in FOLDERS:
        shutil.copytree(_shipped() / name, directory / name)
    (directory / ".gitignore").write_text("var/\n", "utf-8")
    tell(
        {"directory": str(directory), "created": list(FOLDERS)},
        as_json,
        f"Created {directory}/ with config/, templates/ and expectations/.",
        f"Next: edit {directory}/config/alongside.yaml, then run 'alongside check' in that folder.",
    )


def new(
    kind: Annotated[str, typer.Argument(help=f"One of: {', '.join(KINDS)}.")],
    name: Annotated[str, typer.Argument(help="Name; for a message <stage>/<topic>.")],
    as_json: AsJson = False,
) -> None:
    """Start a segment, campaign, experiment or message from a commented skeleton."""
    from alongside.settings import Project

    if kind not in KINDS:
        raise fail(f"'{kind}' is not one of: {', '.join(KINDS)}.", code=2)
    project = Project.find()
    files = skeleton(kind, name)
    for path in files:
        if (project.root / path).exists():
            raise fail(f"{path} exists already; nothing was changed.")
    for path, text in files.items():
        target = project.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, "utf-8")
    said = [*(f"Created {path}" for path in files), "Edit it, then run 'alongside check'."]
    tell({"kind": kind, "name": name, "created": list(files)}, as_json, *said)


def check(as_json: AsJson = False) -> None:
    """Validate all configuration, templates and expectations; every fault with file, line and remedy."""
    from alongside.checking import check_project
    from alongside.settings import Project

    gc.disable()  # what is read here is needed until the end, a second away: looking for garbage finds none
    try:
        findings = check_project(Project.find())
    finally:
        gc.enable()
    errors = [finding for finding in findings if finding.severity == "error"]
    if as_json:
        emit({"ok": not errors, "findings": [vars(finding) for finding in findings]})
    else:
        for finding in findings:
            colour = "red" if finding.severity == "error" else "yellow"
            typer.secho(str(finding), fg=colour, err=True)
        warnings = len(findings) - len(errors)
        typer.echo(f"{len(errors)} faults, {warnings} warnings." if findings else "Everything is in order.")
    if errors:
        raise typer.Exit(1)


def _shipped() -> Path:
    """The configuration that came with the package: in a wheel inside it, in a checkout beside it."""
    inside = Path(str(resources.files("alongside"))) / "_shipped"
    return inside if inside.is_dir() else Path(str(resources.files("alongside"))).parent
