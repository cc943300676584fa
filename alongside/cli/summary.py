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


def show_experiment(name: str, result: Mapping[str, Any]) -> None:
    """Verdict in one sentence, then arms and comparisons."""
    out = console()
    out.print(f"\n[bold]Experiment {name}[/bold]: {result['verdict_text']['en']}", markup=True)
    rows = []
    for item in result["comparisons"]:
        rows.append((item["variant"], item["metric"], *_difference(item), _p(item["p_value"])))
    show_table("", ("variant", "metric", "difference", "95 % interval", "relative", "p"), rows)
    rails = [f"{item['metric']} {item['status']}" for item in result["guardrails"]]
    if rails:
        out.print(f"guardrails: {', '.join(rails)}")
    for item in result["harm"]:
        if item["stop"]:
            out.print(f"[red]harm: {item['variant']} on {item['metric']}, evidence {item['evidence']:,.0f} : 1[/red]")
    if looks := result["looks"]:
        ahead = f", next {looks['next_at'][:10]}" if looks["next_at"] else ""
        out.print(f"look {looks['taken']} of {looks['planned']}{ahead}")
    ratio = result["sample_ratio"]["p_value"]
    arms = ", ".join(f"{arm} {facts['n']:,}" for arm, facts in result["arms"].items())
    out.print(f"people: {arms}; sample ratio p = {_p(ratio)}")


def _difference(item: Mapping[str, Any]) -> tuple[str, str, str]:
    if item["difference"] is None:
        return "", str(item.get("reason") or "cannot be given"), ""
    low, high = item["ci_low"], item["ci_high"]
    interval = "" if low is None or high is None else f"{low:+.3f} to {high:+.3f}"
    relative = (item.get("relative_difference") or {}).get("estimate")
    return f"{item['difference']:+.3f}", interval, "" if relative is None else f"{relative:+.1%}"


def _p(value: float | None) -> str:
    if value is None:
        return "none"
    return f"{value:.4f}" if value >= 0.0001 else f"{value:.1e}"
