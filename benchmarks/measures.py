"""What is measured: each measure runs its parts in processes of their own and returns rows with baselines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.processes import call
from benchmarks.results import Row

#: django-post-office sends this many; its rate does not depend on how many wait.
PEER_SINGLE = 2_000
#: One request a message takes long; the rate does not change beyond this many.
MOST_SINGLE = 100_000
MB = "MB"


@dataclass(frozen=True)
class Context:
    """How large, in which temporary folder, and how many timed rounds (best of)."""

    size: int
    folder: Path
    rounds: int

    def sub(self, name: str) -> Path:
        return self.folder / name

    @property
    def hospital(self) -> Path:
        """A project with the hospital's first dump, generated once."""
        from benchmarks.hospital import write_project

        root = self.sub("hospital")
        if not root.exists():
            root.mkdir()
            write_project(root)
            call("hospital:generate", {"root": str(root), "size": self.size})
        return root


@dataclass(frozen=True)
class Found:
    rows: Sequence[Row]
    notes: Sequence[str] = ()


def ingest(context: Context) -> Found:
    done = call("ingest:measure", {"root": str(context.hospital), "rounds": context.rounds})
    best = done.answer
    against = "DuckDB copies the same files to Parquet as text"
    return Found([Row("read, map, normalise, quarantine", best["ours"], "s", against, best["baseline"])])


def validation(context: Context) -> Found:
    done = call("validation:measure", {"root": str(context.hospital), "rounds": context.rounds})
    best = done.answer
    scan, clean = "the same checks, one DuckDB scan a table", "the same by hand, with failures and kept rows written"
    return Found(
        [
            Row("validate(): all of it", best["ours"], "s", scan, best["baseline"], limit=3),
            Row("validate(): all of it", best["ours"], "s", clean, best["baseline_clean"]),
            Row("Great Expectations counting, nothing else", best["checks"], "s", scan, best["baseline"]),
        ],
        ["validate() also profiles every column, keeps a reason for each failing row, nulls single values, and scores "
         "each source; the one-scan baseline counts only. Both find the same counts (asserted)."],
    )  # fmt: skip


def segments(context: Context) -> Found:
    root = str(context.sub("segments"))
    call("segments:prepare", {"root": root, "size": context.size})
    best = call("segments:measure", {"root": root, "rounds": context.rounds}).answer
    against = "hand-written SQL (tests/segments/handwritten.sql)"
    return Found([Row("refresh all tags and segments", best["ours"], "s", against, best["baseline"], limit=1.5)])


def evaluation(context: Context) -> Found:
    root = str(context.sub("evaluation"))
    call("evaluation:prepare", {"root": root, "size": context.size})
    best = call("evaluation:measure", {"root": root, "rounds": context.rounds}).answer
    peaks = [call(f"evaluation:{name}", {"root": root}).peak_mb for name in ("evaluate_once", "baseline_once")]
    plain, dated = "one DuckDB query a metric", "the same with the experiment's dates in it"
    return Found(
        [
            Row("sums of 10 metrics", best["aggregation"], "s", plain, best["baseline"], limit=1.5),
            Row("sums of 10 metrics", best["aggregation"], "s", dated, best["dated"]),
            Row("read arms and events from the ledger", best["reading"], "s"),
            Row("all of it, statistics and verdict included", best["ours"], "s"),
            Row("peak memory, all of it", peaks[0], MB, f"{plain}, with the same reading", peaks[1]),
        ],
        ["Both aggregate what was read from the ledger (SQLite) into Arrow, and find the same people, means and "
         "variances (asserted). Ours keeps them apart by look, and follows events of five guardrails day by day."],
    )  # fmt: skip


def rendering(context: Context) -> Found:
    best = call("rendering:measure", {"size": min(context.size, MOST_SINGLE), "rounds": context.rounds}).answer
    plain = best["messages"] / best["baseline"]
    against = "plain Jinja2 loop"
    return Found(
        [
            Row("render one by one", best["messages"] / best["ours"], "msg/s", against, plain, higher=True),
            Row("group for substitution", best["messages"] / best["batched"], "msg/s", against, plain, higher=True),
        ],
        [f"{best['messages']:,} messages of {best['bytes'] / 1024:.0f} KB, one core; both render the same bytes."],
    )


def mail_bytes(context: Context) -> Found:
    best = call("mail_bytes:measure", {"size": min(context.size, 10_000), "rounds": context.rounds}).answer
    plain = best["messages"] / best["baseline"]
    row = Row(
        "one mail as bytes", best["messages"] / best["ours"], "msg/s", "EmailMessage.as_bytes", plain, higher=True
    )
    return Found([row], [f"{best['messages']:,} mails of {best['bytes'] / 1024:.0f} KB, one core; both read the same."])


def delivery_batched(context: Context) -> Found:
    best = _delivery(context, context.size, batched=True)
    ours = best["ours"]
    rows = [
        *_against(best, "anymail", "django-anymail merge_data, 2 processes", 1.5),
        *_against(best, "bare", "bare aiohttp loop, 2 processes", None),
        *_sink_rows(best),
        Row("largest worker", ours["worker_mb"], MB, limit=150),
    ]
    return Found(rows, [_shares(ours), *_absent(best)])


def delivery_single(context: Context) -> Found:
    best = _delivery(context, min(context.size, MOST_SINGLE), batched=False)
    ours = best["ours"]
    rows = [
        Row("running", ours["running"], "msg/s", limit=5000, higher=True),
        *_against(best, "post_office", "django-post-office, 2 processes x 5 threads", None),
        *_against(best, "bare", "bare aiohttp loop, 2 processes", None),
        *_sink_rows(best),
        Row("largest worker", ours["worker_mb"], MB, limit=150),
    ]
    return Found(rows, [_shares(ours), *_absent(best)])


def _delivery(context: Context, size: int, *, batched: bool) -> dict[str, Any]:
    root = context.sub("batched" if batched else "single")
    peers = min(size, PEER_SINGLE)
    arguments = {"root": str(root), "size": size, "batched": batched, "rounds": context.rounds, "peer_size": peers}
    found: dict[str, Any] = call("dispatch:measure", arguments).answer
    return found


def _against(best: dict[str, Any], name: str, words: str, limit: float | None) -> list[Row]:
    if name not in best:
        return []
    ours, other = best["ours"], best[name]
    rows = [Row("running", ours["running"], "msg/s", words, other["running"], limit, higher=True)]
    if other["whole"] != other["running"]:
        rows.append(Row("start of processes included", ours["whole"], "msg/s", words, other["whole"], higher=True))
        rows.append(Row("CPU of the senders a message, start included", ours["cpu"], "us", words, other["cpu"]))
    return rows


def _sink_rows(best: dict[str, Any]) -> list[Row]:
    """Towards a vendor that costs nothing: a real one does not run on the senders' cores, as the stand-in does."""
    words = {"bare_sink": "bare aiohttp loop", "anymail_sink": "django-anymail merge_data, 2 processes"}
    what, ours = "running, vendor that only answers 202", best["ours_sink"]["running"]
    return [Row(what, ours, "msg/s", words[name], best[name]["running"], higher=True) for name in words if name in best]


def _shares(ours: dict[str, Any]) -> str:
    total = sum(ours["seconds"].values())
    shares = ", ".join(f"{name} {seconds / total:.0%}" for name, seconds in ours["seconds"].items())
    return f"Where the lanes' time goes, waiting included: {shares}."


def _absent(best: dict[str, Any]) -> list[str]:
    known = {"anymail", "post_office"} & set(best)
    return [] if known else ["The peers are not installed here (dependency group `peers`): not compared."]


def run(context: Context) -> Found:
    """The whole run, against one of a tenth of the size: how time and memory grow."""
    from benchmarks import prefect_runs
    from benchmarks.steps import run_day

    small = run_day(context.sub("run-small"), max(context.size // 10, 50))
    large = run_day(context.sub("run"), context.size)
    tenth = "a tenth of the patients"
    rows = [_total(large, small)]
    rows += [
        Row(ours.name, ours.seconds, "s", tenth, other.seconds)
        for ours, other in zip(large, small, strict=True)
        if ours.seconds >= 0.5
    ]
    rows += [
        Row(f"{ours.name}: peak memory", ours.peak_mb, MB, tenth, other.peak_mb)
        for ours, other in zip(large, small, strict=True)
        if ours.seconds >= 0.5
    ]
    campaigns = next(step.answer for step in large if step.name == "plan")
    task_runs = prefect_runs.count().of(campaigns)
    rows.append(Row(f"Prefect task runs with {campaigns} campaigns", task_runs, "task runs", limit=100))
    return Found(rows, _run_notes(large))


def _total(large: Sequence[Any], small: Sequence[Any]) -> Row:
    seconds = [sum(step.seconds for step in steps) for steps in (large, small)]
    return Row("all steps", seconds[0], "s", "a tenth of the patients", seconds[1])


def _run_notes(steps: Sequence[Any]) -> list[str]:
    total = next(step.answer for step in steps if step.name == "finish")
    funnel = ", ".join(f"{stage} {count:,}" for stage, count in total.items() if count)
    start = max(step.start_mb for step in steps)
    return [
        f"The run's funnel: {funnel}.",
        f"Memory is that of a step's whole process tree; up to {start:.0f} MB of it are imports (Prefect among them). "
        "DuckDB may use 4 GB (`warehouse.memory_limit`) and spills beyond.",
        "Task runs are counted from the source of the flows (`benchmarks/prefect_runs.py`): one for each call of a "
        "task, once a campaign within loops. Nothing in the flows loops over patients, messages or batches.",
    ]


#: In the order in which they run.
MEASURES: dict[str, Callable[[Context], Found]] = {
    "rendering": rendering,
    "mail-bytes": mail_bytes,
    "ingest": ingest,
    "validation": validation,
    "segments": segments,
    "evaluation": evaluation,
    "delivery-batched": delivery_batched,
    "delivery-single": delivery_single,
    "run": run,
}
