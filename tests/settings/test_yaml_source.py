"""Faults in a file that a person wrote name the file, the line, the field and the remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from alongside.model.errors import ConfigurationInvalid, VaultUnavailable
from alongside.settings import Environment, HospitalSettings, read_model
from tests.conftest import ROOT

SENDERS = "senders:"
RAMP = "{start: 2026-12-01, first_day: 100, until: 900}"
SHIPPED = (ROOT / "config/alongside.yaml").read_text("utf-8")


def _faults(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "alongside.yaml"
    path.write_text(text, "utf-8")
    with pytest.raises(ConfigurationInvalid) as caught:
        read_model(HospitalSettings, path)
    return [str(finding).replace(str(tmp_path) + "/", "") for finding in caught.value.findings]


def test_the_shipped_file_is_valid(tmp_path: Path) -> None:
    path = tmp_path / "alongside.yaml"
    path.write_text("\ufeff" + SHIPPED, "utf-8")  # a BOM, as Windows editors write it
    assert read_model(HospitalSettings, path).hospital.country == "CN"


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("mode: sandbox", "mode: sandbx", "  mode", "did you mean 'sandbox'?"),
        ("delivery:", "delivry:", "delivry", "did you mean 'delivery'?"),
        ("max_lateness_hours: 6", "max_lateness_hours: -1", "max_lateness_hours", "greater than 0"),
        ("Asia/Shanghai", "Asia/Shangai", "time_zone", "not an IANA time zone"),
        ("sources: [his, lis, crm, app_events]", "sources:", "sources", "valid list"),
        ("workers: 2", "workers: 2\n  workers: 3", "workers", "stands twice"),
        ("country: CN", "country: China", "country", "pattern"),
        (SENDERS, f"warm_up: {{cara: {RAMP}}}\n    {SENDERS}", "warm_up", "did you mean 'care'?"),
        (
            SENDERS,
            f"warm_up: {{care: {RAMP}, x: {RAMP[:-1]}, senders: [care]}}}}\n    {SENDERS}",
            "warm_up",
            "two ramps",
        ),
        (
            SENDERS,
            f"warm_up:\n      care: {RAMP.replace('900', '100')}\n    {SENDERS}",
            "care: {start",
            "more than first",
        ),
        (SENDERS, f"warm_up:\n      care: {RAMP[:-1]}, growth: 1}}\n    {SENDERS}", "care: {start", "greater than 1"),
        (SENDERS, f"warm_up:\n      care: {RAMP[:-1]}, frist_day: 1}}\n    {SENDERS}", "care: {start", "'first_day'"),
    ],
)
def test_a_wrong_value_is_named_with_its_line(tmp_path: Path, old: str, new: str, line: str, words: str) -> None:
    text = SHIPPED.replace(old, new, 1)
    faults = _faults(tmp_path, text)
    numbers = [number for number, content in enumerate(text.splitlines(), 1) if line.strip() in content]
    assert any(words in fault for fault in faults), faults
    assert any(fault.startswith(f"alongside.yaml:{number}:") for fault in faults for number in numbers), faults


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("hospital: [unclosed", "is not valid YAML"),
        ("hospital:\n\tname: x", "is not valid YAML"),
        ("", "is empty"),
        ("- a\n- b\n", "must be a mapping"),
        ("hospital: !!python/object:os.system x", "is not valid YAML"),
    ],
)
def test_what_is_no_yaml_is_said_so(tmp_path: Path, text: str, words: str) -> None:
    assert words in _faults(tmp_path, text)[0]


def test_another_encoding_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "alongside.yaml"
    path.write_bytes(b"hospital:\n  name: " + "青禾市示范医院".encode("gb18030"))
    with pytest.raises(ConfigurationInvalid, match=r"alongside.yaml:2: is not UTF-8"):
        read_model(HospitalSettings, path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationInvalid, match="cannot be read"):
        read_model(HospitalSettings, tmp_path / "nothing.yaml")


@pytest.mark.parametrize("key", ["not base64!", "c2hvcnQ="])
def test_a_vault_key_that_is_none_is_refused_without_showing_it(key: str) -> None:
    with pytest.raises(VaultUnavailable) as caught:
        Environment.read({"ALONGSIDE_VAULT_KEY": key, "HOME": "/tmp"})
    assert key not in str(caught.value)
    assert "ALONGSIDE_VAULT_KEY" in str(caught.value)


def test_secrets_do_not_show_in_a_repr() -> None:
    environment = Environment.read({"SENDGRID_API_KEY": "SG.secret", "HOME": "/tmp"})
    assert "secret" not in repr(environment)
