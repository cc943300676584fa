"""Anybody's CSV: the same verdict, and errors that say file, line and remedy."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
import statsmodels.api as sm

from alongside.analysis import analyse_csv
from alongside.model.enums import Locale, Verdict
from alongside.model.errors import AlongsideError, DataInvalid, Refused
from alongside.outreach.experiments import MetricKind
from alongside.stats import Method, Unavailable
from alongside.stats.proportions import Proportion, compare_proportions
from alongside.stats.quantiles import compare_ordered


def _write(path: Path, text: str | bytes, encoding: str = "utf-8") -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
    return path


@pytest.fixture(scope="module")
def trial() -> dict[str, np.ndarray]:
    random = np.random.default_rng(20)
    n = 1200
    treated = random.random(n) < 0.5
    before = random.normal(10, 3, n)
    return {
        "arm": np.where(treated, "B", "A"),
        "booked": (random.random(n) < np.where(treated, 0.23, 0.15)).astype(int),
        "minutes": before + random.normal(0, 1, n) + 0.2 * treated,
        "before": before,
    }


@pytest.fixture(scope="module")
def file(trial: dict[str, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = zip(*trial.values(), strict=True)
    text = ",".join(trial) + "\n" + "\n".join(",".join(map(str, row)) for row in rows) + "\n"
    return _write(tmp_path_factory.mktemp("csv") / "trial.csv", text)


def test_binary_metrics_get_the_score_test(trial, file):
    result = analyse_csv(file, "arm", "A", ["booked"])
    arms = [trial["booked"][trial["arm"] == name] for name in "BA"]
    expected = compare_proportions(*(Proportion(len(arm), int(arm.sum())) for arm in arms))
    assert result.goals[0].comparison == expected
    assert (result.verdict, result.winner) == (Verdict.SHIP, "B")
    assert "booked" in result.verdict_text[Locale.EN]


def test_continuous_metrics_get_welch(trial, file):
    result = analyse_csv(file, "arm", "A", ["minutes"])
    arms = [trial["minutes"][trial["arm"] == name] for name in "BA"]
    peer = scipy.stats.ttest_ind(*arms, equal_var=False)
    assert result.goals[0].comparison.p_value == pytest.approx(peer.pvalue)
    assert result.goals[0].comparison.method is Method.WELCH


def test_a_quantile_is_compared_where_it_is_asked_for(trial, file):
    result = analyse_csv(file, "arm", "A", ["minutes", "booked"], quantiles={"minutes": 0.9}, covariate="before")
    arms = [np.sort(trial["minutes"][trial["arm"] == name]) for name in "BA"]
    expected = compare_ordered(*arms, 0.9)
    found = result.goals[0].comparison
    assert (found.difference, found.p_value) == pytest.approx((expected.difference, expected.p_value))
    assert result.arms["A"].metrics["minutes"].mean == pytest.approx(np.quantile(arms[1], 0.9))
    assert result.goals[1].comparison.method == "adjusted"
    for wrong in ({"minutes": 1.5}, {"hours": 0.5}):
        with pytest.raises(Refused):
            analyse_csv(file, "arm", "A", ["minutes"], quantiles=wrong)


def test_a_covariate_is_regression_adjustment_with_hc2(trial, file):
    result = analyse_csv(file, "arm", "A", ["minutes"], covariate="before")
    treated = trial["arm"] == "B"
    centred = trial["before"] - trial["before"].mean()
    design = np.column_stack([np.ones(len(centred)), treated, centred, treated * centred])
    peer = sm.OLS(trial["minutes"], design).fit(cov_type="HC2")
    ours = result.goals[0].comparison
    assert ours.difference == pytest.approx(peer.params[1])
    assert ours.standard_error == pytest.approx(peer.bse[1])
    plain = analyse_csv(file, "arm", "A", ["minutes"]).goals[0].comparison
    assert ours.standard_error < 0.5 * plain.standard_error


def test_json_has_the_documented_shape(file):
    shape = json.loads(json.dumps(analyse_csv(file, "arm", "A", ["booked", "minutes"]).to_json()))
    assert set(shape["arms"]["A"]["mean"]) == {"booked", "minutes"}
    assert [item["metric"] for item in shape["comparisons"]] == ["booked", "minutes"]
    assert shape["sample_ratio"]["p_value"] > 0.001
    assert shape["maturity"] is None


def test_several_metrics_are_one_family(file):
    goals = analyse_csv(file, "arm", "A", ["booked", "minutes"]).goals
    assert all(goal.adjusted_p >= goal.comparison.p_value for goal in goals)
    half = analyse_csv(file, "arm", "A", ["booked", "minutes"], alpha=0.025).goals
    for goal, alone in zip(goals, half, strict=True):
        low, high = alone.comparison.interval.low, alone.comparison.interval.high
        if goal.significant and low < 0 < high:  # claimed at Holm's second level alone
            low = 0.0
        assert (goal.adjusted.low, goal.adjusted.high) == (low, high)


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("arm,y\nA,1\nB,0\nB,1\nA,0\n", "utf-8"),
        ("arm,y\nA,1\nB,0\nB,1\nA,0\n", "utf-8-sig"),
        ("arm,y\nA,1\nB,0\nB,1\nA,0", "utf-16"),
        ("arm;y\r\nA;1\r\nB;0\r\n\r\nB;1\r\nA;0\r\n", "utf-8"),
        ("arm\ty\nA\t1\nB\t0\nB\t1\nA\t0\n", "utf-8"),
        ('"arm","y","words, quoted"\n"A",1,"a, b\nc"\n"B",0,""\n"B",1,""""\n"A",0,x\n', "utf-8"),
        ("arm,y,名\nA,是,张\nB,否,李\nB,YES,王\nA,No,赵\n", "gb18030"),
        (" arm , y \n A , 1 \nB, 0\nB,1\nA,0\n", "utf-8"),
    ],
    ids=["plain", "BOM", "UTF-16", "semicolons", "tabs", "quoted", "GB18030 and words", "blanks"],
)
def test_files_as_people_export_them(tmp_path: Path, text: str, encoding: str):
    result = analyse_csv(_write(tmp_path / "trial.csv", text, encoding), "arm", "A", ["y"])
    assert {name: arm.metrics["y"].mean for name, arm in result.arms.items()} == {"A": 0.5, "B": 0.5}
    assert result.goals[0].metric.kind is MetricKind.BINARY


def test_compressed_files_are_read(tmp_path: Path, file: Path):
    packed = _write(tmp_path / "trial.csv.gz", gzip.compress(file.read_bytes()))
    assert analyse_csv(packed, "arm", "A", ["booked"]).goals == analyse_csv(file, "arm", "A", ["booked"]).goals


def test_a_cell_of_ten_megabytes_does_no_harm(tmp_path: Path):
    path = _write(tmp_path / "big.csv", "arm,y,notes\nA,1," + "x" * 10_000_000 + "\nB,0,\nB,1,\nA,0,\n")
    assert analyse_csv(path, "arm", "A", ["y"]).arms["A"].n == 2


def test_missing_cells_are_left_out_and_counted(tmp_path: Path):
    path = _write(tmp_path / "t.csv", "arm,y\nA,1.5\nA,NA\nA,2\nB,\nB,3\nB,4\nB,null\n")
    result = analyse_csv(path, "arm", "A", ["y"])
    assert (result.arms["A"].metrics["y"].n, result.arms["B"].metrics["y"].n) == (2, 2)
    assert "3 rows have no value" in result.to_json()["notes"][0]


def test_a_missing_covariate_keeps_its_row(tmp_path: Path):
    lines = "\n".join(f"{'AB'[i % 2]},{i % 7},{'' if i == 3 else i % 5}" for i in range(40))
    result = analyse_csv(_write(tmp_path / "t.csv", f"arm,y,x\n{lines}\n"), "arm", "A", ["y"], covariate="x")
    assert sum(arm.metrics["y"].n for arm in result.arms.values()) == 40


def test_planned_shares_other_than_equal(tmp_path: Path):
    lines = "\n".join(f"{'A' if i % 10 else 'B'},{i % 3}" for i in range(1000))
    path = _write(tmp_path / "t.csv", f"arm,y\n{lines}\n")
    assert analyse_csv(path, "arm", "A", ["y"]).verdict is Verdict.INVALID
    assert analyse_csv(path, "arm", "A", ["y"], shares={"A": 0.9, "B": 0.1}).verdict is not Verdict.INVALID


def test_lower_can_be_better(file):
    assert analyse_csv(file, "arm", "A", ["booked"], lower_is_better=["booked"]).verdict is Verdict.KEEP_CONTROL


def test_column_names_are_data_never_sql(tmp_path: Path):
    name = "y\"; DROP TABLE unit; --'"
    quoted = '"' + name.replace('"', '""') + '"'
    path = _write(tmp_path / "it's.csv", f"arm,{quoted}\nA,1\nB,0\nB,1\nA,0\n")
    assert analyse_csv(path, "arm", "A", [name]).arms["A"].n == 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the file is empty"),
        ("\n1,2\n", "the first line is empty"),
        ("arm,y\n", "a header and no rows"),
        ("arm,y\nA,1\nA,0\n", "one arm only"),
        ("Arm,y\nA,1\nB,0\n", "no column 'arm'. Did you mean 'Arm'?"),
        ("arm,yy\nA,1\nB,0\n", "no column 'y'. Did you mean 'yy'?"),
        ("arm:y\nA:1\nB:0\n", "name the right delimiter"),
        ("arm,y,y\nA,1,2\nB,0,2\n", "column 'y' stands twice"),
        ("arm,y\nA,1\nB,0\nB,2,3\n", ":4: the line does not have 2 cells separated by a comma"),
        ("arm,y\nA,1\nB\nB,2\n", ":3: the line does not have 2 cells"),
        ("arm,y\nA,1\n,0\nB,2\n", ":3: a row has no variant"),
        ("arm,y\nA,1\nB,twelve\nB,2\n", ":3: the cell of column 'y' is not a number"),
        ('arm,y\nA,"1,5"\nB,2\n', ":2: the cell of column 'y' is not a number"),
        ("arm,y\nA,１２\nB,2\n", ":2: the cell of column 'y' is not a number"),
        ('arm,y,z\nA,1,"a\nb"\nB,-,c\n', ":4: the cell of column 'y' is not a number"),
        ("arm,y\nA,1\nB,inf\nB,2\n", ":3: the cell of column 'y' is not a finite number"),
        ("arm,y\nA,1\nB,1e999\nB,2\n", ":3: the cell of column 'y' is not a finite number"),
        ("arm,y\nA,\nB,\n", "column 'y' holds no values"),
        ("arm,y\nX,1\nB,2\n", "no row has the control 'A'. It has: B, X."),
        ("arm,y\n" + "".join(f"v{i},1\n" for i in range(40)) + "A,2\n", "that is not a variant"),
        ('arm,y\nA,1\nB,"2\n', "not readable as CSV"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\xff\xfe", "neither UTF-8 nor GB18030"),
        (b"PK\x03\x04\x14\x00\x06\x00", "not text"),
    ],
)
def test_bad_files_are_explained(tmp_path: Path, text: str | bytes, words: str):
    path = _write(tmp_path / "trial.csv", text)
    with pytest.raises(AlongsideError) as error:
        analyse_csv(path, "arm", "A", ["y"])
    assert isinstance(error.value, DataInvalid | Refused)
    assert words in str(error.value)
    assert "trial.csv" in str(error.value)


def test_truncated_gzip_is_explained(tmp_path: Path, file: Path):
    path = _write(tmp_path / "t.csv.gz", gzip.compress(file.read_bytes())[:-200])
    with pytest.raises(DataInvalid, match="truncated or damaged"):
        analyse_csv(path, "arm", "A", ["booked"])


def test_a_missing_file_is_explained(tmp_path: Path):
    with pytest.raises(DataInvalid, match="No such file"):
        analyse_csv(tmp_path / "none.csv", "arm", "A", ["y"])


def test_forcing_binary_on_numbers_names_the_line(tmp_path: Path):
    path = _write(tmp_path / "t.csv", "arm,y\nA,1\nB,0\nB,1.5\nA,2\n")
    with pytest.raises(DataInvalid, match=r"t.csv:4: column 'y' is not binary"):
        analyse_csv(path, "arm", "A", ["y"], kinds={"y": MetricKind.BINARY})


def test_forcing_numbers_on_binary_gives_welch(file):
    result = analyse_csv(file, "arm", "A", ["booked"], kinds={"booked": MetricKind.CONTINUOUS})
    assert result.goals[0].comparison.method is Method.WELCH


@pytest.mark.parametrize(("metrics", "alpha", "words"), [([], 0.05, "no metric"), (["booked"], 5.0, "alpha")])
def test_an_impossible_question_is_refused(file, metrics, alpha, words):
    with pytest.raises(Refused, match=words):
        analyse_csv(file, "arm", "A", metrics, alpha=alpha)


@pytest.mark.parametrize("shares", [{"A": 0.5, "C": 0.5}, {"A": 0.5, "B": float("nan")}, {"A": 1, "B": float("inf")}])
def test_shares_must_name_the_arms(file, shares):
    with pytest.raises(Refused, match="planned shares"):
        analyse_csv(file, "arm", "A", ["booked"], shares=shares)


def test_a_covariate_that_tells_everything_leaves_no_difference_of_rounding(tmp_path: Path):
    """Twice the covariate and a bit: what is left differs by 1e-15, which proves nothing."""
    x = np.random.default_rng(0).normal(10, 3, 301)
    lines = "\n".join(f"{'AB'[place % 7 % 2]},{2 * value + 1.1},{value}" for place, value in enumerate(x))
    result = analyse_csv(_write(tmp_path / "t.csv", f"arm,y,x\n{lines}\n"), "arm", "A", ["y"], covariate="x")
    comparison = result.goals[0].comparison
    assert (comparison.reason, comparison.difference) == (Unavailable.NO_VARIATION, 0.0)
    assert result.verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize("missing", [40, 25])
def test_a_covariate_that_one_arm_lacks_is_refused(tmp_path: Path, missing: int):
    """With its mean in the place of what is missing, that arm would look better known than it is."""
    x = np.random.default_rng(0).normal(10, 3, 80)
    cells = ["" if place % 2 and place < 2 * missing else str(value) for place, value in enumerate(x)]
    lines = "\n".join(f"{'AB'[place % 2]},{value},{cells[place]}" for place, value in enumerate(x))
    with pytest.raises(Refused, match=f"0 of 40 in A, {missing} of 40 in B"):
        analyse_csv(_write(tmp_path / "t.csv", f"arm,y,x\n{lines}\n"), "arm", "A", ["y"], covariate="x")


def test_a_covariate_too_large_to_square_is_no_crash(tmp_path: Path):
    lines = "\n".join(f"{'AB'[place % 2]},{place},{place}e200" for place in range(40))
    result = analyse_csv(_write(tmp_path / "t.csv", f"arm,y,x\n{lines}\n"), "arm", "A", ["y"], covariate="x")
    assert result.goals[0].comparison.reason is Unavailable.NOT_FINITE
