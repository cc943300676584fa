"""How a run and an experiment read in a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.markup import escape

from alongside.cli.output import console, show_table

#: Stages that the terminal leaves out when nobody is in them.
_QUIET = ("withheld", "rejected", "unknown", "bounced")


def show_run(summary: Mapping[str, Any]) -> None:
    """Funnel, campaigns and experiments of one run."""
    out = console()
    out.print(
        f"[bold]Run {summary['run_id'][:8]}[/bold] as of {summary['as_of'][:16]}, snapshot {summary['snapshot_id']}"
    )
    show_funnel(summary["funnel"])
    rows = [
        (
            name,
            stages.get("audience"),
            stages.get("planned"),
            stages.get("accepted"),
            stages.get("delivered"),
            summary["states"].get(name, {}).get("state", ""),
        )
        for name, stages in summary["campaigns"].items()
    ]
    counts = ("audience", "planned", "accepted", "delivered")
    show_table("Campaigns", ("campaign", *counts, "state"), rows, counts)
    for name, entry in summary["states"].items():
        if entry.get("reason"):  # beside the counts it would be a column of single words
            out.print(f"[bold]{name}[/bold] {entry['state']}: {escape(entry['reason'])}")
    for name, result in summary["experiments"].items():
        show_experiment(name, result)
    if summary["held"]:
        out.print(f"[yellow]Held: {summary['held']}[/yellow]")


def show_funnel(funnel: Mapping[str, int], title: str = "Funnel") -> None:
    """Audience -> eligible -> each gate -> rendered -> planned -> accepted -> delivered, with bars."""
    top = max([*funnel.values(), 1])
    rows = [
        (stage.replace("gate:", "  - "), count, "█" * round(30 * count / top))
        for stage, count in funnel.items()
        if count or stage not in _QUIET
    ]
    show_table(title, ("stage", "people", ""), rows, ("people",))


#: Columns of a terminal from which relative differences have room beside the rest.
_WIDE = 100


def show_experiment(name: str, result: Mapping[str, Any]) -> None:
    """Verdict in one sentence, then arms and comparisons: the numbers that the verdict rests on."""
    out = console()
    out.print(f"\n[bold]Experiment {name}[/bold]: {escape(result['verdict_text']['en'])}")
    last = slice(None) if out.width >= _WIDE else slice(5)
    heads = ("variant", "metric", "difference", f"{(1 - result['alpha']) * 100:g} % interval", "p", "relative")
    rows = [
        (item["variant"], item["metric"], *_difference(item), _p(item["adjusted"]["p_value"]), _relative(item))[last]
        for item in result["comparisons"]
    ]
    show_table("", heads[last], rows)
    for variant in dict.fromkeys(item["variant"] for item in result["guardrails"]):
        mine = [f"{item['metric']} {item['status']}" for item in result["guardrails"] if item["variant"] == variant]
        out.print(f"guardrails of {variant}: {', '.join(mine)}")
    for item in result["harm"]:
        if item["stop"]:
            out.print(f"[red]harm: {item['variant']} on {item['metric']}, evidence {item['evidence']:,.0f} : 1[/red]")
    if looks := result["looks"]:
        ahead = f", next {looks['next_at'][:16].replace('T', ' ')} UTC" if looks["next_at"] else ""
        out.print(f"look {looks['taken']} of at most {looks['planned']}{ahead}")
    arms = ", ".join(f"{arm} {facts['n']:,}" for arm, facts in result["arms"].items())
    out.print(f"people: {arms}; p of the arms' sizes {_p(result['sample_ratio']['p_value'])}")


def _difference(item: Mapping[str, Any]) -> tuple[str, str]:
    """The difference and its interval; percentage points for a rate."""
    if item["difference"] is None:
        return "–", str(item.get("reason") or "cannot be given").replace("_", " ")
    low, high = item["adjusted"]["ci_low"], item["adjusted"]["ci_high"]
    rate = item.get("kind") == "binary"  # results that an earlier release has stored do not say
    difference = f"{_number(item['difference'], rate)}{' points' if rate else ''}"
    return difference, "" if low is None or high is None else f"{_number(low, rate)} … {_number(high, rate)}"


def _number(value: float, rate: bool) -> str:
    return f"{round(value * 100, 1) + 0.0:+.1f}" if rate else f"{value:+.3g}"


def _relative(item: Mapping[str, Any]) -> str:
    relative = item["relative_difference"]["estimate"]
    return "–" if relative is None else f"{relative:+.1%}"


def _p(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.3f}" if value >= 0.001 else "< 0.001"
