"""The benchmarks run, at a tiny size, and yield ratios. Whether these are good is for `make bench` to say."""

from __future__ import annotations

from pathlib import Path

import pytest

from alongside.ledger import Ledger
from benchmarks import evaluation, prefect_runs, validation
from benchmarks.__main__ import parser, take
from benchmarks.hospital import canonical, generate, write_project
from benchmarks.measures import MEASURES, Context
from benchmarks.results import MARK, Record, Row, people, remember
from benchmarks.timing import best_of


@pytest.mark.parametrize("measure", ["rendering", "segments", "evaluation", "delivery-batched"])
def test_a_measure_takes_a_ratio_against_its_baseline_in_processes_of_its_own(tmp_path: Path, measure: str) -> None:
    record = take(measure, "200", Context(200, tmp_path, rounds=1))
    ratios = [row.ratio for row in record.rows if row.baseline is not None]
    assert ratios
    assert all(ratio is not None and ratio > 0 for ratio in ratios)
    remember([record], tmp_path)
    written = (tmp_path / "RESULTS.md").read_text("utf-8")
    assert f"--only {measure}" in written
    assert record.rows[0].cells()[3] in written


def test_the_hand_written_checks_count_what_great_expectations_counts(tmp_path: Path) -> None:
    write_project(tmp_path)
    generate(str(tmp_path), 150)
    staging = canonical(tmp_path)
    validation.agree(tmp_path, staging)
    validation.count_by_great_expectations(tmp_path, staging)
    assert sum(validation.count_by_hand(tmp_path, staging).values()) > 0


def test_the_hand_written_sums_are_those_of_the_evaluation_or_there_is_no_comparison(tmp_path: Path) -> None:
    evaluation.prepare(str(tmp_path), 300)
    assigned, events = evaluation.read(Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}"))
    observed = evaluation.aggregation(tmp_path, assigned, events)
    by_hand = evaluation.baseline(tmp_path, assigned, events, dated=True)
    assert len(by_hand) == len(evaluation.definition().metrics) == 10
    evaluation.agree(observed, by_hand)
    people, mean, variance = by_hand["visits"]["other"]
    by_hand["visits"]["other"] = (people, mean * 1.001, variance)
    with pytest.raises(ArithmeticError, match="visits of other"):
        evaluation.agree(observed, by_hand)


def test_task_runs_grow_with_campaigns_only_and_stay_below_a_hundred() -> None:
    found = prefect_runs.count()
    assert found.per_campaign == 1
    assert found.once >= 13
    assert found.of(50) <= 100


def test_calls_within_loops_and_called_flows_are_counted(tmp_path: Path) -> None:
    (tmp_path / "tasks").mkdir()
    (tmp_path / "flows").mkdir()
    (tmp_path / "tasks" / "steps.py").write_text("@task\ndef a(): ...\n@task(name='b')\ndef b(): ...\ndef c(): ...\n")
    (tmp_path / "flows" / "daily.py").write_text(
        "def daily():\n    a()\n    c()\n    if late:\n        steps.a()\n    inner()\n    return [b(x) for x in ys]\n"
        "def inner():\n    for name in names:\n        b(name)\n    a()\n"
    )
    assert prefect_runs.count("daily", tmp_path) == prefect_runs.TaskRuns(once=3, per_campaign=2)


@pytest.mark.parametrize(
    ("row", "met"),
    [
        (Row("time", 2.0, "s", "scan", 1.0, limit=3), True),
        (Row("time", 4.0, "s", "scan", 1.0, limit=3), False),
        (Row("speed", 4.0, "msg/s", "peer", 2.0, limit=1.5, higher=True), True),
        (Row("speed", 2.0, "msg/s", "peer", 2.0, limit=1.5, higher=True), False),
        (Row("memory", 151.0, "MB", limit=150), False),
        (Row("time", 4.0, "s", "scan", 1.0), None),
    ],
)
def test_a_target_is_met_or_missed_and_the_table_says_which(row: Row, met: bool | None) -> None:
    assert row.met is met
    assert ("MISSED" in row.cells()[4]) is (met is False)


def test_records_replace_those_of_the_same_size_and_keep_the_words_above_them(tmp_path: Path) -> None:
    page = tmp_path / "RESULTS.md"
    page.write_text(f"# Results\n\nWords.\n\n{MARK}\nold\n", "utf-8")
    for seconds in (1.0, 2.0):
        remember([Record("ingest", "10k", (Row("read", seconds, "s"),))], tmp_path)
    remember([Record("ingest", "1k", (Row("read", 9.0, "s"),))], tmp_path)
    text = page.read_text("utf-8")
    assert text.startswith("# Results\n\nWords.\n")
    assert "old" not in text
    assert "| 1 s |" not in text
    assert text.index("## 1,000 patients") < text.index("## 10,000 patients")


def test_contenders_take_turns_after_a_warm_up_and_the_best_round_counts() -> None:
    calls: list[str] = []
    best = best_of(2, {"ours": lambda: calls.append("o"), "baseline": lambda: calls.append("b")})
    assert calls == ["o", "b", "o", "b", "b", "o"]
    assert set(best) == {"ours", "baseline"}


@pytest.mark.parametrize(("text", "count"), [("10k", 10_000), ("1m", 1_000_000), ("500", 500)])
def test_sizes_are_read_as_people_write_them(text: str, count: int) -> None:
    assert people(text) == count


@pytest.mark.parametrize("size", ["many", "5", "100m", ""])
def test_a_size_that_is_none_is_refused(size: str) -> None:
    with pytest.raises(SystemExit):
        parser().parse_args(["--size", size])


def test_every_measure_of_the_plan_exists() -> None:
    made = {"ingest", "validation", "segments", "evaluation", "rendering", "mail-bytes", "run"}
    assert made | {"delivery-batched", "delivery-single"} == set(MEASURES)
