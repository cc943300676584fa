"""Options with values that nothing could mean: exit code 2, the option's name and what to write, never a traceback."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from alongside.cli import app as cli
from alongside.cli import options
from alongside.ledger import Ledger
from alongside.model.errors import Refused
from tests.cli.conftest import here

FLU, TEST = "prevention/flu_vaccine", "hypertension_review_wording"
CSV = ("experiment", "analyse", "--data", "x.csv", "--variant", "arm", "--control", "a", "--metric", "m")
LONG = "x" * 121
WRONG = [
    (("plan", "--as-of", "nonsense"), "--as-of"),
    (("plan", "--as-of", "2026-02-30T08:00"), "--as-of"),
    (("plan", "--as-of", "9999-12-31T23:59"), "--as-of"),  # no zone has a day after it
    (("plan", "--as-of", ""), "--as-of"),
    (("run", "--as-of", "0001-01-01"), "--as-of"),
    (("run", "--partitions", "0"), "--partitions"),
    (("approve", "flu_vaccine", "--max-audience", "0"), "--max-audience"),
    (("approve", "flu_vaccine", "--max-change", "-1"), "--max-change"),
    (("approve", "flu_vaccine", "--max-change", "nan"), "--max-change"),
    (("approve", "flu_vaccine", "--max-cost", "-0.5"), "--max-cost"),
    (("approve", "flu_vaccine", "--max-cost", "inf"), "--max-cost"),
    (("approve", "flu_vaccine", "--exact-plan", "latest"), "--exact-plan"),
    (("approve", "flu_vaccine", "--by", " "), "--by"),
    (("approve", "flu_vaccine", "--by", LONG), "--by"),  # longer than the ledger's column
    (("resolve", "--campaign", "c", "--as", "accepted", "--because", "x", "--by", LONG), "--by"),
    (("preview", FLU, "--locale", "fr"), "--locale"),
    (("preview", FLU, "--html", "no such folder/x.html"), "--html"),
    (("preview", FLU, "--html", "."), "--html"),
    (("send-test", FLU, "--to", "nobody"), "--to"),
    (("send-test", FLU, "--to", "a@example.com", "--locale", "fr"), "--locale"),
    (("why", "p0", "--runs", "0"), "--runs"),
    (("pause", "everything"), "SCOPE"),
    (("pause", "channel:"), "SCOPE"),
    (("resume", "campaign"), "SCOPE"),
    (("deliveries", "--limit", "0"), "--limit"),
    (("hospital", "generate", "--start", "nonsense"), "--start"),
    (("hospital", "generate", "--start", "9999-12-31"), "--start"),
    (("hospital", "generate", "--patients", "9"), "--patients"),
    (("hospital", "generate", "--dir", "a file/below"), "--dir"),
    (("init", "a file"), "DIR"),
    (("sandbox", "--port", "65536"), "--port"),
    (("sandbox", "--fault", "earthquake"), "--fault"),
    (("sandbox", "--fault", "throttle:rate=much"), "--fault"),
    (("sandbox", "--dir", "a file"), "--dir"),
    (("web", "--port", "-1"), "--port"),
    (("deploy", "--pool", "a/b"), "--pool"),
    (("experiment", "design", TEST, "--audience", "-5"), "--audience"),
    (("experiment", "design", TEST, "--per-day", "nan"), "--per-day"),
    (("experiment", "design", TEST, "--per-day", "inf"), "--per-day"),
    ((*CSV, "--alpha", "nan"), "--alpha"),
    ((*CSV, "--alpha", "7"), "--alpha"),
    ((*CSV, "--delimiter", "ab"), "--delimiter"),
    ((*CSV, "--share", "a=much"), "--share"),
    ((*CSV, "--kind", "m=poem"), "--kind"),
    (("demo", "--days", "0"), "--days"),
]  # fmt: skip


@pytest.fixture
def _writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "a file").write_text("", "utf-8")
    monkeypatch.chdir(tmp_path)
    yield
    assert [path.name for path in tmp_path.iterdir()] == ["a file"]  # nothing was written before it was understood


@pytest.mark.usefixtures("_writes_nothing")
@pytest.mark.parametrize(("words", "told"), WRONG, ids=[" ".join(words) for words, _ in WRONG])
def test_wrong_values_are_wrong_usage(words: tuple[str, ...], told: str) -> None:
    done = here(*words)
    assert done.exit_code == 2, done.exception
    assert told in done.stderr


@pytest.mark.parametrize(
    ("given", "read"),
    [("2026-03-01T08:00", "2026-03-01T08:00:00"), ("2026-03-01", "2026-03-01T00:00:00")],
)
def test_a_moment_may_leave_out_its_zone_and_its_hour(given: str, read: str) -> None:
    assert options.moment(given).isoformat() == read


def test_a_tab_can_be_written() -> None:
    assert options.character(r"\t") == "\t"


# ------------------------------------------------------------------------ what has the right form and does not exist
@pytest.mark.parametrize(
    ("scope", "told"),
    [
        ("channel:pigeon", "email"),
        ("run:nope", "no run 'nope'"),
        ("campaign:flu_vacine", "did you mean 'flu_vaccine'?"),
    ],
)
def test_what_does_not_exist_is_not_paused(scope: str, told: str, shipped: Ledger) -> None:
    done = here("pause", scope)
    assert done.exit_code == 1
    assert told in (str(done.exception) if isinstance(done.exception, Refused) else done.stderr)
    assert shipped.read_arrow("SELECT count(*) AS n FROM pause")["n"].to_pylist() == [0]


@pytest.mark.parametrize("words", [("--campaign", "nope"), ("--source", "poems=/"), ("--source", "his=/nowhere")])
def test_a_run_of_what_does_not_exist_does_not_begin(words: tuple[str, ...], shipped: Ledger) -> None:
    assert isinstance(here("run", *words).exception, Refused)


@pytest.mark.parametrize(
    ("code", "ended"), [(errno.ENOSPC, SystemExit), (errno.EACCES, SystemExit), (errno.ENOENT, FileNotFoundError)]
)
def test_a_full_disk_is_told_in_one_line(
    code: int, ended: type[BaseException], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    full = typer.Typer()

    @full.command()
    def write() -> None:
        raise OSError(code, "the reason", "/srv/var/x")

    monkeypatch.setattr(cli, "app", lambda: full(args=[], standalone_mode=False))
    monkeypatch.setattr(cli, "_silence_bindings", lambda: None)
    with pytest.raises(ended):
        cli.run_app()
    assert ("/srv/var/x: the reason" in capsys.readouterr().err) is (ended is SystemExit)
