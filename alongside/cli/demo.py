"""`alongside demo`: a made-up hospital, three weeks of daily runs, and an A/B test that earns its verdict."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from alongside.cli.output import AsJson, console, emit

if TYPE_CHECKING:
    from alongside.bootstrap import Services
    from alongside.cli.stage import Stage

FIRST_DAY = date(2026, 3, 1)
RUN_AT = time(8, 0)
#: After the daily run, `deliver` runs once more for patients whose own quiet hours end later.
LATE_MORNING = timedelta(hours=4)
EXPERIMENT = "hypertension_review_wording"


def demo(
    patients: Annotated[int, typer.Option(min=100, max=200_000, help="Size of the hospital.")] = 5000,
    days: Annotated[int, typer.Option(min=1, max=120, help="Simulated days.")] = 21,
    every: Annotated[int, typer.Option(min=1, max=14, help="Days from run to run; 1 runs daily.")] = 10,
    seed: Annotated[int, typer.Option(help="Seed of the hospital and its simulated patients.")] = 20260228,
    as_json: AsJson = False,
) -> None:
    """Build the demo hospital, play its daily runs against stand-ins of its providers, print what came of it.

    A second call plays no day twice and sends nothing twice.
    """
    from alongside.bootstrap import build
    from alongside.cli.prefect_server import opening
    from alongside.cli.stage import open_stage
    from alongside.model.enums import DeliveryMode
    from alongside.model.errors import Refused

    house = build()
    if house.mode is not DeliveryMode.SANDBOX:
        raise Refused("the demo sends to the stand-in only", remedy="Set delivery.mode to sandbox.")
    opening(str(house.project.root))
    play = Play(house, patients, days, every, seed, quiet=as_json)
    play.prepare()
    with open_stage(house, house.project.var / "sandbox" / "demo", seed) as stage:
        result = play.run(stage)
    if as_json:
        emit(result)
    else:
        _show(result)


@dataclass
class Play:
    """The days of the demo, each played at most once."""

    house: Services
    patients: int
    days: int
    every: int
    seed: int
    quiet: bool

    @property
    def root(self) -> Path:
        return self.house.project.var / "hospital"

    def prepare(self) -> None:
        """The hospital's first dump, unless it is there."""
        from alongside.sandbox.hospital import generate

        if (self.root / "truth" / "hospital.json").is_file():
            self._say("The demo hospital stands already.")
            return
        with self._status(f"Building a hospital of {self.patients:,} patients"):
            generate(self.root, patients=self.patients, seed=self.seed, start=FIRST_DAY - timedelta(days=1))

    def run(self, stage: Stage) -> dict[str, Any]:
        """Every day that was not played yet; when all were, the last one once more, to show that nothing doubles."""
        from alongside.cli.runs import run_flow

        played = self._played()
        left = [moment for moment in self._moments() if moment not in played]
        again = not left
        moments = left or [max(played).astimezone(self.house.zone)]
        summary: dict[str, Any] = {}
        if again:
            self._say("Every day was played before. Playing the last one again:")
        for number, moment in enumerate(moments, 1):
            with self._status(f"Day {number} of {len(moments)}: {moment:%Y-%m-%d}"):
                self._open_day(stage, moment, again)
                parameters = {"as_of": moment, "project": str(self.house.project.root)}
                summary = run_flow(parameters)
                if not again:
                    self._late_morning(stage, parameters, summary)
                is_last = number == len(moments)  # of several reports the last one stays
                summary = stage.refreshed(summary) if is_last else stage.recounted(summary)
            self._say(self._line(moment, summary))
        return self._result(stage, summary, again)

    def _moments(self) -> Iterator[datetime]:
        for offset in range(0, self.days, self.every):
            yield datetime.combine(FIRST_DAY + timedelta(days=offset), RUN_AT, self.house.zone)

    def _played(self) -> set[datetime]:
        """Moments of completed runs."""
        from alongside.ledger.runs import completed_moments

        with self.house.ledger.begin() as connection:
            return set(completed_moments(connection))

    def _open_day(self, stage: Stage, moment: datetime, again: bool) -> None:
        """Time passes until the morning, and the hospital's systems hand over what happened since."""
        from alongside.sandbox.hospital import advance, read_bookings

        if again or stage.played is None:
            return
        stage.played.set_clock(moment, settle=30)
        bookings, _ = read_bookings(self.house.project.var / "sandbox" / "demo" / "bookings.ndjson")
        for day in self._new_days(moment.date()):
            advance(self.root, day, bookings=bookings)

    def _new_days(self, until: date) -> Iterator[date]:
        """Days whose extracts are not there yet."""
        day = FIRST_DAY
        while day <= until:
            if not (self.root / "his" / day.isoformat()).is_dir():
                yield day
            day += timedelta(days=1)

    def _late_morning(self, stage: Stage, parameters: dict[str, Any], summary: dict[str, Any]) -> None:
        """Those who sleep longer get theirs now, and the day takes its course."""
        from alongside.cli.runs import run_flow

        waiting = summary["funnel"].get("planned", 0) - summary["funnel"].get("accepted", 0)
        if waiting and stage.played is not None:
            later = parameters["as_of"] + LATE_MORNING
            stage.played.set_clock(later)
            run_flow({**parameters, "as_of": later}, only_waiting=True)
        stage.settle(summary["as_of"])

    def _line(self, moment: datetime, summary: dict[str, Any]) -> str:
        funnel = summary["funnel"]
        result = summary["experiments"].get(EXPERIMENT, {})
        verdict = result.get("verdict", "not launched").replace("_", " ")
        return (
            f"{moment:%m-%d} planned {funnel.get('planned', 0):>5,} accepted {funnel.get('accepted', 0):>5,} "
            f"delivered {funnel.get('delivered', 0):>5,} unknown {summary['unknown']} A/B: {verdict}"
        )

    def _result(self, stage: Stage, summary: dict[str, Any], again: bool) -> dict[str, Any]:
        from alongside.cli.next_steps import next_steps
        from alongside.ledger.messages import count_states

        with self.house.ledger.begin() as connection:
            overall = count_states(connection)
        stats = stage.played.stats() if stage.played else {}
        return {
            **summary,
            "days": self.days,
            "played_again": again,
            "messages": overall,
            "stand_in": {"accepted_now": sum(counters.get("accepted", 0) for counters in stats.values())},
            "report": str(self.house.project.var / "report.html"),
            "quality": self._scorecards(),
            "next": next_steps(self.house, datetime.fromisoformat(summary["as_of"])),
        }

    def _scorecards(self) -> list[dict[str, Any]]:
        snapshot = self.house.warehouse.current()
        return [] if snapshot is None else list(snapshot.manifest["quality"]["scorecards"])

    def _say(self, text: str) -> None:
        if not self.quiet:
            console().print(text)

    def _status(self, text: str) -> Any:
        import contextlib

        return contextlib.nullcontext() if self.quiet else console().status(text)


def _show(result: dict[str, Any]) -> None:
    from alongside.cli.output import show_table
    from alongside.cli.summary import show_experiment, show_funnel
    from alongside.quality.results import DIMENSIONS

    out = console()
    out.print()
    messages = result["messages"] | {"accepted": result["messages"]["taken"]}
    show_funnel(
        {name: messages[name] for name in ("accepted", "delivered", "bounced", "unknown")}, "Messages, all days"
    )
    show_funnel(result["funnel"], f"Last run, {result['as_of'][:10]}")
    rows = [(name, *(f"{card[name]:.1%}" for card in result["quality"])) for name in DIMENSIONS]
    rows.insert(0, ("rows", *(card["rows"] for card in result["quality"])))
    sources = [card["source"] for card in result["quality"]]
    show_table("Data quality", ("", *sources), rows, sources)
    for name, experiment in result["experiments"].items():
        show_experiment(name, experiment)
    if result["played_again"]:
        accepted = result["funnel"].get("accepted", 0)
        out.print(f"\n[bold]Nothing was sent twice:[/bold] this run planned again and sent {accepted} messages.")
    out.print(f"\nReport: {result['report']}", soft_wrap=True)
    out.print("Next:")
    for command in result["next"]:
        out.print(f"  {command}", soft_wrap=True)
