"""`alongside experiment analyse`: the same verdict for a CSV that anybody brings, one row a unit."""

from __future__ import annotations

import math
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from alongside.analysis.csv_files import (
    CsvFile,
    delimiter_name,
    first_bad_line,
    identifier,
    literal,
    open_csv,
    ragged_line,
    relation,
)
from alongside.analysis.judging.comparing import compare_goals
from alongside.analysis.judging.decision import Evidence, decide
from alongside.analysis.observing.sums import ArmSums, Sums
from alongside.analysis.result import Arm, ExperimentResult, MetricInfo, Words
from alongside.analysis.showing.wording import Facts, sentence
from alongside.model.enums import Locale, Verdict
from alongside.model.errors import DataInvalid, Refused
from alongside.model.findings import nearest
from alongside.outreach.experiments.metrics import Direction, MetricKind
from alongside.stats.adjustment import AdjustedArm, Moments, Residuals
from alongside.stats.sample_ratio import sample_ratio

if TYPE_CHECKING:
    import duckdb

_MOST_ARMS = 20
_PLAIN = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII)
_TRUE = ("true", "yes", "y", "t", "是")
_FALSE = ("false", "no", "n", "f", "否")
_MISSING = ("", "na", "n/a", "null", "none", "nan")


@dataclass(frozen=True)
class _Column:
    """One numeric column over the whole file."""

    bad: int
    infinite: int
    binary: bool
    present: int


def analyse_csv(
    path: Path,
    variant: str,
    control: str,
    metrics: Sequence[str],
    *,
    covariate: str | None = None,
    alpha: float = 0.05,
    kinds: Mapping[str, MetricKind] | None = None,
    quantiles: Mapping[str, float] | None = None,
    lower_is_better: Sequence[str] = (),
    shares: Mapping[str, float] | None = None,
    delimiter: str | None = None,
    memory_limit: str = "1GB",
) -> ExperimentResult:
    """Compare the variants of a CSV on one or more metrics.

    Parameters
    ----------
    path : CSV, one row a unit (person); UTF-8 with or without BOM, GB18030 or UTF-16, `.gz` too
    variant, control : column with the arm's name, and which arm is the control
    metrics : columns with 0/1, yes/no (binary) or numbers (continuous); empty cells are missing
    covariate : numeric column measured *before* assignment, which narrows the intervals; missing cells get its mean
    kinds : forces binary or continuous; by default a column of only 0 and 1 is binary
    quantiles : metrics whose quantile is compared instead of their mean, and which one
    shares : planned shares by arm; equal by default

    Raises
    ------
    DataInvalid : the file cannot be read, or a cell is not a number; says the line
    Refused : the question does not fit the file: unknown column or control, one arm only, a covariate that is missing
        more often in one arm
    """
    if not metrics:
        raise Refused("no metric was named", remedy="Name at least one column to compare.")
    _require_known(metrics, kinds or {}, quantiles or {})
    if not 0 < alpha < 1:
        raise Refused(f"alpha is a probability between 0 and 1, not {alpha!r}")
    from alongside.warehouse import connect

    with tempfile.TemporaryDirectory(prefix="alongside-csv-") as folder:
        scratch = Path(folder)
        numbers = list(dict.fromkeys([*metrics, *([covariate] if covariate else [])]))
        with (
            open_csv(path, scratch, delimiter, [variant, *numbers]) as file,
            connect(scratch, memory_limit) as connection,
        ):
            file.require(variant, *numbers)
            _create_view(connection, file, variant, numbers)
            arms = _arms(connection, file, variant, control)
            columns = {name: _column(connection, file, name) for name in numbers}
            infos = [
                _asked(_info(name, columns[name], kinds or {}, lower_is_better, file), quantiles or {})
                for name in metrics
            ]
            sums = {info.name: _sums(connection, info) for info in infos}
            means: dict[str, float] = {}
            notes: tuple[Words, ...] = ()
            if covariate:
                notes = _adjustment_notes(covariate, _unknown(connection, file, covariate, arms))
                adjusted = [info.name for info in infos if info.quantile is None]
                means = _adjust(connection, sums, adjusted, covariate)
    return _conclude(path, control, arms, infos, sums, means, alpha, shares, notes)


def _require_known(metrics: Sequence[str], kinds: Mapping[str, MetricKind], quantiles: Mapping[str, float]) -> None:
    for name in (*kinds, *quantiles):
        if name not in metrics:
            remedy = _capital(nearest(name, metrics)) or f"Compared are: {', '.join(metrics)}."
            raise Refused(f"'{name}' is no metric of this comparison", remedy=remedy)
    for name, kind in kinds.items():
        if kind not in {MetricKind.BINARY, MetricKind.CONTINUOUS}:
            raise Refused(f"a column such as '{name}' is binary or continuous, not {kind}")
    for name, q in quantiles.items():
        if not 0 < q < 1:
            raise Refused(f"the quantile of '{name}' lies between 0 and 1, not {q:g}", remedy="0.5 is the median.")


# ----------------------------------------------------------------------------------------------------- reading it
def _create_view(connection: duckdb.DuckDBPyConnection, file: CsvFile, variant: str, numbers: Sequence[str]) -> None:
    """Table `unit`: `arm` and one DOUBLE per numeric column; NaN marks a cell that is no number.

    Materialised once (a few columns, compressed, spilling), because a CSV is slow to read twice.
    """
    import duckdb

    cells = ", ".join(f"{_number(name)} AS {identifier(name)}" for name in numbers)
    source = relation(file, [variant, *(name for name in numbers if name != variant)])
    try:
        connection.execute(
            f'CREATE TEMP TABLE unit AS SELECT {identifier(variant)} AS "arm of unit", {cells} FROM ({source})'
        )
    except duckdb.Error as error:
        if (line := ragged_line(file)) is not None:
            what = f"the line does not have {len(file.columns)} cells separated by {delimiter_name(file.delimiter)}"
            remedy = "Quote cells that contain the delimiter, or name the right delimiter."
            raise DataInvalid(what, where=f"{file.source}:{line}", remedy=remedy) from error
        what = f"the file is not readable as CSV: {str(error).splitlines()[0][:200]}"
        raise DataInvalid(what, where=str(file.source), remedy="Export it again as plain CSV.") from error


def _number(name: str) -> str:
    cell = identifier(name)
    words = {
        "1.0": _TRUE,
        "0.0": _FALSE,
        "NULL": _MISSING,
    }
    cases = " ".join(
        f"WHEN lower({cell}) IN ({', '.join(literal(word) for word in group)}) THEN {value}"
        for value, group in words.items()
    )
    return f"CASE {cases} WHEN {cell} IS NULL THEN NULL ELSE coalesce(TRY_CAST({cell} AS DOUBLE), 'nan'::DOUBLE) END"


def _is_number(cell: str) -> bool:
    text = cell.strip().lower()
    if text in (*_TRUE, *_FALSE, *_MISSING):
        return True
    return bool(_PLAIN.fullmatch(text)) and math.isfinite(float(text))


def _arms(connection: duckdb.DuckDBPyConnection, file: CsvFile, variant: str, control: str) -> dict[str, int]:
    query = 'SELECT "arm of unit", count(*) FROM unit GROUP BY ALL ORDER BY ALL LIMIT 200'
    found = connection.execute(query).fetchall()
    if not found:
        raise DataInvalid("the file has a header and no rows", where=str(file.source), remedy="Export it again.")
    arms = {name: count for name, count in found if name is not None}
    where = f"{file.source}: column '{variant}'"
    if len(arms) < len(found):
        at = _place(file, first_bad_line(file, variant, lambda cell: bool(cell.strip())))
        raise DataInvalid("a row has no variant", where=at, remedy="Every unit belongs to one arm.")
    if control not in arms:
        remedy = _capital(nearest(control, arms)) or f"It has: {', '.join(list(arms)[:10])}."
        raise Refused(f"no row has the control '{control}'", where=where, remedy=remedy)
    if len(arms) == 1:
        raise Refused("there is one arm only, and nothing to compare it with", where=where)
    if len(arms) > _MOST_ARMS:
        what = f"has more than {_MOST_ARMS} different values: that is not a variant"
        raise Refused(what, where=where, remedy="Name the column that holds the arm.")
    return {control: arms.pop(control), **arms}


def _place(file: CsvFile, line: int | None) -> str:
    return f"{file.source}:{line}" if line else str(file.source)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _column(connection: duckdb.DuckDBPyConnection, file: CsvFile, name: str) -> _Column:
    cell = identifier(name)
    row = connection.execute(
        f"SELECT count(*) FILTER (isnan({cell})), count(*) FILTER (isinf({cell})), "
        f"coalesce(bool_and({cell} IN (0, 1)), false), count({cell}) FROM unit"
    ).fetchone()
    column = _Column(*(row or (0, 0, False, 0)))
    if column.bad or column.infinite:
        where = _place(file, first_bad_line(file, name, _is_number))
        what = f"the cell of column '{name}' is not a {'finite ' if not column.bad else ''}number"
        remedy = "Use plain numbers such as 12.5, 0/1 or yes/no; leave the cell empty where nothing is known."
        raise DataInvalid(what, where=where, remedy=remedy)
    if not column.present:
        raise DataInvalid(f"column '{name}' holds no values", where=str(file.source), remedy="Name another metric.")
    return column


def _info(
    name: str, column: _Column, kinds: Mapping[str, MetricKind], lower: Sequence[str], file: CsvFile
) -> MetricInfo:
    kind = MetricKind(kinds.get(name, MetricKind.BINARY if column.binary else MetricKind.CONTINUOUS))
    if kind is MetricKind.BINARY and not column.binary:
        where = _place(file, first_bad_line(file, name, _is_binary))
        remedy = "Use 0 and 1, or treat it as numbers."
        raise DataInvalid(f"column '{name}' is not binary", where=where, remedy=remedy)
    return MetricInfo(name, kind, Direction.LOWER if name in lower else Direction.HIGHER)


def _asked(info: MetricInfo, quantiles: Mapping[str, float]) -> MetricInfo:
    """With the quantile that was asked for."""
    q = quantiles.get(info.name)
    return info if q is None else replace(info, kind=MetricKind.QUANTILE, quantile=q)


def _is_binary(cell: str) -> bool:
    text = cell.strip().lower()
    if text in (*_TRUE, *_FALSE, *_MISSING):
        return True
    return float(text) in {0.0, 1.0}


# ------------------------------------------------------------------------------------------------------- summing up
def _sums(connection: duckdb.DuckDBPyConnection, info: MetricInfo) -> Sums:
    if info.quantile is not None:
        return _values(connection, info.name)
    cell = identifier(info.name)
    rows = connection.execute(
        f"SELECT \"arm of unit\", count({cell}), coalesce(sum({cell}), 0.0), coalesce(avg({cell}), 'nan'::DOUBLE), "
        f"coalesce(var_samp({cell}), 'nan'::DOUBLE), count(*) - count({cell}) FROM unit GROUP BY ALL"
    ).fetchall()
    return {row[0]: ArmSums(*row[1:]) for row in rows}


def _values(connection: duckdb.DuckDBPyConnection, name: str) -> Sums:
    import numpy as np

    found = {}
    for arm, missing in connection.execute(
        f'SELECT "arm of unit", count(*) - count({identifier(name)}) FROM unit GROUP BY ALL'
    ).fetchall():
        query = f'SELECT {identifier(name)} AS v FROM unit WHERE "arm of unit" = $1 AND v IS NOT NULL ORDER BY v'
        found[arm] = ArmSums.of_values(np.asarray(connection.execute(query, [arm]).fetchnumpy()["v"]), missing)
    return found


def _unknown(connection: duckdb.DuckDBPyConnection, file: CsvFile, covariate: str, arms: Mapping[str, int]) -> int:
    """Rows without the covariate, which get its mean; refused where the arms lack it more unequally than by chance.

    What was measured before assignment is missing alike in every arm. Where it is not, its mean says nothing of the
    arm that lacks it, and the interval would be too narrow.
    """
    rows = connection.execute(
        f'SELECT "arm of unit", count(*) FILTER ({identifier(covariate)} IS NULL) FROM unit GROUP BY ALL'
    ).fetchall()
    missing = {arm: int(count) for arm, count in rows}
    present = {arm: count - missing[arm] for arm, count in arms.items()}
    if all(present.values()) and not any(sample_ratio(counts, arms).mismatch for counts in (missing, present)):
        return sum(missing.values())
    counts = ", ".join(f"{missing[arm]:,} of {count:,} in {arm}" for arm, count in arms.items())
    what = f"the covariate '{covariate}' is missing unequally ({counts}): it was not measured alike before assignment"
    raise Refused(what, where=str(file.source), remedy="Leave it out, or name a column that every arm has alike.")


def _adjust(
    connection: duckdb.DuckDBPyConnection, sums: dict[str, Sums], names: Sequence[str], covariate: str
) -> dict[str, float]:
    """Add the adjusted arms to `sums`; returns the covariate's mean over each metric's units."""
    means = {}
    for name in names:
        overall, arms = _regress(connection, name, covariate)
        means[name] = overall
        sums[name] = {arm: _with(item, arms.get(arm)) for arm, item in sums[name].items()}
    return means


def _with(item: ArmSums, adjusted: AdjustedArm | None) -> ArmSums:
    return replace(item, adjusted=adjusted)


def _regress(connection: duckdb.DuckDBPyConnection, name: str, covariate: str) -> tuple[float, dict[str, AdjustedArm]]:
    """Two passes: each arm's moments, then its weighted residuals (see `stats.adjustment.Residuals`)."""
    pairs = (
        f'SELECT "arm of unit" AS arm, {identifier(name)} AS y, '
        f"coalesce({identifier(covariate)}, avg({identifier(covariate)}) OVER ()) AS x "
        f"FROM unit WHERE {identifier(name)} IS NOT NULL"
    )
    moments = {
        row[0]: Moments(*row[1:])
        for row in connection.execute(
            f"SELECT arm, count(*), avg(y), avg(x), var_pop(y) * count(*), var_pop(x) * count(*), "
            f"covar_pop(x, y) * count(*) FROM ({pairs}) GROUP BY arm"
        ).fetchall()
    }
    lines = ", ".join(
        f"({literal(arm)}, {m.n}, {_exact(m.mean_y)}, {_exact(m.mean_x)}, {_exact(m.slope)}, "
        f"{_exact(m.sum_xx if m.sum_xx > 0 else 1e308)})"
        for arm, m in moments.items()
    )
    weighted = connection.execute(
        f"""
        WITH line(arm, n, mean_y, mean_x, slope, sum_xx) AS (VALUES {lines}),
        residual AS (
            SELECT
                arm, x - mean_x AS dx, y - mean_y - slope * (x - mean_x) AS e,
                1 - 1.0 / n - (x - mean_x) * (x - mean_x) / sum_xx AS slack
            FROM ({pairs}) JOIN line USING (arm)
        ),
        weight AS (SELECT arm, dx, CASE WHEN slack > 1e-12 THEN e * e / slack ELSE 0 END AS w FROM residual)
        SELECT arm, sum(w), sum(w * dx), sum(w * dx * dx) FROM weight GROUP BY arm
        """
    ).fetchall()
    total = sum(item.n for item in moments.values())
    overall = sum(item.mean_x * item.n for item in moments.values()) / total
    return overall, {row[0]: AdjustedArm(moments[row[0]], Residuals(*row[1:])) for row in weighted}


def _exact(number: float) -> str:
    """A number as SQL, infinite ones included: sums of huge values overflow."""
    return f"'{number!r}'::DOUBLE"


# ------------------------------------------------------------------------------------------------------- conclusion
def _conclude(
    path: Path,
    control: str,
    counts: Mapping[str, int],
    infos: Sequence[MetricInfo],
    sums: Mapping[str, Sums],
    means: Mapping[str, float],
    alpha: float,
    shares: Mapping[str, float] | None,
    notes: Sequence[Words],
) -> ExperimentResult:
    treatments = [name for name in counts if name != control]
    goals = compare_goals(infos, sums, treatments, control, alpha, means)
    planned = dict(shares) if shares else dict.fromkeys(counts, 1 / len(counts))
    if set(planned) != set(counts) or not all(0 < share < math.inf for share in planned.values()):
        what = f"the planned shares name {sorted(planned)}, the file has {sorted(counts)}"
        raise Refused(what, where=str(path), remedy="Give every arm its positive share.")
    ratio = sample_ratio(counts, {name: planned[name] for name in counts})
    decided = decide(Evidence(goals, (), ratio if ratio.mismatch else None))
    arms = {
        name: Arm(n, {info.name: sums[info.name][name].as_metric(info) for info in infos}) for name, n in counts.items()
    }
    facts = Facts(control, arms, alpha, ratio, has_guardrails=False, exploratory=False)
    return ExperimentResult(
        name=path.name,
        control=control,
        alpha=alpha,
        arms=arms,
        goals=goals,
        guardrails=(),
        sample_ratio=ratio,
        verdict=decided.verdict,
        winner=decided.variant if decided.verdict is Verdict.SHIP else None,
        verdict_text=sentence(decided, facts),
        notes=(*_notes(infos, sums), *notes, *(_EQUAL_SHARES if shares is None and ratio.mismatch else ())),
    )


_EQUAL_SHARES: Sequence[Words] = (
    {
        Locale.ZH_CN: "假定各组份额相等；若计划不同，请给出计划份额",
        Locale.EN: "equal shares were assumed: name the planned ones if they were not equal",
    },
)


def _notes(infos: Sequence[MetricInfo], sums: Mapping[str, Sums]) -> tuple[Words, ...]:
    notes: list[Words] = []
    for info in infos:
        if missing := sum(item.missing for item in sums[info.name].values()):
            zh = f"{missing:,} 行没有“{info.name}”的数值，未计入该指标"
            en = f"{missing:,} rows have no value of “{info.name}” and are left out of it"
            notes.append({Locale.ZH_CN: zh, Locale.EN: en})
    return tuple(notes)


def _adjustment_notes(covariate: str, unknown: int) -> tuple[Words, ...]:
    zh = f"差异已按“{covariate}”校正；它必须在分组之前测得"
    en = f"differences are adjusted for “{covariate}”, which must have been measured before assignment"
    if not unknown:
        return ({Locale.ZH_CN: zh, Locale.EN: en},)
    zh_unknown = f"{unknown:,} 行没有“{covariate}”，以其均值代替"
    en_unknown = f"{unknown:,} rows have no “{covariate}” and get its mean"
    return {Locale.ZH_CN: zh, Locale.EN: en}, {Locale.ZH_CN: zh_unknown, Locale.EN: en_unknown}
