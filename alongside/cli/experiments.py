"""Experiments: design before launch, status while they run, verdict, and anybody's CSV."""

from __future__ import annotations

import getpass
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from alongside.cli import options
from alongside.cli.output import AsJson, console, emit, fail, tell
from alongside.model.enums import Locale

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
    svg: Annotated[Path | None, typer.Option(help="Write the power curve as a figure.", dir_okay=False)] = None,
    locale: Annotated[Locale, typer.Option(help="Language of the figure.")] = Locale.EN,
    as_json: AsJson = False,
) -> None:
    """What the experiment can detect, how many people and days it needs; exit 1 when it is underpowered."""
    from alongside.bootstrap import build
    from alongside.cli.prospects import prospects, show
    from alongside.ledger.experiments import assignments

    house = build()
    definition = _definition(house, name)
    if audience is None:
        audience = assignments(house.ledger, name).num_rows or _planned_audience(house, definition)
    found = prospects(house, definition, audience, per_day)
    if svg is not None:
        from alongside.analysis.result import MetricInfo
        from alongside.analysis.showing.power_curve import power_svg

        figure = power_svg(found.report, found.curve, MetricInfo.of(definition.goals[0]), locale)
        svg.write_text(figure, "utf-8")
    emit(found.to_json()) if as_json else show(found, curve=True)
    found.report.require_powered()


@app.command("status")
def status(name: Name, as_json: AsJson = False) -> None:
    """The latest stored evaluation."""
    from alongside.analysis.showing.decided import decided_words
    from alongside.bootstrap import build
    from alongside.ledger.experiments import read, results

    house = build()
    _definition(house, name)
    with house.ledger.begin() as connection:
        found, registration = results(connection, name), read(connection, name)
    if not found:
        raise fail(f"{name} has not been evaluated yet: it is after each run, or with 'alongside experiment evaluate'.")
    if as_json:
        emit({**found[-1].result, "decision": registration.decision if registration else None})
        return
    _show(found[-1].result)
    for line in decided_words(registration, house.zone)[Locale.EN]:
        console().print(line, markup=False)


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
    result = evaluate(
        definition, house.ledger, snapshot.path / "tables", snapshot.as_of, house.warehouse, zone=house.zone
    )
    emit(result.to_json()) if as_json else _show(result.to_json())


@app.command("rollout")
def rollout(
    name: Name,
    reason: Annotated[str, typer.Option(help="Why; kept with the decision.")],
    variant: Annotated[str | None, typer.Option(help="Who gets it for good; default: the one that won.")] = None,
    role: Annotated[str | None, typer.Option(help="As whom a clinician agrees: a reviewer of the message.")] = None,
    by: Annotated[
        str | None,
        typer.Option(parser=options.person, metavar="NAME", help="Who decides; default: the user of this machine."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Send one variant to everybody from the next run on; medical content needs a clinician's role."""
    from alongside.bootstrap import build
    from alongside.ledger.experiments import read

    house = build()
    definition = _definition(house, name)
    with house.ledger.begin() as connection:
        found = read(connection, name)
    chosen = variant or (found.waits or found.winner if found else None)
    if chosen is None:
        raise fail(f"{name} has no winner: name the variant with --variant.")
    if chosen not in definition.messages:
        raise fail(f"'{chosen}' is no variant of {name}: {', '.join(definition.messages)}.")
    if chosen in house.catalogues.clinical_variants(definition):
        message = definition.messages[chosen]
        reviewers = house.catalogues.content.message(message).definition.reviewers
        if role not in reviewers:
            raise fail(f"{message} is medical content: agree with --role, one of {', '.join(reviewers)}.")
    _apply(house, name, chosen, by, reason, role, as_json)


@app.command("reverse")
def reverse(
    name: Name,
    reason: Annotated[str, typer.Option(help="Why; kept with the decision.")],
    by: Annotated[
        str | None,
        typer.Option(parser=options.person, metavar="NAME", help="Who decides; default: the user of this machine."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Take a rollout back: from the next run on everybody gets the control again."""
    from alongside.bootstrap import build

    house = build()
    _apply(house, name, _definition(house, name).control, by, reason, None, as_json)


def _apply(
    house: Services, name: str, variant: str, by: str | None, reason: str, role: str | None, as_json: bool
) -> None:
    from alongside.ledger.experiments import apply

    who, why = by or getpass.getuser(), reason.strip()
    if not why:
        raise fail("give a reason.", code=2)
    with house.ledger.begin() as connection:
        done = apply(connection, name, variant, by=who, reason=why, role=role, at=house.clock())
    if not done:
        raise fail(f"{name} is not decided yet: 'alongside experiment status {name}' says where it stands.")
    said = f"From the next run on everybody gets {variant}."
    tell({"experiment": name, "variant": variant, "by": who}, as_json, said)


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
    quantile: Annotated[
        list[str] | None, typer.Option(help="METRIC=0.5 compares medians (0.9 the ninth deciles) instead of means.")
    ] = None,
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
        quantiles=_pairs("--quantile", quantile, float),
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


def _planned_audience(house: Services, definition: ExperimentDefinition) -> int:
    """People of the campaign's plan whom the experiment would enrol."""
    from alongside.cli.plans import dry_plans

    plan = dry_plans(house, [definition.campaign], house.clock())[0]
    return sum(plan.variants.get(name, 0) for name in definition.shares)


def _show(result: dict[str, Any]) -> None:
    from alongside.cli.summary import show_experiment

    show_experiment(result["experiment"], result)
