"""Experiments: design before launch, status while they run, verdict, and anybody's CSV."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from alongside.cli import options
from alongside.cli.output import AsJson, console, emit, fail, show_table

if TYPE_CHECKING:
    from alongside.bootstrap import Services
    from alongside.outreach.experiments import ExperimentDefinition

Value = TypeVar("Value")
app = typer.Typer(help="A/B tests.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="A file of config/experiments/.")]


@app.command("design")
def design_command(
    name: Name,
    audience: Annotated[
        int | None,
        typer.Option(
            help="People at launch; default: those who take part, before it the campaign's plan.", min=0, max=10**9
        ),
    ] = None,
    per_day: Annotated[float, typer.Option(help="New people a day.", min=0, max=1e9)] = 0.0,
    as_json: AsJson = False,
) -> None:
    """What the experiment can detect, how many people and days it needs; exit 1 when it is underpowered."""
    from dataclasses import asdict

    from alongside.bootstrap import build
    from alongside.ledger.experiments import assignments
    from alongside.outreach.experiments import MetricKind, design

    house = build()
    definition = _definition(house, name)
    if audience is None:
        audience = assignments(house.ledger, name).num_rows or _planned_audience(house, definition.campaign)
    report = design(definition, audience, per_day)
    if as_json:
        emit({**asdict(report), "powered": report.powered})
    else:
        binary = definition.goals[0].kind is MetricKind.BINARY
        found = "none" if report.detectable_effect is None else _effect(report.detectable_effect, binary)
        rows = [
            ("goal", report.goal),
            ("people needed", report.people_needed),
            ("people expected", report.people_expected),
            (
                f"power at {_effect(report.minimum_effect, binary)}",
                f"{report.power:.0%} (planned {report.planned_power:.0%})",
            ),
            ("detectable effect", found),
            ("verdict after", f"{report.verdict_after_days:g} days"),
        ]
        show_table(name, ("", "design"), rows)
        for warning in report.warnings:
            console().print(f"[yellow]{warning}[/yellow]")
    report.require_powered()


@app.command("status")
def status(name: Name, as_json: AsJson = False) -> None:
    """The latest stored evaluation."""
    from alongside.bootstrap import build
    from alongside.ledger.experiments import results

    house = build()
    _definition(house, name)
    with house.ledger.begin() as connection:
        found = results(connection, name)
    if not found:
        raise fail(f"{name} has not been evaluated yet: it is after each run, or with 'alongside experiment evaluate'.")
    emit(found[-1].result) if as_json else _show(found[-1].result)


@app.command("evaluate")
def evaluate_command(name: Name, as_json: AsJson = False) -> None:
    """Evaluate on the current snapshot, now. Looking decides nothing: the verdict comes when it is due."""
    from alongside.analysis import evaluate
    from alongside.bootstrap import build

    house = build()
    definition = _definition(house, name)
    snapshot = house.warehouse.current()
    if snapshot is None:
        raise fail("There is no snapshot yet. Start a run first: 'alongside run'.")
    result = evaluate(definition, house.ledger, snapshot.path / "tables", snapshot.as_of, house.warehouse)
    emit(result.to_json()) if as_json else _show(result.to_json())


@app.command("analyse")
def analyse(
    data: Annotated[Path, typer.Option(help="CSV with one row a unit.")],
    variant: Annotated[str, typer.Option(help="Column with the arm's name.")],
    control: Annotated[str, typer.Option(help="Which arm is the control.")],
    metric: Annotated[list[str], typer.Option(help="Column to compare, repeatable.")],
    covariate: Annotated[str | None, typer.Option(help="Column measured before assignment.")] = None,
    alpha: Annotated[float, typer.Option(min=0.0001, max=0.5)] = 0.05,
    lower_is_better: Annotated[list[str] | None, typer.Option(help="Metric whose decrease is good.")] = None,
    share: Annotated[
        list[str] | None, typer.Option(help="ARM=SHARE for every arm, when they were not planned equal.")
    ] = None,
    kind: Annotated[list[str] | None, typer.Option(help="METRIC=binary or continuous, when not obvious.")] = None,
    delimiter: Annotated[
        str | None,
        typer.Option(
            parser=options.character, metavar="CHARACTER", help="Column separator, when it is not found by itself."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Analyse anybody's CSV with the same engine and verdict."""
    from alongside.analysis import analyse_csv
    from alongside.outreach.experiments import MetricKind

    result = analyse_csv(
        data,
        variant,
        control,
        metric,
        covariate=covariate,
        alpha=alpha,
        kinds=_pairs("--kind", kind, MetricKind),
        lower_is_better=lower_is_better or (),
        shares=_pairs("--share", share, float),
        delimiter=delimiter,
    )
    emit(result.to_json()) if as_json else _show(result.to_json())


def _pairs(option: str, given: list[str] | None, read: Callable[[str], Value]) -> dict[str, Value] | None:
    """NAME=VALUE options as a mapping."""
    found = {}
    for entry in given or []:
        name, equals, text = entry.rpartition("=")
        try:
            found[name] = read(text)
        except ValueError:
            equals = ""
        if not equals:
            raise fail(f"{option} {entry}: write it as NAME=VALUE.", code=2)
    return found or None


def _definition(house: Services, name: str) -> ExperimentDefinition:
    from alongside.model.findings import nearest

    known = house.catalogues.experiments
    if name not in known:
        hint = nearest(name, known) or "They stand in config/experiments/."
        raise fail(f"unknown experiment '{name}': {hint}")
    return known[name]


def _effect(value: float, binary: bool) -> str:
    """Percentage points for a rate, the metric's own unit otherwise."""
    return f"{value * 100:+.1f} points" if binary else f"{value:+g}"


def _planned_audience(house: Services, campaign: str) -> int:
    from alongside.cli.plans import dry_plans

    return dry_plans(house, [campaign], house.clock())[0].funnel.get("planned", 0)


def _show(result: dict[str, Any]) -> None:
    from alongside.cli.summary import show_experiment

    show_experiment(result["experiment"], result)
