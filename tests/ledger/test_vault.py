"""The vault opens with its own key only, and says plainly what to do when that key is not there."""

from __future__ import annotations

import stat
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from alongside.ledger import Ledger, people, schema
from alongside.ledger.vault import Contact, Identity, Vault
from alongside.model.errors import VaultUnavailable
from alongside.settings.environment import Environment

NOW = datetime(2026, 3, 1, tzinfo=UTC)
KEY = bytes(range(32))
CANARY = Identity(
    "卡娜丽", "canary@example.com", "+8613800000042", "110101199001011237", "M42", "1990-01-01", "示范路1号"
)


@pytest.fixture
def keys(tmp_path: Path) -> Environment:
    return Environment(vault_key_dir=tmp_path / "keys")


def test_set_up_makes_a_private_key_file_that_every_later_process_uses(ledger: Ledger, keys: Environment) -> None:
    first = Vault.open(ledger, keys)
    file = keys.vault_key_dir / f"{ledger.info.ledger_id}.key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    again = Vault.open(ledger, keys)
    assert again.unseal("p1", first.seal("p1", CANARY)) == CANARY
    assert again.blind_index("email", "a@example.com") == first.blind_index("email", "a@example.com")


def test_a_missing_key_is_refused_and_no_second_one_is_made(ledger: Ledger, keys: Environment) -> None:
    Vault.open(ledger, keys)
    file = keys.vault_key_dir / f"{ledger.info.ledger_id}.key"
    file.unlink()
    with pytest.raises(VaultUnavailable, match=r"key is missing.*ALONGSIDE_VAULT_KEY"):
        Vault.open(ledger, keys)
    assert not file.exists()


def test_a_wrong_key_is_refused_before_anything_is_opened(ledger: Ledger, keys: Environment) -> None:
    Vault.open(ledger, keys)
    with pytest.raises(VaultUnavailable, match=r"not the one of ledger.*restore its key file"):
        Vault.open(ledger, Environment(vault_key=KEY, vault_key_dir=keys.vault_key_dir))


@pytest.mark.parametrize("content", ["", "not base64!", "c2hvcnQ=", "钥匙"])
def test_a_damaged_key_file_is_named(ledger: Ledger, keys: Environment, content: str) -> None:
    Vault.open(ledger, keys)
    file = keys.vault_key_dir / f"{ledger.info.ledger_id}.key"
    file.write_text(content, "utf-8")
    with pytest.raises(VaultUnavailable, match=str(file)):
        Vault.open(ledger, keys)


def test_a_key_folder_that_cannot_be_written_is_named(ledger: Ledger, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", "utf-8")
    with pytest.raises(VaultUnavailable, match=r"cannot be (written|read)"):
        Vault.open(ledger, Environment(vault_key_dir=tmp_path / "file"))


def test_names_and_addresses_come_back_by_person_and_stand_nowhere_in_the_ledger(ledger: Ledger) -> None:
    vault = Vault.open(ledger, Environment(vault_key=KEY))
    many = {f"p{number:05}": Identity(name=f"人{number}", email=f"n{number}@example.com") for number in range(2500)}
    with ledger.begin() as connection:
        vault.store(connection, {"p-canary": CANARY, **many}, NOW)
        vault.store(connection, {"p00001": Identity(name="改名")}, NOW)
    with ledger.begin() as connection:
        book = vault.address_book(connection, [*many, "p-canary", "p-nobody"])
        blobs = b"".join(bytes(row.sealed) for row in connection.execute(sa.select(schema.vault_person)))
    assert book["p-canary"] == Contact("卡娜丽", "canary@example.com", "+8613800000042")
    assert book["p02499"].email == "n2499@example.com"
    assert book["p00001"] == Contact("改名")
    assert "p-nobody" not in book
    assert len(book) == 2501
    assert not any(value.encode() in blobs for value in ("canary@", "卡娜丽", "13800000042", "110101199001011237"))


def test_a_sealed_record_cannot_be_moved_to_another_person_or_altered() -> None:
    vault = Vault(KEY, "ledger")
    sealed = vault.seal("p1", CANARY)
    with pytest.raises(VaultUnavailable, match="does not open"):
        vault.unseal("p2", sealed)
    with pytest.raises(VaultUnavailable, match="does not open"):
        vault.unseal("p1", sealed[:-1] + bytes([sealed[-1] ^ 1]))
    with pytest.raises(VaultUnavailable, match="unknown key version"):
        vault.unseal("p1", b"\x09" + sealed[1:])


def test_equal_names_are_sealed_to_different_bytes_and_other_ledgers_hash_differently() -> None:
    vault = Vault(KEY, "ledger")
    assert vault.seal("p1", CANARY) != vault.seal("p1", CANARY)
    assert vault.blind_index("email", "a@b.example") != Vault(KEY, "other").blind_index("email", "a@b.example")
    assert vault.blind_index("email", "x") != vault.blind_index("phone", "x")
    for kind, values in {"email": ["a@b.example", "", "x"], "postal": ["1 Road, Qinghe"], "mrn": ["M42"]}.items():
        assert vault.blind_indexes(kind, values) == [vault.blind_index(kind, value) for value in values]


def test_nothing_printed_shows_a_value() -> None:
    contact = Contact("卡娜丽", "canary@example.com", None, None)
    assert "canary" not in repr(CANARY) + repr(contact) + str(Environment(vault_key=KEY))


def test_a_message_planned_before_a_merge_still_finds_its_reader(ledger: Ledger) -> None:
    vault = Vault.open(ledger, Environment(vault_key=KEY))
    with ledger.begin() as connection:
        connection.execute(
            schema.person.insert(), [{"person_id": "p1", "minted_at": NOW}, {"person_id": "p2", "minted_at": NOW}]
        )
        people.merge(connection, [people.Merge("p1", "p2", "mrn")], NOW)
        vault.store(connection, {"p1": CANARY}, NOW)
        entry = {"kind": "mrn", "blind": vault.blind_index("mrn", "M42"), "person_id": "p2"}
        connection.execute(schema.vault_index.insert().values(**entry))
        assert vault.address_book(connection, ["p2"])["p2"].name == "卡娜丽"
        assert vault.find(connection, "mrn", "M42") == ["p1"]
        vault.forget(connection, ["p1", "p2"])
        assert vault.address_book(connection, ["p1", "p2"]) == {}
        assert vault.find(connection, "mrn", "M42") == []


def test_a_delivery_worker_pays_for_no_analytical_library() -> None:
    code = (
        "import sys, alongside.ledger.vault, alongside.ledger.consent, alongside.ledger.suppressions;"
        "print([name for name in ('duckdb', 'pandas', 'pyarrow', 'splink', 'phonenumbers') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
