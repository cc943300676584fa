"""Backup and restore: everything comes back, on either store; whatever is wrong is found before anything changes."""

from __future__ import annotations

import json
import multiprocessing
import signal
import stat
import zipfile
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from alongside.ledger import Ledger, calls, claims, pauses, schema
from alongside.ledger.backups import RestoreReport, backup, inspect, restore, rows
from alongside.ledger.claims import Scope
from alongside.ledger.consent import ConsentEvent, record
from alongside.ledger.failpoints import arm
from alongside.ledger.settlement import Settlement
from alongside.ledger.suppressions import Suppression
from alongside.ledger.suppressions import add as suppress
from alongside.ledger.vault import Identity, Vault
from alongside.model.enums import Decision
from alongside.model.errors import Refused, VaultUnavailable
from alongside.settings import Environment
from tests.fakes import NOON, plan
from tests.ledgers import PostgresLedgers, SqliteLedgers, empty, require

HOUR = timedelta(hours=1)
KEY = Environment(vault_key=bytes(range(32)))
UGLY = ("", 'a "quoted", word', "line\nbreak\r\n", "王小明 👩‍⚕️", "\\x41\\N \\.", "NULL", "line\n\\.\nt' -- ")


def value_of(column: sa.Column[Any], row: int) -> Any:
    """A value that its type finds hard; equal names have equal values, so that references hold."""
    if column.nullable and row % 3 == 2:
        return None
    for kind, value in (
        (schema.Utc, NOON + timedelta(days=row, microseconds=row * 7)),
        (sa.JSON, {"n": [row, None, 0.1, UGLY[row]], "empty": {}}),
        (sa.Boolean, row % 2 == 0),
        (sa.Integer, row),
        (sa.Float, (0.1 + 0.2) * 10**row),
        (sa.LargeBinary, bytes([0, 34, 92, 10, 255, row])),
    ):
        if isinstance(column.type, kind):
            return value
    refers = column.primary_key or column.foreign_keys or column.unique or column.name == "fact"
    return f"{row}{column.name}" if refers else UGLY[row][: getattr(column.type, "length", None)]


def fill(ledger: Ledger) -> None:
    """Rows in every table; what could be sent is settled."""
    settled = {"batch": {"state": "accepted"}, "message": {"state": "delivered"}, "attempt": {"finished_at": NOON}}
    with ledger.begin() as connection:
        for table in schema.metadata.sorted_tables:
            if table is schema.ledger_info:
                continue
            for row in range(len(UGLY)):
                given = [column for column in table.columns if column is not table.autoincrement_column]
                values = {column.name: value_of(column, row) for column in given}
                connection.execute(table.insert().values({**values, **settled.get(table.name, {})}))


def dump(url: str) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table, as the row API reads them."""
    ledger = Ledger.open(url)
    with ledger.reading() as connection:
        found = {
            table.name: sorted((tuple(row) for row in connection.execute(sa.select(table))), key=repr)
            for table in schema.metadata.sorted_tables
        }
    ledger.engine.dispose()
    return found


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "ledger.backup"


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def target_url(
    request: pytest.FixtureRequest, tmp_path: Path, sqlite_ledgers: SqliteLedgers, postgres_ledgers: PostgresLedgers
) -> Iterator[str]:
    """Another ledger; on PostgreSQL its database may be the source's, emptied by `vacated` once the backup is made."""
    if request.param == "sqlite":
        yield sqlite_ledgers.place(tmp_path / "target" / "ledger.db")
    else:
        yield require(postgres_ledgers).emptied()


def vacated(url: str) -> str:
    empty(url)
    return url


def save(url: str, file: Path, now: datetime = NOON) -> Path:
    backup(url, file, now=now, actor="operator")
    return file


def put(url: str, file: Path, environment: Environment = KEY, **options: Any) -> RestoreReport:
    return restore(url, file, environment, **{"now": NOON + 2 * HOUR, "actor": "operator", **options})


# -------------------------------------------------------------------------------------------------------- round trip
def test_every_row_comes_back_on_either_store(
    ledger: Ledger, ledger_url: str, target_url: str, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "_ROWS", 3)  # so that a table is several parts
    fill(ledger)
    Vault.open(ledger, KEY)
    before = dump(ledger_url)
    ledger.engine.dispose()
    report = backup(ledger_url, file, now=NOON, actor="operator")
    assert max(part.rows for part in report.manifest.parts) == 3  # what is in memory is bounded by it
    assert report.manifest.rows == {name: len(found) for name, found in before.items()}
    put(vacated(target_url), file)

    after = dump(target_url)
    [identity] = before.pop("ledger_info")
    epoch = list(schema.ledger_info.columns.keys()).index("epoch")
    assert after.pop("ledger_info") == [(*identity[:epoch], 2, *identity[epoch + 1 :])]
    [silence] = set(after.pop("pause")) - set(before.pop("pause"))
    assert silence[0] == "all"
    [written] = set(map(repr, after["audit"])) - set(map(repr, before["audit"]))
    assert "'restore'" in written
    assert len(after.pop("audit")) == len(before.pop("audit")) + 1  # so that the counter stands behind the old rows
    assert after == before


@pytest.mark.parametrize("first", ["message", "suppression"])
def test_a_backup_is_one_moment_while_others_write(ledger: Ledger, first: str) -> None:
    plan(ledger, range(3))
    with rows.snapshot(ledger) as (connection, read):
        tables = {table.name: table for table in rows.tables_of(connection)}
        seen = sum(batch.num_rows for batch in read(tables[first]))
        plan(ledger, range(3, 10))
        messages = sum(batch.num_rows for batch in read(tables["message"]))
    assert (seen, messages) == ({"message": 3, "suppression": 0}[first], 3)
    assert ledger.read_arrow("SELECT count(*) AS n FROM message")["n"].to_pylist() == [10]


def test_the_file_is_its_owners_and_says_no_name(ledger: Ledger, ledger_url: str, file: Path) -> None:
    vault = Vault.open(ledger, KEY)
    with ledger.begin() as connection:
        vault.store(connection, {"p1": Identity(name="Ada Exemplar", email="ada@example.com")}, NOON)
    save(ledger_url, file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with zipfile.ZipFile(file) as archive:
        parts = [pq.read_table(archive.open(name)) for name in archive.namelist() if name.endswith(".parquet")]
        said = archive.read("manifest.json") + repr([part.to_pylist() for part in parts]).encode()
    assert sum(part.num_rows for part in parts) == 2  # the vault's and the ledger's own
    for secret in (b"Exemplar", b"ada@example", repr(KEY.vault_key)[2:-1].encode()):
        assert secret not in said


def test_a_backup_overwrites_nothing_and_leaves_nothing_half(ledger_url: str, file: Path) -> None:
    save(ledger_url, file)
    content = file.read_bytes()
    with pytest.raises(Refused, match="choose another"):
        save(ledger_url, file)
    assert file.read_bytes() == content
    with pytest.raises(Refused, match="cannot be written: No such file"):
        save(ledger_url, file.parent / "nowhere" / "ledger.backup")
    with pytest.raises(Refused, match="there is no ledger"):
        save(f"sqlite:///{file.parent / 'other.db'}", file.parent / "second")
    assert [path.name for path in file.parent.iterdir() if path.name.endswith((".part", "second"))] == []


def test_a_ledger_of_an_older_schema_can_be_backed_up(ledger: Ledger, ledger_url: str, file: Path) -> None:
    with ledger.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '0000'"))
        connection.execute(sa.text("DROP TABLE match_review"))
    try:
        report = backup(ledger_url, file, now=NOON, actor="operator")
        assert (report.manifest.revision, "match_review" in report.manifest.columns) == ("0000", False)
    finally:
        with ledger.begin() as connection:
            connection.execute(sa.text("UPDATE alembic_version SET version_num = :head"), {"head": _head()})
            schema.match_review.create(connection)


def _head() -> str:
    from alongside.ledger import migrations

    return migrations.HEAD


# ------------------------------------------------------------------------------------------------------ refused first
def edit(file: Path, **changes: Any) -> None:
    """The same archive with another manifest."""
    with zipfile.ZipFile(file) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(members["manifest.json"])
    members["manifest.json"] = json.dumps({**manifest, **changes}).encode()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size * 2 // 3])


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[content.index(b"PAR1") + 40] ^= 1
    file.write_bytes(bytes(content))


def alter(file: Path) -> None:
    """A part replaced by another: the ZIP's own check sums are right."""
    with zipfile.ZipFile(file) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["message/000000.parquet"] = members["batch/000000.parquet"]
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def drop(file: Path) -> None:
    with zipfile.ZipFile(file) as archive:
        members = {name: archive.read(name) for name in archive.namelist() if name != "message/000000.parquet"}
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


FAULTS = {
    "cut off": (cut, "damaged or cut off"),
    "flipped bit": (flip, r"damaged or cut off \("),
    "altered part": (alter, r"damaged or cut off \(message/000000.parquet\)"),
    "missing part": (drop, r"damaged or cut off \(message/000000.parquet\)"),
    "no archive": (lambda file: file.write_text("SQLite format 3"), "damaged or cut off"),
    "no file": (lambda file: file.unlink(), "cannot be read: No such file"),
    "no manifest": (lambda file: zipfile.ZipFile(file, "w").close(), r"damaged or cut off \(manifest.json\)"),
    "manifest of nothing": (lambda file: edit(file, parts=None), r"damaged or cut off \(manifest.json\)"),
    "newer format": (lambda file: edit(file, format=2), "format 2, this release reads 1"),
    "newer schema": (lambda file: edit(file, revision="9999"), "schema 9999.*Install the release that made it"),
    "older schema": (lambda file: edit(file, revision="0000"), "schema 0000.*alongside ledger upgrade"),
    "other tables": (lambda file: edit(file, columns={}), "other tables"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_backup_that_is_not_in_order_changes_nothing(
    tmp_path: Path, sqlite_ledgers: SqliteLedgers, file: Path, fault: str
) -> None:
    url = sqlite_ledgers.place(tmp_path / "ledger.db")
    ledger = Ledger.open(url)
    plan(ledger, range(5))
    ledger.engine.dispose()
    save(url, file)
    before = dump(url)
    spoil, told = FAULTS[fault]
    spoil(file)
    for attempt in (lambda: inspect(url, file, KEY), lambda: put(url, file, replace=True)):
        with pytest.raises(Refused, match=told):
            attempt()
    assert dump(url) == before


def test_a_wrong_or_missing_vault_key_changes_nothing(ledger: Ledger, ledger_url: str, file: Path) -> None:
    Vault.open(ledger, KEY)
    save(ledger_url, file)
    before = dump(ledger_url)
    for environment, told in (
        (Environment(vault_key=bytes(32)), "not the one of ledger"),
        (Environment(vault_key_dir=file.parent / "no-keys"), "key is missing"),
    ):
        with pytest.raises(VaultUnavailable, match=told):
            put(ledger_url, file, environment, replace=True)
    assert dump(ledger_url) == before


def test_a_ledger_that_holds_something_is_given_up_only_when_told(ledger: Ledger, ledger_url: str, file: Path) -> None:
    plan(ledger, range(2))
    save(ledger_url, file)
    withdrawal = ConsentEvent("p1", "marketing", "email", Decision.DENY, NOON + HOUR, "unsubscribe", "")
    with ledger.begin() as connection:
        record(connection, [withdrawal], NOON + HOUR)
        suppress(connection, [Suppression("b" * 32, "email", "all", "complaint", NOON + HOUR, "vendor")])
        connection.execute(schema.message.update().values(state="delivered", updated_at=NOON + HOUR))
    before = dump(ledger_url)
    with pytest.raises(Refused, match=f"not empty .id {ledger.info.ledger_id}.*--replace"):
        put(ledger_url, file)
    assert dump(ledger_url) == before
    done = put(ledger_url, file, replace=True)
    assert (done.replaced, done.held) == (ledger.info.ledger_id, (("hello", "email", 2),))
    assert done.loss is not None
    assert vars(done.loss) == {"withdrawals": 1, "suppressions": 1, "accepted": 2}


def _die_restoring(url: str, file: Path) -> None:
    arm("restore.before_commit")
    put(url, file, replace=True)


def test_killed_in_the_middle_the_ledger_is_as_it_was(ledger: Ledger, ledger_url: str, file: Path) -> None:
    fill(ledger)
    save(ledger_url, file)
    plan(ledger, range(5))
    before = dump(ledger_url)
    ledger.engine.dispose()
    dying = multiprocessing.get_context("forkserver").Process(target=_die_restoring, args=(ledger_url, file))
    dying.start()
    dying.join(60)
    assert dying.exitcode == -signal.SIGKILL
    assert dump(ledger_url) == before
    assert put(ledger_url, file, replace=True).epoch == 2


# --------------------------------------------------------------------------------------------------- never sent again
def take(ledger: Ledger, name: str, now: datetime = NOON) -> claims.Claim | None:
    return claims.claim(ledger, Scope(), attempt_id=name, worker="w", now=now, due=now, lease_seconds=7200)


def states(ledger: Ledger) -> dict[str, set[Any]]:
    found = ledger.read_arrow(
        "SELECT message_key, b.state AS b, m.state, reason FROM message m JOIN batch b USING (batch_id)"
    )
    return {name: set(found[name].to_pylist()) for name in ("b", "state", "reason")}


@pytest.fixture
def restored(ledger: Ledger, ledger_url: str, file: Path) -> tuple[Ledger, dict[str, claims.Claim]]:
    """A ledger whose backup held a batch in every open state, and the claims of the workers of that time."""
    plan(ledger, range(8), batch_size=2)
    held = {name: claim for name in ("claimed", "calling", "unknown") if (claim := take(ledger, name))}
    for name in ("calling", "unknown"):
        assert calls.begin_call(ledger, held[name], now=NOON, lease_seconds=7200)
    keys = ledger.read_arrow(
        "SELECT message_key AS k FROM message WHERE batch_id = :b", {"b": held["unknown"].batch_id}
    )
    lost = Settlement(unknown=keys["k"].to_pylist())
    calls.settle(ledger, held["unknown"], lost, now=NOON, patient_now=NOON)
    save(ledger_url, file)
    put(ledger_url, file, replace=True)
    return ledger, held


def test_what_was_open_in_the_backup_is_unknown_and_never_claimed(
    restored: tuple[Ledger, dict[str, claims.Claim]],
) -> None:
    ledger, _ = restored
    assert states(ledger) == {"b": {"unknown"}, "state": {"unknown"}, "reason": {"restored"}}
    much_later = NOON + timedelta(days=400)
    assert take(ledger, "new", much_later) is None
    with ledger.begin() as connection:
        assert pauses.lift_pause(connection, pauses.ALL)
    assert calls.expire_calls(ledger, much_later) == 0
    assert take(ledger, "new", much_later) is None
    assert plan(ledger, range(8)).messages == 0  # the day's run again: the same keys


def test_a_worker_of_before_can_neither_call_nor_plan_again_but_what_it_saw_accepted_counts(
    restored: tuple[Ledger, dict[str, claims.Claim]],
) -> None:
    ledger, held = restored
    with ledger.begin() as connection:
        pauses.lift_pause(connection, pauses.ALL)
    assert not calls.begin_call(ledger, held["claimed"], now=NOON, lease_seconds=60)
    assert not calls.release(ledger, held["claimed"], now=NOON)
    query = "SELECT message_key AS k FROM message WHERE batch_id = :b ORDER BY 1"
    one, two = ledger.read_arrow(query, {"b": held["calling"].batch_id})["k"].to_pylist()
    calls.settle(ledger, held["calling"], Settlement(accepted=[one], retry=[two]), now=NOON, patient_now=NOON)
    found = ledger.read_arrow("SELECT message_key, state FROM message").to_pylist()
    told = {row["message_key"]: row["state"] for row in found}
    assert (told[one], sorted(told.values())) == ("accepted", ["accepted"] + ["unknown"] * 7)


def test_what_is_planned_after_a_restore_leaves_once_it_is_resumed(
    restored: tuple[Ledger, dict[str, claims.Claim]],
) -> None:
    ledger, _ = restored
    plan(ledger, range(100, 103))
    assert take(ledger, "new") is None  # paused
    with ledger.begin() as connection:
        assert "restored from the backup of 2026-03-02 04:00 UTC" in pauses.active_pauses(connection)["all"]
        pauses.lift_pause(connection, pauses.ALL)
    held = take(ledger, "new")
    assert held is not None
    assert held.size == 3


def test_restoring_an_old_backup_raises_the_epoch_above_every_earlier_one(ledger_url: str, file: Path) -> None:
    save(ledger_url, file)
    assert [put(ledger_url, file, replace=True).epoch for _ in range(3)] == [2, 3, 4]


def test_the_audit_trail_tells_of_both(ledger: Ledger, ledger_url: str, file: Path, tmp_path: Path) -> None:
    save(ledger_url, file)
    save(ledger_url, tmp_path / "second", NOON + HOUR)  # holds the line about the first
    put(ledger_url, tmp_path / "second", replace=True)
    found = ledger.read_arrow("SELECT at, action, subject, details FROM audit ORDER BY seq").to_pylist()
    assert [(row["action"], row["at"]) for row in found] == [
        ("backup", NOON.replace(tzinfo=None)),
        ("restore", (NOON + 2 * HOUR).replace(tzinfo=None)),
    ]
    details = json.loads(found[1]["details"])
    assert details["made_at"] == "2026-03-02T05:00:00+00:00"
    assert details["replaced"] == found[1]["subject"] == ledger.info.ledger_id
