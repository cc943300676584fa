"""All values of a metric that asks for a quantile. They stay columns of numbers: nothing is done person by person."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from alongside.analysis.observing.metric_sql import Facts, values_sql
from alongside.analysis.observing.sums import ArmSums
from alongside.outreach.experiments import Metric

if TYPE_CHECKING:
    import duckdb


def read_values(
    connection: duckdb.DuckDBPyConnection,
    metric: Metric,
    facts: Facts,
    limits: Sequence[Any],
    column: str | None = None,
) -> dict[Any, dict[str, ArmSums]]:
    """By look (or the value of a person's column), then arm; the metric's rows stand in `counted`.

    Parameters
    ----------
    limits : the parameters of `person_outcome.sql`
    """
    import numpy as np

    found: dict[Any, dict[str, ArmSums]] = {}
    reader = connection.sql(values_sql(metric, facts, column), params=list(limits)).to_arrow_reader(1_000)
    for batch in reader:
        rows = {name: batch.column(name) for name in ("variant", "by", "missing", "outcomes")}
        for number in range(batch.num_rows):
            variant, by, missing = (rows[name][number].as_py() for name in ("variant", "by", "missing"))
            values = rows["outcomes"][number].values
            # Copied: a slice would keep the whole batch alive.
            outcomes = np.empty(0) if values is None else values.to_numpy(zero_copy_only=False).copy()
            found.setdefault(by, {})[variant] = ArmSums.of_values(outcomes, missing)
    return found
