"""The command line as its users meet it: help, exit codes, refusals, configuration of one's own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import alongside
from tests.conftest import ROOT

CAMPAIGN = "config/campaigns/flu_vaccine.yaml"
BIN = str(Path(sys.executable).parent / "alongside")


def process(*words: str, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    """The installed command, in a process of its own."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("ALONGSIDE_", "SENDGRID_"))}
    return subprocess.run(
        [BIN, *words], cwd=cwd, env={**clean, **environment}, capture_output=True, text=True, timeout=240, check=False
    )


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("run", "--as-of", "yesterday"), 2),
        (("run", "--source", "noequals"), 2),
        (("new", "poem", "x"), 2),
        (("experiment", "analyse", "--data", "nothing.csv"), 2),
    ],
)
def test_exit_codes_tell_usage_from_refusal(words: tuple[str, ...], code: int) -> None:
    assert alongside(*words).returncode == code


@pytest.mark.parametrize(("words", "code"), [(("--help",), 0), (("nonsense",), 2)])
def test_the_installed_command_ends_with_its_exit_code(words: tuple[str, ...], code: int) -> None:
    assert process(*words).returncode == code


def test_outside_a_project_the_remedy_is_named(tmp_path: Path) -> None:
    done = process("check", cwd=tmp_path)
    assert done.returncode == 1
    assert "alongside init" in done.stderr
    assert "Traceback" not in done.stderr


def test_init_gives_a_configuration_that_is_in_order(own: Path) -> None:
    done = alongside("check", "--json", cwd=own)
    assert done.returncode == 0, done.stdout
    assert json.loads(done.stdout) == {"ok": True, "findings": []}
    again = alongside("init", str(own))
    assert again.returncode == 1
    assert "not empty" in again.stderr


@pytest.mark.parametrize(("kind", "name"), [("segment", "walkers"), ("campaign", "walks")])
def test_new_files_are_valid_as_they_come(own: Path, kind: str, name: str) -> None:
    assert alongside("new", kind, name, cwd=own).returncode == 0
    assert alongside("new", kind, name, cwd=own).returncode == 1
    done = alongside("check", cwd=own)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("file", "old", "new", "words"),
    [
        (CAMPAIGN, "segment: flu_vaccine_due", "segment: flu_vacine_due", "did you mean 'flu_vaccine_due'?"),
        (CAMPAIGN, "message: prevention/flu_vaccine", "message: prevention/flu", "prevention/flu_vaccine"),
        (CAMPAIGN, "booked('vaccination', 60)", "boked('vaccination', 60)", "booked"),
        ("config/segments/flu_vaccine_due.yaml", "has_tag(", "has_tagg(", "has_tag"),
        ("templates/prevention/flu_vaccine/email.en.txt.j2", "aged_60", "agd_60", "aged_60"),
        ("expectations/patient.yaml", "table: patient", "table: patients", "did you mean 'patient'?"),
    ],
)  # fmt: skip
def test_check_names_file_line_and_the_nearest_name(own: Path, file: str, old: str, new: str, words: str) -> None:
    path = own / file
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), "utf-8")
    done = alongside("check", cwd=own)
    assert done.returncode == 1
    assert file in done.stderr
    assert words in done.stderr
    assert any(line.startswith(f"{file}:") and line.split(":")[1].isdigit() for line in done.stderr.splitlines())


def test_preview_reads_like_a_letter_in_both_languages(own: Path) -> None:
    english = alongside("preview", "prevention/flu_vaccine", "--locale", "en", cwd=own)
    chinese = alongside("preview", "prevention/flu_vaccine", "--locale", "zh_CN", "--json", cwd=own)
    assert english.returncode == 0, english.stderr
    assert "Example" in english.stdout
    assert "张" in json.loads(chinese.stdout)["text"]
    assert json.loads(chinese.stdout)["version"] in english.stdout  # one version over both languages


def test_a_signed_message_is_refused_after_an_edit(own: Path) -> None:
    version = json.loads(alongside("preview", "prevention/flu_vaccine", "--json", cwd=own).stdout)["version"]
    message = own / "templates/prevention/flu_vaccine/message.yaml"
    signature = f"approved: {{hash: {version}, role: geriatrician, day: 2026-03-01}}\n"
    message.write_text(message.read_text("utf-8") + signature, "utf-8")
    assert alongside("check", cwd=own).returncode == 0
    body = own / "templates/prevention/flu_vaccine/email.en.txt.j2"
    body.write_text(body.read_text("utf-8").replace("{% endblock %}", "Bring a friend. {% endblock %}", 1), "utf-8")
    edited = alongside("check", cwd=own)
    assert edited.returncode == 1
    assert "was approved for another version" in edited.stderr


def test_a_message_that_nobody_wrote_is_named(own: Path) -> None:
    unknown = alongside("preview", "prevention/flu", cwd=own)
    assert unknown.returncode == 1
    assert "did you mean" in unknown.stderr


def test_a_test_message_reaches_the_stand_in(own: Path, tmp_path: Path) -> None:
    done = alongside(
        "send-test", "prevention/flu_vaccine", "--to", "me@example.com", "--locale", "en", "--json",
        cwd=own, ALONGSIDE_KEY_DIR=str(tmp_path / "keys"),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["accepted"] is True
    log = next((own / "var/sandbox").rglob("accepted.ndjson")).read_text("utf-8")
    entry = json.loads(log.splitlines()[0])
    assert entry["to"] == "me@example.com"
    assert entry["subject"].startswith("[test] ")


def test_pause_and_resume(own: Path, tmp_path: Path) -> None:
    keys = {"ALONGSIDE_KEY_DIR": str(tmp_path / "keys")}
    assert alongside("pause", "campaign:flu_vaccine", "--reason", "stock", cwd=own, **keys).returncode == 0
    assert alongside("resume", "campaign:flu_vaccine", cwd=own, **keys).returncode == 0
    again = alongside("resume", "campaign:flu_vaccine", cwd=own, **keys)
    assert again.returncode == 1
    assert alongside("pause", "everything", cwd=own, **keys).returncode == 2


def test_opt_outs_of_the_old_tool_are_taken_over(own: Path, tmp_path: Path) -> None:
    old = tmp_path / "optouts.csv"
    old.write_text("address,reason\nperson@example.com,unsubscribed\nnot an address,x\n", "utf-8")
    done = alongside("suppressions", "import", str(old), "--json", cwd=own, ALONGSIDE_KEY_DIR=str(tmp_path / "keys"))
    report = json.loads(done.stdout)
    assert done.returncode == 1  # a line could not be read, and says so
    assert report["added"] == 1
    assert "not an address" not in done.stdout


def test_doctor_says_what_is_missing(own: Path, tmp_path: Path) -> None:
    done = alongside("doctor", "--json", cwd=own, ALONGSIDE_KEY_DIR=str(tmp_path / "keys"))
    states = {item["name"]: item["state"] for item in json.loads(done.stdout)["checks"]}
    assert states["configuration"] == states["ledger"] == states["vault key"] == states["consents"] == "ok"
    assert states["e-mail vendor"] == "warning"


def test_anybodys_csv_gets_the_documented_json(tmp_path: Path) -> None:
    path = tmp_path / "test.csv"
    rows = ["arm,bought,spent"]
    rows += [f"{'a' if n % 2 else 'b'},{int(n % (5 if n % 2 else 3) == 0)},{n % 17}" for n in range(2000)]
    path.write_text("\n".join(rows) + "\n", "utf-8")
    words = ("experiment", "analyse", "--data", str(path), "--variant", "arm", "--control", "a")
    done = alongside(*words, "--metric", "bought", "--metric", "spent", "--json")
    result = json.loads(done.stdout)
    assert done.returncode == 0
    assert set(result["arms"]) == {"a", "b"}
    assert result["arms"]["a"]["n"] == 1000
    assert {
        "variant",
        "metric",
        "difference",
        "standard_error",
        "ci_low",
        "ci_high",
        "p_value",
        "relative_difference",
    } <= set(result["comparisons"][0])
    assert 0 <= result["sample_ratio"]["p_value"] <= 1
    wrong = alongside(*words, "--metric", "bougt")
    assert wrong.returncode == 1
    assert "bought" in wrong.stderr


def test_a_wheel_would_ship_the_configuration() -> None:
    import tomllib

    include = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert set(include["force-include"]) == {"config", "templates", "expectations"}
    assert shutil.which("git")
