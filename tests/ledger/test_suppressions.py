"""Who asked the old tool to stop stays stopped, whatever the file looks like."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from alongside.ledger import Ledger, suppressions
from alongside.ledger.suppressions import Suppression
from alongside.ledger.vault import Vault
from alongside.model.enums import Channel, Purpose
from alongside.model.errors import DataInvalid
from alongside.settings.environment import Environment

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def vault(ledger: Ledger) -> Vault:
    return Vault.open(ledger, Environment(vault_key=bytes(32)))


def _import(
    ledger: Ledger, vault: Vault, path: Path, content: str | bytes, channel: Channel = Channel.EMAIL
) -> suppressions.ImportReport:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with ledger.begin() as connection:
        return suppressions.import_csv(path, connection, vault, NOW, channel)


def _stopped(ledger: Ledger, vault: Vault, purpose: Purpose, *addresses: str) -> list[bool]:
    blinds = [vault.blind_index("email", address) for address in addresses]
    with ledger.begin() as connection:
        found = suppressions.is_suppressed(connection, blinds, "email", purpose)
    return [blind in found for blind in blinds]


def test_scope_marketing_stops_marketing_only(ledger: Ledger) -> None:
    with ledger.begin() as connection:
        entries = [
            Suppression("b1", "email", "all", "hard_bounce", NOW, "sendgrid"),
            Suppression("b2", "email", "marketing", "complaint", NOW, "sendgrid"),
            Suppression("b2", "sms", "all", "staff", NOW, "console"),
        ]
        assert suppressions.add(connection, entries) == 3
        assert suppressions.add(connection, entries) == 0
        assert suppressions.is_suppressed(connection, ["b1", "b2", "b3"], "email", Purpose.MARKETING) == {"b1", "b2"}
        assert suppressions.suppressed(connection, ["b1", "b2"], "email", Purpose.CARE) == {"b1": "hard_bounce"}


def test_a_repeated_suppression_keeps_its_first_reason_and_date(ledger: Ledger) -> None:
    first = Suppression("b1", "email", "all", "complaint", NOW, "sendgrid")
    later = Suppression("b1", "email", "all", "import", datetime(2026, 4, 1, tzinfo=UTC), "import")
    with ledger.begin() as connection:
        assert suppressions.add(connection, [first, later]) == 1
        assert suppressions.add(connection, [later]) == 0
    table = suppressions.listing(ledger)
    assert table["reason"].to_pylist() == ["complaint"]
    assert table["since"].to_pylist() == [NOW.replace(tzinfo=None)]


def test_old_opt_outs_are_taken_over_and_bad_lines_are_reported_without_their_address(
    ledger: Ledger, vault: Vault, tmp_path: Path
) -> None:
    content = (
        "Address,scope,reason,date\r\n"
        "one@example.com,marketing,unsubscribed,2025-01-02\r\n"
        '"unclosed@example.com,all,spam\r\n'
        "TWO@Example.com ,,spam,2025/02/03\r\n"
        "not an address,all,,\r\n"
        ",all,,\r\n"
        "\r\n"
        "three@example.com,everything,退订,yesterday\r\n"
        "two@example.com,all,bounce,\r\n"
    )
    report = _import(ledger, vault, tmp_path / "old.csv", content)
    assert (report.read, report.added, report.known) == (7, 3, 1)
    assert [(fault.line, fault.field, fault.severity) for fault in report.faults] == [
        (3, "address", "error"),
        (5, "address", "error"),
        (6, "address", "error"),
        (8, "scope", "warning"),
        (8, "date", "warning"),
    ]
    assert "example.com" not in str(report.to_json())
    assert _stopped(ledger, vault, Purpose.CARE, "one@example.com", "two@example.com", "three@example.com") == [
        False,
        True,
        True,
    ]
    assert _stopped(ledger, vault, Purpose.MARKETING, "one@example.com") == [True]
    table = suppressions.listing(ledger).to_pylist()
    assert {(row["reason"], row["since"].date().isoformat()) for row in table} == {
        ("unsubscribe", "2025-01-02"),
        ("complaint", "2025-02-03"),
        ("unsubscribe", "2026-03-01"),
    }
    assert _import(ledger, vault, tmp_path / "old.csv", content).added == 0


@pytest.mark.parametrize(
    ("content", "added"),
    [
        ("one@example.com\ntwo@example.com\n", 2),
        ("\ufeffaddress\none@example.com", 1),
        ("address;reason\none@example.com;投诉\n".encode("gb18030"), 1),
        ("address\treason\none@example.com\tx\n".encode("utf-16"), 1),
        ("name|address\n王|one@example.com\r|two@example.com", 2),
        ("address\n" + "x" * 20_000 + "@example.com\none@example.com\n", 1),
        ("address\n", 0),
    ],
)
def test_files_come_as_old_tools_write_them(
    ledger: Ledger, vault: Vault, tmp_path: Path, content: str | bytes, added: int
) -> None:
    assert _import(ledger, vault, tmp_path / "old.csv", content).added == added


def test_telephone_numbers_are_compared_in_one_form(ledger: Ledger, vault: Vault, tmp_path: Path) -> None:
    report = _import(
        ledger, vault, tmp_path / "old.csv", "address\n１３８-００００-１１１１\n+86 13800001111\n12\n", Channel.SMS
    )
    assert (report.added, report.known, len(report.faults)) == (1, 1, 1)
    with ledger.begin() as connection:
        blind = vault.blind_index("phone", "+8613800001111")
        assert suppressions.is_suppressed(connection, [blind], "sms", Purpose.CARE) == {blind}


@pytest.mark.parametrize("content", [b"", b"name,mail\na,b\n", b"\x81\xff\x81"])
def test_a_file_that_is_no_list_of_addresses_is_refused(
    ledger: Ledger, vault: Vault, tmp_path: Path, content: bytes
) -> None:
    with pytest.raises(DataInvalid, match=r"old\.csv"):
        _import(ledger, vault, tmp_path / "old.csv", content)
    with pytest.raises(DataInvalid, match="cannot be read"), ledger.begin() as connection:
        suppressions.import_csv(tmp_path / "none.csv", connection, vault, NOW)
