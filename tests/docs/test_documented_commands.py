"""Every command that README and docs show exists, with the options that they show; every link leads somewhere."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from alongside.cli.app import app
from tests.conftest import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
_BLOCK = re.compile(r"```(?:bash|sh|console)\n(.*?)```", re.DOTALL)


def _commands() -> Iterator[tuple[str, str]]:
    for page in PAGES:
        for block in _BLOCK.findall(page.read_text("utf-8")):
            for line in block.replace("\\\n", " ").splitlines():
                for part in line.split("&&"):
                    text = part.split("#")[0].strip().removeprefix("$ ")
                    if text.startswith("alongside "):
                        yield page.name, text


@pytest.mark.parametrize(("page", "command"), sorted(set(_commands())))
def test_documented_commands_exist_with_their_options(page: str, command: str) -> None:
    words = shlex.split(command)[1:]
    group = typer.main.get_command(app)
    while words and hasattr(group, "commands"):
        name = words.pop(0)
        assert name in group.commands, f"{page}: {command}"
        group = group.commands[name]
    known = {option for parameter in group.params for option in (*parameter.opts, *parameter.secondary_opts)}
    used = {word.split("=")[0] for word in words if word.startswith("--")}
    assert used <= known | {"--help"}, f"{page}: {command}: {used - known}"


def _leaves(group: Any, above: str = "") -> Iterator[str]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _leaves(command, f"{above}{name} ")
        elif not command.hidden:
            yield above + name


def _shown_in_the_table() -> list[str]:
    """What the first column of README's table of commands says, without `alongside`."""
    section = (ROOT / "README.md").read_text("utf-8").partition("\n## Commands\n")[2].partition("\n## ")[0]
    cells = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    return [span.removeprefix("alongside ") for cell in cells for span in re.findall(r"`([^`]+)`", cell)]


def test_readme_has_a_table_of_all_commands() -> None:
    leaves = set(_leaves(typer.main.get_command(app)))
    named = {leaf for text in _shown_in_the_table() for leaf in leaves if f"{text} ".startswith(f"{leaf} ")}
    assert named == leaves
    assert len(_shown_in_the_table()) == len(leaves)  # each once, and nothing else


def test_pages_show_commands() -> None:
    assert len(set(_commands())) > 10


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text("utf-8")):
        if not target.startswith(("http", "mailto:")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("page", ["clinician.md", "contributor.md"])
def test_rooms_that_a_guide_names_are_there(page: str) -> None:
    spans = re.findall(r"`([^`\n]+)`", (ROOT / "docs" / page).read_text("utf-8"))
    paths = [span for span in spans if re.fullmatch(r"[\w*./-]+/[\w*./-]*", span) and not span.startswith("follow_up/")]
    assert len(paths) > 5
    assert [path for path in paths if not any(ROOT.glob(path.rstrip("/")))] == []


def test_every_reader_and_every_extension_point_has_its_page() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    for reader in ("marketer", "operator", "clinician", "data-engineer", "contributor"):
        assert f"(docs/{reader}.md)" in readme, reader
    guide = (ROOT / "docs" / "contributor.md").read_text("utf-8")
    for page in (ROOT / "docs").glob("adding-*.md"):
        assert f"({page.name})" in guide, page.name


def test_nothing_speaks_of_a_machine_or_a_tool_of_the_trade() -> None:
    for page in PAGES:
        text = page.read_text("utf-8")
        assert "/home/" not in text
        assert "/root/" not in text
